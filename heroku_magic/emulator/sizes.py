"""The dyno sizes of the Common Runtime: memory, list price, and how many may run at once.

https://devcenter.heroku.com/articles/dyno-sizes
https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits
"""

from __future__ import annotations

from dataclasses import dataclass

_GIGABYTE = 1024**3


@dataclass(frozen=True)
class Size:
    """A dyno size.

    memory: GB. cents: list price per month. one_offs: the most per app at once.
    vast: the multiple of its memory at which a dyno is killed (R15).
    """

    name: str
    memory: float
    cents: int
    compute: int
    dedicated: bool = False
    one_offs: int = 50
    vast: float = 2.0

    @property
    def quota(self) -> float:
        """The memory in bytes."""
        return self.memory * _GIGABYTE


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
# By lower-case name.
SIZES = {size.name.lower(): size for size in _SIZES}
