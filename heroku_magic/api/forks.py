"""Lets objects begin anew in a forked process: the connections, locks and threads of its parent are not theirs."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What holds a connection, a lock or a file of its process."""

    def begin_anew(self) -> None:
        """Let go of what belongs to the parent; called in each forked process."""


_objects: weakref.WeakSet[Forkable] = weakref.WeakSet()


def begins_anew_after_fork(one: Forkable) -> None:
    """Call its `begin_anew` in processes that are forked from this one, as long as it exists."""
    _objects.add(one)


def _begin_anew() -> None:
    for one in [*_objects]:
        one.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)
