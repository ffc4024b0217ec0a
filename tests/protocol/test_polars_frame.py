"""A table becomes a DataFrame of polars with the same values, or is refused by the name of the column."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from importlib.util import find_spec
from math import isnan

import numpy as np
import pandas as pd
import pytest

from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol import polars_frame
from heroku_magic.protocol.polars_frame import check_library, converted

pl = pytest.importorskip("polars", reason="polars is not installed")
pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed, or does not fit this NumPy", exc_type=ImportError)

BERLIN = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)


def column(values):
    return converted(pd.DataFrame({"c": values}), "polars")["c"]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2], "Int64", [1, 2]),
        (np.array([200, 255], "u1"), "UInt8", [200, 255]),
        (pd.array([2**62 + 1, None], "Int64"), "Int64", [2**62 + 1, None]),
        (np.array([0.5, 1.5], "f4"), "Float32", [0.5, 1.5]),
        (pd.array([0.5, None], "Float64"), "Float64", [0.5, None]),
        ([True, False], "Boolean", [True, False]),
        (pd.array([True, None], "boolean"), "Boolean", [True, None]),
        (["a", None, "ü"], "String", ["a", None, "ü"]),
        ([b"\0a", None], "Binary", [b"\0a", None]),
        ([date(2026, 1, 2), None], "Date", [date(2026, 1, 2), None]),
        ([time(1, 2, 3)], "Time", [time(1, 2, 3)]),
        (pd.to_datetime(["2026-01-02 03:04", None]), "Datetime", [pd.Timestamp(2026, 1, 2, 3, 4), None]),
        (pd.to_timedelta([90, None], "s"), "Duration", [timedelta(seconds=90), None]),
        ([Decimal("1.10"), Decimal(-2)], "Decimal", [Decimal("1.10"), Decimal("-2.00")]),
        ([[1, 2], []], "List", [[1, 2], []]),
        ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "Struct", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (pd.Categorical(["b", None, "a"]), "Categorical", ["b", None, "a"]),
        (pd.Series([], dtype=object), "String", []),
    ],
)
def test_a_column_keeps_its_type_and_values(values, dtype, expected):
    found = column(values)

    assert str(found.dtype).startswith(dtype)
    assert found.to_list() == expected


def test_null_and_nan_stay_distinct():
    nan = column([float("nan"), 1.0]).to_list()
    null = column(pd.array([None, 1.0], "Float64")).to_list()

    assert isnan(nan[0])
    assert null == [None, 1.0]


def test_a_time_zone_stays():
    found = column(pd.Series([BERLIN]).dt.tz_convert("Europe/Berlin"))

    assert found.dtype.time_zone == "Europe/Berlin"
    assert found.to_list() == [BERLIN]


def test_ordered_categories_keep_their_order():
    found = column(pd.Categorical(["low", None, "high"], ["low", "mid", "high"], ordered=True))

    assert found.dtype == pl.Enum(["low", "mid", "high"])
    assert found.to_list() == ["low", None, "high"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, "a"], dtype=object),
        pd.Series([1, 2.5], dtype=object),
        pd.Series([None, float("nan"), "x"], dtype=object),
        [{"a": 1}, {"b": 2}],
        [[1, "a"]],
        [2**70],
        [uuid.UUID(int=1)],
        np.array([1j]),
        pd.period_range("2026-01", periods=2, freq="M"),
        pd.Categorical(pd.period_range("2026-01", periods=2, freq="M")),
        pd.Series(["0.10"], dtype="string[pyarrow]").astype(pd.ArrowDtype(pa.decimal256(50, 2))),
        pd.interval_range(0, 2),
        pd.arrays.SparseArray([0, 1]),
        pd.to_datetime(["2026-01-02T00:00+05:30"]),
        pd.Categorical([1, 2], [2, 1], ordered=True),
    ],
    ids=lambda values: str(getattr(values, "dtype", values))[:20],
)
def test_a_column_without_an_exact_type_is_refused_by_name(values):
    with pytest.raises(InvalidOptions, match=r'^Column "c" \(.+\) has no exact type in polars: .+ The rows are kept'):
        column(values)


@pytest.mark.parametrize("label", [1, ("a", 2), None, pd.Timestamp("2026-01-02")])
def test_a_label_that_is_not_text_is_refused(label):
    table = pd.DataFrame([[1]], columns=pd.Index([label], tupleize_cols=False, dtype=object))

    with pytest.raises(InvalidOptions, match="is not text, as polars requires"):
        converted(table, "polars")


def test_a_column_without_a_name_stays_one():
    assert converted(pd.DataFrame({"": [1], "a": [2]}), "polars").to_dicts() == [{"": 1, "a": 2}]


def test_no_table_and_no_columns_stay_what_they_are():
    assert converted(None, "polars") is None
    assert converted(pd.DataFrame(), "polars").shape == (0, 0)
    assert converted(table := pd.DataFrame({"n": [1]}), "pandas") is table


@pytest.mark.parametrize("missing", ["polars", "pyarrow"])
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch, missing):
    monkeypatch.setattr(polars_frame, "find_spec", lambda name: None if name == missing else find_spec(name))

    with pytest.raises(ValueError, match=rf'^this needs {missing}. Run `pip install "heroku-magic\[polars\]"`$'):
        check_library("polars")
    assert check_library("pandas") == "pandas"
