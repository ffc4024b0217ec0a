"""A dyno of a pool and its calls in flight: how many may wait there while one runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.warm.pool_call import PoolFuture
    from heroku_magic.warm.warm_dyno import WarmDyno

MOST_AHEAD = 32  # calls that wait on a dyno while one runs
LEAST_ROUND_TRIP = 0.005  # seconds, which include the work of both sides


@dataclass(eq=False)
class Lane:
    """A dyno and its calls in flight, the oldest first."""

    dyno: WarmDyno
    calls: dict[PoolFuture, RunSpec] = field(default_factory=dict)

    def room(self) -> int:
        """Return how many more calls it may get: as many as cover a round trip besides the one that runs."""
        longest = max(self.dyno.latest_seconds, default=math.inf)
        trip = self._round_trip()
        ahead = 0 if longest >= trip else min(MOST_AHEAD, math.ceil(trip / max(longest, 1e-6)))
        return 1 + ahead - len(self.calls)

    def is_stuck(self) -> bool:
        """Return whether the call that runs takes longer than a round trip, so that no call should wait behind it."""
        oldest = next(iter([*self.calls]), None)
        return oldest is not None and oldest.seconds_on_dyno() > self._round_trip()

    def _round_trip(self) -> float:
        return max(self.dyno.downlink.round_trip, LEAST_ROUND_TRIP)
