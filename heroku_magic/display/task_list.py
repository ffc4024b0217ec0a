"""The tasks of an app, or one of them with all its parameters, as HTML and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.text.sanitize import LINE, clipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.protocol.task import Parameter, Task

_MAX_PARAMETERS = 50


def tasks_bundle(tasks: Sequence[Task]) -> dict[str, str]:
    """Return what each task takes, with a cell to paste."""
    if not tasks:
        return _bundle([], "The app has no tasks. %heroku init creates a folder with one.")
    lines = [[f"{task.name}({task.signature})", task.summary, task.example] for task in tasks]
    shown = [_facts(task) | {"text": task.summary, "rows": [], "notes": []} for task in tasks]
    return _bundle(shown, "\n\n".join("\n    ".join(filter(None, one)) for one in lines))


def task_bundle(task: Task) -> dict[str, str]:
    """Return all that is known of one task, with a cell to paste."""
    rows = [(str(one), _about(one)) for one in task.parameters[:_MAX_PARAMETERS]]
    notes = [f"Runs {clipped(task.command, LINE)}", *(f"Fault: {fault}" for fault in task.faults[:_MAX_PARAMETERS])]
    if task.schema is None:
        notes = [task.unchecked_reason, *notes]
    return _bundle([_facts(task) | {"text": task.description, "rows": rows, "notes": notes}], task.help())


def _about(parameter: Parameter) -> str:
    return "; ".join(filter(None, [parameter.limits, parameter.description]))


def _facts(task: Task) -> dict[str, Any]:
    return {"name": clipped(task.name), "signature": task.signature, "example": task.example}


def _bundle(tasks: Sequence[dict[str, Any]], text: str) -> dict[str, str]:
    from heroku_magic.display.html import template

    html = template("tasks.html.j2").render(tasks=tasks) if tasks else text
    return {"text/plain": text, "text/html": html}
