"""Starts threads whose work must have an end, even if they never begin."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 1.0  # seconds within which a thread whose start was interrupted shows that it runs


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
