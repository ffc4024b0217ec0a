"""Pictures of a sweep that need no script: the times of its dynos, also in words, and its results over one axis.

The upper part of the timeline has a bar for each dyno in the order of the requests: waiting, booting, running. The
lower part shows how many dynos there were at once. Colours are middle tones on a transparent background,
readable on a light and on a dark page. Unknown times are neither drawn nor counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from statistics import median
from typing import TYPE_CHECKING

from heroku_magic.display.attachments import data_url
from heroku_magic.display.words import FILLS, duration
from heroku_magic.text.plural import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heroku_magic.display.value_scale import ValueScale
    from heroku_magic.sweeps.cost import DynoSpan

MAX_BARS = 300  # beyond that, several dynos share a bar
# Pixels of the timeline.
_WIDTH, _LEFT, _RIGHT = 720, 56, 14
_BARS_HEIGHT, _MAX_BAR_HEIGHT, _LOAD_HEIGHT, _GAP = 240, 12, 64, 30
_MAX_STEPS = 360  # points of the lower curve
# Seconds between two marks on the axis.
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400)

INK = "#797979"
_LEGEND = {"queue": "queued", "done": "run, done", "failed": "run, failed"}
_WORST_FIRST = ("failed", "cancelled", "running", "done")
# Pixels of the line chart.
_CHART_WIDTH, _HEIGHT, _CHART_LEFT, _TOP, _BOTTOM = 560, 170, 64, 10, 36
_MOST_POINTS = 120  # beyond that, neighbours share a point, which is their mean


@dataclass(frozen=True)
class _Bar:
    """One dyno or several, from the request to the end, in seconds since the sweep began."""

    requested: float
    up: float | None
    ended: float
    state: str


class Timeline:
    """The timeline of a sweep. began, ended: seconds since 1970; began None: when the first dyno was requested."""

    def __init__(self, spans: Iterable[DynoSpan], began: float | None, ended: float) -> None:
        ordered = sorted(spans, key=lambda span: span.requested_at)
        first = ordered[0].requested_at if ordered else ended
        self._began = first if began is None else min(began, first)
        self._knows_queue = began is not None
        self._seconds = max([ended, *(span.ended_at for span in ordered if span.ended_at)]) - self._began or 1e-3
        self._bars = [self._bar(span) for span in ordered]
        self._boots = [bar.up - bar.requested for bar in self._bars if bar.up is not None]
        self._runs = [bar.ended - bar.up for bar in self._bars if bar.up is not None and bar.state != "running"]
        self._load = _load(self._bars)

    def __bool__(self) -> bool:
        return bool(self._bars)

    @property
    def dynos_per_bar(self) -> int:
        """How many dynos share a bar."""
        return math.ceil(len(self._bars) / MAX_BARS) or 1

    @property
    def facts(self) -> list[str]:
        """The picture in a few words: dynos, most at once, and the medians of the known times."""
        queued = [bar.requested for bar in self._bars] if self._knows_queue else []
        known = {"queued": queued, "boot": self._boots, "run": self._runs}
        medians = ", ".join(f"{name} {duration(median(times))}" for name, times in known.items() if times)
        note = " (medians)" if len(self._bars) > 1 else ""
        facts = [quantity(len(self._bars), "dyno"), f"at most {self.peak:,} at once"]
        return [*facts, *([f"{medians}{note}"] if medians else [])]

    @property
    def peak(self) -> int:
        """The most dynos at once."""
        return max((count for _, count in self._load), default=0)

    @property
    def alt(self) -> str:
        """The picture in sentences."""
        failed = sum(bar.state == "failed" for bar in self._bars)
        running = sum(bar.state == "running" for bar in self._bars)
        missing = len(self._bars) - len(self._boots)
        sentences = [
            f"Timeline of {duration(self._seconds)}: {', '.join(self.facts)}.",
            f"The longest ran {duration(max(self._runs))}." if self._runs else "",
            f"{failed:,} failed." if failed else "",
            f"{running:,} still running." if running else "",
            f"The boot times of {missing:,} are unknown." if missing else "",
            f"Each bar stands for {self.dynos_per_bar:,} dynos." if self.dynos_per_bar > 1 else "",
        ]
        return " ".join(filter(None, sentences))

    @property
    def source(self) -> str:
        """The picture as a data URI. An image cannot run scripts."""
        return data_url("image/svg+xml", self.svg().encode())

    def svg(self) -> str:
        """Return the picture as SVG, of bounded size."""
        shown = _shared(self._bars, self.dynos_per_bar)
        row = min(_MAX_BAR_HEIGHT, _BARS_HEIGHT / max(len(shown), 1))
        bottom = row * len(shown) + _GAP + _LOAD_HEIGHT
        parts = [*self._axis(bottom), *self._paths(shown, row), *self._curve(bottom)]
        return _svg(_WIDTH, bottom + 24, parts)

    def _bar(self, span: DynoSpan) -> _Bar:
        requested = span.requested_at - self._began
        ended = max(requested, self._seconds if span.ended_at is None else span.ended_at - self._began)
        up = None if span.up_at is None else min(max(span.up_at - self._began, requested), ended)
        state = "running" if span.ended_at is None else "failed" if span.state == "retried" else span.state
        return _Bar(requested, up, ended, state if state in _WORST_FIRST else "cancelled")

    def _x(self, seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / self._seconds

    def _axis(self, bottom: float) -> list[str]:
        step = next((tick for tick in _TICKS if self._seconds / tick <= 8), self._seconds / 8)
        ticks = [step * number for number in range(int(self._seconds / step) + 1)]
        lines = "".join(f"M{self._x(tick):.1f} 0V{bottom:g}" for tick in ticks)
        words = [
            f'<text x="{self._x(tick):.1f}" y="{bottom + 14:g}" text-anchor="middle">{_tick_label(tick)}</text>'
            for tick in ticks
        ]
        return [f'<path d="{lines}" stroke="{INK}" stroke-opacity=".25" fill="none"/>', *words]

    def _paths(self, bars: Sequence[_Bar], row: float) -> list[str]:
        height = row * 0.8 if row > 2 else row
        drawn: dict[str, list[str]] = {part: [] for part in FILLS}
        for number, bar in enumerate(bars):
            for part, start, end in self._parts(bar):
                if width := round(self._x(end) - self._x(start), 1):
                    drawn[part].append(f"M{self._x(start):.1f} {number * row:.1f}h{width:g}v{height:.1f}h-{width:g}z")
        middle = row * len(bars) / 2
        name = f'<text x="{_LEFT - 8}" y="{middle + 4:g}" text-anchor="end">dynos</text>'
        key = _key([part for part, path in drawn.items() if path], row * len(bars) + _GAP / 2)
        paths = [f'<path d="{"".join(path)}" fill="{FILLS[part]}"/>' for part, path in drawn.items() if path]
        return [name, *key, *paths]

    def _parts(self, bar: _Bar) -> list[tuple[str, float, float]]:
        """The known parts of a bar, as (name, start, end)."""
        queue = [("queue", 0.0, bar.requested)] if self._knows_queue else []
        if bar.up is None:
            return [*queue, (bar.state, bar.requested, bar.ended)]
        return [*queue, ("boot", bar.requested, bar.up), (bar.state, bar.up, bar.ended)]

    def _curve(self, bottom: float) -> list[str]:
        peak = self.peak or 1
        points = [(0.0, 0), *_thinned(self._load, self._seconds), (self._seconds, 0)]
        path = "".join(f"H{self._x(at):.1f}V{bottom - _LOAD_HEIGHT * count / peak:.1f}" for at, count in points)
        words = f'<text x="{_LEFT - 8}" y="{bottom - _LOAD_HEIGHT + 8:g}" text-anchor="end">{self.peak:,}</text>'
        middle = bottom - _LOAD_HEIGHT / 2 + 4
        low = f'<text x="{_LEFT - 8}" y="{middle:g}" text-anchor="end">at once</text>'
        start = f"M{_LEFT} {bottom:g}"
        return [words, low, f'<path d="{start}{path}z" fill="{FILLS["running"]}" fill-opacity=".45"/>']


def _key(parts: Sequence[str], middle: float) -> list[str]:
    """The legend of the colours, in one line."""
    positions = [(_LEFT + 80 * number, part) for number, part in enumerate(parts)]
    squares = [f'<path d="M{x} {middle - 4:g}h8v8h-8z" fill="{FILLS[part]}"/>' for x, part in positions]
    names = [f'<text x="{x + 12}" y="{middle + 4:g}">{_LEGEND.get(part, part)}</text>' for x, part in positions]
    return squares + names


def _shared(bars: Sequence[_Bar], dynos_per_bar: int) -> list[_Bar]:
    """Let neighbours share a bar, from the first request to the last end; it is up when half of them are."""
    if dynos_per_bar == 1:
        return [*bars]
    shared = []
    for at in range(0, len(bars), dynos_per_bar):
        some = bars[at : at + dynos_per_bar]
        ups = [bar.up for bar in some if bar.up is not None]
        worst = min((bar.state for bar in some), key=_WORST_FIRST.index)
        shared.append(_Bar(some[0].requested, median(ups) if ups else None, max(bar.ended for bar in some), worst))
    return shared


def _load(bars: Sequence[_Bar]) -> list[tuple[float, int]]:
    """How many dynos there are from each moment on. At the same moment, an end counts before a request."""
    changes = sorted([(bar.ended, -1) for bar in bars] + [(bar.requested, 1) for bar in bars])
    return [*zip((at for at, _ in changes), accumulate(change for _, change in changes), strict=True)]


def _thinned(load: Sequence[tuple[float, int]], seconds: float) -> list[tuple[float, int]]:
    """The curve in a bounded number of steps, each the highest of the steps that it replaces."""
    if len(load) <= _MAX_STEPS:
        return [*load]
    steps, level, index = [], 0, 0
    for step in range(1, _MAX_STEPS + 1):
        highest = level
        while index < len(load) and load[index][0] <= step * seconds / _MAX_STEPS:
            level = load[index][1]
            highest = max(highest, level)
            index += 1
        steps.append(((step - 1) * seconds / _MAX_STEPS, highest))
    return steps


def _tick_label(seconds: float) -> str:
    """A label on the time axis: `0`, `0.5 s`, `20 s`, `1:30`, `2 h`."""
    if seconds < 60:
        return f"{seconds:g} s" if seconds else "0"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02}"


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
        axes = f"M{_CHART_LEFT} {_TOP}V{base}H{_CHART_WIDTH - _RIGHT}"
        drawn = [
            f'<path d="{axes}" fill="none" stroke="{INK}" stroke-opacity=".6"/>',
            f'<polyline points="{line}" fill="none" stroke="{stroke}" stroke-width="1.5"/>',
            f'<path d="{dots}" stroke="{stroke}" stroke-width="{thick}" stroke-linecap="round"/>',
            f'<path d="{crosses}" fill="none" stroke="{FILLS["failed"]}" stroke-width="2"/>',
            *self._words(base),
        ]
        return _svg(_CHART_WIDTH, _HEIGHT, drawn)

    def _points(self) -> list[tuple[float, float]]:
        """Return the points from left to right; neighbours share one if there are many."""
        known = sorted((self._x(place), value) for place, value in self.values.items())
        size = math.ceil(len(known) / _MOST_POINTS) or 1
        groups = [known[first : first + size] for first in range(0, len(known), size)]
        means = [tuple(math.fsum(part) / len(group) for part in zip(*group, strict=True)) for group in groups]
        return [(x, self._y(y)) for x, y in means]

    def _x(self, place: int) -> float:
        return _CHART_LEFT + 8 + self.at[place] * (_CHART_WIDTH - _CHART_LEFT - _RIGHT - 16)

    def _y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - 8 - self.scale.position(value) * (_HEIGHT - _TOP - _BOTTOM - 16)

    def _words(self, base: int) -> list[str]:
        left, right = _CHART_LEFT + 8, _CHART_WIDTH - _RIGHT - 8
        ends = [(self.scale.high, _TOP + 12), (self.scale.low, base - 4)][: 1 + (self.scale.high > self.scale.low)]
        words = [
            f'<text x="{_CHART_LEFT - 6}" y="{y}" text-anchor="end">{self.scale.text(value)}</text>'
            for value, y in ends
        ]
        anchors = ((left, "start"), ((left + right) / 2, "middle"), (right, "end"))
        words += [
            f'<text x="{x:g}" y="{base + 15}" text-anchor="{anchor}">{escape(label)}</text>'
            for (x, anchor), label in zip(anchors, self.labels, strict=True)
        ]
        middle = f'x="{(left + right) / 2:g}" y="{_HEIGHT - 6}" text-anchor="middle"'
        return [*words, f"<text {middle}>{escape(self.axis)}</text>"]


def _svg(width: float, height: float, parts: Iterable[str]) -> str:
    box = f'viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}"'
    font = f'font-family="system-ui,sans-serif" font-size="11" fill="{INK}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font}>{"".join(parts)}</svg>'
