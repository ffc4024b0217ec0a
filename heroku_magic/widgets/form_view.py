"""Shows a form in a notebook cell: its panel where a user can press it, and a record that needs no kernel."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from heroku_magic.display.job_display import OutputSlot
from heroku_magic.display.outputs import in_notebook, new_output
from heroku_magic.text.sanitize import clean_line, clipped
from heroku_magic.widgets.fields import SecretField
from heroku_magic.widgets.labels import label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heroku_magic.widgets.fields import Field
    from heroku_magic.widgets.form import Form

HEADLESS = "A form needs a notebook and its kernel. Run its cell in one, call form.run(), or run the cell below."
_VIEW = "application/vnd.jupyter.widget-view+json"
_MAX_VALUE_LENGTH = 200  # characters
_MAX_SWEPT = 20  # values


def show(form: Form, *, verbose: bool = False) -> None:
    """Show a form in the current cell. The record in the notebook follows each of its changes."""
    if not in_notebook():
        print(text(form))  # noqa: T201 - a terminal's display is what is printed
        return
    from heroku_magic.widgets.panel import Panel

    panel = Panel(form)
    model = {"version_major": 2, "version_minor": 0, "model_id": panel.box.model_id}
    note = f"Form of {form.task.name}. It needs a kernel: its values and its last run follow."
    new_output({_VIEW: model, "text/plain": note})
    drawn = bundle(form)
    record = new_output(drawn)
    lock = threading.Lock()  # changes come from several threads; the last one must be drawn last

    def follow() -> None:
        nonlocal drawn
        with lock:
            if (now := bundle(form)) != drawn:
                drawn = now
                record.update(now, raw=True)

    form.on_change(follow)
    form.slot = OutputSlot(verbose=verbose, outputs=panel.outputs if is_voila() else None)


def is_voila() -> bool:
    """Whether Voila serves the page, which shows what a kernel displays later only inside of widgets.

    https://voila.readthedocs.io/en/stable/customize.html#accessing-the-voila-version
    """
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def bundle(form: Form) -> dict[str, str]:
    """Return the record of a form as `text/plain` and `text/html`, with the note that it cannot be used."""
    from heroku_magic.display.html import template

    record = template("record.html.j2", "heroku_magic.widgets").render(
        form=form, note=HEADLESS, rows=_rows(form), ended=_ended(form)
    )
    return {"text/plain": text(form), "text/html": record}


def text(form: Form) -> str:
    """Return the record of a form as lines: its values, how the last run ended, and the equal cell."""
    rows = [f"  {name} = {value}  {hint}".rstrip() for name, value, hint in _rows(form)]
    ended = [f"last run: {_ended(form)}"] if _ended(form) else []
    return "\n".join([HEADLESS, f"{form.task.name}({form.task.signature})", *rows, *ended, "", form.cell])


def _ended(form: Form) -> str:
    """How the last run ended; the record may outlive the kernel, so it cannot say that a run continues."""
    return "had not ended when this was written" if form.is_busy else form.ended


def _rows(form: Form) -> list[tuple[str, str, str]]:
    """Name, value and help of each parameter, safe to show."""
    values = form.value
    fields = [(name, _shown(field, form, values), field.hint) for name, field in form.inputs.fields.items()]
    rows = [
        (row.name, _each(row.values) if row.is_swept else clipped(repr(row.text), _MAX_VALUE_LENGTH))
        for row in form.inputs.rows
    ]
    return fields + [(clean_line(name), shown, "") for name, shown in rows if name or shown != "''"]


def _shown(field: Field, form: Form, values: Mapping[str, Any]) -> str:
    if isinstance(field, SecretField):
        return f"from: {field.labels[field.options.index(form.inputs.contents[field.name])]}"
    if field.name in form.inputs.swept:
        return _each(form.inputs.swept[field.name].values)
    if field.name not in values:
        return "(not set)"
    value = values[field.name]
    return clipped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _MAX_VALUE_LENGTH)


def _each(values: Sequence[Any]) -> str:
    """The first of several values."""
    shown = f"each of {', '.join(map(label, values[:_MAX_SWEPT]))}{' …' if len(values) > _MAX_SWEPT else ''}"
    return clipped(shown, _MAX_VALUE_LENGTH)
