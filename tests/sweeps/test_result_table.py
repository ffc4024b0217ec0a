"""Tests of heroku_magic.sweeps.result_table."""

from __future__ import annotations

import pytest

from heroku_magic.protocol.records import Rows
from heroku_magic.sweeps.result_table import contradiction, grid_frame


def test_a_run_without_a_parameter_has_null_in_its_column():
    runs = [
        ({"a": 1, "b": 2}, [Rows([{"a": 1, "b": 2}])]),
        ({"a": 3}, [Rows([{"a": 3}])]),
        ({"b": 4}, [Rows([{"b": 4}])]),
    ]
    df = grid_frame(runs, ["a", "b"], {})
    assert df["a"].astype(object).where(df["a"].notna(), None).tolist() == [1, 3, None]
    assert df["b"].astype(object).where(df["b"].notna(), None).tolist() == [2, None, 4]


@pytest.mark.parametrize(
    ("reported", "given", "is_wrong"),
    [
        (1, 1, False),
        ("1", 1, False),
        (2, 1, True),
        ("eu", "eu", False),
        ("us", "eu", True),
        (None, None, False),
        (1.5, "1.5", True),
    ],
)
def test_a_column_contradicts_a_parameter_unless_it_has_the_same_value_or_text(reported, given, is_wrong):
    message = contradiction([Rows([{"x": 0}]), Rows([{"n": reported}])], {"n": given})
    assert (message is not None) is is_wrong
    if message:
        assert message.startswith(f"row 1: the task reports n={reported!r}, but the run had n={given!r}")
