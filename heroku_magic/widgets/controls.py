"""Field -> its row of ipywidgets: label, control, tick box, help and fault; it keeps no value of its own.

A slider has a number entry beside it, which is what keyboards and screen readers use: the sliders of
ipywidgets have no name that could be read out. https://dequeuniversity.com/rules/axe/4.10/aria-input-field-name
"""

from __future__ import annotations

from datetime import date, datetime
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets

from heroku_magic.text.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heroku_magic.widgets.fields import Field

_STEPS = 100  # of a slider over a range that names no step
_DIGITS = 12  # of what a slider says: 0.30000000000000004 is nobody's wish


class Control:
    """The row of one field; `changed` is called when the user changes what it holds, not when a program does.

    beside: more boxes of the row, before its note.
    """

    def __init__(self, field: Field, content: Any, changed: Callable[[], None], beside: Iterable[Any] = ()) -> None:
        self._field = field
        self._changed = changed
        self._is_own_change = False
        self._input, self._read, self._show = _entry(field)
        self._none = ipywidgets.Checkbox(description=f"no {field.name}", indent=False) if field.may_be_absent else None
        self._note = ipywidgets.HTML()
        self._note.add_class("heroku-note")
        self._boxes = [self._input, *_slider(field, self._input), *filter(None, [self._none])]
        self.row = ipywidgets.HBox([*self._boxes, *beside, self._note])
        self.row.add_class("heroku-field")
        self.content = content
        for box in filter(None, [self._input, self._none]):
            box.observe(self._tell, "value")

    @property
    def content(self) -> Any:
        """What the control holds; None where there is none."""
        return None if self._none is not None and self._none.value else self._read(self._input.value)

    @content.setter
    def content(self, content: Any) -> None:
        self._is_own_change = True
        self._input.value = self._show(self._field.blank if content is None else content)
        if self._none is not None:
            self._none.value = content is None
            self._dim()
        self._is_own_change = False

    def hide(self, *, is_hidden: bool) -> None:
        """Hide what holds the value, while the field has several, or show it again."""
        for box in self._boxes:
            box.layout.display = "none" if is_hidden else None

    def show_fault(self, fault: str, hint: str = "") -> None:
        """Show what is wrong with the value; an empty text: nothing is, so the help is shown, or this hint."""
        text = escape(clean(fault or hint or self._field.hint))
        self._note.value = f'<span role="alert" class="heroku-fault">✗ {text}</span>' if fault else text

    def _tell(self, _: Any) -> None:
        if not self._is_own_change:
            self._dim()
            self._changed()

    def _dim(self) -> None:
        """What is absent has no value to change."""
        if self._none is not None:
            for box in self._boxes[:-1]:
                box.disabled = self._none.value


class _Entry(NamedTuple):
    """A control, and how its value becomes a content and back."""

    widget: Any
    read: Callable[[Any], Any] = lambda value: value
    show: Callable[[Any], Any] = lambda content: content


def _entry(field: Field) -> _Entry:
    """The control of a field."""
    name = {"description": field.name}
    if field.kind in {"slider", "number"}:
        return _Entry(_number(field))
    if field.kind in {"choice", "secret"}:
        return _dropdown(field)
    if field.kind in {"date", "moment"}:
        return _picker(field)
    if field.kind == "check":
        return _Entry(ipywidgets.Checkbox(**name))
    if field.kind in {"json", "area"}:
        return _Entry(ipywidgets.Textarea(**name, rows=3, placeholder=field.example))
    return _Entry(ipywidgets.Text(**name, placeholder=field.example, continuous_update=False))


def _picker(field: Field) -> _Entry:
    """A calendar; ipywidgets 7 has none for a date with a time, so there it is text that is checked."""
    if field.kind == "date":
        return _Entry(ipywidgets.DatePicker(description=field.name), _iso, _date)
    if hasattr(ipywidgets, "NaiveDatetimePicker"):
        return _Entry(ipywidgets.NaiveDatetimePicker(description=field.name), _iso, _moment)
    return _Entry(ipywidgets.Text(description=field.name, placeholder=field.example, continuous_update=False))


def _number(field: Field) -> Any:
    """A number entry without bounds: what is out of range is said, not changed behind the user's back."""
    if field.type == "integer":
        return ipywidgets.IntText(description=field.name, step=field.step or 1)
    return ipywidgets.FloatText(description=field.name, step=_step(field) if field.kind == "slider" else field.step)


def _slider(field: Field, entry: Any) -> list[Any]:
    """The slider that moves with a field's number entry."""
    if field.kind != "slider":
        return []
    kind = ipywidgets.IntSlider if field.type == "integer" else ipywidgets.FloatSlider
    slider = kind(min=field.lowest, max=field.highest, step=_step(field), readout=False)
    slider.add_class("heroku-slider")
    entry.observe(lambda change: _move(slider, change["new"]), "value")
    slider.observe(lambda change: _slid(slider, entry, change["new"]), "value")
    return [slider]


def _move(slider: Any, value: float) -> None:
    """Bring the slider to an entry's value, or as near as it goes."""
    slider.value = min(max(value, slider.min), slider.max)


def _slid(slider: Any, entry: Any, value: float) -> None:
    """Take over a slider's value, but not what `_move` could only bring near."""
    if min(max(entry.value, slider.min), slider.max) != value:
        entry.value = round(value, _DIGITS) if isinstance(value, float) else value


def _step(field: Field) -> float:
    return field.step or (1 if field.type == "integer" else ((field.highest or 0) - (field.lowest or 0)) / _STEPS)


def _dropdown(field: Field) -> _Entry:
    """A list to choose from, by position: values may be equal and yet of two types."""
    options = [(label, at) for at, label in enumerate(field.labels)]
    if field.start == -1:
        options.insert(0, ("choose …", -1))
    dropdown = ipywidgets.Dropdown(description=field.name, options=options, value=options[0][1])
    if field.kind == "secret":
        return _Entry(dropdown, field.options.__getitem__, field.options.index)
    return _Entry(dropdown)


def _iso(value: date | datetime | None) -> str:
    return "" if value is None else value.isoformat()


def _date(content: str) -> date | None:
    return date.fromisoformat(content) if content else None


def _moment(content: str) -> datetime | None:
    return datetime.fromisoformat(content) if content else None
