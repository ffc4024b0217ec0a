"""The dyno sizes of the common runtime with memory and list price; no machine is limited to them here.

https://devcenter.heroku.com/articles/dyno-sizes
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A dyno size as `GET /dyno-sizes` tells of it. cents: the price of a month."""

    name: str
    memory: float
    cents: int
    compute: int
    dedicated: bool = False


DEFAULT = "Standard-1X"

_SIZES = (
    Size("Eco", 0.5, 500, 1),
    Size("Basic", 0.5, 700, 1),
    Size("Standard-1X", 0.5, 2500, 1),
    Size("Standard-2X", 1, 5000, 2),
    Size("Performance-M", 2.5, 25000, 12, dedicated=True),
    Size("Performance-L", 14, 50000, 50, dedicated=True),
    Size("Performance-L-RAM", 30, 50000, 24, dedicated=True),
    Size("Performance-XL", 62, 75000, 50, dedicated=True),
    Size("Performance-2XL", 126, 150000, 100, dedicated=True),
)
SIZES = {size.name.lower(): size for size in _SIZES}
