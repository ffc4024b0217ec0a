"""Name and value: the rows for a task that declares nothing, which are added and removed; it checks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

if TYPE_CHECKING:
    from collections.abc import Callable


class Rows:
    """The rows, and a button that adds one. pairs: the names and texts, in order."""

    def __init__(self, pairs: list[tuple[str, str]], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._rows: list[_Row] = []
        self._list = ipywidgets.VBox()
        self._add = ipywidgets.Button(description="Add parameter")
        self._add.on_click(lambda _: self._append("", ""))
        self.box = ipywidgets.VBox([self._list, self._add])
        self.box.add_class("heroku-rows")
        self.pairs = pairs

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and texts as they stand there."""
        return [(row.name.value.strip(), row.text.value) for row in self._rows]

    @pairs.setter
    def pairs(self, pairs: list[tuple[str, str]]) -> None:
        self._rows = []
        for name, text in pairs:
            self._append(name, text)

    def _append(self, name: str, text: str) -> None:
        row = _Row(name, text)
        row.remove.on_click(lambda _: self._take_out(row))
        for box in (row.name, row.text):
            box.observe(lambda _: self._changed(), "value")
        self._rows.append(row)
        self._draw()

    def _take_out(self, row: _Row) -> None:
        self._rows.remove(row)
        self._draw()
        self._changed()

    def _draw(self) -> None:
        for number, row in enumerate(self._rows, 1):
            row.count(number)
        self._list.children = tuple(row.box for row in self._rows)


class _Row:
    """One name and its value."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = ipywidgets.Text(name), ipywidgets.Text(text)
        self.remove = ipywidgets.Button()
        self.box: Any = ipywidgets.HBox([self.name, self.text, self.remove])
        self.box.add_class("heroku-row")

    def count(self, number: int) -> None:
        """Say which row this is: labels that are all the same help nobody who hears them."""
        self.name.description, self.text.description = f"Name {number}", f"Value {number}"
        self.remove.description = f"Remove {number}"
