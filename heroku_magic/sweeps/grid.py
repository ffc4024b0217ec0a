"""The combinations of a sweep's parameters, each built when it is needed."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.text.sanitize import clean_line

MOST = 1_000_000  # values that are taken from an iterable without a length
MOST_RUNS = 1_000_000  # combinations of one sweep; more are probably a mistake
MOST_DYNOS = 10_000
MOST_SAMPLED = 100_000_000  # values from which a sample is taken
_ENDLESS = "its values do not end, or are more than {most:,}. Take some of them (itertools.islice)."

Draw = Callable[[Iterable[Any]], list[Any]]


@dataclass(frozen=True)
class Axis:
    """Values of one parameter, or rows that give several parameters, each a dict."""

    names: tuple[str, ...]
    values: Sequence[Any] = field(repr=False)
    are_rows: bool = False

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """Return the parameters of one value."""
        value = self.values[index]
        return value if self.are_rows else {self.names[0]: value}


@dataclass(frozen=True)
class Grid:
    """All combinations of some axes in the order of nested loops, or all axes in step."""

    axes: tuple[Axis, ...]
    in_step: bool = False

    @property
    def names(self) -> list[str]:
        """The parameters that differ from run to run."""
        return [name for axis in self.axes for name in axis.names]

    @property
    def size(self) -> int:
        """Number of combinations, which may exceed what `len()` can return."""
        sizes = [len(axis.values) for axis in self.axes]
        return min(sizes, default=1) if self.in_step else math.prod(sizes)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one combination without building those before it."""
        parts = []
        for axis in reversed(self.axes):
            index, at = (index, index) if self.in_step else divmod(index, len(axis.values))
            parts.append(axis[at])
        return {name: value for part in reversed(parts) for name, value in part.items()}

    def sample(self, count: int, seed: int | None = None) -> list[int]:
        """Return the sorted indices of `count` random combinations, or of all if there are no more."""
        if count >= self.size:
            return list(range(self.size))
        chance = random.Random(seed)  # noqa: S311 - not a secret
        if self.size <= sys.maxsize:
            return sorted(chance.sample(range(self.size), count))
        drawn: set[int] = set()  # Random.sample() takes no longer range
        while len(drawn) < count:
            drawn.add(chance.randrange(self.size))
        return sorted(drawn)


def grid(
    each: Mapping[str, Any],
    declared: Iterable[str] | None = None,
    *,
    in_step: bool = False,
    draw: Draw | None = None,
) -> Grid:
    """Return the grid of names and their values. Raises InvalidParameters with every problem.

    declared: the task's parameters; None accepts any. A name that the task does not declare stands for rows
    if its value is a table or a list of dicts. draw: takes values from an iterable without a length; by default all.

    >>> list(grid({"region": ["eu", "us"], "seed": range(2)}))[1:3]
    [{'region': 'eu', 'seed': 1}, {'region': 'us', 'seed': 0}]
    """
    known = None if declared is None else frozenset(declared)
    axes, issues = [], []
    for name, values in ((str(key), each[key]) for key in each):
        try:
            axes.append(_axis(name, values, known, draw or _all))
        except TypeError as fault:  # noqa: PERF203 - all problems at once
            issues.append(f"--each {clean_line(name)}: {fault}")
    result = Grid(tuple(axes), in_step)
    names, sizes = result.names, [f"{', '.join(axis.names)} has {len(axis.values)}" for axis in axes]
    issues += [f"{name} is given by two --each." for name in dict.fromkeys(names) if names.count(name) > 1]
    if in_step and len({len(axis.values) for axis in axes}) > 1:
        issues.append(f"--zip needs lists of the same length, but {', '.join(sizes)}.")
    if issues:
        raise InvalidParameters(issues)
    return result


def refuse_too_many(count: int, chunk: int) -> None:
    """Raise InvalidParameters for too many runs. chunk: combinations per dyno; 0 if decided while the sweep runs."""
    dynos = -(-count // chunk) if chunk else 0
    if count > MOST_RUNS or dynos > MOST_DYNOS:
        most = f"{MOST_RUNS:,}" if count > MOST_RUNS else f"{MOST_DYNOS:,} runs"
        chunk_hint = "" if count > MOST_RUNS else " --chunk K runs K in one dyno,"
        remedy = f"--sample K draws K of them,{chunk_hint} or make the lists shorter."
        raise InvalidParameters([f"{count:,} combinations are more than {most}: {remedy}"])


def reservoir(count: int, seed: int | None = None) -> Draw:
    """Return a function that samples `count` values of an iterable in their order, in constant memory.

    >>> reservoir(3, seed=1)(n * n for n in range(1000))
    [16129, 64516, 458329]
    """

    def draw(values: Iterable[Any]) -> list[Any]:
        chance, kept = random.Random(seed), []  # noqa: S311 - not a secret
        for index, value in enumerate(islice(values, MOST_SAMPLED + 1)):
            if index == MOST_SAMPLED:
                raise TypeError(_ENDLESS.format(most=MOST_SAMPLED))
            if index < count:
                kept.append((index, value))
            elif (other := chance.randrange(index + 1)) < count:
                kept[other] = index, value
        return [value for _, value in sorted(kept, key=itemgetter(0))]

    return draw


def _all(values: Iterable[Any]) -> list[Any]:
    drawn = list(islice(values, MOST + 1))
    if len(drawn) > MOST:
        raise TypeError(_ENDLESS.format(most=MOST))
    return drawn


def _axis(name: str, values: Any, declared: frozenset[str] | None, draw: Draw) -> Axis:
    if hasattr(values, "to_dict") and hasattr(values, "columns"):
        values = _records(values)
    drawn = _values(name, values, draw)
    if not drawn:
        raise TypeError("there are no values, so there is nothing to run.")
    is_parameter = declared is not None and name in declared
    if is_parameter or isinstance(drawn, range) or not all(isinstance(row, Mapping) for row in drawn):
        return Axis((name,), drawn)
    rows = [{str(column): value for column, value in row.items()} for row in drawn]
    return Axis(tuple(dict.fromkeys(column for row in rows for column in row)), rows, are_rows=True)


def _records(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a DataFrame of pandas or polars."""
    names = [str(name) for name in table.columns]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise TypeError(f"two columns are named {clean_line(twice[0][:60])}. Rename one.")
    return table.to_dicts() if hasattr(table, "to_dicts") else table.to_dict("records")  # type: ignore[no-any-return]


def _values(name: str, values: Any, draw: Draw) -> Sequence[Any]:
    """Return all values of an axis. Raises TypeError for anything but a bounded iterable of values."""
    if isinstance(values, str | bytes):
        text = clean_line(repr(values)[:40])
        raise TypeError(
            f"its value is text ({text}), not a list. Did you mean one run for each character? On the line, "
            f"write a Python list in braces ({name}={{[1, 2]}}); in the body, without."
        )
    if isinstance(values, Mapping) or not isinstance(values, Iterable):
        kind = type(values).__name__
        raise TypeError(f"its value is a single {kind}. Give a list, a range or another iterable.")
    if isinstance(values, range | tuple):
        return values
    if isinstance(values, list):
        return [*values]  # the notebook may change it while the sweep runs
    return _all(values) if hasattr(values, "__len__") else draw(values)
