"""Running: the runs of this process that are not over, which it stops when it ends; it starts none."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from heroku_magic.runs.exit_hooks import Step, at_end

if TYPE_CHECKING:
    from heroku_magic.runs.run import Run

CREATE_TIMEOUT = 40.0  # seconds that a process stays for the create of a detached run
STOP_TIMEOUT = 5.0  # seconds that a process that ends waits for its dynos to stop

# Threads add to it and take from it: it is looked through by a copy, which is made in one step.
_runs: set[Run] = set()
_ending = threading.Event()


def add(run: Run) -> None:
    """From now on this run is one of them."""
    _runs.add(run)


def discard(run: Run) -> None:
    """It is over."""
    _runs.discard(run)


def is_ending() -> bool:
    """Tell whether the interpreter ends, so that no dyno may be started any more."""
    return _ending.is_set()


def still_running(url: str) -> list[Run]:
    """Return the runs of this process at an API's host that are not over and would be out of reach without a token."""
    return [run for run in running_runs() if run.running() and not run.is_detached and run.host == url]


def running_runs() -> list[Run]:
    """Return the runs of this process that are not over."""
    return list(_runs)


def _stop_all() -> None:
    """The interpreter ends: start no more, stop what still runs, wait a moment, and tell what came of it.

    What is detached is waited for until its dyno is created and can be attached.
    """
    _ending.set()
    runs = [run for run in running_runs() if not run.is_detached and run.cancel()]
    for run in [run for run in running_runs() if run.is_detached]:
        run.wait_for_dyno(CREATE_TIMEOUT)
    until = time.monotonic() + STOP_TIMEOUT
    for run in runs:
        run.wait(max(until - time.monotonic(), 0))
        print(f"heroku_magic: {run.outcome_message()}", file=sys.stderr)  # noqa: T201 - nobody else is there any more


at_end(Step.DYNOS, _stop_all)
