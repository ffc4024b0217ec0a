"""The faults between the log's buffer and one tail: lines lost, repeated, out of order or late.

Whether a fault strikes a line depends on its number alone, so every tail of a log misses the same lines,
and the buffer itself is never affected.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.logs.batch import Batch

LINE_FAULTS = ("drop-lines", "drop-lines-silent", "double-lines", "reorder-lines", "late-lines")
# A line out of order follows at most this many others, or a silence of this many seconds.
FARTHEST = 8
SILENCE = 0.2
# Senders that are not dynos but the platform itself.
_PLATFORM = frozenset({"api", "build", "logplex", "log-shuttle"})


class TailFaults:
    """Applies the faults to a tail's lines. deliver: receives each batch, now or later."""

    def __init__(self, faults: Faults, deliver: Callable[[Batch], None]) -> None:
        self._faults = faults
        self._deliver = deliver
        self._held: list[tuple[int, Batch]] = []
        self._timer: asyncio.TimerHandle | None = None

    def put(self, batch: Batch) -> None:
        """Pass a batch on, with the faults applied to each line."""
        if not any(self._faults[name] for name in LINE_FAULTS):
            self._deliver(batch)
            return
        for line in batch.single():
            self._put_line(line)

    def _put_line(self, line: Batch) -> None:
        faults, number = self._faults, line.first
        if faults.strikes("drop-lines", number):
            self._deliver(line.loss(1))
        elif faults.strikes("drop-lines-silent", number):
            return
        elif faults["late-lines"] and line.source == "app" and line.dyno not in _PLATFORM:
            asyncio.get_running_loop().call_later(faults["late-lines"], self._deliver, line)
        elif faults.strikes("reorder-lines", number):
            self._hold(line)
            return
        else:
            self._deliver(line)
            if faults.strikes("double-lines", number):
                self._deliver(line)
        self._release(1)

    def _hold(self, line: Batch) -> None:
        self._held.append((1 + int(self._faults.share("reorder-lines place", line.first) * FARTHEST), line))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SILENCE, self._end_silence)

    def _release(self, passed: int) -> None:
        """Deliver the held lines that are due after this many other lines."""
        held = [(wait - passed, line) for wait, line in self._held]
        self._held = [each for each in held if each[0] > 0]
        for wait, line in held:
            if wait <= 0:
                self._deliver(line)

    def _end_silence(self) -> None:
        self._timer = None
        self._release(FARTHEST)
