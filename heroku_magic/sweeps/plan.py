"""Plan: what a sweep is of, and the terms on which it is run; nothing of it has begun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.sweeps.grid import Grid


@dataclass(frozen=True)
class Plan:
    """What a sweep is of: `first` is the order of its first combination; `of` makes one, as a run or as calls in one.

    places: which combinations of the grid. most_at_once: how many runs there may be, by the dynos' size.
    """

    first: RunSpec
    grid: Grid
    places: Sequence[int]
    of: Callable[[Sequence[Mapping[str, Any]], bool], RunSpec]
    most_at_once: Callable[[str | None], int]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.grid[self.places[place]]


@dataclass(frozen=True)
class Terms:
    """How a sweep is run. jobs: most runs at once, None: as many as there may be.

    retries: how often a combination is tried again that the platform failed, and with `retry_tasks` one
    whose task did. chunk: combinations in one dyno, 0: as many as its boot is worth. max_cost: dollars.
    """

    jobs: int | None = None
    retries: int = 0
    retry_tasks: bool = False
    fail_fast: bool = False
    chunk: int = 1
    max_cost: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing. Raises InvalidOptions."""
        for name, least in (("jobs", 1), ("retries", 0), ("chunk", 0)):
            check_count(name, getattr(self, name), least)
        if self.retry_tasks and not self.retries:
            raise InvalidOptions("retry_tasks is of no use without retries: how often is a failed task tried again?")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise InvalidOptions for what is no whole number from `least` on; None is none."""
    if value is not None and (type(value) is not int or value < least):
        raise InvalidOptions(f"{name} is {value!r}: expected a whole number from {least} on.")
