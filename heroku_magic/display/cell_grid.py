"""The states of many runs as rows of cells that fit a notebook, a bounded number of them.

    CellGrid.of(states, [2, 50])     # 100 runs over two axes: 2 rows of 50 cells
    CellGrid.of(states, [])          # no axes: rows of 50 cells
    CellGrid.of(100_000 states, [])  # 1,000 cells, each the worst of 100 runs

Where possible, each row belongs to one value of the first axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.display.words import SIGNS
from heroku_magic.sweeps.outcomes import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

# A page can redraw so many cells ten times per second.
MAX_CELLS = 1_000
# Cells per row: the most, the fewest, and the number where no other fits better.
_WIDEST, _NARROWEST, _USUAL = 60, 20, 50
_MAX_LABELS = 30
# A cell of several runs shows the worst of them: running counts as worse than waiting, and waiting as worse than done.
_BADNESS = ("done", "queued", "starting", "running", "cancelled", "retried", "failed")
_TO_BADNESS = bytes.maketrans(bytes(range(len(STATES))), bytes(map(_BADNESS.index, STATES)))


@dataclass(frozen=True)
class CellRow:
    """The states of neighbouring cells. first: the run that begins a value of the first axis, if this row does."""

    states: list[str]
    first: int | None = None


@dataclass(frozen=True)
class CellGrid:
    """All cells. runs_per_cell: so many runs share a cell. width: cells per row."""

    rows: list[CellRow]
    runs_per_cell: int
    width: int

    @classmethod
    def of(cls, states: bytes, lengths: Sequence[int]) -> CellGrid:
        """Lay out states, each a byte that is an index into STATES. lengths: of the axes, empty if there are none."""
        per_cell = math.ceil(len(states) / MAX_CELLS) or 1
        columns = _columns(len(states), lengths) if per_cell == 1 else 0
        width = _width(columns or math.ceil(len(states) / per_cell))
        cells = _cells(states, per_cell)
        starts = range(0, len(cells), width)
        rows = [CellRow(cells[at : at + width], at if columns and at % columns == 0 else None) for at in starts]
        return cls(rows, per_cell, width)

    @property
    def is_labelled(self) -> bool:
        """Whether rows are labelled with the values that they begin."""
        return any(row.first is not None for row in self.rows)

    def text(self, labels: Sequence[str]) -> str:
        """Return the cells as signs, one line per row, each after its label."""
        rows = zip(labels, self.rows, strict=True)
        return "\n".join(label + "".join(SIGNS[state] for state in row.states) for label, row in rows)


def _cells(states: bytes, per_cell: int) -> list[str]:
    if per_cell == 1:
        return [STATES[state] for state in states]
    badness = states.translate(_TO_BADNESS)
    return [_BADNESS[max(badness[at : at + per_cell])] for at in range(0, len(badness), per_cell)]


def _columns(count: int, lengths: Sequence[int]) -> int:
    """How many runs belong to each value of the first axis; 0 if rows cannot be labelled."""
    if len(lengths) < 2 or math.prod(lengths) != count:
        return 0
    columns = count // lengths[0]
    fits = columns > 1 and columns % _width(columns) == 0 and count // _width(columns) <= _MAX_LABELS
    return columns if fits else 0


def _width(count: int) -> int:
    """The longest row that divides this many cells evenly, or the usual one."""
    if count <= _WIDEST:
        return max(count, 1)
    return next((width for width in range(_WIDEST, _NARROWEST - 1, -1) if count % width == 0), _USUAL)
