"""The list price of each dyno size, its memory, and how many one-off dynos of that size an app may run at once.

One-off dynos are billed like any dyno, per second. The prices are from the official CLI's list. Eco draws on a
pool of hours, and Private and enterprise prices are a contract's, so their prices are unknown.

https://www.heroku.com/pricing
https://devcenter.heroku.com/articles/dyno-sizes
https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

READ_ON = "2026-11-23"  # the date of the prices
HOURS_PER_MONTH = 720  # at most, that a month is billed


class DynoSize(NamedTuple):
    """The list price of a size (None if unknown), its most concurrent one-off dynos, and its memory."""

    dollars_per_month: float | None
    most_at_once: int
    gigabytes: float = 0  # 0 if unknown


DYNO_SIZES: Mapping[str, DynoSize] = {
    "eco": DynoSize(None, 1, 0.5),
    "basic": DynoSize(7, 50, 0.5),
    "standard-1x": DynoSize(25, 50, 0.5),
    "standard-2x": DynoSize(50, 50, 1),
    "performance-m": DynoSize(250, 5, 2.5),
    "performance-l": DynoSize(500, 5, 14),
    "performance-l-ram": DynoSize(500, 5, 30),
    "performance-xl": DynoSize(750, 5, 62),
    "performance-2xl": DynoSize(1500, 5, 126),
}
_OTHER = DynoSize(None, 5)
DOLLARS_PER_MONTH: Mapping[str, float] = {
    name: size.dollars_per_month for name, size in DYNO_SIZES.items() if size.dollars_per_month is not None
}


def most_at_once(size: str) -> int:
    """Return how many one-off dynos of a size an app may run at once."""
    return DYNO_SIZES.get(size.lower(), _OTHER).most_at_once


def memory_bytes(size: str) -> int:
    """Return the memory of a dyno of this size; 0 if unknown."""
    return int(DYNO_SIZES.get(size.lower(), _OTHER).gigabytes * 1024**3)


def dollars(size: str, seconds: float, prices: Mapping[str, float] = DOLLARS_PER_MONTH) -> float | None:
    """Return the price of a dyno's seconds, or None if it is unknown. prices: dollars per month by size.

    >>> round(dollars("Standard-1X", 10), 6)
    9.6e-05
    >>> dollars("Eco", 10) is None
    True
    """
    monthly = prices.get(size.lower())
    return None if monthly is None else monthly * seconds / (HOURS_PER_MONTH * 3600)


def money(dollars: float) -> str:
    """Return an amount in cents, or with two significant digits.

    >>> money(12.341), money(0.00712), money(0.0000162)
    ('$12.34', '$0.0071', 'less than $0.0001')
    """
    if dollars >= 0.1 or not dollars:
        return f"${dollars:,.2f}"
    if dollars < 0.0001:
        return "less than $0.0001"
    return f"${float(f'{dollars:.2g}'):.10f}".rstrip("0")
