"""From numbers to colours, signs and short texts, on a scale that ends at the smallest and the largest number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Viridis, which stays in order without colour vision and in grey: https://arxiv.org/abs/1712.01662
COLOURS = ("#415", "#427", "#448", "#358", "#378", "#288", "#298", "#2b8", "#5c7", "#8d5", "#cd2", "#fe2")
SIGNS = "▁▂▃▄▅▆▇█"  # as colours are, where there are none
_FIRST_LIGHT = 5  # colours from here on need dark text


@dataclass(frozen=True)
class ValueScale:
    """The range of the numbers. digits: significant ones that tell the numbers of the range apart."""

    low: float
    high: float
    digits: int
    are_whole: bool

    @classmethod
    def of(cls, values: Iterable[float]) -> ValueScale:
        """Make the scale of some finite numbers, at least one."""
        known = [*values]
        low, high = min(known), max(known)
        largest = max(abs(low), abs(high))
        span = high - low
        needed = 3 + math.log10(largest / span) if 0 < span < math.inf and largest else 3
        whole = largest < 1e6 and all(value == int(value) for value in known)
        return cls(low, high, min(max(3, math.ceil(needed)), 8), whole)

    def position(self, value: float) -> float:
        """Return where a number is between the ends, from 0 to 1; the middle if both ends are equal."""
        half = self.high / 2 - self.low / 2  # the difference itself may overflow
        return (value / 2 - self.low / 2) / half if half else 0.5

    def colour(self, value: float) -> str:
        """Return the colour of a number."""
        return COLOURS[min(int(self.position(value) * len(COLOURS)), len(COLOURS) - 1)]

    def ink(self, value: float) -> str:
        """Return the colour of text on the colour of a number."""
        return "#000" if COLOURS.index(self.colour(value)) >= _FIRST_LIGHT else "#fff"

    def sign(self, value: float) -> str:
        """Return a bar that is as high as the number on the scale."""
        return SIGNS[min(int(self.position(value) * len(SIGNS)), len(SIGNS) - 1)]

    def text(self, value: float) -> str:
        """Return a number with as many digits as the scale needs."""
        return f"{value:.0f}" if self.are_whole else f"{value:.{self.digits}g}"


def sparkline(values: Iterable[float]) -> str:
    """Return numbers as a line of bars; numbers that are not finite are blanks.

    >>> sparkline([1, 2, 4, 8])
    '▁▂▄█'
    """
    numbers = [*values]
    finite = [value for value in numbers if math.isfinite(value)]
    if not finite:
        return ""
    scale = ValueScale.of(finite)
    return "".join(scale.sign(value) if math.isfinite(value) else " " for value in numbers)
