"""The faults between the log's buffer and one tail: lines lost, doubled, out of order or late; the buffer stays clean.

What strikes a line hangs on its number alone, so every tail of a log misses the same lines, however
they came in.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.logs.batch import Batch

LINE_FAULTS = ("drop-lines", "drop-lines-silent", "double-lines", "reorder-lines", "late-lines")
# A line out of order comes after at most so many others, or after so many seconds of silence.
FARTHEST = 8
SILENCE = 0.2
# No dynos: what they say is the platform's own.
_PLATFORM = frozenset({"api", "build", "logplex", "log-shuttle"})


class Disturbed:
    """The way of a tail's lines. deliver: takes what arrives, now or later."""

    def __init__(self, faults: Faults, deliver: Callable[[Batch], None]) -> None:
        self._faults = faults
        self._deliver = deliver
        self._held: list[tuple[int, Batch]] = []
        self._timer: asyncio.TimerHandle | None = None

    def take(self, batch: Batch) -> None:
        """Send a batch on its way."""
        if not any(self._faults[name] for name in LINE_FAULTS):
            self._deliver(batch)
            return
        for line in batch.single():
            self._take_line(line)

    def _take_line(self, line: Batch) -> None:
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
        self._let_go(1)

    def _hold(self, line: Batch) -> None:
        place = 1 + int(self._faults.share("reorder-lines place", line.first) * FARTHEST)
        self._held.append((place, line))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SILENCE, self._end_silence)

    def _let_go(self, lines: int) -> None:
        """So many others have gone by."""
        self._held = [(place - lines, line) for place, line in self._held]
        for _, line in [each for each in self._held if each[0] <= 0]:
            self._deliver(line)
        self._held = [each for each in self._held if each[0] > 0]

    def _end_silence(self) -> None:
        self._timer = None
        self._let_go(FARTHEST)
