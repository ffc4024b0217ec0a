"""The results of a sweep over one axis as points and a line: a picture that needs no script."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from heroku_magic.display.attachments import data_url
from heroku_magic.display.timeline import INK
from heroku_magic.display.words import FILLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heroku_magic.display.value_scale import ValueScale

# Pixels.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 170, 64, 14, 10, 36
_MOST_POINTS = 120  # beyond that, neighbours share a point, which is their mean


@dataclass(frozen=True)
class LineChart:
    """The picture of the numbers at some places. labels: of the first, the middle and the last place.

    at: where each place is on the axis, from 0 to 1. failed: places that are marked on the axis. name, axis: titles.
    """

    values: Mapping[int, float]
    failed: Sequence[int]
    at: Sequence[float]
    scale: ValueScale
    labels: Sequence[str]
    name: str
    axis: str

    @property
    def alt(self) -> str:
        """The picture in a sentence."""
        ends = f"from {self.scale.text(self.scale.low)} to {self.scale.text(self.scale.high)}"
        failed = f"; {len(self.failed):,} failed" if self.failed else ""
        return f"{self.name} by {self.axis}: {len(self.values):,} points {ends}{failed}"

    @property
    def source(self) -> str:
        """The picture as a data URI. An image cannot run scripts."""
        return data_url("image/svg+xml", self.svg().encode())

    def svg(self) -> str:
        """Return the picture as SVG, of bounded size."""
        points = self._points()
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        dots = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in points)
        base = _HEIGHT - _BOTTOM
        places = {round(self._x(place)) for place in self.failed}
        crosses = "".join(f"M{x - 3} {base - 3}l6 6m0-6l-6 6" for x in sorted(places))
        stroke, thick = FILLS["running"], 6 if len(points) <= 60 else 3
        drawn = [
            f'<path d="M{_LEFT} {_TOP}V{base}H{_WIDTH - _RIGHT}" fill="none" stroke="{INK}" stroke-opacity=".6"/>',
            f'<polyline points="{line}" fill="none" stroke="{stroke}" stroke-width="1.5"/>',
            f'<path d="{dots}" stroke="{stroke}" stroke-width="{thick}" stroke-linecap="round"/>',
            f'<path d="{crosses}" fill="none" stroke="{FILLS["failed"]}" stroke-width="2"/>',
            *self._words(base),
        ]
        box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        font = f'font-family="system-ui,sans-serif" font-size="11" fill="{INK}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font}>{"".join(drawn)}</svg>'

    def _points(self) -> list[tuple[float, float]]:
        """Return the points from left to right; neighbours share one if there are many."""
        known = sorted((self._x(place), value) for place, value in self.values.items())
        size = math.ceil(len(known) / _MOST_POINTS) or 1
        groups = [known[first : first + size] for first in range(0, len(known), size)]
        means = [tuple(math.fsum(part) / len(group) for part in zip(*group, strict=True)) for group in groups]
        return [(x, self._y(y)) for x, y in means]

    def _x(self, place: int) -> float:
        return _LEFT + 8 + self.at[place] * (_WIDTH - _LEFT - _RIGHT - 16)

    def _y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - 8 - self.scale.position(value) * (_HEIGHT - _TOP - _BOTTOM - 16)

    def _words(self, base: int) -> list[str]:
        left, right = _LEFT + 8, _WIDTH - _RIGHT - 8
        ends = [(self.scale.high, _TOP + 12), (self.scale.low, base - 4)][: 1 + (self.scale.high > self.scale.low)]
        words = [
            f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end">{self.scale.text(value)}</text>' for value, y in ends
        ]
        anchors = ((left, "start"), ((left + right) / 2, "middle"), (right, "end"))
        words += [
            f'<text x="{x:g}" y="{base + 15}" text-anchor="{anchor}">{escape(label)}</text>'
            for (x, anchor), label in zip(anchors, self.labels, strict=True)
        ]
        middle = f'x="{(left + right) / 2:g}" y="{_HEIGHT - 6}" text-anchor="middle"'
        return [*words, f"<text {middle}>{escape(self.axis)}</text>"]
