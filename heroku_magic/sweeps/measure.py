"""The number that each run of a sweep is coloured and plotted by: a column of its rows or one of its metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.dataframe import column_label, series
from heroku_magic.protocol.records import Rows
from heroku_magic.sweeps.result_table import without_clash
from heroku_magic.text.sanitize import NAME, clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from heroku_magic.sweeps.outcomes import Outcome

NO_PLOT = "none"  # as in `--plot none`
_NAMED = 10  # columns that a message names
_FACTS = ("seconds", "dollars")  # of a run, which can be plotted where no column has the name


@dataclass(frozen=True)
class Measure:
    """What a sweep is coloured by.

    name: of the column or metric. title: the same and how a run's number is made, as `mean of x over 10 rows`.
    values: the finite numbers by combination. outcomes: of all combinations that ended. problem: why a wanted column
    has no numbers.
    """

    name: str
    title: str
    values: Mapping[int, float]
    outcomes: Mapping[int, Outcome]
    problem: str = ""


@dataclass(slots=True)
class ColumnDigest:
    """The numbers of one column in one run. is_index: its values are 0, 1, 2 and so on."""

    rows: int = 0
    numbers: int = 0
    total: float = 0.0
    is_numeric: bool = True
    is_index: bool = True
    has_truth_values: bool = False

    def add(self, values: Iterable[Any]) -> None:
        """Count more values in; missing ones are rows without a number."""
        for value in values:
            number = _number(value)
            self.is_numeric = self.is_numeric and (number is not None or _is_missing(value))
            self.is_index = self.is_index and number == self.rows
            self.has_truth_values = self.has_truth_values or isinstance(value, bool)
            self.rows += 1
            if number is not None:
                self.numbers += 1
                self.total += number

    @property
    def mean(self) -> float | None:
        """The mean of the numbers; None without any."""
        return self.total / self.numbers if self.numbers and self.is_numeric else None


@dataclass
class _Column:
    """What is known of a column over all runs. place: the first combination that has it, and where it stands there."""

    place: tuple[int, int]
    is_candidate: bool = True
    is_index: bool = True
    digests: dict[int, ColumnDigest] = field(default_factory=dict)

    def add(self, place: int, position: int, digest: ColumnDigest) -> None:
        self.place = min(self.place, (place, position))
        self.is_candidate = self.is_candidate and digest.is_numeric and not digest.has_truth_values
        self.is_index = self.is_index and digest.is_index
        self.digests[place] = digest


class Measurer:
    """Measures the runs of a sweep as they end; each is read once.

    known: returns the outcomes so far. names: the parameters that differ. wanted: a column or metric; by default the
    first numeric column that is not a parameter and not 0, 1, 2 … in every run.
    """

    def __init__(self, known: Callable[[], list[Outcome]], names: Sequence[str], wanted: str | None = None) -> None:
        self._known, self._names = known, names
        self._wanted = wanted
        self._read = 0
        self._outcomes: dict[int, Outcome] = {}
        self._columns: dict[str, _Column] = {}
        self._metrics: set[str] = set()

    def measure(self) -> Measure:
        """Return the measure of the runs that have ended; without `values` if there is no number to show."""
        known = self._known()
        for outcome in known[self._read :]:
            self._take(outcome)
        self._read = len(known)
        name = None if self._wanted == NO_PLOT else self._wanted or self._default()
        if name is None:
            return Measure("", "", {}, self._outcomes)
        found = {place: one for place, outcome in self._outcomes.items() if (one := self._value(name, outcome))}
        values = {place: value for place, (value, _) in found.items() if value is not None and math.isfinite(value)}
        problem = "" if values else self._problem(name)
        return Measure(name, _title(name, [kind for _, kind in found.values()]), values, self._outcomes, problem)

    def _problem(self, name: str) -> str:
        """Return why there is nothing to plot."""
        if not any(outcome.state == "done" for outcome in self._outcomes.values()):
            return ""
        names = ", ".join(clean_line(one)[:NAME] for one in self.names()[:_NAMED])
        known = f"The runs have numbers in {names}." if names else "The runs have no numbers."
        return f'There is no number "{clean_line(name)[:NAME]}" to plot. {known}'

    def names(self) -> list[str]:
        """Return the columns and metrics that can be plotted."""
        columns = [name for name, column in self._columns.items() if any(map(_has_mean, column.digests.values()))]
        return [*dict.fromkeys([*columns, *sorted(self._metrics)])]

    def _take(self, outcome: Outcome) -> None:
        self._outcomes[outcome.place] = outcome
        self._metrics.update(outcome.metrics)
        for position, (name, digest) in enumerate(self._digests(outcome).items()):
            place = (outcome.place, position)
            self._columns.setdefault(name, _Column(place)).add(*place, digest)

    def _digests(self, outcome: Outcome) -> dict[str, ColumnDigest]:
        digests: dict[str, ColumnDigest] = {}
        if outcome.state == "done":
            for name, values in columns(outcome, self._names):
                digests.setdefault(name, ColumnDigest()).add(values)
        return digests

    def _default(self) -> str | None:
        fitting = [
            (column.place, name)
            for name, column in self._columns.items()
            if column.is_candidate and not column.is_index and any(one.numbers for one in column.digests.values())
        ]
        return min(fitting)[1] if fitting else None

    def _value(self, name: str, outcome: Outcome) -> tuple[float | None, int] | None:
        """Return the number of a run and the rows that it is made of (0: a metric or a fact); None without one."""
        if outcome.state != "done":
            return None
        column = self._columns.get(name)
        digest = column.digests.get(outcome.place) if column else None
        if digest is not None and (digest.rows == 1 or name not in outcome.metrics):
            return digest.mean, digest.rows
        if name in outcome.metrics:
            return outcome.metrics[name], 0
        return (outcome.facts.get(name), 1) if name in _FACTS else None


def columns(outcome: Outcome, names: Sequence[str]) -> Iterator[tuple[str, Iterable[Any]]]:
    """Yield the columns of each part of a run's rows as (name, values), without those named like a parameter."""
    for part in outcome.parts or ():
        own = without_clash(part, names)
        if isinstance(own, Rows):
            found = dict.fromkeys(key for row in own.rows for key in row)
            listed = [(name, [row.get(name) for row in own.rows]) for name in found]
        else:
            listed = [(str(column_label(name, one)), series(one).tolist()) for name, one in own.columns.items()]
        yield from ((name, values) for name, values in listed if name not in names)


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, Real | Decimal) else None
    except (OverflowError, ValueError):
        return None
    return None if number is None or math.isnan(number) else number


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or the null of pandas."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, Real) and _number(value) is None)


def _has_mean(digest: ColumnDigest) -> bool:
    return digest.mean is not None


def _title(name: str, rows: Iterable[int]) -> str:
    counts = sorted(set(rows))
    several = [count for count in counts if count > 1]
    parts = [name] * (1 in counts) + [f"last {name}"] * (0 in counts)
    if several:
        least = f"{several[0]:,} to " if several[0] < several[-1] else ""
        parts.append(f"mean of {name} over {least}{several[-1]:,} rows")
    return " or ".join(parts) or name
