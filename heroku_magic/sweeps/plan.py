"""The plan of a sweep: its grid and the run of each combination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
