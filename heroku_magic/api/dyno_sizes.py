"""Dyno size x seconds -> dollars at Heroku's list price; it asks nobody and bills nothing.

One-off dynos are billed like any dyno, prorated to the second. Dollars a month as the official CLI
lists them, read on 2026-11-23; an hour is a month / 720. Eco hours come from a pool and Private and
enterprise prices are a contract's: for those nothing is guessed.
https://www.heroku.com/pricing
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

READ_ON = "2026-11-23"
DOLLARS_A_MONTH: Mapping[str, float] = {
    "basic": 7,
    "standard-1x": 25,
    "standard-2x": 50,
    "performance-m": 250,
    "performance-l": 500,
    "performance-l-ram": 500,
    "performance-xl": 750,
    "performance-2xl": 1500,
}
_SECONDS_A_MONTH = 720 * 3600


def dollars(size: str, seconds: float, prices: Mapping[str, float] = DOLLARS_A_MONTH) -> float | None:
    """Return the price of a dyno's seconds, or None where it is not known. prices: dollars a month by size.

    >>> round(dollars("Standard-1X", 10), 6)
    9.6e-05
    >>> dollars("Eco", 10) is None
    True
    """
    monthly = prices.get(size.lower())
    return None if monthly is None else monthly * seconds / _SECONDS_A_MONTH
