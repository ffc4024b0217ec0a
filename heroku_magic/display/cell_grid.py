"""The runs of a sweep as rows of cells that fit a notebook, with colours, labels and tooltips of bounded size.

Cells show the states of runs, or their results where those are known. The results of two axes form a heatmap.

    CellGrid.of(states, [2, 50])     # 100 runs over two axes: 2 rows of 50 cells
    CellGrid.of(states, [])          # no axes: rows of 50 cells
    CellGrid.of(100_000 states, [])  # 1,000 cells, each the worst of 100 runs

Where possible, each row belongs to one value of the first axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.display.words import CELL_STYLES, SIGNS
from heroku_magic.sweeps.outcomes import STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heroku_magic.display.value_scale import ValueScale
    from heroku_magic.sweeps.measure import Measure

# A page can redraw so many cells ten times per second.
MAX_CELLS = 1_000
# Cells per row: the most, the fewest, and the number where no other fits better.
_WIDEST, _NARROWEST, _USUAL = 60, 20, 50
_MAX_LABELS = 30
# A cell of several runs shows the worst of them: running counts as worse than waiting, and waiting as worse than done.
_BADNESS = ("done", "queued", "starting", "running", "cancelled", "retried", "failed")
_TO_BADNESS = bytes.maketrans(bytes(range(len(STATES))), bytes(map(_BADNESS.index, STATES)))
_MOST_COLUMNS, _USUAL_ROWS = 60, 30  # of a heatmap
# Cells with their numbers in them: the most cells, and the most characters of a row.
_MOST_NUMBERS, _WIDEST_ROW = 300, 84
_LONGEST_LABEL = 7  # of a column whose cells hold numbers
_TICK = 10  # columns between two labels where cells are narrow


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


class Cell(NamedTuple):
    """One run or several: what it shows, its style, and its tooltip."""

    text: str
    style: str
    hover: str = ""


class LabelledRow(NamedTuple):
    """Neighbouring cells after a label, which is empty where rows have none."""

    label: str
    cells: list[Cell]


class CellTable(NamedTuple):
    """All cells. header: labels of columns and how many columns each spans. width: columns, each of `characters`."""

    rows: list[LabelledRow]
    header: list[tuple[str, int]]
    width: int
    characters: int = 1

    @property
    def has_numbers(self) -> bool:
        """Whether the cells show numbers."""
        return self.characters > 1

    @property
    def is_labelled(self) -> bool:
        """Whether rows have labels."""
        return any(row.label for row in self.rows)

    def text(self) -> str:
        """Return a line per row, labels first."""
        lines = [row.label + "".join(cell.text for cell in row.cells) for row in self.rows]
        indent = " " * (len(self.rows[0].label) if self.rows else 0)
        head = [(indent + "".join(label.ljust(span * self.characters) for label, span in self.header)).rstrip()]
        return "\n".join([*(head if self.header else []), *lines])


class CellPainter:
    """Makes cells of the states of runs, and of their numbers where these are known.

    hover: returns the tooltip of a run. budget: characters of all tooltips together.
    """

    def __init__(
        self, states: bytes, measure: Measure | None, scale: ValueScale | None, hover: Callable[[int], str], budget: int
    ) -> None:
        self._states = states
        self._values = measure.values if measure and scale else {}
        self._known = measure.outcomes if measure else {}
        self._scale = scale
        self._hover = hover
        self._left = budget

    def of_grid(self, grid: CellGrid, labels: Sequence[str]) -> CellTable:
        """Paint rows of cells in the order of the runs."""
        rows, at = [], 0
        for row, label in zip(grid.rows, labels, strict=True):
            is_single = grid.runs_per_cell == 1
            cells = [
                self._cell(at + index, state) if is_single else Cell(SIGNS[state], CELL_STYLES[state])
                for index, state in enumerate(row.states)
            ]
            rows.append(LabelledRow(label, cells))
            at += len(row.states)
        return CellTable(rows, [], grid.width)

    def heatmap(self, runs: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str]) -> CellTable:
        """Paint a table of runs below the labels of its columns: with their numbers where there is room."""
        scale, count = self._scale, len(columns)
        texts = [scale.text(value) for value in self._values.values()] if scale else []
        characters = 2 + max(map(len, [*texts, *(label[:_LONGEST_LABEL] for label in columns)]), default=1)
        pad = max(map(len, rows), default=0) + 1
        labels = [f"{label:{pad}}" for label in rows]
        if characters * count <= _WIDEST_ROW and count * len(rows) <= _MOST_NUMBERS:
            header = [(label[:_LONGEST_LABEL].center(characters), 1) for label in columns]
        else:
            characters = 1
            header = _ticks(columns)
        painted = [[self._cell(run, STATES[self._states[run]], characters) for run in row] for row in runs]
        return CellTable([*map(LabelledRow, labels, painted)], header, count, characters)

    def _cell(self, run: int, state: str, characters: int = 1) -> Cell:
        value, hover = self._values.get(run), self._next_hover(run)
        if value is None or self._scale is None:
            is_unknown = state == "done" and bool(self._values)
            style = "background:#2953;color:#888" if is_unknown else CELL_STYLES[state]
            return Cell(("-" if is_unknown else SIGNS[state]).center(characters), style, hover)
        colour = self._scale.colour(value)
        if characters == 1:
            return Cell(self._scale.sign(value), f"background:{colour}", hover)
        style = f"background:{colour};color:{self._scale.ink(value)}"
        return Cell(self._scale.text(value).center(characters), style, hover)

    def _next_hover(self, run: int) -> str:
        if self._left <= 0 or run not in self._known:
            return ""
        text = self._hover(run)
        self._left -= len(text.encode()) + 5 * sum(map(text.count, "&<>\"'")) + 9
        return text


def arrange(rows: int, columns: int) -> bool | None:
    """Return whether rows and columns have to change places for a heatmap; None if it has no room either way."""
    if rows * columns > MAX_CELLS or min(rows, columns) > _MOST_COLUMNS:
        return None
    return columns > _MOST_COLUMNS or (rows > _USUAL_ROWS and columns < rows <= _MOST_COLUMNS)


def _ticks(columns: Sequence[str]) -> list[tuple[str, int]]:
    step = min(_TICK, max(len(columns), 1))
    spans = [(at, min(step, len(columns) - at)) for at in range(0, len(columns), step)]
    return [(columns[at][: max(span - 1, 1)].ljust(span), span) for at, span in spans]
