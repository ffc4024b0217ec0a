"""Limits how many dynos run at once, and how fast new ones are requested."""

from __future__ import annotations

from heroku_magic.api.transport import QUOTA
from heroku_magic.runs.create_dyno import LONGEST_WAIT, SHORTEST_WAIT

RESERVE = 200  # requests per hour that are kept for status checks and stops
REFILL = QUOTA / 3600  # requests per second


class ConcurrencyLimit:
    """How many dynos may run at once, adapted to Heroku's refusals.

    Additive increase as in TCP: a refusal lowers the limit to what runs, two rounds of ended runs raise it by one.
    """

    def __init__(self) -> None:
        self._limit: int | None = None
        self._ended = 0

    def current(self, most: int) -> int:
        """Return how many may run at once, `most` at the highest."""
        return most if self._limit is None else min(most, self._limit)

    def refused(self, running: int) -> None:
        """Lower the limit, since Heroku refused a dyno in addition to these."""
        self._limit, self._ended = max(running, 1), 0

    def run_ended(self) -> None:
        """Count a run that ended, and raise a lowered limit after enough of them."""
        if self._limit is not None:
            self._ended += 1
            if self._ended > 2 * self._limit:
                self._limit, self._ended = self._limit + 1, 0


class RateLimiter:
    """When the next dyno may be requested, in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._not_before = 0.0
        self._wait = SHORTEST_WAIT

    def delay(self, now: float, requests_left: int) -> float:
        """Return the seconds to wait; 0 grants a request. requests_left: as the API reported last."""
        if now < self._not_before:
            return self._not_before - now
        if requests_left <= RESERVE:
            self._not_before = now + 1 / REFILL
        return 0.0

    def refused(self, now: float, seconds: float | None = None) -> None:
        """Wait as long as Heroku says, or else twice as long as the last time."""
        self._not_before = now + (self._wait if seconds is None else seconds)
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    def accepted(self) -> None:
        """Start again from the shortest wait, since a dyno was created."""
        self._wait = SHORTEST_WAIT
