"""Outcomes: how each combination of a sweep stands, a byte each, and how those that are over ended; it starts none."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.protocol.dataframe import frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from heroku_magic.errors import HerokuMagicError
    from heroku_magic.protocol.records import Rows
    from heroku_magic.protocol.tables import Table

STATES = ("queued", "starting", "running", "retried", "done", "failed", "cancelled")
QUEUED, STARTING, RUNNING, RETRIED, DONE, FAILED, CANCELLED = range(len(STATES))


class Span(NamedTuple):
    """One dyno's life, in seconds since 1970; up_at: None is unknown. ended_at: None is not yet."""

    requested_at: float
    up_at: float | None
    ended_at: float | None
    state: str


@dataclass(slots=True)
class Outcome:
    """How one combination of a sweep ended.

    state: `done`, `failed` or `cancelled`. attempts: how many runs were made of it. facts: small plain
    values, those of a run's `df.attrs["heroku"]`. log: the last lines of one that failed.
    """

    place: int
    parameters: Mapping[str, Any]
    state: str
    attempts: int
    facts: Mapping[str, Any]
    error: HerokuMagicError | None = None
    parts: Sequence[Rows | Table] | None = field(default=None, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    log: Sequence[str] = field(default=(), repr=False)

    @property
    def dyno(self) -> str | None:
        """The dyno that ran it last."""
        return self.facts.get("dyno")

    @property
    def seconds(self) -> float | None:
        """How long it took; of one that shared its dyno, its own part."""
        return self.facts.get("seconds")

    def exception(self) -> HerokuMagicError | None:
        """Return what it failed with, or None."""
        return self.error

    def result(self) -> pd.DataFrame | None:
        """Return its rows; None when there is no table. Raises what it failed with."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        return None if self.parts is None else frame(self.parts, self.facts)


class Board:
    """All combinations of a sweep by their places, for one writer.

    outcomes: of those that are over; finished: as they came; failed: in the grid's order. Of those that went well,
    slowest: that which took longest; releases: of the app, that they ran.
    """

    def __init__(self, count: int, known: Iterable[Outcome] = ()) -> None:
        self.states = bytearray(count)
        self.outcomes: dict[int, Outcome] = {}
        self.finished: list[Outcome] = []
        self.failed: list[Outcome] = []
        self.slowest: Outcome | None = None
        self.releases: set[int] = set()
        self._attempts, self._before = Counter[int](), dict[int, int]()
        for outcome in known:
            self._attempts[outcome.place] = self._before[outcome.place] = outcome.attempts
            if outcome.state == "done":
                self.settle(outcome)

    def begin(self, places: Iterable[int]) -> None:
        """They are tried, once more."""
        for place in places:
            self._attempts[place] += 1
            self.states[place] = STARTING

    def give_back(self, places: Iterable[int]) -> None:
        """They were not tried after all."""
        for place in places:
            self._attempts[place] -= 1
            self.states[place] = RETRIED if self._attempts[place] else QUEUED

    def attempts(self, place: int) -> int:
        """Return how often it was tried."""
        return self._attempts[place]

    def tries(self, place: int) -> int:
        """Return how often it was tried in this sweep, not in the one that this goes on with."""
        return self._attempts[place] - self._before.get(place, 0)

    def retry(self, places: Iterable[int]) -> None:
        """They are to be tried again."""
        for place in places:
            self.states[place] = RETRIED

    def cancel(self, places: Iterable[int]) -> None:
        """They will not be tried any more."""
        for place in places:
            self.states[place] = CANCELLED

    def settle(self, outcome: Outcome) -> None:
        """It is over."""
        self.outcomes[outcome.place] = outcome
        self.finished.append(outcome)
        self.states[outcome.place] = STATES.index(outcome.state)
        if outcome.state == "failed":
            insort(self.failed, outcome, key=lambda one: one.place)
        elif outcome.state == "done":
            self._went_well(outcome)

    def _went_well(self, outcome: Outcome) -> None:
        if (outcome.seconds or 0) > ((self.slowest and self.slowest.seconds) or 0):
            self.slowest = outcome
        if release := outcome.facts.get("release"):
            self.releases.add(release)

    def done(self) -> list[Outcome]:
        """Return those that went well, in the grid's order."""
        return [self.outcomes[place] for place in sorted(self.outcomes) if self.outcomes[place].state == "done"]

    @property
    def retried(self) -> int:
        """How many were tried more than once."""
        # By a copy, which is made in one step: others read while the one writer adds.
        return sum(count > 1 for count in [*self._attempts.values()])


def counted(states: bytes | bytearray) -> dict[str, int]:
    """Return how many are in each state, of those that there are."""
    found = {name: states.count(code) for code, name in enumerate(STATES)}
    return {name: count for name, count in found.items() if count}
