"""Starts threads whose work must have an end, even if they never begin; waits for them so that Ctrl-C arrives."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 1.0  # seconds within which a thread whose start was interrupted shows that it runs
SIGNAL_INTERVAL = 0.5  # seconds between two checks for an interrupt


def start_thread(work: Callable[[], object], name: str, on_failure: Callable[[BaseException], None]) -> None:
    """Start a daemon thread. on_failure: called if the thread does not run; an interrupt is raised again."""
    is_live = threading.Event()

    def live() -> None:
        is_live.set()
        work()

    try:
        threading.Thread(target=live, name=name, daemon=True).start()
    except RuntimeError as error:  # the system allows no more threads
        on_failure(error)
    except BaseException as error:
        if not is_live.wait(PATIENCE):
            on_failure(error)
        raise


def refuse_after_fork(pid: int) -> None:
    """Raise BrokenExecutor in another process than this one: what was forked has none of its threads."""
    if os.getpid() != pid:
        raise BrokenExecutor("The executor belongs to the process that has created it. Create another one here.")


def wait_for(changed: threading.Condition, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
    """Wait on a condition, whose lock is held, until a predicate is true; return whether it is.

    A thread that waits for a lock does not notice a signal that another thread has received, so it looks for one.
    https://docs.python.org/3/library/signal.html#signals-and-threads
    """
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    while not (is_true := predicate()) and (left := deadline - time.monotonic()) > 0:
        changed.wait(min(left, SIGNAL_INTERVAL))
    return is_true
