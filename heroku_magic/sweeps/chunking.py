"""Chunking: how many combinations share a dyno, so that its boot is paid once; it starts none."""

from __future__ import annotations

import math

BOOT_SHARE = 0.1  # of a dyno's time, at most, that its boot may take
LONGEST = 600.0  # seconds of work that one dyno gets, at most: what it loses when it dies is run again
MEASURED = 3  # runs of one combination each that `auto` looks at first


class Chunking:
    """A fixed number, or for 0 as many as the boot is worth, judged by what was measured."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._boots: list[float] = []
        self._works: list[float] = []

    @property
    def is_auto(self) -> bool:
        """Whether it is judged."""
        return self.size == 0

    def note(self, seconds: float, works: list[float]) -> None:
        """A dyno was there for so many seconds, and its calls took these."""
        self._boots.append(max(seconds - sum(works), 0.0))
        self._works += works

    def next(self, left: int, jobs: int) -> int:
        """Return how many combinations the next dyno gets. left: those that wait; jobs: dynos at once."""
        if not self.is_auto:
            return self.size
        if len(self._boots) < MEASURED:
            return 1
        boot, work = sum(self._boots) / len(self._boots), max(sum(self._works) / len(self._works), 1e-6)
        worth = math.ceil(boot * (1 - BOOT_SHARE) / BOOT_SHARE / work)
        # All dynos have something to do until the end.
        return max(1, min(worth, int(LONGEST / work), math.ceil(left / max(jobs, 1))))
