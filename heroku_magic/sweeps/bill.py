"""Bill: what the dynos of a sweep took so far, in seconds and dollars, and when each was there; it pays nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from heroku_magic.sweeps.outcomes import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec


class Bill:
    """Of dynos like that of `order`. dollars: at list price; None is unknown."""

    def __init__(self, order: RunSpec) -> None:
        self._order = order
        self.seconds = 0.0
        self.dollars: float | None = 0.0
        self.spans: list[Span] = []

    def add(self, run: Run) -> None:
        """A dyno is over; a run that never had one is not billed."""
        if run.dyno is None or run.started_at is None:
            return
        seconds = run.seconds or 0.0
        price = self._order.price(run.size, seconds)
        self.seconds += seconds
        self.dollars = None if price is None or self.dollars is None else self.dollars + price
        self.spans.append(Span(run.started_at, run.up_at, run.started_at + seconds, run.state))

    def so_far(self, running: Iterable[Run]) -> float | None:
        """Return the dollars with those of dynos that are still there."""
        total = self.dollars
        for run in running:
            if run.dyno is not None and run.started_at is not None and not run.done():
                price = self._order.price(run.size, time.time() - run.started_at)
                total = None if total is None or price is None else total + price
        return total

    def expected(self, seconds: float, size: str | None) -> float | None:
        """Return the dollars in all once dynos of so many more seconds were there, too."""
        price = self._order.price(size, seconds)
        return None if price is None or self.dollars is None else self.dollars + price
