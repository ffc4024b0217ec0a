from __future__ import annotations

import pytest
from fake_sweep import CODE

from heroku_magic.display.cell_grid import MAX_CELLS, CellGrid
from heroku_magic.display.words import SIGNS
from heroku_magic.sweeps.outcomes import STATES


def states(*names):
    return bytes(CODE[name] for name in names)


def shape(count, *lengths):
    grid = CellGrid.of(bytes(count), lengths)
    return len(grid.rows), grid.width, grid.is_labelled


def test_each_state_has_a_different_sign():
    assert SIGNS.keys() == set(STATES)
    assert len(set(SIGNS.values())) == len(STATES)
    assert {len(sign) for sign in SIGNS.values()} == {1}


def test_cells_are_in_grid_order():
    grid = CellGrid.of(states("done", "failed", "queued", "running", "retried", "starting", "cancelled"), [7])
    (row,) = grid.rows
    assert "".join(SIGNS[state] for state in row.states) == "■✗·●↻○□"


@pytest.mark.parametrize(
    ("count", "lengths", "expected"),
    [
        (100, (2, 50), (2, 50, True)),
        (30, (5, 6), (5, 6, True)),
        (60, (2, 3, 10), (2, 30, True)),
        (1_000, (2, 500), (20, 50, True)),
        (1_000, (500, 2), (20, 50, False)),
        (50, (50, 1), (1, 50, False)),
        (202, (2, 101), (5, 50, False)),
        (40, (), (1, 40, False)),
        (100, (100,), (2, 50, False)),
        (97, (97,), (2, 50, False)),
        (1, (1,), (1, 1, False)),
        (0, (), (0, 1, False)),
    ],
)
def test_each_row_belongs_to_one_value_of_the_first_axis_if_it_fits(count, lengths, expected):
    assert shape(count, *lengths) == expected


def test_a_partial_grid_has_no_labels():
    assert not CellGrid.of(bytes(99), [2, 50]).is_labelled


def test_the_second_row_of_a_value_has_no_label():
    assert [row.first for row in CellGrid.of(bytes(200), [2, 100]).rows] == [0, None, 100, None]


@pytest.mark.parametrize("count", [1_001, 2_000, 99_999, 100_000])
def test_beyond_a_thousand_runs_a_cell_stands_for_several(count):
    grid = CellGrid.of(bytes(count), [2, count // 2])
    cells = sum(len(row.states) for row in grid.rows)
    assert cells <= MAX_CELLS
    assert (cells - 1) * grid.runs_per_cell < count <= cells * grid.runs_per_cell
    assert not grid.is_labelled


@pytest.mark.parametrize(
    ("mixed", "shown"),
    [
        (("done", "failed", "running"), "failed"),
        (("done", "retried", "running"), "retried"),
        (("done", "cancelled", "queued"), "cancelled"),
        (("done", "running", "queued"), "running"),
        (("done", "queued"), "queued"),
        (("done", "done"), "done"),
    ],
)
def test_a_cell_shows_the_worst_of_its_runs(mixed, shown):
    grid = CellGrid.of(bytes(1_998) + states(*mixed), [])
    assert grid.rows[-1].states[-1] == shown
