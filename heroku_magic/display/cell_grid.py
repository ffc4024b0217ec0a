"""States of many runs -> rows of cells that fit a notebook, a bounded number of them; it writes no markup.

    Picture.of(states, [2, 50])     # 100 runs over two axes: 2 rows of 50 cells
    Picture.of(states, [])          # in any order: rows of 50 cells
    Picture.of(100_000 states, [])  # 1,000 cells, each the worst of 100 runs

A row never goes on from one value of the first axis to the next, where that can be had.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.sweeps.outcomes import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 1_000  # cells: a page draws so many ten times a second
WIDE, NARROW, USUAL = 60, 20, 50  # cells in a row, at most, at least, and where nothing speaks for another number
LABELS = 30  # rows that are named for their values; more would be a list

SIGNS = {"queued": "·", "starting": "○", "running": "●", "retried": "↻", "done": "■", "failed": "✗", "cancelled": "□"}
# Of several runs in one cell the worst is shown; what is under way is worse than what waits, which is worse than done.
_BADNESS = ("done", "queued", "starting", "running", "cancelled", "retried", "failed")
_TO_BADNESS = bytes.maketrans(bytes(range(len(STATES))), bytes(map(_BADNESS.index, STATES)))


@dataclass(frozen=True)
class Row:
    """Cells beside each other: a state each. first: the run that the row begins with, if it begins a value."""

    states: list[str]
    first: int | None = None


@dataclass(frozen=True)
class Picture:
    """All cells. each: so many runs are one cell. width: cells in a row. columns: runs of a value of the first axis."""

    rows: list[Row]
    each: int
    width: int
    columns: int

    @classmethod
    def of(cls, states: bytes, lengths: Sequence[int]) -> Picture:
        """Lay out states, a byte each, an index into STATES. lengths: of the axes, empty if there are none."""
        each = math.ceil(len(states) / MOST) or 1
        columns = _columns(len(states), lengths) if each == 1 else 0
        width = _width(columns or math.ceil(len(states) / each))
        cells = _cells(states, each)
        starts = range(0, len(cells), width)
        rows = [Row(cells[at : at + width], at if columns and at % columns == 0 else None) for at in starts]
        return cls(rows, each, width, columns)

    @property
    def is_labelled(self) -> bool:
        """Whether rows are named for what they begin with."""
        return any(row.first is not None for row in self.rows)

    def text(self, labels: Sequence[str]) -> str:
        """Return the cells as signs, a line a row, each after its label."""
        rows = zip(labels, self.rows, strict=True)
        return "\n".join(label + "".join(SIGNS[state] for state in row.states) for label, row in rows)


def _cells(states: bytes, each: int) -> list[str]:
    if each == 1:
        return [STATES[state] for state in states]
    worst = states.translate(_TO_BADNESS)
    return [_BADNESS[max(worst[at : at + each])] for at in range(0, len(worst), each)]


def _columns(count: int, lengths: Sequence[int]) -> int:
    """How many runs a value of the first axis has; 0: the rows are not to be named."""
    if len(lengths) < 2 or math.prod(lengths) != count:
        return 0
    columns = count // lengths[0]
    fits = columns > 1 and columns % _width(columns) == 0 and count // _width(columns) <= LABELS
    return columns if fits else 0


def _width(count: int) -> int:
    """The longest row that divides this many cells evenly; the usual one where none does."""
    if count <= WIDE:
        return max(count, 1)
    return next((width for width in range(WIDE, NARROW - 1, -1) if count % width == 0), USUAL)
