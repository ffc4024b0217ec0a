"""The dyno sizes of the Common Runtime: memory, list price, and how many one-off dynos an app may run at once.

One-off dynos are billed like any dyno, per second. The prices are from the official CLI's list. Eco draws on a
pool of hours, and Private and enterprise prices are a contract's, so what their seconds cost is unknown.

https://www.heroku.com/pricing
https://devcenter.heroku.com/articles/dyno-sizes
https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

READ_ON = "2026-11-23"  # the date of the prices
HOURS_PER_MONTH = 720  # the most hours of a month that are billed
_GIGABYTE = 1024**3


@dataclass(frozen=True)
class DynoSize:
    """A dyno size.

    memory: GB. dollars: list price per month. compute: Heroku's measure of its CPU share. is_dedicated: no other
    customer's dynos are on its machine. most_at_once: one-off dynos per app. is_pooled: its dynos share a
    monthly pool of hours. vast: the multiple of its memory at which a dyno is killed (R15).
    """

    name: str
    memory: float
    dollars: int
    compute: int
    is_dedicated: bool = False
    most_at_once: int = 50
    is_pooled: bool = False
    vast: float = 2.0

    @property
    def quota(self) -> int:
        """The memory in bytes."""
        return int(self.memory * _GIGABYTE)


DEFAULT_SIZE = "Standard-1X"

_SIZES = (
    DynoSize("Eco", 0.5, 5, 1, most_at_once=1, is_pooled=True),
    DynoSize("Basic", 0.5, 7, 1),
    DynoSize("Standard-1X", 0.5, 25, 1),
    DynoSize("Standard-2X", 1, 50, 2),
    DynoSize("Performance-M", 2.5, 250, 12, is_dedicated=True, most_at_once=5),
    DynoSize("Performance-L", 14, 500, 50, is_dedicated=True, most_at_once=5),
    DynoSize("Performance-L-RAM", 30, 500, 24, is_dedicated=True, most_at_once=5, vast=1.2),
    DynoSize("Performance-XL", 62, 750, 50, is_dedicated=True, most_at_once=5, vast=1.2),
    DynoSize("Performance-2XL", 126, 1500, 100, is_dedicated=True, most_at_once=5, vast=1.2),
)
# By lower-case name.
DYNO_SIZES: Mapping[str, DynoSize] = {size.name.lower(): size for size in _SIZES}
# Of the sizes that are billed per second.
DOLLARS_PER_MONTH: Mapping[str, float] = {name: size.dollars for name, size in DYNO_SIZES.items() if not size.is_pooled}
_OTHER_AT_ONCE = 5  # of a size that is not in the table


def most_at_once(size: str) -> int:
    """Return how many one-off dynos of a size an app may run at once."""
    return DYNO_SIZES[size.lower()].most_at_once if size.lower() in DYNO_SIZES else _OTHER_AT_ONCE


def memory_bytes(size: str) -> int:
    """Return the memory of a dyno of this size; 0 if unknown."""
    return DYNO_SIZES[size.lower()].quota if size.lower() in DYNO_SIZES else 0


def next_larger(size: str) -> str | None:
    """Return the next size with more memory; None if there is none, or the size is unknown.

    >>> next_larger("Eco"), next_larger("Performance-2XL")
    ('standard-2x', None)
    """
    memory = memory_bytes(size)
    return next((name for name, other in DYNO_SIZES.items() if other.quota > memory), None) if memory else None


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

    >>> money(12.341), money(0.0999), money(0.00712), money(0.0000162)
    ('$12.34', '$0.10', '$0.0071', 'less than $0.0001')
    """
    if dollars >= 0.0995 or not dollars:  # what two digits would round to $0.1
        return f"${dollars:,.2f}"
    if dollars < 0.0001:
        return "less than $0.0001"
    return f"${float(f'{dollars:.2g}'):.10f}".rstrip("0")


def precise_money(dollars: float) -> str:
    """Return an amount to four significant digits, or to the cent from a thousand dollars on, without an exponent.

    >>> precise_money(12345.0), precise_money(12), precise_money(0.0115741), precise_money(0.0000096451)
    ('$12,345.00', '$12', '$0.01157', '$0.000009645')
    """
    return f"${dollars:,.2f}" if dollars >= 1000 else f"${float(f'{dollars:.4g}'):.10f}".rstrip("0").rstrip(".")
