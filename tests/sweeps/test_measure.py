"""Tests of heroku_magic.sweeps.measure."""

from __future__ import annotations

from decimal import Decimal

import pytest

from heroku_magic.protocol.records import Rows
from heroku_magic.sweeps.measure import Measurer
from heroku_magic.sweeps.outcomes import Outcome


def ended(*tables, metrics=None, state="done"):
    """Outcomes of runs with these rows each."""
    return [
        Outcome(
            place,
            {"seed": place},
            state,
            1,
            {"seconds": 2.5, "dollars": 0.1},
            parts=[Rows(rows)],
            metrics=metrics or {},
        )
        for place, rows in enumerate(tables)
    ]


def measure(outcomes, wanted=None, names=("seed",)):
    return Measurer(lambda: outcomes, names, wanted).measure()


def test_the_first_numeric_column_that_is_neither_a_parameter_nor_an_index_is_the_default():
    rows = [{"seed": 1, "label": "a", "i": i, "x": i + 1.5, "y": 3} for i in range(3)]
    assert measure(ended(rows, rows)).name == "x"


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([{"ok": True, "n": 7}], "n"),
        ([{"text": "1", "n": 7}], "n"),
        ([{"nothing": None, "n": 7}], "n"),
        ([{"some": None, "n": 7}, {"some": 2.0, "n": 8}], "some"),
        ([{"exact": Decimal("1.5")}], "exact"),
        ([{"i": 0}, {"i": 1}], ""),
        ([{"i": 1}, {"i": 0}], "i"),
        ([{"pair": [1, 2]}], ""),
        ([], ""),
    ],
)
def test_only_numbers_are_plotted_by_default(rows, name):
    assert measure(ended(rows)).name == name


def test_an_index_in_one_run_is_a_column_once_another_run_differs():
    assert measure(ended([{"x": 0}])).name == ""
    assert measure(ended([{"x": 0}], [{"x": 5}])).values == {0: 0.0, 1: 5.0}


def test_the_title_names_how_the_rows_of_a_run_become_one_number():
    several = [{"x": 1.0}, {"x": 4.0}]
    assert measure(ended([{"x": 2.0}], [{"x": 3.0}])).title == "x"
    made = measure(ended(several, several))
    assert (made.title, made.values) == ("mean of x over 2 rows", {0: 2.5, 1: 2.5})
    assert measure(ended(several, several * 2)).title == "mean of x over 2 to 4 rows"


def test_a_metric_counts_before_the_mean_of_several_rows_and_after_a_single_row():
    made = measure(ended([{"x": 1.0}, {"x": 4.0}], metrics={"x": 9.0}), "x")
    assert (made.title, made.values) == ("last x", {0: 9.0})
    assert measure(ended([{"x": 1.0}], metrics={"x": 9.0}), "x").values == {0: 1.0}
    assert measure(ended([], metrics={"loss": 0.5}), "loss").values == {0: 0.5}


def test_missing_values_do_not_count_and_infinite_ones_are_not_drawn():
    nan, inf = float("nan"), float("inf")
    made = measure(ended([{"x": None}, {"x": 3.0}, {"x": nan}], [{"x": inf}], [{"x": 10**400}]), "x")
    assert made.values == {0: 3.0}


def test_failed_runs_have_no_number():
    assert measure(ended([{"x": 1.0}], state="failed")).values == {}


def test_none_shows_states_and_an_unknown_name_lists_what_there_is():
    outcomes = ended([{"x": 1.5, "label": "a"}], metrics={"loss": 1.0})
    assert measure(outcomes, "none").values == {}
    problem = measure(outcomes, "lost").problem
    assert problem == 'There is no number "lost" to plot. The runs have numbers in x, loss.'
    assert measure(outcomes, "seconds").values == {0: 2.5}


def test_each_run_is_read_once_as_the_sweep_goes_on():
    outcomes = ended([{"x": 1.5}])
    measurer = Measurer(lambda: outcomes, ["seed"])
    assert measurer.measure().values == {0: 1.5}
    outcomes.append(Outcome(1, {"seed": 1}, "done", 1, {}, parts=[Rows([{"x": 2.5}])]))
    outcomes[0].parts = None
    assert measurer.measure().values == {0: 1.5, 1: 2.5}
