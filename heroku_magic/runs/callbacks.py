"""Calls done-callbacks of the user in threads of their own, as they may wait, sleep or fail."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 0.5  # seconds that a callback may take before the next one no longer waits for its turn


def call_in_turn(callbacks: Sequence[Callable[[], object]]) -> None:
    """Call functions in order, and return at once.

    What one raises goes to `threading.excepthook`, which prints it.
    """
    if not callbacks:
        return
    try:
        threading.Thread(target=_call_in_turn, args=(callbacks,), name="heroku-callbacks", daemon=True).start()
    except RuntimeError:  # Python is exiting
        for callback in callbacks:
            _call_here(callback)


def _call_in_turn(callbacks: Sequence[Callable[[], object]]) -> None:
    *first, last = callbacks
    for callback in first:
        thread = threading.Thread(target=callback, name="heroku-callback", daemon=True)
        thread.start()
        thread.join(PATIENCE)
    last()


def _call_here(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - it is the user's
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
