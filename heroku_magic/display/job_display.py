"""Shows runs and sweeps in a cell: one that is its value, or in a form one after the other, each with its table."""

from __future__ import annotations

import sys
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from heroku_magic.display import words
from heroku_magic.display.outputs import empty_output, in_notebook
from heroku_magic.display.run_output import RunOutput
from heroku_magic.display.run_view import RunView
from heroku_magic.display.sweep_output import SweepOutput, sweep_bundle
from heroku_magic.display.sweep_runs import failure_summary
from heroku_magic.sweeps.sweep import Sweep

if TYPE_CHECKING:
    import pandas as pd

    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.failures import Failures

    Job: TypeAlias = Run | Sweep

NO_FAILURE = "No run has failed."
_MOST_FAILURES, _LOG_LINES = 100, 20

_cells: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # the cell that follows a job, by job


def bundle(job: Job) -> dict[str, str]:
    """Return a run or a sweep as it is now, as HTML and as text."""
    if isinstance(job, Sweep):
        return sweep_bundle(job)
    from heroku_magic.display.html import run_html

    view = RunView.of(job)
    html = run_html(view, final=view.is_final, with_error=True, with_pictures=True)
    return {"text/html": html, "text/plain": words.text(view, with_error=True)}


def failures_bundle(failures: Failures) -> dict[str, str]:
    """Return the failed runs of a sweep, each with its error, facts and the end of its log."""
    from heroku_magic.display.html import template

    rows = [failure_summary(one, failures.names, _LOG_LINES) for one in failures[:_MOST_FAILURES]]
    more = len(failures) - len(rows)
    lines = [line for row in rows for line in row.lines()] + ([f"and {more:,} more"] if more else [])
    html = template("failures.html.j2").render(rows=rows, names=", ".join(failures.names), more=more)
    return {"text/plain": "\n".join(lines) or NO_FAILURE, "text/html": html if rows else NO_FAILURE}


def follow(job: Job) -> bool:
    """Show a job in the current cell until it ends, unless the cell shows it; return False if `bundle` is enough."""
    if job.done() or not in_notebook():
        return False
    if _cells.get(job) != current_cell():
        follow_in_cell(job, output_of(job, background=True))
    return True


def follow_in_cell(job: Job, output: RunOutput | SweepOutput) -> None:
    """Draw a job on an output of the current cell, in a thread."""
    _cells[job] = current_cell()
    Thread(target=output.follow, name="heroku_magic display", daemon=True).start()


def output_of(job: Job, *, verbose: bool = False, **options: Any) -> RunOutput | SweepOutput:
    """Return the output of a run or a sweep in the current cell, with the options that both have.

    verbose: show every line of a run, with its time and source.
    """
    if isinstance(job, Sweep):
        return SweepOutput(job, measurer=job.measurer(), **options)
    return RunOutput(job, verbose=verbose, **options)


def current_cell() -> int | None:
    """Return the number of the cell that runs."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell.execution_count if shell else None


class OutputSlot:
    """An output for a log and one for a table, created in the cell's own thread; any thread may show a run there.

    verbose: show every line, with its time and source. outputs: where to show the log and the table instead
    of in the cell; each has the method `update` of a display handle.
    """

    def __init__(self, *, verbose: bool = False, outputs: Any = None) -> None:
        self._verbose = verbose
        if outputs is None:
            outputs = (empty_output(), empty_output()) if in_notebook() else (None, None)
        self._log, self._table = outputs

    def show(self, run: Run | Sweep) -> None:
        """Show a run or a sweep until it is over, in place of the one before, and then its table below it.

        The table of a failed run would be incomplete, so it is not shown.
        """
        if self._table is not None:
            self._table.update({"text/html": "", "text/plain": ""}, raw=True)
        output_of(run, verbose=self._verbose, background=True, handle=self._log).follow()
        if self._table is not None and run.exception() is None and (table := run.partial) is not None:
            self._table.update(_table_bundle(table), raw=True)


def _table_bundle(table: pd.DataFrame) -> dict[str, Any]:
    """Format a table as a cell's value would look; its empty corner is not a heading, and keyboards can scroll it."""
    from IPython import get_ipython

    data, _ = get_ipython().display_formatter.format(table)
    html = data.get("text/html", "").replace("<th></th>", "<td></td>", 1)
    attributes = 'class="tex2jax_ignore mathjax_ignore" tabindex="0" role="group" aria-label="result"'
    box = f'<div {attributes} style="overflow:auto">{html}</div>'
    return {"text/plain": data["text/plain"], **({"text/html": box} if html else {})}
