"""Series -> its tick box and its control, in the row of its field; it keeps no values of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.widgets.sweep_values import Series

_MOST_ROWS = 6  # of a list to choose from; more are scrolled to


class Sweeping:
    """The tick box that lets a field be swept, and from then on the control of its values.

    ticked, changed: called when the user changes the tick, or what the control holds; not when a program does.
    """

    def __init__(self, name: str, ticked: Callable[[bool], None], changed: Callable[[Any], None]) -> None:
        self._name = name
        self._ticked, self._changed = ticked, changed
        self._is_own_change = False
        self._series: Series | None = None
        self._entry: Any = None
        # Made as they are to be: a change after that is a message each, and forms may be long.
        self._place = ipywidgets.HBox(layout={"display": "none"}, _dom_classes=("heroku-each",))
        self._tick = ipywidgets.Checkbox(description=f"sweep {name}", indent=False, _dom_classes=("heroku-sweep",))
        self._tick.observe(self._tell_tick, "value")
        self.boxes = [self._place, self._tick]

    def show(self, series: Series | None) -> None:
        """Bring it to what the form says; what the user may be typing into is left alone. None: not swept."""
        self._is_own_change = True
        self._tick.value = series is not None
        self._place.layout.display = "none" if series is None else None
        if series is not None:
            self._fill(series)
        self._is_own_change = False

    def _fill(self, series: Series) -> None:
        known, self._series = self._series, series
        if known is None or (known.kind, known.options) != (series.kind, series.options):
            self._entry = _entry(self._name, series)
            self._entry.observe(self._tell_content, "value")
            self._place.children = (self._entry,)
        elif known.content != series.content:
            self._entry.value = series.content

    def _tell_tick(self, change: Any) -> None:
        if not self._is_own_change:
            self._ticked(change["new"])

    def _tell_content(self, change: Any) -> None:
        if not self._is_own_change and self._series is not None:
            self._series = replace(self._series, content=change["new"])
            self._changed(change["new"])


def _entry(name: str, series: Series) -> Any:
    """The control of what is swept; choices are told apart by position, for they may be equal and of two types."""
    words = {"description": f"each {name}", "value": series.content}
    if series.kind == "choices":
        options = [(label, place) for place, label in enumerate(series.labels)]
        return ipywidgets.SelectMultiple(**words, options=options, rows=min(len(options), _MOST_ROWS))
    if series.kind == "lines":
        return ipywidgets.Textarea(**words, rows=3, placeholder=series.example)
    return ipywidgets.Text(**words, placeholder=series.example)
