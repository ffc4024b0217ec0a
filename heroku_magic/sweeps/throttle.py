"""Pacing: how many dynos may run at once, and when the next one may be asked for; it asks nobody and waits for none."""

from __future__ import annotations

RESERVE = 200  # requests of the hour that are left for looks and stops
# Requests a second that come back: https://devcenter.heroku.com/articles/platform-api-reference#rate-limits
REFILL = 4500 / 3600
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds between two tries while all room is others'


class Room:
    """How many dynos may run at once: lowered by what Heroku refuses, raised again bit by bit.

    As TCP does: each refusal takes the limit down to what runs, each round of runs that ended adds one.
    """

    def __init__(self) -> None:
        self._limit: int | None = None
        self._ended = 0

    def limit(self, most: int) -> int:
        """Return how many may run at once, `most` at most."""
        return most if self._limit is None else min(most, self._limit)

    def refused(self, running: int) -> None:
        """Heroku let no more run than these."""
        self._limit, self._ended = max(running, 1), 0

    def ended(self) -> None:
        """A run that Heroku let run is over."""
        if self._limit is not None:
            self._ended += 1
            if self._ended > 2 * self._limit:
                self._limit, self._ended = self._limit + 1, 0


class Pace:
    """When the next create may be sent, by one monotonic clock: a bucket of requests, filled by the API's word."""

    def __init__(self) -> None:
        self._not_before = 0.0
        self._wait = SHORTEST_WAIT

    def delay(self, now: float, requests_left: int) -> float:
        """Return how many seconds to wait; 0 takes the turn. requests_left: as the API said last."""
        if now < self._not_before:
            return self._not_before - now
        if requests_left <= RESERVE:
            self._not_before = now + 1 / REFILL
        return 0.0

    def refused(self, now: float, seconds: float | None = None) -> None:
        """There is no room at all: wait, each time twice as long, or as long as Heroku says."""
        self._not_before = now + (self._wait if seconds is None else seconds)
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    def accepted(self) -> None:
        """A create was taken."""
        self._wait = SHORTEST_WAIT
