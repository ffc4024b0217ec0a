"""Dynos' times -> a picture that needs no script, and the same in words; it asks nobody and displays nothing.

Above, a bar a dyno in the order of their requests: waiting for its turn, booting, running. Below, how
many there were at once. The colours are of middle tone and the ground is transparent: it is read on a
light page and on a dark one. What is not known is not drawn and not counted.
"""

from __future__ import annotations

import math
from binascii import b2a_base64
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import TYPE_CHECKING, Protocol

from heroku_magic.display.words import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BARS = 300  # more dynos than that share bars
WIDTH, LEFT, RIGHT = 720, 56, 14  # pixels
BARS_HEIGHT, BAR_MOST, LOAD_HEIGHT, GAP = 240, 12, 64, 30
STEPS = 360  # points of the lower curve
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400)

INK = "#797979"
TONES = {
    "queue": "#9a9a9a33",
    "boot": "#c08a1e",
    "done": "#229955",
    "failed": "#dd3333",
    "cancelled": "#888888",
    "running": "#7766dd",
}
WORDS = {"queue": "queued", "done": "run, done", "failed": "run, failed"}
_WORST = ("failed", "cancelled", "running", "done")
_ALSO = {"retried": "failed"}


class Span(Protocol):
    """The times of one dyno, in seconds since 1970."""

    @property
    def requested_at(self) -> float:
        """When Heroku was asked for it."""

    @property
    def up_at(self) -> float | None:
        """When it was up; None: it is not, or that is not known."""

    @property
    def ended_at(self) -> float | None:
        """When it was gone; None: it is still there."""

    @property
    def state(self) -> str:
        """What became of it."""


@dataclass(frozen=True)
class _Bar:
    """One dyno or several: from its request to its end, in seconds of the sweep."""

    requested: float
    up: float | None
    ended: float
    kind: str


class Timeline:
    """Some dynos' times. began, ended: of the sweep; began None: when the first dyno was asked for."""

    def __init__(self, spans: Iterable[Span], began: float | None, ended: float) -> None:
        ordered = sorted(spans, key=lambda span: span.requested_at)
        first = ordered[0].requested_at if ordered else ended
        self._began = first if began is None else min(began, first)
        self._knows_queue = began is not None
        self._seconds = max([ended, *(span.ended_at for span in ordered if span.ended_at)]) - self._began or 1e-3
        self._bars = [self._bar(span) for span in ordered]
        self._boots = [bar.up - bar.requested for bar in self._bars if bar.up is not None]
        self._runs = [bar.ended - bar.up for bar in self._bars if bar.up is not None and bar.kind != "running"]
        self._load = _load(self._bars)

    def __bool__(self) -> bool:
        return bool(self._bars)

    @property
    def each(self) -> int:
        """So many dynos share a bar."""
        return math.ceil(len(self._bars) / BARS) or 1

    @property
    def facts(self) -> list[str]:
        """The picture in a few words: dynos, most at once, and the middle of what is known of their times."""
        count = len(self._bars)
        times = [f"{name} {duration(median(known))}" for name, known in self._known if known]
        middle = f"{', '.join(times)}{' (medians)' if count > 1 else ''}"
        return [
            "1 dyno" if count == 1 else f"{count:,} dynos",
            f"at most {self.peak:,} at once",
            *([middle] if times else []),
        ]

    @property
    def _known(self) -> list[tuple[str, list[float]]]:
        queued = [bar.requested for bar in self._bars] if self._knows_queue else []
        return [("queued", queued), ("boot", self._boots), ("run", self._runs)]

    @property
    def peak(self) -> int:
        """The most dynos at once."""
        return max((count for _, count in self._load), default=0)

    @property
    def alt(self) -> str:
        """The picture in sentences."""
        failed = sum(bar.kind == "failed" for bar in self._bars)
        there = sum(bar.kind == "running" for bar in self._bars)
        missing = len(self._bars) - len(self._boots)
        told = [
            f"Timeline of {duration(self._seconds)}: {', '.join(self.facts)}.",
            f"The longest ran {duration(max(self._runs))}." if self._runs else "",
            f"{failed:,} failed." if failed else "",
            f"{there:,} are still there." if there else "",
            f"When {missing:,} of them were up is not known." if missing else "",
            f"Each bar stands for {self.each:,} dynos." if self.each > 1 else "",
        ]
        return " ".join(filter(None, told))

    @property
    def source(self) -> str:
        """The picture as a data URI: it is an image, so nothing in it can run."""
        return "data:image/svg+xml;base64," + b2a_base64(self.svg().encode(), newline=False).decode()

    def svg(self) -> str:
        """Return the picture as SVG, of bounded size."""
        shown = _shared(self._bars, self.each)
        row = min(BAR_MOST, BARS_HEIGHT / max(len(shown), 1))
        floor = row * len(shown) + GAP + LOAD_HEIGHT
        box = f'viewBox="0 0 {WIDTH} {floor + 24:g}" width="{WIDTH}" height="{floor + 24:g}"'
        font = f'font-family="system-ui,sans-serif" font-size="11" fill="{INK}"'
        parts = [*self._axis(floor), *self._paths(shown, row), *self._curve(floor)]
        return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font}>{"".join(parts)}</svg>'

    def _bar(self, span: Span) -> _Bar:
        requested = span.requested_at - self._began
        is_there = span.ended_at is None
        ended = max(requested, self._seconds if span.ended_at is None else span.ended_at - self._began)
        up = None if span.up_at is None else min(max(span.up_at - self._began, requested), ended)
        state = _ALSO.get(span.state, span.state)
        kind = "running" if is_there else state if state in _WORST else "cancelled"
        return _Bar(requested, up, ended, kind)

    def _x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / self._seconds

    def _axis(self, floor: float) -> list[str]:
        step = next((tick for tick in TICKS if self._seconds / tick <= 8), self._seconds / 8)
        ticks = [step * number for number in range(int(self._seconds / step) + 1)]
        lines = "".join(f"M{self._x(tick):.1f} 0V{floor:g}" for tick in ticks)
        words = [
            f'<text x="{self._x(tick):.1f}" y="{floor + 14:g}" text-anchor="middle">{_moment(tick)}</text>'
            for tick in ticks
        ]
        return [f'<path d="{lines}" stroke="{INK}" stroke-opacity=".25" fill="none"/>', *words]

    def _paths(self, bars: Sequence[_Bar], row: float) -> list[str]:
        thickness = row * 0.8 if row > 2 else row
        drawn: dict[str, list[str]] = {tone: [] for tone in TONES}
        for number, bar in enumerate(bars):
            for kind, start, end in self._parts(bar):
                if wide := round(self._x(end) - self._x(start), 1):
                    drawn[kind].append(f"M{self._x(start):.1f} {number * row:.1f}h{wide:g}v{thickness:.1f}h-{wide:g}z")
        middle = row * len(bars) / 2
        name = f'<text x="{LEFT - 8}" y="{middle + 4:g}" text-anchor="end">dynos</text>'
        key = _key([tone for tone, path in drawn.items() if path], row * len(bars) + GAP / 2)
        return [
            name,
            *key,
            *(f'<path d="{"".join(path)}" fill="{TONES[tone]}"/>' for tone, path in drawn.items() if path),
        ]

    def _parts(self, bar: _Bar) -> list[tuple[str, float, float]]:
        """What a bar consists of, as (kind, start, end), as far as it is known."""
        queue = [("queue", 0.0, bar.requested)] if self._knows_queue else []
        if bar.up is None:
            return [*queue, (bar.kind, bar.requested, bar.ended)]
        return [*queue, ("boot", bar.requested, bar.up), (bar.kind, bar.up, bar.ended)]

    def _curve(self, floor: float) -> list[str]:
        peak = self.peak or 1
        points = [(0.0, 0), *_thinned(self._load, self._seconds), (self._seconds, 0)]
        path = "".join(f"H{self._x(at):.1f}V{floor - LOAD_HEIGHT * count / peak:.1f}" for at, count in points)
        words = f'<text x="{LEFT - 8}" y="{floor - LOAD_HEIGHT + 8:g}" text-anchor="end">{self.peak:,}</text>'
        middle = floor - LOAD_HEIGHT / 2 + 4
        low = f'<text x="{LEFT - 8}" y="{middle:g}" text-anchor="end">at once</text>'
        start = f"M{LEFT} {floor:g}"
        return [words, low, f'<path d="{start}{path}z" fill="{TONES["running"]}" fill-opacity=".45"/>']


def _key(tones: Sequence[str], middle: float) -> list[str]:
    """What the colours mean, beside each other."""
    places = [(LEFT + 80 * number, tone) for number, tone in enumerate(tones)]
    squares = [f'<path d="M{x} {middle - 4:g}h8v8h-8z" fill="{TONES[tone]}"/>' for x, tone in places]
    return [*squares, *(f'<text x="{x + 12}" y="{middle + 4:g}">{WORDS.get(tone, tone)}</text>' for x, tone in places)]


def _shared(bars: Sequence[_Bar], each: int) -> list[_Bar]:
    """Let neighbours share a bar: from the first request to the last end, up when half of them were."""
    if each == 1:
        return [*bars]
    shared = []
    for at in range(0, len(bars), each):
        some = bars[at : at + each]
        ups = [bar.up for bar in some if bar.up is not None]
        worst = min((bar.kind for bar in some), key=_WORST.index)
        shared.append(_Bar(some[0].requested, median(ups) if ups else None, max(bar.ended for bar in some), worst))
    return shared


def _load(bars: Sequence[_Bar]) -> list[tuple[float, int]]:
    """How many dynos there are from which moment on; one that ends makes room for one that begins then."""
    changes = sorted([(bar.ended, -1) for bar in bars] + [(bar.requested, 1) for bar in bars])
    return [*zip((at for at, _ in changes), accumulate(change for _, change in changes), strict=True)]


def _thinned(load: Sequence[tuple[float, int]], seconds: float) -> list[tuple[float, int]]:
    """The curve in a bounded number of steps; where several fall together the highest is kept."""
    if len(load) <= STEPS:
        return [*load]
    steps, level, place = [], 0, 0
    for step in range(1, STEPS + 1):
        highest = level
        while place < len(load) and load[place][0] <= step * seconds / STEPS:
            level = load[place][1]
            highest = max(highest, level)
            place += 1
        steps.append(((step - 1) * seconds / STEPS, highest))
    return steps


def _moment(seconds: float) -> str:
    """A moment of the axis: `0`, `0.5 s`, `20 s`, `1:30`, `2 h`."""
    if seconds < 60:
        return f"{seconds:g} s" if seconds else "0"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02}"
