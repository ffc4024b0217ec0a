"""Shows runs and sweeps of the ledger as they were shown when they ran, in a cell or on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.display import job_display
from heroku_magic.display.html import template
from heroku_magic.display.job_display import bundle, output_of
from heroku_magic.ledger.history import recorded_job
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.sgr import COLOURS

if TYPE_CHECKING:
    import pandas as pd

    from heroku_magic.runs.run import Run

MAX_ROWS, MAX_COLUMNS = 1_000, 100  # of a table on a page


def get_run(run: str | int = -1) -> Run | Sweep:
    """Return a run or a sweep that has ended, as it was at its end; no app is needed.

    Parameters
    ----------
    run
        An id (`hm-…`, `hs-…`), a unique beginning of one, or -1 for the last one, -2 for the one before, and so on.

    Returns
    -------
    Run or Sweep
        With its result, log, files and facts.

    Raises
    ------
    InvalidOptions
        If no run has this id, or if several begin with it.
    """
    job = recorded_job(run)
    job.job_display = job_display
    return job


def show_again(job: Run | Sweep, *, verbose: bool) -> pd.DataFrame | None:
    """Show a job that has ended in the current cell, and return the table that is shown below it."""
    output_of(job, verbose=verbose, with_error=True).follow()
    return job.partial if isinstance(job, Sweep) or job.exception() is None else None


def page(job: Run | Sweep) -> str:
    """Return a job that has ended as a page of HTML, with its table and its pictures in it."""
    table = job.partial
    return template("page.html.j2").render(
        title=f"{job.task} {job.id}",
        body=bundle(job)["text/html"],
        table="" if table is None else table.to_html(max_rows=MAX_ROWS, max_cols=MAX_COLUMNS, border=0),
        colours=COLOURS,
    )
