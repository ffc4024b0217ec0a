"""A sweep at one moment -> what there is to see of it, as safe texts of bounded length; it draws nothing."""

from __future__ import annotations

import time
from collections import deque
from functools import cached_property
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from heroku_magic.display.cell_grid import SIGNS, Picture
from heroku_magic.display.timeline import Timeline
from heroku_magic.display.words import SEPARATOR, duration
from heroku_magic.sweeps.outcomes import STATES
from heroku_magic.text.sanitize import NAME, clean_line, clipped, mask_emails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heroku_magic.display.timeline import Span

VALUE, ERROR, LOG, LABEL, NOTE = 30, 140, 100, 12, 160  # characters
NOTES = 2
NAMED = {False: 3, True: 5}  # failures, while it runs and in the end
LOGGED = {False: 2, True: 3}  # lines of each one's log
# No address that safetext masks is longer.
_ADDRESS = 800
_TOLD = ("done", "running", "starting", "retried", "queued", "failed", "cancelled")
_ENDED = ("done", "failed", "cancelled")


class Outcome(Protocol):
    """One run of a sweep, as far as it is shown; its texts are a stranger's."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it was made with."""

    @property
    def error(self) -> object:
        """What it failed with: a text or an exception."""

    @property
    def log(self) -> Sequence[str]:
        """The last lines of its log."""

    @property
    def seconds(self) -> float | None:
        """How long it took."""

    @property
    def attempts(self) -> int:
        """How often it was tried."""

    @property
    def dyno(self) -> str | None:
        """Where it ran last."""


class Shown(Protocol):
    """What can be shown: a sweep. All times are seconds, since 1970 or long."""

    @property
    def task(self) -> str:
        """What is run."""

    @property
    def app(self) -> str:
        """The app's name, or `embedded`."""

    @property
    def size(self) -> str | None:
        """The dynos' size."""

    @property
    def names(self) -> Sequence[str]:
        """The parameters that differ."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for the user."""

    @property
    def started_at(self) -> float | None:
        """When it began."""

    @property
    def seconds(self) -> float | None:
        """How long it took, once it is over."""

    @property
    def states(self) -> bytes:
        """A byte a combination, in the grid's order: an index into STATES."""

    @property
    def axes(self) -> Sequence[tuple[str, int]]:
        """The name of each of the grid's axes, or its names with commas, and its length; empty: it is no product."""

    @property
    def dollars(self) -> float | None:
        """The list price so far, if it is known."""

    @property
    def expected_dollars(self) -> float | None:
        """The list price of the whole, if it can be told."""

    def parameters(self, place: int) -> Mapping[str, Any]:
        """Return one combination."""

    def failures(self, most: int) -> Sequence[Outcome]:
        """Return the first runs that failed."""

    def slowest(self) -> Outcome | None:
        """Return the run that took longest."""

    def spans(self) -> Sequence[Span]:
        """Return the times of all dynos."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most so long; tell whether it is over."""


class Pace:
    """How fast runs end, by the last hundred looks that saw some end: a slow beginning is soon forgotten."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque(maxlen=100)
        self._now = (0.0, 0)

    def look(self, at: float, ended: int) -> None:
        """Take note of how many are over at this moment."""
        self._now = (at, ended)
        if not self._looks or self._looks[-1][1] != ended:
            self._looks.append(self._now)

    @property
    def rate(self) -> float | None:
        """Runs a second; None: too little was seen."""
        (then, few), (now, many) = self._looks[0] if self._looks else self._now, self._now
        return (many - few) / (now - then) if many > few and now > then else None


class Failure(NamedTuple):
    """A failed run: which one, why, where and at which try, and the end of its log."""

    which: str
    error: str
    facts: str
    log: list[str]


class SweepView:
    """What there is to see of a sweep. final: as what stays, with all that is told only in the end."""

    def __init__(self, sweep: Shown, pace: Pace | None = None, *, final: bool = False) -> None:
        states = bytes(sweep.states)
        now = time.time()
        self.final = final
        self.title = _safe(sweep.task)
        self.names = _safe(", ".join(sweep.names))
        self.total = len(states)
        self.counts = {state: count for state in _TOLD if (count := states.count(STATES.index(state)))}
        self.ended = sum(self.counts.get(state, 0) for state in _ENDED)
        self.picture = Picture.of(states, [length for _, length in sweep.axes])
        self.notes = [_safe(note, NOTE) for note in sweep.notes[-NOTES:]]
        self.failures = [_failure(run, sweep.names, LOGGED[final]) for run in sweep.failures(NAMED[final])]
        self.more_failures = max(0, self.counts.get("failed", 0) - len(self.failures))
        self._sweep = sweep
        self._seconds = _seconds(sweep, now)
        self._rate = pace.rate if pace else None
        self.timeline = Timeline(sweep.spans(), sweep.started_at, _end(sweep, now)) if final else None

    @property
    def is_over(self) -> bool:
        """Whether all runs are."""
        return self._sweep.seconds is not None

    @property
    def kind(self) -> str:
        """The state that stands for the whole."""
        if not self.is_over:
            return "running"
        return "failed" if "failed" in self.counts else "done" if self.counts.keys() <= {"done"} else "cancelled"

    @property
    def mark(self) -> str:
        """A sign for how it stands."""
        return {"running": "●", "done": "✓", "failed": "✗"}.get(self.kind, "■")

    @property
    def counted(self) -> list[tuple[str, str]]:
        """How many runs are in each state, as (state, words)."""
        return [(state, f"{count:,} {state}") for state, count in self.counts.items()]

    @cached_property
    def facts(self) -> list[str]:
        """Size, app, time, price, as far as they are known."""
        sweep = self._sweep
        place = [_safe(fact) for fact in (sweep.size, sweep.app) if fact]
        elapsed = [] if self._seconds is None else [duration(self._seconds) if self.is_over else _whole(self._seconds)]
        return [*place, *elapsed, *_price(sweep.dollars, sweep.expected_dollars, is_over=self.is_over)]

    @property
    def progress(self) -> str:
        """How far it is, as `61/100 · 0.9/s · 43 s left`."""
        told = [f"{self.ended:,}/{self.total:,}"]
        if self._rate:
            told += [_rate(self._rate), f"{_whole((self.total - self.ended) / self._rate)} left"]
        return SEPARATOR.join(told)

    @cached_property
    def slowest(self) -> str:
        """The run that took longest, as `region=eu, seed=7 (14.2 s)`; empty if none is known."""
        run = self._sweep.slowest()
        if run is None or run.seconds is None:
            return ""
        return f"{_which(run, self._sweep.names)} ({duration(run.seconds)})"

    @property
    def caption(self) -> str:
        """What the cells stand for."""
        each = self.picture.each
        if each > 1:
            return f"over {self.names}; each cell is {each:,} runs, the worst of them shown"
        if not self.picture.is_labelled:
            return f"over {self.names}"
        (rows, _), *columns = self._sweep.axes
        across = ", ".join(names for names, _ in columns)
        return f"rows: {_safe(rows)}{SEPARATOR}columns: {_safe(across)}"

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The states that are there, as (state, sign)."""
        return [(state, SIGNS[state]) for state in self.counts]

    @cached_property
    def labels(self) -> list[str]:
        """What each row begins with, cut and padded; empty texts where rows have no names."""
        labels = ["" if row.first is None else self._label(row.first) for row in self.picture.rows]
        width = max(map(len, labels), default=0)
        return [f"{label:{width + 1}}" if width else "" for label in labels]

    def _label(self, place: int) -> str:
        combination = self._sweep.parameters(place)
        return _safe(", ".join(_value(combination.get(name)) for name in self._sweep.axes[0][0].split(", ")), LABEL)


def text(view: SweepView) -> str:
    """Return the sweep in words, its cells as signs."""
    cells = [view.picture.text(view.labels), " ".join(f"{sign} {state}" for state, sign in view.legend), view.caption]
    progress = [] if view.final else [view.progress]
    return "\n".join([summary(view), *progress, *cells, *details(view), *view.notes])


def summary(view: SweepView) -> str:
    """Return one line, as `simulate × 100 ● 61 done · 39 queued · standard-1x · my-app · 1 min 12 s`."""
    told = SEPARATOR.join([*(words for _, words in view.counted), *view.facts])
    return f"{view.title} × {view.total:,} {view.mark} {told}"


def details(view: SweepView) -> list[str]:
    """Return lines: failures with the ends of their logs, the slowest run, the times."""
    lines = []
    for failure in view.failures:
        lines += [f"✗ {failure.which}: {failure.error}{failure.facts}", *(f"    {line}" for line in failure.log)]
    lines += [f"and {view.more_failures:,} more failed: sweep.runs() has them all"] if view.more_failures else []
    lines += [f"slowest: {view.slowest}"] if view.slowest else []
    return [*lines, *([SEPARATOR.join(view.timeline.facts)] if view.timeline else [])]


def _failure(run: Outcome, names: Sequence[str], lines: int) -> Failure:
    error = _safe(str(run.error or "").strip().partition("\n")[0], ERROR)
    log = [_safe(line.rstrip(), LOG) for line in run.log[-lines - 1 :]]
    log = dedent("\n".join([line for line in log if line != error[:LOG]][-lines:])).splitlines()
    facts = [_safe(run.dyno)] if run.dyno else []
    facts += [f"{run.attempts:,} tries"] if run.attempts > 1 else []
    return Failure(_which(run, names), error, f" ({', '.join(facts)})" if facts else "", log)


def _which(run: Outcome, names: Sequence[str]) -> str:
    """Name a run by what makes it differ."""
    return _safe(", ".join(f"{name}={_value(run.parameters.get(name))}" for name in names), 2 * NAME)


def _value(value: Any) -> str:
    try:
        told = value if isinstance(value, str) else repr(value)
    except RecursionError:
        return "…"
    return told if len(told) <= VALUE else f"{told[: VALUE - 1]}…"


def _safe(text: str, longest: int = NAME) -> str:
    """Clean first and cut then: what is made visible grows."""
    return clipped(clean_line(mask_emails(text[: longest + _ADDRESS])), longest)


def _seconds(sweep: Shown, now: float) -> float | None:
    if sweep.seconds is not None or sweep.started_at is None:
        return sweep.seconds
    return max(0.0, now - sweep.started_at)


def _end(sweep: Shown, now: float) -> float:
    return now if sweep.started_at is None or sweep.seconds is None else sweep.started_at + sweep.seconds


def _price(dollars: float | None, expected: float | None, *, is_over: bool) -> list[str]:
    if is_over or not expected:
        return [f"{_money(dollars)} at list price"] if dollars else []
    return [f"about {_money(expected)} in all" if dollars is None else f"{_money(dollars)} of about {_money(expected)}"]


def _money(dollars: float) -> str:
    """Return `$12.34` or `$0.0071`: cents, or two digits that tell something."""
    if dollars >= 0.1 or not dollars:
        return f"${dollars:,.2f}"
    if dollars < 0.0001:
        return "less than $0.0001"
    return f"${float(f'{dollars:.2g}'):.10f}".rstrip("0")


def _rate(rate: float) -> str:
    for seconds, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if rate * seconds >= 0.1 or unit == "h":
            break
    return f"{rate * seconds:,.1f}/{unit}"


def _whole(seconds: float) -> str:
    """Whole seconds: tenths that move are no news."""
    return f"{seconds:.0f} s" if seconds < 59.5 else duration(seconds)
