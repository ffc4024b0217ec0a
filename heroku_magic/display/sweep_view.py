"""What there is to see of a sweep at one moment, as safe texts of bounded length."""

from __future__ import annotations

import time
from collections import deque
from functools import cached_property
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.display.cell_grid import CellGrid
from heroku_magic.display.timeline import Timeline
from heroku_magic.display.words import MARKS, SEPARATOR, SIGNS, duration, whole_seconds
from heroku_magic.sweeps.outcomes import STATES
from heroku_magic.text.sanitize import NAME, clean_line, clipped, mask_emails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.sweep import Sweep

# Limits, in characters.
_VALUE, _ERROR, _LOG_LINE, _LABEL, _NOTE = 30, 140, 100, 12, 160
_MAX_NOTES = 2
# By whether the view is final.
_MAX_FAILURES = {False: 3, True: 5}
_MAX_LOG_LINES = {False: 2, True: 3}
# No e-mail address that is masked is longer.
_ADDRESS = 800
_COUNT_ORDER = ("done", "running", "starting", "retried", "queued", "failed", "cancelled")
_OVER = ("done", "failed", "cancelled")


class RateMeter:
    """How fast runs end. Only the last hundred changes count, so that a slow start is soon forgotten."""

    def __init__(self) -> None:
        self._changes: deque[tuple[float, int]] = deque(maxlen=100)
        self._latest = (0.0, 0)

    def update(self, at: float, over: int) -> None:
        """Record how many runs are over at this moment."""
        self._latest = (at, over)
        if not self._changes or self._changes[-1][1] != over:
            self._changes.append(self._latest)

    @property
    def rate(self) -> float | None:
        """Runs per second; None while too few have ended."""
        (then, few), (now, many) = self._changes[0] if self._changes else self._latest, self._latest
        return (many - few) / (now - then) if many > few and now > then else None


class FailureSummary(NamedTuple):
    """A failed run: its parameters, its error, where and how often it was tried, and the end of its log."""

    name: str
    error: str
    facts: str
    log: list[str]


class SweepView:
    """What there is to see of a sweep. final: as it remains in the notebook, with a timeline."""

    def __init__(self, sweep: Sweep, meter: RateMeter | None = None, *, final: bool = False) -> None:
        states, now = bytes(sweep.states), time.time()
        self.final = final
        self.title = _safe(sweep.task)
        self.names = _safe(", ".join(sweep.names))
        self.total = len(states)
        self.counts = {state: count for state in _COUNT_ORDER if (count := states.count(STATES.index(state)))}
        self.over = sum(self.counts.get(state, 0) for state in _OVER)
        self.grid = CellGrid.of(states, [length for _, length in sweep.axes])
        self.notes = [_safe(note, _NOTE) for note in sweep.notes[-_MAX_NOTES:]]
        failures = sweep.failures(_MAX_FAILURES[final])
        self.failures = [_failure_summary(run, sweep.names, _MAX_LOG_LINES[final]) for run in failures]
        self.more_failures = max(0, self.counts.get("failed", 0) - len(self.failures))
        self._sweep = sweep
        self._rate = meter.rate if meter else None
        began = sweep.started_at
        self._seconds = max(0.0, now - began) if sweep.seconds is None and began is not None else sweep.seconds
        end = now if began is None or sweep.seconds is None else began + sweep.seconds
        self.timeline = Timeline(sweep.spans(), began, end) if final else None

    @property
    def is_over(self) -> bool:
        """Whether all runs are over."""
        return self._sweep.seconds is not None

    @property
    def state(self) -> str:
        """The state of the sweep as one: `running`, `done`, `failed` or `cancelled`."""
        if not self.is_over:
            return "running"
        return "failed" if "failed" in self.counts else "done" if self.counts.keys() <= {"done"} else "cancelled"

    @property
    def mark(self) -> str:
        """A sign for the state."""
        return MARKS[self.state]

    @property
    def counted(self) -> list[tuple[str, str]]:
        """How many runs are in each state, as (state, words)."""
        return [(state, f"{count:,} {state}") for state, count in self.counts.items()]

    @cached_property
    def facts(self) -> list[str]:
        """Size, app, time and price, as far as they are known."""
        sweep = self._sweep
        facts = [_safe(fact) for fact in (sweep.size, sweep.app) if fact]
        if self._seconds is not None:
            facts.append(duration(self._seconds) if self.is_over else whole_seconds(self._seconds))
        return facts + _price(sweep.dollars, sweep.expected_dollars, is_over=self.is_over)

    @property
    def progress(self) -> str:
        """How far the sweep is, as `61/100 · 0.9/s · 43 s left`."""
        parts = [f"{self.over:,}/{self.total:,}"]
        if self._rate:
            parts += [_rate(self._rate), f"{whole_seconds((self.total - self.over) / self._rate)} left"]
        return SEPARATOR.join(parts)

    @cached_property
    def slowest(self) -> str:
        """The run that took longest, as `region=eu, seed=7 (14.2 s)`; empty if none is known."""
        run = self._sweep.slowest()
        if run is None or run.seconds is None:
            return ""
        return f"{_run_name(run, self._sweep.names)} ({duration(run.seconds)})"

    @property
    def caption(self) -> str:
        """What the cells stand for."""
        per_cell = self.grid.runs_per_cell
        if per_cell > 1:
            return f"over {self.names}; each cell stands for {per_cell:,} runs and shows the worst"
        if not self.grid.is_labelled:
            return f"over {self.names}"
        (rows, _), *columns = self._sweep.axes
        across = ", ".join(names for names, _ in columns)
        return f"rows: {_safe(rows)}{SEPARATOR}columns: {_safe(across)}"

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The states that occur, as (state, sign)."""
        return [(state, SIGNS[state]) for state in self.counts]

    @cached_property
    def labels(self) -> list[str]:
        """The label of each row, cut and padded; empty texts where rows have none."""
        labels = ["" if row.first is None else self._label(row.first) for row in self.grid.rows]
        width = max(map(len, labels), default=0)
        return [f"{label:{width + 1}}" if width else "" for label in labels]

    def _label(self, run: int) -> str:
        combination = self._sweep.parameters(run)
        names = self._sweep.axes[0][0].split(", ")
        return _safe(", ".join(_value(combination.get(name)) for name in names), _LABEL)


def text(view: SweepView) -> str:
    """Return the sweep in words, its cells as signs."""
    cells = [view.grid.text(view.labels), " ".join(f"{sign} {state}" for state, sign in view.legend), view.caption]
    progress = [] if view.final else [view.progress]
    return "\n".join([summary(view), *progress, *cells, *details(view), *view.notes])


def summary(view: SweepView) -> str:
    """Return one line, as `simulate × 100 ● 61 done · 39 queued · standard-1x · my-app · 1 min 12 s`."""
    facts = SEPARATOR.join([*(words for _, words in view.counted), *view.facts])
    return f"{view.title} × {view.total:,} {view.mark} {facts}"


def details(view: SweepView) -> list[str]:
    """Return lines: failures with the ends of their logs, the slowest run, the times."""
    lines = []
    for run in view.failures:
        lines += [f"✗ {run.name}: {run.error}{run.facts}", *(f"    {line}" for line in run.log)]
    lines += [f"and {view.more_failures:,} more failed; sweep.runs() lists all"] if view.more_failures else []
    lines += [f"slowest: {view.slowest}"] if view.slowest else []
    return [*lines, *([SEPARATOR.join(view.timeline.facts)] if view.timeline else [])]


def _failure_summary(run: Outcome, names: Sequence[str], lines: int) -> FailureSummary:
    error = _safe(str(run.error or "").strip().partition("\n")[0], _ERROR)
    log = [_safe(line.rstrip(), _LOG_LINE) for line in run.log[-lines - 1 :]]
    log = dedent("\n".join([line for line in log if line != error[:_LOG_LINE]][-lines:])).splitlines()
    facts = [_safe(run.dyno)] if run.dyno else []
    facts += [f"{run.attempts:,} attempts"] if run.attempts > 1 else []
    return FailureSummary(_run_name(run, names), error, f" ({', '.join(facts)})" if facts else "", log)


def _run_name(run: Outcome, names: Sequence[str]) -> str:
    """Name a run by the parameters that distinguish it."""
    return _safe(", ".join(f"{name}={_value(run.parameters.get(name))}" for name in names), 2 * NAME)


def _value(value: Any) -> str:
    try:
        shown = value if isinstance(value, str) else repr(value)
    except RecursionError:
        return "…"
    return shown if len(shown) <= _VALUE else f"{shown[: _VALUE - 1]}…"


def _safe(text: str, longest: int = NAME) -> str:
    """Clean first and cut then, because visible escapes are longer."""
    return clipped(clean_line(mask_emails(text[: longest + _ADDRESS])), longest)


def _price(dollars: float | None, expected: float | None, *, is_over: bool) -> list[str]:
    if is_over or not expected:
        return [f"{_money(dollars)} at list price"] if dollars else []
    if dollars is None:
        return [f"about {_money(expected)} in total"]
    return [f"{_money(dollars)} of about {_money(expected)}"]


def _money(dollars: float) -> str:
    """Return `$12.34` or `$0.0071`: cents, or two significant digits."""
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
