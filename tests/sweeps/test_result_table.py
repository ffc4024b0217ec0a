"""Tests of heroku_magic.sweeps.result_table."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import read_table
from heroku_magic.sweeps.result_table import column_value, contradiction, grid_frame


def test_a_run_without_a_parameter_has_null_in_its_column():
    runs = [
        ({"a": 1, "b": 2}, [Rows([{"a": 1, "b": 2}])]),
        ({"a": 3}, [Rows([{"a": 3}])]),
        ({"b": 4}, [Rows([{"b": 4}])]),
    ]
    df = grid_frame(runs, ["a", "b"], {})
    assert df["a"].astype(object).where(df["a"].notna(), None).tolist() == [1, 3, None]
    assert df["b"].astype(object).where(df["b"].notna(), None).tolist() == [2, None, 4]


def test_parameters_keep_their_exact_values_beside_each_other():
    given = [2**53 + 1, 0.5, None]
    df = grid_frame([({"n": n}, [Rows([{"x": 1}])]) for n in given], ["n"], {})
    assert df["n"].tolist() == given
    big = grid_frame([({"n": n}, [Rows([{"x": 1}])]) for n in (2**53 + 1, None)], ["n"], {})["n"]
    assert big.dtype == "Int64"
    assert big[0] == 2**53 + 1


def test_a_large_parameter_is_not_written_as_text_where_no_column_has_its_name(monkeypatch):
    monkeypatch.setattr("heroku_magic.sweeps.result_table.to_text", lambda *_: pytest.fail("this takes long"))
    assert contradiction([Rows([{"x": 1}])], {"n": np.arange(3)}) is None


def test_a_parameter_stands_beside_labels_of_several_levels_and_replaces_only_its_own_column():
    columns = [
        {"name": f"{label}", "label": ["tuple", [["json", one] for one in label]]} for label in (("n", "a"), ("x", "n"))
    ]
    header = {
        "rows": 1,
        "columns": [{**column, "coding": "json"} for column in columns],
        "sizes": [3, 3],
        "names": [["json", None], ["json", "level"]],
    }
    df = grid_frame([({"n": 7}, [read_table(header, b"[1][2]")])], ["n"], {})

    assert df.columns.tolist() == [("n", ""), ("n", "a"), ("x", "n")]
    assert df.iloc[0].tolist() == [7, 1, 2]
    numbered = {**header, "columns": [{"name": "n", "label": ["json", 1], "coding": "json"}], "sizes": [3], "names": []}
    assert grid_frame([({"n": 7}, [read_table(numbered, b"[1]")])], ["n"], {}).columns.tolist() == ["n", 1]
    assert contradiction([read_table(numbered, b"[1]")], {"n": 7}) is None


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
        (0.1, Decimal("0.1"), False),
        (0.2, Decimal("0.1"), True),
        (pd.Timestamp("2026-01-02"), date(2026, 1, 2), False),
        (pd.Timestamp("2026-01-02 03:00"), pd.Timestamp("2026-01-02 03:00"), False),
        (pd.Timestamp("2026-01-02 03:00", tz="UTC"), pd.Timestamp("2026-01-02 03:00"), True),
        ("2026-01-02T00:00:00", np.datetime64("2026-01-02"), False),
        ("2026-01-03T00:00:00", np.datetime64("2026-01-02"), True),
        ("2026-01-02T00:00:00", "2026-01-02", False),
        ("2026-01-02T03:00:00+00:00", "2026-01-02 03:00Z", False),
        (pd.Timestamp("2026-01-02 03:00"), "2026-01-02 03:00", False),
        ("2026-01-03T00:00:00", "2026-01-02", True),
    ],
)
def test_a_column_contradicts_a_parameter_unless_it_has_the_same_value_or_text(reported, given, is_wrong):
    message = contradiction([Rows([{"x": 0}]), Rows([{"n": reported}])], {"n": given})
    assert (message is not None) is is_wrong
    if message:
        shown = column_value(given)
        assert message.startswith(f"row 1: the task reports n={reported!r}, but the run had n={shown!r}")


@pytest.mark.parametrize("given", [pd.DataFrame({"n": [1]}), np.array([1j, 2])])
def test_a_column_with_the_name_of_a_table_or_an_array_contradicts_it(given):
    message = contradiction([Rows([{"n": 1}])], {"n": given})
    assert message.startswith("row 0: the task reports n=1, but the run had n=")
    assert "\n" not in message
