"""Estimates: what runs would take and cost at list price, before the first dyno starts; it starts none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.api.dyno_sizes import READ_ON
from heroku_magic.sweeps.throttle import REFILL, RESERVE

if TYPE_CHECKING:
    from heroku_magic.runs.spec import RunSpec


@dataclass(frozen=True)
class Estimate:
    """Runs that could be made. combinations: of a sweep, `chunk` of them in a dyno; at_once: dynos.

    measured: how many seconds a run took so far, boot included; None: none was seen in this process.
    requests_left: of this hour.
    """

    order: RunSpec
    combinations: int = 1
    chunk: int = 1
    at_once: int = 1
    measured: float | None = None
    requests_left: int = 4500

    @property
    def dynos(self) -> int | None:
        """How many dynos it takes; None: that is judged while they run."""
        return -(-self.combinations // self.chunk) if self.chunk else None

    @property
    def seconds(self) -> float | None:
        """How long it takes, as far as it was measured: in rounds, and no faster than dynos may be asked for."""
        if self.measured is None:
            return None
        each = min(self.chunk or 1, self.combinations)  # of a chunk one runs after another
        rounds = -(-self.combinations // (each * self.at_once)) * each * self.measured
        late = (self.dynos or 0) - max(self.requests_left - RESERVE, 0)
        return max(rounds, late / REFILL)

    @property
    def dollars(self) -> float | None:
        """What it costs at list price, as far as it was measured; of chunks at most; None is unknown."""
        if self.measured is None:
            return self.order.price(self.order.size, 0.0)
        return self.order.price(self.order.size, self.measured * self.combinations)

    def refuses(self, dollars: float) -> str | None:
        """Say why so many dollars are not enough, or None. A dyno of many costs no less than one of one combination."""
        least = self.order.price(self.order.size, (self.measured or 0.0) * (self.dynos or 1))
        if least is None or least <= dollars:
            return None
        about = "about" if self.dynos == self.combinations else "at least"
        return f"{self._what} would cost {about} ${least:.4g}, more than the ${dollars:.4g} of --max-cost."

    def __str__(self) -> str:
        return " ".join(filter(None, [f"{self._what}{self._where}.", self._time, self._price, "Nothing was started."]))

    @property
    def _what(self) -> str:
        if self.combinations == 1:
            return f"One run of {self.order.task}"
        dynos = ", as many in a dyno as its boot is worth" if self.dynos is None else f" in {self.dynos:,} dynos"
        return f"{self.combinations:,} runs of {self.order.task}{dynos if self.chunk != 1 else ''}"

    @property
    def _where(self) -> str:
        at_once = f", {min(self.at_once, self.dynos or self.at_once)} at once" if self.combinations > 1 else ""
        return f" on {self.order.app_name} ({self.order.size or 'size not chosen'}){at_once}"

    @property
    def _time(self) -> str:
        if self.measured is None or self.seconds is None:
            return "How long a run takes is not known: none of this task was seen in this process yet."
        return f"A run took {_long(self.measured)} so far, so that is about {_long(self.seconds)}."

    @property
    def _price(self) -> str:
        order = self.order
        if order.is_local:
            return "The embedded Heroku is free."
        second = order.price(order.size, 1.0)
        if order.size is None:
            return "What it costs depends on the size, which Heroku chooses unless --size does."
        if order.size.lower() == "eco":
            hours = "" if self.measured is None else f" about {self.measured * self.combinations / 3600:.2g} hours"
            return f"Eco dynos draw{hours} on the account's pool of hours."
        if second is None:
            return f"The price of {order.size} is not known: a contract's, perhaps."
        if self.measured is not None and self.dollars is not None:
            return f"At list price (of {READ_ON}): about ${self.dollars:.4g}."
        most = second * order.timeout * (self.dynos or self.combinations)
        return (
            f"At list price (of {READ_ON}): ${second:.2g} a second of a run, ${most:.4g} if each runs into its limit."
        )


def _long(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} hours"
