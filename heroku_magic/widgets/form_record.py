"""Form -> words and HTML that need neither a kernel nor widgets: what stays in the notebook; it displays nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from heroku_magic.text.sanitize import clean_line
from heroku_magic.widgets.fields import label
from heroku_magic.widgets.sweep_values import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import TypeIs

    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.widgets.fields import Field
    from heroku_magic.widgets.form import Form

HEADLESS = "A form needs a live notebook, and here is none: set form.value and call form.run(), or run the cell below."
_LONGEST_VALUE = 200  # characters
_MOST_VALUES = 20  # of what is swept
_MARKS = {"done": "✓", "failed": "✗", "cancelled": "■"}


def status(form: Form) -> str:
    """Return what the form does now, or what its last run came to, in a line."""
    if form.is_busy:
        return " · ".join(filter(None, [f"● {form.state}", form.message]))
    return form.message or form.ended


def outcome(run: Run | Sweep) -> str:
    """Return how a run ended, as `✓ exit 0 · 10 rows · 2.1 s`, or a sweep, as `✓ 24 of 24 runs done · 9.3 s`."""
    table = run.partial
    rows = "" if table is None else f"{len(table):,} rows"
    seconds = "" if run.seconds is None else f"{run.seconds:.1f} s"
    return " · ".join(filter(None, [_of_sweep(run) if _is_sweep(run) else _of_run(run), rows, seconds]))


def _of_run(run: Run) -> str:
    code = "exit status unknown" if run.exit_status is None else f"exit {run.exit_status}"
    return f"{_MARKS.get(run.state, '●')} {code if run.state == 'done' else f'{run.state}, {code}'}"


def _of_sweep(sweep: Sweep) -> str:
    counts = sweep.counts()
    made = f"{counts.get('done', 0):,} of {counted(len(sweep), 'run')} done"
    others = [f"{count:,} {state}" for state, count in counts.items() if state != "done"]
    state = next((state for state in ("failed", "cancelled") if counts.get(state)), "done")
    return f"{_MARKS[state]} {', '.join([made, *others])}"


def _is_sweep(run: Run | Sweep) -> TypeIs[Sweep]:
    return hasattr(run, "counts")


def bundle(form: Form, *, headless: bool = False) -> dict[str, str]:
    """Return the form as it is now as `text/plain` and `text/html`; headless: and that nobody can click it."""
    from heroku_magic.display.html import template

    record = template("record.html.j2", "heroku_magic.widgets").render(
        form=form,
        note=HEADLESS if headless else "",
        rows=_rows(form),
        ended=_ended(form),
    )
    return {"text/plain": text(form, headless=headless), "text/html": record}


def text(form: Form, *, headless: bool = False) -> str:
    """Return the form as it is now as lines: what it takes, the equal cell, how the last run ended."""
    takes = [f"  {name} = {value}  {hint}".rstrip() for name, value, hint in _rows(form)]
    note = [HEADLESS] if headless else []
    ended = [f"last run: {_ended(form)}"] if _ended(form) else []
    return "\n".join([*note, f"{form.task.name}({form.task.signature})", *takes, *ended, "", form.cell])


def _ended(form: Form) -> str:
    """How the last run ended; of one that goes on a text that stays cannot tell."""
    if form.is_busy:
        return "had not ended when this was written"
    return form.ended


def _rows(form: Form) -> list[tuple[str, str, str]]:
    """Name, value and help of each parameter, safe to show."""
    answers = form.answers
    named = [(one.name, _shown(one, form), one.hint) for one in answers.fields]
    rows = [(row.name, _each(row.values) if row.is_swept else _cut(repr(row.text))) for row in answers.rows]
    return named + [(clean_line(name), shown, "") for name, shown in rows if name or shown != "''"]


def _shown(field: Field, form: Form) -> str:
    answers = form.answers
    if field.kind == "secret":
        content = answers.contents[field.name]
        return f"from: {field.labels[field.options.index(content)]}"
    if field.name in answers.swept:
        return _each(answers.swept[field.name].values)
    if field.name not in answers.given:
        return "(not set)"
    value = answers.given[field.name]
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _each(values: Sequence[Any]) -> str:
    """Several values, in as many as are worth reading."""
    return _cut(f"each of {', '.join(map(label, values[:_MOST_VALUES]))}{' …' if len(values) > _MOST_VALUES else ''}")


def _cut(value: str) -> str:
    return clean_line(value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…")
