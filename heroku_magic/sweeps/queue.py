"""Waiting: which combinations of a sweep are still to be run, and how many the next dyno gets; it starts none."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from heroku_magic.sweeps.chunking import Chunking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Waiting:
    """The places that wait: those that are tried again first, then the fresh ones, which are drawn one by one.

    chunk: combinations in a dyno, 0: as many as its boot is worth.
    """

    def __init__(self, fresh: Iterable[int], count: int, chunk: int) -> None:
        self._fresh, self._fresh_left = iter(fresh), count
        self._again: deque[int] = deque()
        self._divided: deque[list[int]] = deque()
        self._chunking = Chunking(chunk)
        self._most: int | None = None

    def __len__(self) -> int:
        return self._fresh_left + len(self._again) + sum(map(len, self._divided))

    @property
    def dynos(self) -> int:
        """How many dynos they take, as far as that is known."""
        others = self._fresh_left + len(self._again)
        return len(self._divided) + -(-others // (self._most or max(self._chunking.size, 1)))

    def take(self, jobs: int) -> list[int]:
        """Return the places for the next dyno. jobs: dynos at once."""
        if self._divided:
            return self._divided.popleft()
        count = self._chunking.next(len(self), jobs)
        count = min(count, self._most or count)
        places = [self._again.popleft() for _ in range(min(count, len(self._again)))]
        fresh = [*islice(self._fresh, count - len(places))]
        self._fresh_left -= len(fresh)
        return places + fresh

    def again(self, places: Iterable[int]) -> None:
        """They are to be tried again."""
        self._again.extend(places)

    def halve(self, places: Sequence[int]) -> None:
        """So many do not fit into a dyno's environment: they wait on, and no dyno gets more than half of them."""
        self._most = len(places) // 2
        self._again.extendleft(reversed(places))

    def divide(self, places: Sequence[int]) -> None:
        """They are to be tried again, in two dynos: one of them ends whatever dyno it is in, and which is not known."""
        half = -(-len(places) // 2)
        self._divided.extend(list(part) for part in (places[:half], places[half:]) if part)

    def took(self, seconds: float, works: Sequence[float]) -> None:
        """A dyno was there for so many seconds, and its calls took these."""
        self._chunking.note(seconds, [*works])

    def rest(self) -> list[int]:
        """Return all that wait, and let none wait any more."""
        rest = [*(place for part in self._divided for place in part), *self._again, *self._fresh]
        self._divided.clear()
        self._again.clear()
        self._fresh_left = 0
        return rest
