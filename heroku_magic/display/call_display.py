"""Shows calls of functions in the notebook cell that makes them, each in the place of the one before."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from heroku_magic.display.job_display import current_cell, output_of
from heroku_magic.display.outputs import empty_output, in_notebook
from heroku_magic.display.run_output import RunOutput

if TYPE_CHECKING:
    from heroku_magic.display.job_display import Job
    from heroku_magic.runs.run import Run

_SHORT = 0.2  # seconds of a call on a warm dyno that is not shown
_MOMENT = 1.5  # seconds that reading the parameters of tasks may take without being shown
_OTHER_CALLERS = frozenset({"joblib", "_pytest", "pytest"})


class _Place:
    """The output of the cell that made the last call."""

    cell: int | None = None
    handle: Any = None


def watch(job: Job, *, is_warm: bool = False) -> None:
    """Show a call until it ends, if the code of a cell makes it itself; errors of the display do not disturb it."""
    if not _is_called_by_cell() or (is_warm and job.wait(_SHORT) and job.exception() is None):
        return
    with suppress(Exception):
        if _Place.cell != current_cell():
            _Place.cell, _Place.handle = current_cell(), empty_output()
        output_of(job, with_error=False, handle=_Place.handle).follow()
        if job.exception() is not None:
            _Place.cell = None  # the next call does not replace a failure


def watch_if_slow(run: Run) -> None:
    """Show a run that takes more than a moment, such as to install packages; nothing of it remains in a notebook."""
    if run.wait(_MOMENT) or "IPython" not in sys.modules or not _is_main_thread():
        return
    with suppress(Exception):
        handle = empty_output() if in_notebook() else None
        RunOutput(run, handle=handle).follow()
        if handle is not None:
            handle.update({"text/html": "", "text/plain": ""}, raw=True)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread() and multiprocessing.parent_process() is None


def _is_called_by_cell() -> bool:
    if not _is_main_thread() or not in_notebook():
        return False
    frame = sys._getframe(1)  # noqa: SLF001 - there is no public name
    while frame.f_back:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in _OTHER_CALLERS:
            return False
        frame = frame.f_back
    return True
