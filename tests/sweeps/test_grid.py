"""Tests of heroku_magic.sweeps.grid."""

from __future__ import annotations

from collections import Counter
from itertools import count, product

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.errors import InvalidParameters
from heroku_magic.sweeps.grid import grid, reservoir


def issues_of(each, *declared, **options):
    with pytest.raises(InvalidParameters) as caught:
        grid(each, declared or None, **options)
    return caught.value.issues


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=4)))
def test_a_grid_is_the_product_in_the_order_of_nested_loops(each):
    result = grid(each)
    expected = [dict(zip(each, row, strict=True)) for row in product(*each.values())]
    assert list(result) == expected
    assert len(result) == len(expected)
    assert [result[place] for place in range(len(result))] == expected


def test_axes_in_step_are_paired():
    assert list(grid({"a": [1, 2], "b": ["x", "y"]}, in_step=True)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert issues_of({"a": [1, 2], "b": [1]}, in_step=True) == [
        "--zip needs lists of the same length, but a has 2, b has 1."
    ]


@pytest.mark.parametrize(
    "rows", [[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})]
)
def test_each_row_is_a_run_and_rows_combine_with_other_axes(rows):
    result = grid({"case": rows, "c": [True]}, ["a", "b", "c"])
    assert list(result) == [{"a": 1, "b": "x", "c": True}, {"a": 2, "b": "y", "c": True}]
    assert result.names == ["a", "b", "c"]


def test_a_declared_parameter_accepts_dicts_as_values():
    assert list(grid({"case": [{"a": 1}]}, ["case"])) == [{"case": {"a": 1}}]


def test_an_iterable_is_consumed_once():
    result = grid({"a": (n * n for n in range(3))})
    assert list(result) == list(result) == [{"a": 0}, {"a": 1}, {"a": 4}]
    assert list(grid({"a": pd.Series([1.5, 2.5])})) == [{"a": 1.5}, {"a": 2.5}]


def test_each_dict_of_a_generator_is_a_run():
    assert list(grid({"case": ({"a": n, "b": -n} for n in range(2))})) == [{"a": 0, "b": 0}, {"a": 1, "b": -1}]


@pytest.mark.large
def test_a_sample_of_a_million_generated_combinations_takes_constant_memory():
    import tracemalloc

    tracemalloc.start()
    result = grid({"case": ({"a": n, "b": n} for n in range(10**6))}, draw=reservoir(5, seed=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(result) == 5
    assert [row["a"] for row in result] == sorted({row["a"] for row in result})
    assert peak < 1_000_000


@given(st.integers(0, 30), st.integers(1, 10), st.integers())
def test_a_reservoir_draws_each_value_at_most_once_and_in_order(size, count, seed):
    drawn = reservoir(count, seed)(iter(range(size)))
    assert len(drawn) == min(size, count)
    assert drawn == sorted(set(drawn))
    assert set(drawn) <= set(range(size))


def test_a_reservoir_draws_all_values_with_equal_probability():
    hits = Counter(value for seed in range(4000) for value in reservoir(2, seed)(iter(range(8))))
    assert min(hits.values()) > 800
    assert max(hits.values()) < 1200


def test_a_huge_grid_is_built_on_demand():
    result = grid({"a": range(100_000), "b": range(100_000), "c": range(100)})
    assert len(result) == 10**12
    assert result[10**12 - 1] == {"a": 99_999, "b": 99_999, "c": 99}
    places = result.sample(5, seed=1)
    assert places == sorted(set(places)) == result.sample(5, seed=1)


def test_a_sample_is_drawn_from_more_combinations_than_len_can_return():
    result = grid({f"x{number}": range(100) for number in range(10)})
    places = result.sample(5, seed=1)
    assert places == sorted(set(places)) == result.sample(5, seed=1)
    assert max(places) < result.size == 100**10


def test_a_name_that_is_not_text_becomes_text():
    assert list(grid({1: [2]})) == [{"1": 2}]


def test_a_sample_of_the_grids_size_or_more_is_the_whole_grid():
    assert grid({"a": [1, 2, 3]}).sample(3) == grid({"a": [1, 2, 3]}).sample(9) == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "there are no values"),
        (5, "its value is a single int"),
        (None, "its value is a single NoneType"),
        (
            "abc",
            "its value is text ('abc'), not a list. Did you mean one run for each character? On the line, write a Python list in braces (seed={[1, 2]})",
        ),
        ({"a": 1}, "its value is a single dict"),
        (count(), "its values do not end"),
    ],
)
def test_anything_but_an_iterable_of_values_is_refused(values, message):
    (issue,) = issues_of({"seed": values})
    assert issue.startswith(f"--each seed: {message}")


def test_all_problems_are_reported_at_once():
    assert len(issues_of({"a": [], "b": 1, "c": "x"})) == 3
    assert issues_of({"rows": [{"a": 1}], "a": [1]}, "a") == ["a is given by two --each."]


def test_changing_a_list_later_does_not_change_the_grid():
    seeds = [1, 2, 3]
    result = grid({"seed": seeds})
    seeds[2] = 9
    seeds.append(4)
    assert list(result) == [{"seed": 1}, {"seed": 2}, {"seed": 3}]


def test_a_table_with_duplicate_column_names_is_refused():
    table = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    with pytest.raises(InvalidParameters, match=r"--each cases: two columns are named a\. Rename one"):
        grid({"cases": table}, ["a", "b"])


def test_no_parameters_at_all_have_one_combination_also_in_step():
    assert [*grid({})] == [*grid({}, in_step=True)] == [{}]
