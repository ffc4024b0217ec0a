"""What there is to see of a sweep at one moment, as safe texts of bounded length."""

from __future__ import annotations

import time
from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any

from heroku_magic.display import words
from heroku_magic.display.cell_grid import CellGrid, CellPainter, arrange
from heroku_magic.display.charts import LineChart, Timeline
from heroku_magic.display.sweep_runs import (
    Extreme,
    RunFile,
    RunLines,
    failure_summary,
    files_of,
    logs_of,
    run_facts,
    run_name,
    safe,
    value_text,
)
from heroku_magic.display.value_scale import ValueScale
from heroku_magic.display.words import MARKS, SEPARATOR, SIGNS, duration, unpainted, whole_seconds
from heroku_magic.platform_facts.dyno_sizes import money
from heroku_magic.sweeps.outcomes import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.display.cell_grid import CellTable
    from heroku_magic.display.words import Paint
    from heroku_magic.sweeps.measure import Measure
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.sweep import Sweep

# Limits, in characters.
_LABEL, _NOTE = 12, 160
_MAX_NOTES = 2
_NAMED_FILES = 5
# By whether the view is final.
_MAX_FAILURES = {False: 3, True: 5}
_MAX_LOG_LINES = {False: 2, True: 3}
_MAX_EXTREMES = {False: 3, True: 5}
# Bytes of all tooltips of cells: a picture that is redrawn ten times per second stays small.
_HOVER_BYTES = {False: 9_000, True: 90_000}
_MANY_CELLS = 200  # beyond which the picture of a running sweep has no tooltips
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


class SweepView:
    """What there is to see of a sweep.

    final: as it remains in the notebook. measure: what colours its cells. with_errors: whether failures are among it,
    where no exception shows them.
    """

    def __init__(
        self,
        sweep: Sweep,
        meter: RateMeter | None = None,
        *,
        final: bool = False,
        measure: Measure | None = None,
        with_errors: bool = True,
    ) -> None:
        states = bytes(sweep.states)
        self.final = final
        self.title = safe(sweep.task)
        self.names = safe(", ".join(sweep.names))
        self.total = len(states)
        self.counts = {state: count for state in _COUNT_ORDER if (count := states.count(STATES.index(state)))}
        self.over = sum(self.counts.get(state, 0) for state in _OVER)
        self._states = states
        self._measure = measure
        self.scale = ValueScale.of(measure.values.values()) if measure and measure.values else None
        self.grid = CellGrid.of(states, [length for _, length in sweep.axes])
        notes = [*sweep.notes, *([measure.problem] if final and measure and measure.problem else [])]
        self.notes, self.note_count = [safe(note, _NOTE) for note in notes[-_MAX_NOTES:]], len(notes)
        failures = sweep.failures(_MAX_FAILURES[final]) if with_errors else []
        self.failures = [failure_summary(run, sweep.names, _MAX_LOG_LINES[final]) for run in failures]
        self.more_failures = max(0, self.counts.get("failed", 0) - len(self.failures)) if with_errors else 0
        self._sweep = sweep
        self._rate = meter.rate if meter else None
        self._seconds = sweep.age if sweep.seconds is None else sweep.seconds
        end = time.time() if sweep.started_at is None else sweep.started_at + (self._seconds or 0.0)
        self.timeline = Timeline(sweep.spans(), sweep.started_at, end) if final else None

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
        facts = [safe(fact) for fact in (sweep.size, sweep.app) if fact]
        if self._seconds is not None:
            facts.append(duration(self._seconds) if self.is_over else whole_seconds(self._seconds))
        return facts + _price(sweep.dollars, sweep.expected_dollars, is_over=self.is_over)

    @property
    def progress(self) -> str:
        """How far the sweep is, as `61/100 · 0.9/s · 43 s left`, or what it waits for."""
        parts = [f"{self.over:,}/{self.total:,}", *filter(None, [safe(self._sweep.activity, _NOTE)])]
        if self._rate:
            parts += [_rate(self._rate), f"{whole_seconds((self.total - self.over) / self._rate)} left"]
        return SEPARATOR.join(parts)

    @cached_property
    def slowest(self) -> str:
        """The run that took longest, as `region=eu, seed=7 (14.2 s)`; empty if none is known."""
        run = self._sweep.slowest()
        if run is None or run.seconds is None:
            return ""
        return f"{run_name(run, self._sweep.names)} ({duration(run.seconds)})"

    @property
    def measured(self) -> str:
        """What the colours and the picture show, as `mean of x over 10 rows`; empty where they show states."""
        return safe(self._measure.title) if self._measure and self.scale else ""

    @cached_property
    def cells(self) -> CellTable:
        """The cells: a heatmap of two axes, otherwise in the order of the runs."""
        budget = _HOVER_BYTES[self.final] if self.final or len(self._sweep) <= _MANY_CELLS else 0
        painter = CellPainter(self._states, self._measure, self.scale, self._hover, budget)
        if (swapped := self._is_swapped) is None:
            return painter.of_grid(self.grid, self.labels)
        rows, columns = (length for _, length in self._sweep.axes)
        runs = [[row * columns + column for column in range(columns)] for row in range(rows)]
        down = [self._axis_label(row * columns, 0) for row in range(rows)]
        across = [self._axis_label(column, 1) for column in range(columns)]
        if swapped:
            return painter.heatmap([*zip(*runs, strict=True)], across, down)
        return painter.heatmap(runs, down, across)

    @property
    def _is_swapped(self) -> bool | None:
        """Whether the axes of a heatmap change places; None if there is no heatmap."""
        axes = self._sweep.axes
        return arrange(axes[0][1], axes[1][1]) if self.scale and len(axes) == 2 else None

    def _hover(self, run: int) -> str:
        """Return parameters, result, seconds and dyno of a run that ended."""
        measure = self._measure
        outcome = measure.outcomes.get(run) if measure else None
        if measure is None or outcome is None:
            return ""
        facts = [run_name(outcome, self._sweep.names)]
        if self.scale and run in measure.values:
            facts.append(f"{safe(measure.name)} {self.scale.text(measure.values[run])}")
        elif outcome.state != "done":
            facts.append(outcome.state)
        return SEPARATOR.join([*facts, *run_facts(outcome)])

    @cached_property
    def chart(self) -> LineChart | None:
        """The results over a single axis; None if there are several axes or no results."""
        axes, count = self._sweep.axes, len(self._states)
        if self._measure is None or self.scale is None or len(axes) != 1 or count < 2:
            return None
        name = axes[0][0]
        at, is_even = _spread([self._sweep.parameters(run).get(name) for run in range(count)])
        ends = sorted(range(count), key=at.__getitem__)
        middle = self._axis_label(ends[(count - 1) // 2], 0) if is_even and count % 2 and count > 2 else ""
        labels = [self._axis_label(ends[0], 0), middle, self._axis_label(ends[-1], 0)]
        failed = [run for run, state in enumerate(self._states) if STATES[state] == "failed"]
        return LineChart(self._measure.values, failed, at, self.scale, labels, self.measured, safe(name))

    @cached_property
    def extremes(self) -> list[Extreme]:
        """The runs with the highest and the lowest results, where neither a heatmap nor a chart shows them."""
        measure, scale = self._measure, self.scale
        if measure is None or scale is None or self.chart or self._is_swapped is not None or len(measure.values) < 2:
            return []
        most = min(_MAX_EXTREMES[self.final], len(measure.values) // 2)
        places = sorted(measure.values, key=lambda run: (-measure.values[run], run))
        chosen = [("highest", run) for run in places[:most]] + [("lowest", run) for run in places[: -most - 1 : -1]]
        return [
            Extreme(
                rank,
                run_name(measure.outcomes[run], self._sweep.names),
                scale.text(measure.values[run]),
                SEPARATOR.join(run_facts(measure.outcomes[run])),
            )
            for rank, run in chosen
        ]

    @cached_property
    def logs(self) -> list[RunLines]:
        """The ends of the logs of the first runs of a final view, those of failed ones first."""
        return logs_of(self._over(), self._sweep.names)

    @cached_property
    def files(self) -> list[RunFile]:
        """The files of a final view's runs, as many as are listed."""
        return files_of(self._over(), self._sweep.names)

    @property
    def pictures(self) -> list[RunFile]:
        """The files that are shown as pictures."""
        return [one for one in self.files if one.file.picture]

    @property
    def more_files(self) -> int:
        """How many files are not listed."""
        return sum(len(run.files) for run in self._over()) - len(self.files)

    def _over(self) -> list[Outcome]:
        """Return the runs that are over, in the grid's order; none for a view that is drawn often."""
        return sorted(self._sweep.known(), key=lambda run: run.place) if self.final else []

    @property
    def caption(self) -> str:
        """What the cells stand for."""
        if (swapped := self._is_swapped) is not None:
            first, second = (safe(names) for names, _ in self._sweep.axes)
            down, across = (second, first) if swapped else (first, second)
            return f"rows: {down}{SEPARATOR}columns: {across}"
        per_cell = self.grid.runs_per_cell
        if per_cell > 1:
            return f"over {self.names}; each cell stands for {per_cell:,} runs and shows the worst"
        if not self.grid.is_labelled:
            return f"over {self.names}"
        (rows, _), *columns = self._sweep.axes
        return f"rows: {safe(rows)}{SEPARATOR}columns: {safe(', '.join(names for names, _ in columns))}"

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The states that occur and are not shown by a result, as (state, sign)."""
        is_coloured = self.scale is not None and self.grid.runs_per_cell == 1
        return [(state, SIGNS[state]) for state in self.counts if state != "done" or not is_coloured]

    @cached_property
    def labels(self) -> list[str]:
        """The label of each row, cut and padded; empty texts where rows have none."""
        labels = ["" if row.first is None else self._axis_label(row.first, 0) for row in self.grid.rows]
        width = max(map(len, labels), default=0)
        return [f"{label:{width + 1}}" if width else "" for label in labels]

    def _axis_label(self, run: int, axis: int) -> str:
        """Return the value that a run has on an axis."""
        combination = self._sweep.parameters(run)
        names = self._sweep.axes[axis][0].split(", ")
        return safe(", ".join(value_text(combination.get(name)) for name in names), _LABEL)


def text(view: SweepView) -> str:
    """Return the sweep in words, its cells as signs."""
    legend = " ".join(f"{sign} {state}" for state, sign in view.legend)
    cells = [view.cells.text(), *([legend] if legend else []), view.caption]
    progress = [] if view.final else [view.progress]
    return "\n".join([summary(view), *progress, *cells, *_results(view), *details(view), *view.notes])


def summary(view: SweepView, paint: Paint = unpainted) -> str:
    """Return one line, as `simulate × 100 ● 61 done · 39 queued · standard-1x · my-app · 1 min 12 s`."""
    facts = SEPARATOR.join([*(paint(*counted) for counted in view.counted), *view.facts])
    return f"{view.title} × {view.total:,} {paint(view.state, view.mark)} {facts}"


def status_line(view: SweepView, width: int, paint: Paint) -> str:
    """Return as much of a running sweep as fits: first how far it is, then what needs attention, then facts."""
    line = f"{safe(view.title, width // 3)} {paint(view.state, view.mark)} {view.progress}"
    length = len(line) - len(paint(view.state, view.mark)) + len(view.mark)
    counted = [one for one in view.counted[::-1] if one[0] not in {"done", "queued"}]
    for state, text in [*counted, *(("", fact) for fact in view.facts[::-1])]:
        length += len(SEPARATOR) + len(text)
        if length > width:
            break
        line += SEPARATOR + paint(state, text)
    return line


def _results(view: SweepView) -> list[str]:
    """Return what the signs of results mean, and the highest and the lowest of them."""
    scale = view.scale
    to_high = f" ▁▂▃▄▅▆▇█ {scale.text(scale.high)}" if scale and scale.high > scale.low else ""
    lines = [f"{view.measured}: {scale.text(scale.low)}{to_high}"] if scale else []
    return lines + [f"{one.rank} {one.name}: {one.value} ({one.facts})" for one in view.extremes]


def details(view: SweepView) -> list[str]:
    """Return lines: failures with the ends of their logs, the slowest run, the times."""
    lines = []
    for run in view.failures:
        lines += run.lines()
    if view.more_failures:
        lines.append(f"and {view.more_failures:,} more failed; heroku_magic.last.failures() lists all")
    lines += [f"slowest: {view.slowest}"] if view.slowest else []
    files = ", ".join(f"{one.name}: {one.file}" for one in view.files[:_NAMED_FILES])
    more = view.more_files + len(view.files[_NAMED_FILES:])
    lines += [f"files: {files}{f', and {more:,} more' if more else ''} · {words.FILES_CODE}"] if files else []
    return [*lines, *([SEPARATOR.join(view.timeline.facts)] if view.timeline else [])]


def _spread(values: Sequence[Any]) -> tuple[list[float], bool]:
    """Return where values are on an axis, from 0 to 1, and whether they are in even steps, as all but numbers are."""
    numbers = [value for value in values if isinstance(value, int | float) and abs(value) < 1e300]
    low, high = min(numbers, default=0), max(numbers, default=0)
    if len(numbers) < len(values) or low == high or any(isinstance(value, bool) for value in values):
        return [place / max(len(values) - 1, 1) for place in range(len(values))], True
    at = [(value - low) / (high - low) for value in numbers]
    steps = sorted(at)
    return at, all(abs(one - place / (len(at) - 1)) < 0.01 for place, one in enumerate(steps))


def _price(dollars: float | None, expected: float | None, *, is_over: bool) -> list[str]:
    if is_over or not expected:
        return [f"{money(dollars)} at list price"] if dollars else []
    if dollars is None:
        return [f"about {money(expected)} in total"]
    return [f"{money(dollars)} of about {money(expected)}"]


def _rate(rate: float) -> str:
    seconds, unit = next((one for one in ((1, "s"), (60, "min")) if rate * one[0] >= 0.1), (3600, "h"))
    return f"{rate * seconds:,.1f}/{unit}"
