"""The panel of a form: its fields or rows, one button, a status and the equal cell, as ipywidgets.

The button is Run and then Stop. It is never disabled, because that would take the keyboard focus from it.
"""

from __future__ import annotations

import json
import threading
import time
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import ipywidgets

from heroku_magic.widgets.controls import NO_MATH, Control
from heroku_magic.widgets.fields import SecretField
from heroku_magic.widgets.form import READY, RUNNING
from heroku_magic.widgets.form_inputs import NameValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.widgets.form import Form

_WIDEST_LABEL = 20  # characters
_DOUBLE_CLICK = 0.5  # seconds after the click on Run in which another one is no click on Stop
_CLEAR_AFTER = 2.0  # seconds, within which a page has run a script
# Pages that are not served by HTTPS or from this machine have no clipboard: there the text is selected.
_COPY = """
const form = () => document.querySelector('.heroku-form.ID');
const report = text => { form().querySelector('[role=status]').textContent = text };
const select = () => { const box = form().querySelector('.heroku-cell textarea'); box.focus(); box.select();
                       report('Press Ctrl+C or ⌘C to copy the cell.') };
if (navigator.clipboard) navigator.clipboard.writeText(TEXT).then(() => report('The cell is copied.'), select);
else setTimeout(select, 100);
"""


class Panel:
    """The widgets of one form; `box` contains them all. outputs: for the log and the table, where cells have none."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._controls = {name: Control(field, form) for name, field in form.inputs.fields.items()}
        self._rows = NameValueEditor(form.inputs.rows, form.put_rows) if form.task.schema is None else None
        self._button = ipywidgets.Button(_dom_classes=("heroku-run",))
        self._button.on_click(lambda _: self._press())
        self._pressed_at = -_DOUBLE_CLICK
        self._copy = ipywidgets.Button(description="Copy as cell")
        self._copy.on_click(lambda _: self._toggle_cell())
        self._status = ipywidgets.HTML(_dom_classes=("heroku-status",))
        self._clipboard = WidgetOutput()
        self._clipboard.box.add_class("heroku-clipboard")
        hidden = {"layout": {"display": "none"}, "_dom_classes": ("heroku-cell",)}
        self._cell = ipywidgets.Textarea(description="Cell", **hidden)
        self.outputs = WidgetOutput(), WidgetOutput()
        self._id = f"heroku-{self._cell.model_id}"
        self.box = self._layout()
        self._draw()
        form.on_change(self._draw)

    def _layout(self) -> Any:
        css = (files("heroku_magic.widgets") / "templates" / "form.css").read_text(encoding="utf-8")
        bar = ipywidgets.HBox([self._button, self._copy, self._status], _dom_classes=("heroku-bar",))
        fields = [control.row for control in self._controls.values()]
        rows = [self._rows.box] if self._rows else []
        # As wide as the longest name, so that the help of each field stands beside it.
        width = min(max(map(len, self._controls), default=0), _WIDEST_LABEL) + 4
        css += f".heroku-form.{self._id} {{ --heroku-label: {width}ch }}"
        can_sweep = any(not isinstance(field, SecretField) for field in self._form.inputs.fields.values())
        heading = '<div class="heroku-heading" aria-hidden="true">sweep</div>' if can_sweep else ""  # of their boxes
        head = ipywidgets.HTML(f"<style>{css}</style>{_title(self._form)}{heading}")
        inner = [head, *fields, *rows, bar, self._cell, self._clipboard.box]
        box = ipywidgets.VBox(inner, _dom_classes=("heroku-form", self._id))
        return ipywidgets.VBox([box, *(output.box for output in self.outputs)])

    def _press(self) -> None:
        """Run or stop; a form cannot ask for a secret, so then its cell is copied, which can."""
        form, now = self._form, time.monotonic()
        if now - self._pressed_at < _DOUBLE_CLICK:
            return
        if form.is_busy or form.inputs.faults or not form.prompted:
            self._pressed_at = -_DOUBLE_CLICK if form.is_busy or form.inputs.faults else now
            form.press()
            return
        if self._cell.layout.display == "none":
            self._toggle_cell()
        form.notify(f"Run the copied cell: it asks for {', '.join(form.prompted)}.")

    def _toggle_cell(self) -> None:
        is_hidden = self._cell.layout.display == "none"
        self._cell.layout.display = None if is_hidden else "none"
        self._copy.description = "Hide cell" if is_hidden else "Copy as cell"
        self._draw()
        if is_hidden:
            script = _COPY.replace("ID", self._id).replace("TEXT", json.dumps(self._form.cell))
            self._clipboard.update({"application/javascript": script}, raw=True)
            # A saved notebook must not copy when it is opened again.
            clear = threading.Timer(_CLEAR_AFTER, lambda: self._clipboard.update({"text/plain": ""}, raw=True))
            clear.daemon = True
            clear.start()

    def _draw(self) -> None:
        """Show what the form says. Equal values send no message."""
        form, faults = self._form, self._form.inputs.faults
        for name, control in self._controls.items():
            control.draw(faults.get(name, ""))
        if self._rows is not None:
            self._rows.draw(form.inputs.rows)
        self._button.description = form.offer
        (self._button.add_class if form.is_busy else self._button.remove_class)("heroku-stop")
        self._status.value = _status(form, faults.get("", ""))
        if self._cell.layout.display != "none":
            self._cell.value = form.cell
            self._cell.rows = min(12, form.cell.count("\n") + 1)


class WidgetOutput:
    """An output inside of a widget, which any thread may replace as a display handle does."""

    def __init__(self) -> None:
        self.box = ipywidgets.Output()

    def update(self, data: Mapping[str, Any], *, raw: bool) -> None:  # noqa: ARG002 - as of a display handle
        """Show a bundle in place of the one before."""
        self.box.outputs = ({"output_type": "display_data", "data": dict(data), "metadata": {}},)


class NameValueEditor:
    """The rows of an undeclared task, and a button that adds one.

    on_change: called with names and texts, in order, when the user changes them.
    """

    def __init__(self, content: list[NameValue], on_change: Callable[[list[NameValue]], None]) -> None:
        self._on_change = on_change
        self._content: list[NameValue] | None = None
        self._rows: list[_NameValueRow] = []
        self._list = ipywidgets.VBox()
        self._add = ipywidgets.Button(description="Add parameter")
        self._add.on_click(lambda _: self._append(NameValue("", "")))
        self.box = ipywidgets.VBox([self._list, self._add], _dom_classes=("heroku-rows",))
        self.draw(content)

    def draw(self, content: list[NameValue]) -> None:
        """Show names and texts; the user may be typing, so equal ones stay."""
        if content != self._content:
            self._content, self._rows = content, []
            for row in content:
                self._append(row)

    def _report(self) -> None:
        self._content = [row.content for row in self._rows]
        self._on_change(self._content)

    def _append(self, content: NameValue) -> None:
        row = _NameValueRow(content)
        row.remove.on_click(lambda _: self._remove(row))
        for box in (row.name, row.text, row.lines, row.tick):
            box.observe(lambda _: self._report(), "value")
        self._rows.append(row)
        self._number()

    def _remove(self, row: _NameValueRow) -> None:
        self._rows.remove(row)
        self._number()
        self._report()

    def _number(self) -> None:
        for number, row in enumerate(self._rows, 1):
            row.number(number)
        self._list.children = tuple(row.box for row in self._rows)


class _NameValueRow:
    """One name and its value, or its values, one per line, while it is swept."""

    def __init__(self, content: NameValue) -> None:
        self.name, self.text = ipywidgets.Text(content.name), ipywidgets.Text(content.text)
        self.lines = ipywidgets.Textarea(content.text, rows=3)
        self.tick = ipywidgets.Checkbox(content.is_swept, indent=False)
        self.tick.observe(self._swap, "value")
        self.remove = ipywidgets.Button()
        boxes = [self.name, self.text, self.lines, self.tick, self.remove]
        self.box: Any = ipywidgets.HBox(boxes, _dom_classes=("heroku-row",))
        self._show()

    @property
    def content(self) -> NameValue:
        """The name and the text in the controls."""
        return NameValue(self.name.value.strip(), (self.lines if self.tick.value else self.text).value, self.tick.value)

    def number(self, number: int) -> None:
        """Number the labels, so that a screen reader distinguishes the rows."""
        self.name.description, self.text.description = f"Name {number}", f"Value {number}"
        self.lines.description, self.tick.description = f"Each {number}", f"sweep {number}"
        self.remove.description = f"Remove {number}"

    def _swap(self, change: Any) -> None:
        """Begin a sweep with the current value; after it, keep the first of its values."""
        first = self.lines.value.partition("\n")[0]
        if not change["new"]:
            self.text.value = first
        elif self.text.value != first:
            self.lines.value = self.text.value
        self._show()

    def _show(self) -> None:
        self.text.layout.display = "none" if self.tick.value else None
        self.lines.layout.display = None if self.tick.value else "none"


def _status(form: Form, fault: str) -> str:
    """The status for everybody; of a run that is shown below, only for those who hear the page."""
    is_shown_below = form.slot is not None and form.state in {READY, RUNNING}
    run = f'<span class="heroku-heard">{escape(form.run_status)} </span>' if is_shown_below else escape(form.run_status)
    text = escape(fault) or " ".join(filter(None, [run, escape(form.note)]))
    return f'<span role="status" class="{NO_MATH}">{text}</span>'


def _title(form: Form) -> str:
    app = f"on {form.app_name}" if form.app_name else ""
    subtitle = " · ".join(filter(None, [app, form.task.summary, form.budget]))
    name = f"<b>{escape(form.task.name)}</b>"
    return f"<div class='{NO_MATH}'>{name} <span class='heroku-dim'>{escape(subtitle)}</span></div>"
