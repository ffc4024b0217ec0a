"""Cleanup hooks at interpreter exit, run in a fixed order."""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Step(IntEnum):
    """The order of the hooks.

    A dyno is stopped before its app is destroyed, and both happen before the token that they need is revoked.
    """

    DYNOS = 1
    LEDGER = 2
    APPS = 3
    TOKENS = 4
    SERVERS = 5


_hooks: dict[Step, Callable[[], None]] = {}
_owner = os.getpid()


def at_end(step: Step, hook: Callable[[], None]) -> None:
    """Register the hook of a step; what it raises does not stop the other steps."""
    _hooks[step] = hook


@atexit.register
def _run_hooks() -> None:
    if os.getpid() != _owner:  # a forked child must not clean up after its parent
        return
    with ExitStack() as stack:  # continues after an exception, and runs the last callback first
        for step in sorted(_hooks, reverse=True):
            stack.callback(_hooks[step])
