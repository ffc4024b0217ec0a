"""Grid: names and their values -> combinations, one a run, each made when it is asked for; it starts nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.text.sanitize import clean_line

MOST = 1_000_000  # values that are drawn from what has no length
MOST_RUNS = 1_000_000  # combinations of one sweep; more are hardly meant
MOST_DYNOS = 10_000
MOST_DRAWN = 100_000_000  # of which some are taken by chance
_ENDLESS = "its values do not end, or are more than {most:,}: take some of them (itertools.islice)."


@dataclass(frozen=True)
class Axis:
    """Values of one parameter; or rows that give several, each a dict."""

    names: tuple[str, ...]
    values: Sequence[Any] = field(repr=False)
    are_rows: bool = False

    def __getitem__(self, place: int) -> Mapping[str, Any]:
        """Return the parameters that the value at this place gives."""
        value = self.values[place]
        return value if self.are_rows else {self.names[0]: value}


@dataclass(frozen=True)
class Grid:
    """All combinations of some axes, in the order of nested loops; or all axes in step."""

    axes: tuple[Axis, ...]
    in_step: bool = False

    @property
    def names(self) -> list[str]:
        """The parameters that differ from run to run, in order."""
        return [name for axis in self.axes for name in axis.names]

    @property
    def size(self) -> int:
        """How many combinations there are, which may be more than `len()` can say."""
        sizes = [len(axis.values) for axis in self.axes]
        return min(sizes, default=0) if self.in_step else math.prod(sizes)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, place: int) -> dict[str, Any]:
        """Return one combination without drawing those before it."""
        parts = []
        for axis in reversed(self.axes):
            left, here = (place, place) if self.in_step else divmod(place, len(axis.values))
            parts.append(axis[here])
            place = left
        return {name: value for part in reversed(parts) for name, value in part.items()}

    def sample(self, count: int, seed: int | None = None) -> list[int]:
        """Return the places of some combinations, each once, in order; all where there are no more."""
        if count >= len(self):
            return list(range(len(self)))
        return sorted(random.Random(seed).sample(range(len(self)), count))  # noqa: S311 - no secret


def grid(
    each: Mapping[str, Any],
    declared: Iterable[str] | None = None,
    *,
    in_step: bool = False,
    draw: Callable[[Iterable[Any]], list[Any]] | None = None,
) -> Grid:
    """Return the grid of some names and their values. declared: the task's parameters; None takes any.

    A name that the task does not declare, and whose value is a table or a list of dicts, makes a run
    of each row. draw: takes values out of what has no length; left out, all. Raises InvalidParameters with
    every fault.

    >>> list(grid({"region": ["eu", "us"], "seed": range(2)}))[1:3]
    [{'region': 'eu', 'seed': 1}, {'region': 'us', 'seed': 0}]
    """
    known = None if declared is None else frozenset(declared)
    axes, issues = [], []
    for name, values in each.items():
        try:
            axes.append(_axis(name, values, known, draw or _all))
        except TypeError as fault:  # noqa: PERF203 - all faults at once
            issues.append(f"--each {clean_line(name)}: {fault}")
    made = Grid(tuple(axes), in_step)
    issues += _faults(made)
    if issues:
        raise InvalidParameters(issues)
    return made


def refuse_too_many(count: int, chunk: int = 1) -> None:
    """Refuse more runs than are meant. chunk: how many share a dyno; 0: that is judged while they run."""
    dynos = -(-count // chunk) if chunk else 0
    if count > MOST_RUNS:
        most, remedy = f"{MOST_RUNS:,}", "--sample K draws K of them, or make the lists shorter"
    elif dynos > MOST_DYNOS:
        most = f"{MOST_DYNOS:,} runs"
        remedy = "--sample K draws K of them, --chunk K runs K in one dyno, or make the lists shorter"
    else:
        return
    raise InvalidParameters([f"{count:,} combinations are more than {most}: {remedy}."])


def reservoir(count: int, seed: int | None = None) -> Callable[[Iterable[Any]], list[Any]]:
    """Return what draws some values by chance out of any number, in their order, and never holds more.

    >>> reservoir(3, seed=1)(n * n for n in range(1000))
    [16129, 64516, 458329]
    """

    def draw(values: Iterable[Any]) -> list[Any]:
        chance, kept = random.Random(seed), []  # noqa: S311 - no secret
        for place, value in enumerate(islice(values, MOST_DRAWN + 1)):
            if place == MOST_DRAWN:
                raise TypeError(_ENDLESS.format(most=MOST_DRAWN))
            if place < count:
                kept.append((place, value))
            elif (other := chance.randrange(place + 1)) < count:
                kept[other] = place, value
        return [value for _, value in sorted(kept, key=itemgetter(0))]

    return draw


def _all(values: Iterable[Any]) -> list[Any]:
    drawn = list(islice(values, MOST + 1))
    if len(drawn) > MOST:
        raise TypeError(_ENDLESS.format(most=MOST))
    return drawn


def _axis(name: str, values: Any, declared: frozenset[str] | None, draw: Callable[[Iterable[Any]], list[Any]]) -> Axis:
    if hasattr(values, "to_dict") and hasattr(values, "columns"):
        values = _records(values)
    drawn = _drawn(name, values, draw)
    if not drawn:
        raise TypeError("there are no values, so there is nothing to run.")
    rows = None if declared is not None and name in declared else _rows(drawn)
    if rows is not None:
        return Axis(tuple(dict.fromkeys(key for row in rows for key in row)), rows, are_rows=True)
    return Axis((name,), drawn)


def _records(table: Any) -> list[dict[str, Any]]:
    """The rows of a DataFrame, of pandas or polars."""
    names = [str(name) for name in table.columns]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise TypeError(f"two columns are named {clean_line(twice[0][:60])}: rename one.")
    return table.to_dicts() if hasattr(table, "to_dicts") else table.to_dict("records")  # type: ignore[no-any-return]


def _rows(values: Sequence[Any]) -> list[Mapping[str, Any]] | None:
    """The rows of a list of dicts; None: it is none."""
    if not isinstance(values, range) and all(isinstance(row, Mapping) for row in values):
        return [{str(name): value for name, value in row.items()} for row in values]
    return None


def _drawn(name: str, values: Any, draw: Callable[[Iterable[Any]], list[Any]]) -> Sequence[Any]:
    """All values of an axis, as long as they are not too many to be meant."""
    if isinstance(values, str | bytes):
        told = clean_line(repr(values)[:40])
        raise TypeError(
            f"its value is text ({told}), not a list: one run for each character? A list is Python, in braces on the "
            f"line ({name}={{[1, 2]}}), without in a body."
        )
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        kind = type(values).__name__
        raise TypeError(f"its value is one {kind}, not a list of them: give a list, a range, any iterable.")
    if isinstance(values, range | tuple):
        return values
    if isinstance(values, list):
        return [*values]  # the notebook may change it while the sweep goes on
    return _all(values) if hasattr(values, "__len__") else draw(values)


def _faults(made: Grid) -> list[str]:
    """What is wrong with the axes together."""
    issues = [f"{name} is given by two --each." for name in dict.fromkeys(made.names) if made.names.count(name) > 1]
    sizes = {", ".join(axis.names): len(axis.values) for axis in made.axes}
    if made.in_step and len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        issues.append(f"--zip walks lists of one length in step, and {told}.")
    return issues
