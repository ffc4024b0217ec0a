"""The widgets of one field: its control, the controls to sweep it, help and faults.

A slider has a number entry beside it for keyboards and screen readers, because the sliders of
ipywidgets have no accessible name. https://dequeuniversity.com/rules/axe/4.10/aria-input-field-name
"""

from __future__ import annotations

from datetime import date, datetime
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets

from heroku_magic.text.sanitize import clean, clean_line
from heroku_magic.widgets import fields
from heroku_magic.widgets.sweep_values import SweepChoices, SweepList

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.widgets.form import Form
    from heroku_magic.widgets.sweep_values import SweepValues

NO_MATH = "tex2jax_ignore mathjax_ignore"  # classes of text that MathJax leaves alone
_DIGITS = 12  # of a slider's value, so that 0.30000000000000004 reads 0.3
_MAX_ROWS = 6  # of a list to select from; it scrolls


class Control:
    """The row of one field; it reports what the user changes to the form, but not what `draw` changes."""

    def __init__(self, field: fields.Field, form: Form) -> None:
        self._field, self._form = field, form
        self._is_drawing = False
        self._entry = _entry(field)
        self._boxes = [self._entry.widget]
        if isinstance(field, fields.SliderField):
            self._boxes.append(_slider(field, self._entry.widget))
        self._none: Any = None
        if field.may_be_absent:
            label = f"no {clean_line(field.name)}"
            self._none = ipywidgets.Checkbox(description=label, indent=False, _dom_classes=("heroku-none",))
            self._boxes.append(self._none)
        self._sweep = None if isinstance(field, fields.SecretField) else SweepControl(field.name, form)
        self._note = ipywidgets.HTML(_dom_classes=("heroku-note",))
        boxes = [*self._boxes, *(self._sweep.boxes if self._sweep else ()), self._note]
        self.row = ipywidgets.HBox(boxes, _dom_classes=("heroku-field",))
        self._show(form.inputs.contents[field.name])
        for box in filter(None, [self._entry.widget, self._none]):
            box.observe(self._on_change, "value")

    def draw(self, fault: str) -> None:
        """Show what the form contains, and a fault or the help. Equal values send no message."""
        content, swept = self._form.inputs.contents[self._field.name], self._form.inputs.swept.get(self._field.name)
        if content != self._content:  # the user may be typing: leave the control alone
            self._show(content)
        for box in self._boxes:
            box.layout.display = "none" if swept else None
        if self._sweep:
            self._sweep.draw(swept)
        text = escape(clean(fault or (swept.hint if swept else self._field.hint)))
        alarm = ' role="alert"' if fault else ""
        kind = f"heroku-fault {NO_MATH}" if fault else NO_MATH
        self._note.value = f'<span{alarm} class="{kind}">{"✗ " if fault else ""}{text}</span>' if text else ""

    def _show(self, content: Any) -> None:
        self._content = content
        self._is_drawing = True
        self._entry.widget.value = self._entry.show(self._field.blank if content is None else content)
        if self._none is not None:
            self._none.value = content is None
            self._disable()
        self._is_drawing = False

    def _on_change(self, _: Any) -> None:
        if not self._is_drawing:
            self._disable()
            is_none = self._none is not None and self._none.value
            self._content = None if is_none else self._entry.read(self._entry.widget.value)
            self._form.put(self._field.name, self._content)

    def _disable(self) -> None:
        """Disable the control while there is no value to change."""
        if self._none is not None:
            for box in self._boxes[:-1]:
                box.disabled = self._none.value


class SweepControl:
    """The tick box that lets a field be swept, and the control of its values."""

    def __init__(self, name: str, form: Form) -> None:
        self._name, self._form = name, form
        self._is_drawing = False
        self._values: SweepValues | None = None
        self._content: Any = None
        self._entry: Any = None
        # Created in their final state: each change after that is a message, and forms may be long.
        self._box = ipywidgets.HBox(layout={"display": "none"}, _dom_classes=("heroku-each",))
        self._tick = ipywidgets.Checkbox(
            description=f"sweep {clean_line(name)}", indent=False, _dom_classes=("heroku-sweep",)
        )
        self._tick.observe(self._on_tick, "value")
        self.boxes = [self._box, self._tick]

    def draw(self, values: SweepValues | None) -> None:
        """Show the values that the field is swept over, or None; the user may be typing, so equal ones stay."""
        self._is_drawing = True
        self._tick.value = values is not None
        self._box.layout.display = "none" if values is None else None
        if values is not None:
            before, self._values = self._values, values
            if type(before) is not type(values) or getattr(before, "options", ()) != getattr(values, "options", ()):
                self._entry = _sweep_entry(self._name, values)
                self._entry.observe(self._on_change, "value")
                self._box.children = (self._entry,)
            elif self._content != values.content:
                self._entry.value = values.content
            self._content = values.content
        self._is_drawing = False

    def _on_tick(self, change: Any) -> None:
        if not self._is_drawing:
            self._form.sweep(self._name, is_swept=change["new"])

    def _on_change(self, change: Any) -> None:
        if not self._is_drawing:
            self._content = change["new"]
            self._form.put_swept(self._name, change["new"])


def _sweep_entry(name: str, values: SweepValues) -> Any:
    """The control of swept values; choices go by index, for they may be equal and yet of two types."""
    options = {"description": f"each {name}", "value": values.content}
    if isinstance(values, SweepChoices):
        labels = [(label, index) for index, label in enumerate(values.labels)]
        return ipywidgets.SelectMultiple(**options, options=labels, rows=min(len(labels), _MAX_ROWS))
    if isinstance(values, SweepList):
        return ipywidgets.Text(**options, placeholder=values.example)
    return ipywidgets.Textarea(**options, rows=3, placeholder=values.example)


# -- a control for each kind of field -------------------------------------------------------------------


class _Entry(NamedTuple):
    """A control, and how its value becomes a content and back."""

    widget: Any
    read: Callable[[Any], Any] = lambda value: value
    show: Callable[[Any], Any] = lambda content: content


def _entry(field: fields.Field) -> _Entry:  # noqa: C901, PLR0911 - one per kind
    """Return the control of a field. Choices go by index, for values may be equal and yet of two types."""

    def named(kind: Any, **options: Any) -> Any:
        return kind(description=clean_line(field.name), **options)

    match field:
        case fields.JsonField() | fields.TextField(is_multiline=True):
            return _Entry(named(ipywidgets.Textarea, rows=3, placeholder=field.example))
        case fields.CheckField():
            return _Entry(named(ipywidgets.Checkbox))
        case fields.NumberField():  # without limits: a value out of range is reported, not changed behind one's back
            step = field.slider_step if isinstance(field, fields.SliderField) else field.step
            if field.type == "integer":
                return _Entry(named(ipywidgets.IntText, step=field.step or 1))
            return _Entry(named(ipywidgets.FloatText, step=step))
        case fields.DateTimeField():
            if hasattr(ipywidgets, "NaiveDatetimePicker"):  # ipywidgets 7 has none: there it is text
                return _Entry(named(ipywidgets.NaiveDatetimePicker), _iso, _reader(datetime))
        case fields.DateField():
            return _Entry(named(ipywidgets.DatePicker), _iso, _reader(date))
        case fields.ChoiceField():
            options = [("choose …", -1)] if field.start == -1 else []
            options += [(label, index) for index, label in enumerate(field.labels)]
            return _Entry(named(ipywidgets.Dropdown, options=options, value=options[0][1]))
        case fields.SecretField():
            options = [(label, index) for index, label in enumerate(field.labels)]
            dropdown = named(ipywidgets.Dropdown, options=options, value=0)
            return _Entry(dropdown, field.options.__getitem__, field.options.index)
    return _Entry(named(ipywidgets.Text, placeholder=field.example, continuous_update=False))


def _slider(field: fields.SliderField, entry: Any) -> Any:
    """The slider that moves with a field's number entry."""
    kind = ipywidgets.IntSlider if field.type == "integer" else ipywidgets.FloatSlider
    limits = {"min": field.lowest, "max": field.highest, "step": field.slider_step}
    slider = kind(**limits, readout=False, _dom_classes=("heroku-slider",))

    def nearest() -> Any:
        return min(max(entry.value, slider.min), slider.max)

    def on_entry(_: Any) -> None:
        slider.value = nearest()

    def on_slider(change: Any) -> None:
        value = change["new"]
        if nearest() != value:  # otherwise the slider only followed an entry that is out of its range
            entry.value = round(value, _DIGITS) if isinstance(value, float) else value

    entry.observe(on_entry, "value")
    slider.observe(on_slider, "value")
    return slider


def _reader(kind: type[date]) -> Callable[[str], date | None]:
    return lambda text: kind.fromisoformat(text) if text else None


def _iso(value: date | datetime | None) -> str:
    return "" if value is None else value.isoformat()
