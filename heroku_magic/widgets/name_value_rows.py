"""Name and value: the rows for a task that declares nothing, which are added and removed; it checks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from heroku_magic.widgets.form_state import Row

if TYPE_CHECKING:
    from collections.abc import Callable


class Rows:
    """The rows, and a button that adds one. content: what stands in them, in order."""

    def __init__(self, content: list[Row], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._rows: list[_Row] = []
        self._list = ipywidgets.VBox()
        self._add = ipywidgets.Button(description="Add parameter")
        self._add.on_click(lambda _: self._append(Row("", "")))
        self.box = ipywidgets.VBox([self._list, self._add])
        self.box.add_class("heroku-rows")
        self.content = content

    @property
    def content(self) -> list[Row]:
        """Names and texts as they stand there."""
        return [row.content for row in self._rows]

    @content.setter
    def content(self, content: list[Row]) -> None:
        self._rows = []
        for row in content:
            self._append(row)

    def _append(self, content: Row) -> None:
        row = _Row(content)
        row.remove.on_click(lambda _: self._take_out(row))
        for box in (row.name, row.text, row.lines, row.tick):
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
    """One name and its value, or its values, one a line, while it is swept."""

    def __init__(self, content: Row) -> None:
        self.name, self.text = ipywidgets.Text(content.name), ipywidgets.Text(content.text)
        self.lines = ipywidgets.Textarea(content.text, rows=3)
        self.tick = ipywidgets.Checkbox(content.is_swept, indent=False)
        self.tick.observe(self._swap, "value")
        self.remove = ipywidgets.Button()
        self.box: Any = ipywidgets.HBox([self.name, self.text, self.lines, self.tick, self.remove])
        self.box.add_class("heroku-row")
        self._show()

    @property
    def content(self) -> Row:
        """What stands there."""
        return Row(self.name.value.strip(), (self.lines if self.tick.value else self.text).value, self.tick.value)

    def count(self, number: int) -> None:
        """Say which row this is: labels that are all the same help nobody who hears them."""
        self.name.description, self.text.description = f"Name {number}", f"Value {number}"
        self.lines.description, self.tick.description = f"Each {number}", f"sweep {number}"
        self.remove.description = f"Remove {number}"

    def _swap(self, change: Any) -> None:
        """A sweep begins with the value that is there; what is swept no more has the first of its values."""
        first = self.lines.value.partition("\n")[0]
        if not change["new"]:
            self.text.value = first
        elif self.text.value != first:
            self.lines.value = self.text.value
        self._show()

    def _show(self) -> None:
        self.text.layout.display = "none" if self.tick.value else None
        self.lines.layout.display = None if self.tick.value else "none"
