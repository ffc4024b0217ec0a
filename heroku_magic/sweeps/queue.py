"""The combinations of a sweep that wait for a dyno, and how many the next dyno gets."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BOOT_SHARE = 0.1  # largest part of a dyno's time that its boot may take
LONGEST = 600.0  # seconds of work per dyno at most: when a dyno dies, its work is repeated
MEASURED = 3  # runs of a single combination that `auto` measures first


class ChunkSizer:
    """Decides how many combinations share a dyno. size: a fixed number, or 0 to derive it from measured times."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._boots: list[float] = []
        self._works: list[float] = []

    def measure(self, seconds: float, works: Sequence[float]) -> None:
        """Take note of a dyno's life in seconds, and of the seconds of each of its calls."""
        self._boots.append(max(seconds - sum(works), 0.0))
        self._works += works

    def next(self, waiting: int, jobs: int) -> int:
        """Return the number of combinations for the next dyno. jobs: dynos at once."""
        if self.size:
            return self.size
        if len(self._boots) < MEASURED:
            return 1
        boot, work = sum(self._boots) / len(self._boots), max(sum(self._works) / len(self._works), 1e-6)
        worthwhile = math.ceil(boot * (1 - BOOT_SHARE) / BOOT_SHARE / work)
        # The last bound keeps all dynos busy until the end.
        return max(1, min(worthwhile, int(LONGEST / work), math.ceil(waiting / max(jobs, 1))))


class WorkQueue:
    """Indices of waiting combinations: repeated ones first, then fresh ones in the plan's order, taken one by one.

    chunk: combinations per dyno; 0 derives the number from measured times.
    """

    def __init__(self, fresh: Iterable[int], count: int, chunk: int) -> None:
        self._fresh, self._fresh_left = iter(fresh), count
        self._repeated: deque[int] = deque()
        self._halves: deque[list[int]] = deque()
        self._sizer = ChunkSizer(chunk)
        self._largest: int | None = None
        self.measure = self._sizer.measure

    def __len__(self) -> int:
        return self._fresh_left + len(self._repeated) + sum(map(len, self._halves))

    @property
    def dynos(self) -> int:
        """Number of dynos that the waiting combinations need, as far as it is known."""
        others = self._fresh_left + len(self._repeated)
        return len(self._halves) + -(-others // (self._largest or max(self._sizer.size, 1)))

    def take(self, jobs: int) -> list[int]:
        """Remove and return the indices for the next dyno. jobs: dynos at once."""
        if self._halves:
            return self._halves.popleft()
        count = self._sizer.next(len(self), jobs)
        count = min(count, self._largest or count)
        indices = [self._repeated.popleft() for _ in range(min(count, len(self._repeated)))]
        fresh = [*islice(self._fresh, count - len(indices))]
        self._fresh_left -= len(fresh)
        return indices + fresh

    def repeat(self, indices: Iterable[int]) -> None:
        """Queue combinations once more."""
        self._repeated.extend(indices)

    def shrink(self, indices: Sequence[int]) -> None:
        """Put back combinations that do not fit into a dyno's environment, and halve the largest chunk."""
        self._largest = len(indices) // 2
        self._repeated.extendleft(reversed(indices))

    def split(self, indices: Sequence[int]) -> None:
        """Queue combinations for two dynos, to isolate the one that kills its dyno."""
        half = -(-len(indices) // 2)
        self._halves.extend(list(part) for part in (indices[:half], indices[half:]) if part)
