"""The dyno sizes of the common runtime: memory, list price, how many at once; nothing is limited here.

https://devcenter.heroku.com/articles/dyno-sizes
https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits
"""

from __future__ import annotations

from dataclasses import dataclass

VAST = 2.0
_GIGABYTE = 1024**3


@dataclass(frozen=True)
class Size:
    """A dyno size as `GET /dyno-sizes` tells of it.

    cents: the price of a month. one_offs: how many an app may run at once. vast: the multiple of its
    memory at which a dyno is killed.
    """

    name: str
    memory: float
    cents: int
    compute: int
    dedicated: bool = False
    one_offs: int = 50
    vast: float = VAST


DEFAULT = "Standard-1X"

_SIZES = (
    Size("Eco", 0.5, 500, 1, one_offs=1),
    Size("Basic", 0.5, 700, 1),
    Size("Standard-1X", 0.5, 2500, 1),
    Size("Standard-2X", 1, 5000, 2),
    Size("Performance-M", 2.5, 25000, 12, dedicated=True, one_offs=5),
    Size("Performance-L", 14, 50000, 50, dedicated=True, one_offs=5),
    Size("Performance-L-RAM", 30, 50000, 24, dedicated=True, one_offs=5, vast=1.2),
    Size("Performance-XL", 62, 75000, 50, dedicated=True, one_offs=5, vast=1.2),
    Size("Performance-2XL", 126, 150000, 100, dedicated=True, one_offs=5, vast=1.2),
)
SIZES = {size.name.lower(): size for size in _SIZES}


def memory_of(size: str) -> float:
    """Return the memory of a size in bytes."""
    return SIZES[size.lower()].memory * _GIGABYTE


def vast_factor(size: str) -> float:
    """Return the multiple of its memory at which a dyno of a size is killed (R15)."""
    return SIZES[size.lower()].vast
