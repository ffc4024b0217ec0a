"""Endings: what this process takes back before it ends, in an order that does not hang on imports; it knows no work.

A dyno is stopped before the app is destroyed that it runs in, and both before the token is revoked that
the requests need. A forked child ends without touching what its parent made.
"""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Step(IntEnum):
    """The order in which things are taken back."""

    DYNOS = 1
    APPS = 2
    TOKENS = 3
    SERVERS = 4


_endings: dict[Step, Callable[[], None]] = {}
_owner = os.getpid()


def at_end(step: Step, work: Callable[[], None]) -> None:
    """Do this work when the interpreter ends; each step has one. What it raises stops no other step."""
    _endings[step] = work


@atexit.register
def _end() -> None:
    if os.getpid() != _owner:
        return
    with ExitStack() as stack:  # goes on after an error, and runs the last one first
        for step in sorted(_endings, reverse=True):
            stack.callback(_endings[step])
