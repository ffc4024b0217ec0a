"""Lists of dynos, apps, releases and tasks that show themselves, each with a cell to paste."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pandas as pd

from heroku_magic.text.sanitize import LINE, clean_line, clipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heroku_magic.protocol.task import Task

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_FORMATS = {"seconds": "{:.1f}", "dollars": "{:.4f}"}
_MOST = 200  # rows that are shown
_LONGEST = 200  # characters of a text
_MAX_PARAMETERS = 50  # of a task


class Listing(pd.DataFrame):
    """A DataFrame that is shown with times in local time and a cell to paste at the end of each row."""

    _metadata = ["_sentence", "_title", "_cells"]  # noqa: RUF012 - pandas reads it
    _sentence: str
    _title: str
    _cells: list[str]

    @classmethod
    def of(
        cls, table: pd.DataFrame, *, title: str = "", sentence: str = "", cell: Callable[[Any], str] = lambda _: ""
    ) -> Listing:
        """Return a table as a listing.

        title: what it lists. sentence: shown if it is empty. cell: returns what a user might do next with a row.
        """
        listing = cls(table)
        listing._sentence = sentence
        listing._title = title
        listing._cells = [cell(row) for row in table.head(_MOST).itertuples(index=False)]
        return listing

    def __repr__(self) -> str:
        """Return lines as wide as their contents, with the cells last."""
        if self.empty and self._sentence:
            return self._sentence
        columns, rows = [*self.columns, *([""] if any(self._cells) else [])], self._shown()
        return "\n".join([*aligned([columns, *rows]), *self._more()])

    def _repr_html_(self) -> str:
        from heroku_magic.display.html import template

        has_cells = any(self._cells)
        rows = [(row[: len(row) - has_cells], row[-1] if has_cells else "") for row in self._shown()]
        return template("listing.html.j2").render(
            title=self._title, sentence=self._sentence, columns=self.columns, rows=rows, more=self._more()
        )

    def _shown(self) -> list[list[str]]:
        rows = self.head(_MOST).itertuples(index=False)
        has_cells = any(self._cells)
        pairs = zip(rows, self._cells, strict=True)
        return [[*map(shown_cell, self.columns, row), *([cell] if has_cells else [])] for row, cell in pairs]

    def _more(self) -> list[str]:
        return [f"and {len(self) - _MOST:,} more"] if len(self) > _MOST else []


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose columns are as wide as their contents."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def facts_bundle(facts: Mapping[str, str], title: str) -> dict[str, str]:
    """Return facts by name, a line each."""
    from heroku_magic.display.html import template

    safe = [(name, clean_line(value)) for name, value in facts.items()]
    width = max(map(len, facts), default=0)
    return {
        "text/plain": "\n".join(f"{name:<{width}}  {value}" for name, value in safe),
        "text/html": template("facts.html.j2").render(title=title, facts=safe),
    }


def shown_cell(column: str, value: Any) -> str:
    """Return a value of a table as safe text: seconds and dollars with the same number of digits in all rows."""
    return _FORMATS[column].format(value) if column in _FORMATS and pd.notna(value) else shown_value(value)


def shown_value(value: Any) -> str:
    """Return a value of a table as safe text: times in local time, nothing for a missing one."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if value is True or value is False:
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, pd.Timestamp):
        local = value if value.tz is None else datetime.fromtimestamp(value.timestamp(), timezone.utc).astimezone()
        return f"{local:%Y-%m-%d %H:%M}"
    text = str(value)
    if _TIME.fullmatch(text):
        return f"{datetime.fromisoformat(text.replace('Z', '+00:00')).astimezone():%Y-%m-%d %H:%M}"
    return clipped(clean_line(text), _LONGEST)


def tasks_bundle(tasks: Sequence[Task]) -> dict[str, str]:
    """Return what each task takes, with a cell to paste."""
    if not tasks:
        return _tasks_bundle([], "The app has no tasks. %heroku init creates a folder with one.")
    lines = [[f"{task.name}({task.signature})", task.summary, task.example] for task in tasks]
    shown = [_task_facts(task) | {"text": task.summary, "rows": [], "notes": []} for task in tasks]
    return _tasks_bundle(shown, "\n\n".join("\n    ".join(filter(None, one)) for one in lines))


def task_bundle(task: Task) -> dict[str, str]:
    """Return all that is known of one task, with a cell to paste."""
    rows = [(str(one), one.about) for one in task.parameters[:_MAX_PARAMETERS]]
    notes = [f"Runs {clipped(task.command, LINE)}", *(f"Fault: {fault}" for fault in task.faults[:_MAX_PARAMETERS])]
    if task.schema is None:
        notes = [task.unchecked_reason, *notes]
    return _tasks_bundle([_task_facts(task) | {"text": task.description, "rows": rows, "notes": notes}], task.help())


def _task_facts(task: Task) -> dict[str, Any]:
    return {"name": clipped(task.name), "signature": task.signature, "example": task.example}


def _tasks_bundle(tasks: Sequence[dict[str, Any]], text: str) -> dict[str, str]:
    from heroku_magic.display.html import template

    html = template("tasks.html.j2").render(tasks=tasks) if tasks else text
    return {"text/plain": text, "text/html": html}
