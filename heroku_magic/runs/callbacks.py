"""Calls done-callbacks of the user in threads of their own, as they may wait, sleep or fail."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 0.5  # seconds that a callback may take before the next one no longer waits for its turn


def call_in_turn(callbacks: Sequence[Callable[[], object]]) -> None:
    """Call functions in order, and return at once.

    What one raises goes to `threading.excepthook`, which prints it.
    """
    if callbacks:
        threading.Thread(target=_call_in_turn, args=(callbacks,), name="heroku-callbacks", daemon=True).start()


def _call_in_turn(callbacks: Sequence[Callable[[], object]]) -> None:
    *first, last = callbacks
    for callback in first:
        thread = threading.Thread(target=callback, name="heroku-callback", daemon=True)
        thread.start()
        thread.join(PATIENCE)
    last()
