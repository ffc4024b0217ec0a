"""Form -> its panel of ipywidgets: fields or rows, one button, a status, the equal cell; it runs nothing itself.

The button is Run and then Stop, and never disabled: that would take the keyboard's focus away from it.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import ipywidgets

from heroku_magic.widgets.controls import Control
from heroku_magic.widgets.form_record import status
from heroku_magic.widgets.name_value_rows import Rows
from heroku_magic.widgets.sweep_control import Sweeping

if TYPE_CHECKING:
    from heroku_magic.widgets.form import Form


class Panel:
    """The widgets of one form; `box` holds them all."""

    def __init__(self, form: Form) -> None:
        self._form = form
        answers = form.answers
        self._sweeps = {one.name: self._sweeping(one.name) for one in answers.fields if one.kind != "secret"}
        self._controls = {one.name: self._control(one) for one in answers.fields}
        self._rows = Rows(answers.rows, self._took_rows) if form.task.schema is None else None
        self._button = ipywidgets.Button()
        self._button.add_class("heroku-run")
        self._button.on_click(lambda _: form.press())
        self._copy = ipywidgets.Button(description="Copy as cell")
        self._copy.on_click(lambda _: self._toggle_cell())
        self._status = ipywidgets.HTML()
        self._status.add_class("heroku-status")
        self._cell = ipywidgets.Textarea(description="Cell")
        self._cell.add_class("heroku-cell")
        self._cell.layout.display = "none"
        self.box = self._laid_out()
        self._known: dict[str, Any] = dict(answers.contents)
        self._known_rows = answers.rows
        self._draw()
        form.on_change(self._draw)

    def _control(self, field: Any) -> Control:
        name = field.name
        beside = self._sweeps[name].boxes if name in self._sweeps else ()
        return Control(field, self._form.answers.contents[name], lambda: self._took(name), beside)

    def _sweeping(self, name: str) -> Sweeping:
        return Sweeping(
            name,
            lambda is_swept: self._form.sweep(name, is_swept=is_swept),
            lambda content: self._form.put_series(name, content),
        )

    def _laid_out(self) -> Any:
        style = ipywidgets.HTML(f"<style>{_css()}</style>{_title(self._form)}")
        rows = [self._rows.box] if self._rows else []
        bar = ipywidgets.HBox([self._button, self._copy, self._status])
        bar.add_class("heroku-bar")
        fields = [control.row for control in self._controls.values()]
        box = ipywidgets.VBox([style, *fields, *rows, bar, self._cell])
        box.add_class("heroku-form")
        return box

    def _took(self, name: str) -> None:
        content = self._known[name] = self._controls[name].content
        self._form.put(name, content)

    def _took_rows(self) -> None:
        if self._rows is not None:
            self._known_rows = self._rows.content
            self._form.put_rows(self._known_rows)

    def _toggle_cell(self) -> None:
        is_hidden = self._cell.layout.display == "none"
        self._cell.layout.display = None if is_hidden else "none"
        self._copy.description = "Hide cell" if is_hidden else "Copy as cell"
        self._draw()

    def _draw(self) -> None:
        """Bring everything to what the form says; what is the same already sends no message."""
        form, answers = self._form, self._form.answers
        faults = answers.faults
        self._take_over()
        for name, control in self._controls.items():
            swept = answers.swept.get(name)
            control.show_fault(faults.get(name, ""), swept.hint if swept else "")
        self._button.description = form.offer
        (self._button.add_class if form.is_busy else self._button.remove_class)("heroku-stop")
        self._status.value = f'<span role="status">{escape(faults.get("") or status(form))}</span>'
        if self._cell.layout.display != "none":
            self._cell.value = form.cell
            self._cell.rows = min(12, form.cell.count("\n") + 1)

    def _take_over(self) -> None:
        """Bring the controls to what a program set, and leave alone what the user may be typing into."""
        answers = self._form.answers
        for name, sweeping in self._sweeps.items():
            sweeping.show(answers.swept.get(name))
            self._controls[name].hide(is_hidden=name in answers.swept)
        for name, control in self._controls.items():
            if answers.contents[name] != self._known[name]:
                control.content = self._known[name] = answers.contents[name]
        if self._rows is not None and answers.rows != self._known_rows:
            self._rows.content = self._known_rows = answers.rows


def _title(form: Form) -> str:
    where = f"on {form.where}" if form.where else ""
    told = " · ".join(filter(None, [where, form.task.summary]))
    return f"<div><b>{escape(form.task.name)}</b> <span class='heroku-dim'>{escape(told)}</span></div>"


def _css() -> str:
    return (files("heroku_magic.widgets") / "templates" / "form.css").read_text(encoding="utf-8")
