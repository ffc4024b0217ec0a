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
    """What a sweep runs.

    first: the run of the first combination. indices: the combinations of the grid that run.
    make_spec: returns the run of one combination, or of several as calls in one dyno.
    most_at_once: the largest number of concurrent runs by dyno size. attached: parameters of a task that travel over
    a connection, so that neither a journal nor the ledger can hold them.
    """

    first: RunSpec
    grid: Grid
    indices: Sequence[int]
    make_spec: Callable[[Sequence[Mapping[str, Any]], bool], RunSpec]
    most_at_once: Callable[[str | None], int]
    attached: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.grid[self.indices[index]]

    @property
    def axes(self) -> list[tuple[str, int]]:
        """Names and lengths of the grid's axes; empty if not all combinations of them run."""
        is_product = not self.grid.in_step and len(self) == self.grid.size
        return [(", ".join(axis.names), len(axis.values)) for axis in self.grid.axes] if is_product else []
