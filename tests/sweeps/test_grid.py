"""grid: which runs a sweep has, in the order of nested loops; nothing is built that nobody asked for."""

from __future__ import annotations

from collections import Counter
from itertools import count, product

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.errors import InvalidParameters
from heroku_magic.sweeps.grid import grid, reservoir


def faults(each, *declared, **options):
    with pytest.raises(InvalidParameters) as caught:
        grid(each, declared or None, **options)
    return caught.value.issues


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=4)))
def test_a_grid_is_the_product_in_the_order_of_nested_loops(each):
    made = grid(each)
    expected = [dict(zip(each, row, strict=True)) for row in product(*each.values())]
    assert list(made) == expected
    assert len(made) == len(expected)
    assert [made[place] for place in range(len(made))] == expected


def test_axes_in_step_are_walked_together():
    assert list(grid({"a": [1, 2], "b": ["x", "y"]}, in_step=True)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert faults({"a": [1, 2], "b": [1]}, in_step=True) == [
        "--zip walks lists of one length in step, and a has 2, b has 1."
    ]


@pytest.mark.parametrize(
    "rows", [[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})]
)
def test_rows_make_a_run_each_and_go_with_other_axes(rows):
    made = grid({"case": rows, "c": [True]}, ["a", "b", "c"])
    assert list(made) == [{"a": 1, "b": "x", "c": True}, {"a": 2, "b": "y", "c": True}]
    assert made.names == ["a", "b", "c"]


def test_a_declared_parameter_takes_dicts_as_values():
    assert list(grid({"case": [{"a": 1}]}, ["case"])) == [{"case": {"a": 1}}]


def test_any_iterable_is_drawn_once():
    made = grid({"a": (n * n for n in range(3))})
    assert list(made) == list(made) == [{"a": 0}, {"a": 1}, {"a": 4}]
    assert list(grid({"a": pd.Series([1.5, 2.5])})) == [{"a": 1.5}, {"a": 2.5}]


def test_a_generator_of_dicts_makes_a_run_of_each():
    assert list(grid({"case": ({"a": n, "b": -n} for n in range(2))})) == [{"a": 0, "b": 0}, {"a": 1, "b": -1}]


def test_of_a_million_generated_combinations_only_the_sample_is_held():
    import tracemalloc

    tracemalloc.start()
    made = grid({"case": ({"a": n, "b": n} for n in range(10**6))}, draw=reservoir(5, seed=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made) == 5
    assert [row["a"] for row in made] == sorted({row["a"] for row in made})
    assert peak < 1_000_000


@given(st.integers(0, 30), st.integers(1, 10), st.integers())
def test_a_reservoir_takes_each_value_at_most_once_in_order(size, count, seed):
    drawn = reservoir(count, seed)(iter(range(size)))
    assert len(drawn) == min(size, count)
    assert drawn == sorted(set(drawn))
    assert set(drawn) <= set(range(size))


def test_each_value_is_as_likely_as_any_other():
    hits = Counter(value for seed in range(4000) for value in reservoir(2, seed)(iter(range(8))))
    assert min(hits.values()) > 800
    assert max(hits.values()) < 1200


def test_a_huge_grid_costs_nothing_before_it_is_asked_for():
    made = grid({"a": range(100_000), "b": range(100_000), "c": range(100)})
    assert len(made) == 10**12
    assert made[10**12 - 1] == {"a": 99_999, "b": 99_999, "c": 99}
    places = made.sample(5, seed=1)
    assert places == sorted(set(places)) == made.sample(5, seed=1)


def test_a_sample_of_all_is_all():
    assert grid({"a": [1, 2, 3]}).sample(3) == grid({"a": [1, 2, 3]}).sample(9) == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "there are no values"),
        (5, "its value is one int, not a list"),
        (None, "its value is one NoneType"),
        (
            "abc",
            "its value is text ('abc'), not a list: one run for each character? A list is Python, in braces on the line (seed={[1, 2]})",
        ),
        ({"a": 1}, "its value is one dict"),
        (count(), "its values do not end"),
    ],
)
def test_what_is_no_list_of_values_is_named(values, said):
    (fault,) = faults({"seed": values})
    assert fault.startswith(f"--each seed: {said}")


def test_all_faults_are_told_at_once():
    assert len(faults({"a": [], "b": 1, "c": "x"})) == 3
    assert faults({"rows": [{"a": 1}], "a": [1]}, "a") == ["a is given by two --each."]


def test_a_list_that_changes_later_changes_no_combination():
    seeds = [1, 2, 3]
    made = grid({"seed": seeds})
    seeds[2] = 9
    seeds.append(4)
    assert list(made) == [{"seed": 1}, {"seed": 2}, {"seed": 3}]


def test_a_table_with_two_columns_of_one_name_is_refused():
    table = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    with pytest.raises(InvalidParameters, match="--each cases: two columns are named a: rename one"):
        grid({"cases": table}, ["a", "b"])
