"""What a sweep would cost before it starts, and what its dynos have cost so far, at list price."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.api.transport import QUOTA
from heroku_magic.platform_facts.dyno_sizes import READ_ON, precise_money
from heroku_magic.sweeps.throttle import REFILL, RESERVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.runs.dyno_guard import DynoGuard, GuardedDyno
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec


@dataclass(frozen=True)
class Estimate:
    """The expected duration and list price of a run or a sweep that has not started.

    Attributes
    ----------
    combinations
        Number of runs; 1 for a single run.
    chunk
        Combinations that share a dyno; 0 if that is decided while the sweep runs.
    at_once
        Number of dynos that run at the same time.
    measured
        Seconds that a run of this task took so far in this process, boot included; None if none was seen.
    requests_left
        API requests left in this hour.

    Examples
    --------
    >>> from heroku_magic.runs.spec import RunSpec
    >>> spec = RunSpec("shop", "shop", "simulate", "simulate", {}, size="standard-1x")
    >>> estimate = Estimate(spec, combinations=100, at_once=20, measured=12.0)
    >>> estimate.seconds
    60.0
    >>> round(estimate.dollars, 4)
    0.0116
    """

    spec: RunSpec
    combinations: int = 1
    chunk: int = 1
    at_once: int = 1
    measured: float | None = None
    requests_left: int = QUOTA

    @property
    def dynos(self) -> int | None:
        """Number of dynos; None if that is decided while the sweep runs."""
        return -(-self.combinations // self.chunk) if self.chunk else None

    @property
    def seconds(self) -> float | None:
        """Expected seconds from start to end; None before a run was measured."""
        if self.measured is None:
            return None
        each = min(self.chunk or 1, self.combinations)  # the combinations of a chunk run one after another
        rounds = -(-self.combinations // (each * self.at_once)) * each * self.measured
        beyond_quota = (self.dynos or 0) - max(self.requests_left - RESERVE, 0)
        return max(rounds, beyond_quota / REFILL)

    @property
    def dollars(self) -> float | None:
        """Expected list price in dollars, an upper bound for chunks; None if it or the duration is unknown."""
        seconds = None if self.measured is None else self.measured * self.combinations
        return self.spec.price(self.spec.size, seconds)

    def refuses(self, dollars: float) -> str | None:
        """Return why a budget of so many dollars is too small, or None if it may suffice."""
        # A dyno that runs many combinations costs at least as much as one that runs a single one.
        dynos = 1 if self.dynos is None else self.dynos
        least = self.spec.price(self.spec.size, (self.measured or 0.0) * dynos)
        if least is None or least <= dollars:
            return None
        about = "about" if self.dynos == self.combinations else "at least"
        limit = precise_money(dollars)
        return f"{self._what} would cost {about} {precise_money(least)}, more than the {limit} of --max-cost."

    def __str__(self) -> str:
        at_once = f", {min(self.at_once, self.dynos or self.at_once)} at once" if self.combinations > 1 else ""
        where = f" on {self.spec.app_name} ({self.spec.size or 'size not chosen'}){at_once}."
        return f"{self._what}{where} {self._time} {self._price} Nothing was started."

    @property
    def _what(self) -> str:
        if self.combinations == 1:
            return f"One run of {self.spec.task}"
        unknown = ", with as many per dyno as its boot time justifies"
        dynos = unknown if self.dynos is None else f" in {self.dynos:,} dynos"
        return f"{self.combinations:,} runs of {self.spec.task}{dynos if self.chunk != 1 else ''}"

    @property
    def _time(self) -> str:
        if self.measured is None or self.seconds is None:
            return "The duration is unknown: this process has not run the task yet."
        return f"A run took {_duration(self.measured)} so far, so this takes about {_duration(self.seconds)}."

    @property
    def _price(self) -> str:
        spec = self.spec
        if spec.is_local:
            return "The embedded Heroku is free."
        if spec.size is None:
            return "The cost depends on the dyno size, which Heroku chooses unless you give --size."
        if spec.size.lower() == "eco":
            hours = "" if self.measured is None else f" about {self.measured * self.combinations / 3600:.2g} hours"
            return f"Eco dynos use{hours} of the account's pool of dyno hours."
        second = spec.price(spec.size, 1.0)
        if second is None:
            return f"The price of {spec.size} is unknown; it may depend on a contract."
        if self.measured is not None and self.dollars is not None:
            return f"At list price (as of {READ_ON}): about {precise_money(self.dollars)}."
        most = second * spec.timeout * (self.dynos or self.combinations)
        return (
            f"At list price (as of {READ_ON}): ${second:.2g} per second of a run, "
            f"{precise_money(most)} if every run reaches its time limit."
        )


class DynoSpan(NamedTuple):
    """The life of one dyno, in seconds since 1970. up_at is None if unknown, ended_at while it runs."""

    requested_at: float
    up_at: float | None
    ended_at: float | None
    state: str


class CostMeter:
    """Adds up the seconds and dollars of a sweep's dynos; dollars is None once a price is unknown."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._ended: defaultdict[str | None, float] = defaultdict(float)  # seconds by size
        self._spans: list[DynoSpan] = []
        self._guards: list[DynoGuard] = []  # of runs that ended, whose other dynos may still cost

    def add(self, run: Run) -> None:
        """Add the dynos of a run that ended; a run that never had one costs nothing."""
        self.watch(run.guard)
        if run.dyno is None or run.started_at is None:
            return
        seconds = run.seconds or 0.0
        self._ended[run.size] += seconds
        self._spans.append(DynoSpan(run.started_at, run.up_at, run.started_at + seconds, run.state))

    def watch(self, guard: DynoGuard) -> None:
        """Add the dynos that lost create requests of a run have started, or will have."""
        if not guard.is_settled() or guard.extra_dynos():
            self._guards.append(guard)

    @property
    def seconds(self) -> float:
        """Seconds of the dynos of the runs that ended, those of extra dynos by now."""
        return fsum(self._billed().values())

    @property
    def dollars(self) -> float | None:
        """Dollars of the dynos of the runs that ended."""
        return self._spec.total_price(self._billed().items())

    @property
    def spans(self) -> list[DynoSpan]:
        """The dynos of the runs that ended, in no order."""
        return [*self._spans, *extra_spans(self._guards)]

    def leftovers(self) -> list[GuardedDyno]:
        """Return the dynos that may still run although their runs have ended."""
        return [left for guard in self._guards for left in guard.left()]

    def so_far(self, running: Iterable[Run]) -> float | None:
        """Return the dollars, including those of dynos that still run."""
        running = [*running]
        billed = self._billed(run.guard for run in running if run.guard not in self._guards)
        for run in running:
            if run.dyno is not None and run.started_at is not None and not run.done():
                billed[run.size] += run.guard.own_seconds
        return self._spec.total_price(billed.items())

    def expected(self, seconds: float, size: str | None) -> float | None:
        """Return the dollars after so many more dyno seconds."""
        billed = self._billed()
        billed[size] += seconds
        return self._spec.total_price(billed.items())

    def _billed(self, others: Iterable[DynoGuard] = ()) -> defaultdict[str | None, float]:
        """Return the seconds by size of the runs that ended, and of all extra dynos. others: of runs that did not."""
        billed = self._ended.copy()
        for guard in (*self._guards, *others):
            for size, seconds in guard.extra_seconds():
                billed[size] += seconds
        return billed


def extra_spans(guards: Iterable[DynoGuard]) -> list[DynoSpan]:
    """Return the lives of the dynos that lost create requests started."""
    shift = time.time() - time.monotonic()
    extras = [extra for guard in guards for extra in guard.extra_dynos()]
    return [
        DynoSpan(
            one.began + shift, None, one.ended_at and one.ended_at + shift, "cancelled" if one.ended_at else "stopping"
        )
        for one in extras
    ]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} hours"
