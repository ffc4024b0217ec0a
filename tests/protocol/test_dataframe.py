"""Rows become a DataFrame with its facts as an attribute."""

from __future__ import annotations

import struct
import sys

import pytest

from heroku_magic.protocol.dataframe import frame, partial_frame, table
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import read_table


def numbers(name, dtype, *values):
    """A table of one column in wire format: all first bytes of the numbers, then all second bytes, and so on."""
    data = struct.pack(f"<{len(values)}{'d' if dtype == 'float64' else 'q'}", *values)
    column = {"name": name, "coding": "numbers", "dtype": dtype, "numbers": dtype}
    body = b"".join(data[index::8] for index in range(8))
    return read_table({"rows": len(values), "columns": [column], "sizes": [len(data)]}, body)


def test_columns_are_in_order_of_first_appearance():
    df = frame([Rows([{"b": 1, "a": 2}]), Rows([{"c": 3, "a": 4}])], {})

    assert list(df.columns) == ["b", "a", "c"]
    assert df.loc[1, "c"] == 3


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        *(([1, 2], "int64"), ([1, None], "Int64"), ([2**62 + 1, None], "Int64"), ([2**63, 1], "object")),
        *(([True, False], "bool"), ([True, None], "boolean"), ([True, 1], "object")),
        *(([1.5, 2], "float64"), ([1.5, None], "Float64"), ([2**60, 0.5], "object")),
        *(([[1], [2]], "object"), ([[1, 2], None], "object"), ([None, None], "object"), (["a", 1], "object")),
    ],
)
def test_a_column_has_the_narrowest_dtype_that_preserves_each_value(values, dtype):
    made = table([{"x": value} for value in values])["x"]

    assert made.dtype == dtype
    assert made.astype(object).where(made.notna(), None).tolist() == values


def test_no_rows_give_an_empty_table():
    df = frame([Rows([])], {"run": "hm-1"})

    assert df.shape == (0, 0)
    assert df.attrs["heroku"] == {"run": "hm-1"}


def test_the_name_of_one_tables_columns_is_not_that_of_the_next():
    first, second = (frame([Rows([{"i": 1}])], {}) for _ in range(2))
    first.columns.name = "mine"
    assert (second.columns.name, frame([Rows([{"i": 1}])], {}).columns.name) == (None, None)


def test_the_frame_keeps_its_own_copy_of_the_facts():
    facts = {"run": "hm-1"}
    df = frame([Rows([{"a": 1}])], facts)
    facts["run"] = "changed"

    assert df.head().attrs["heroku"] == {"run": "hm-1"}


def test_a_table_without_rows_still_has_its_columns():
    assert list(table([], ["dyno", "state"]).columns) == ["dyno", "state"]


def test_an_empty_table_does_not_widen_the_dtype_of_another():
    big = 2**60 + 1
    df = frame([numbers("x", "float64"), numbers("x", "int64", big, 2)], {})
    assert df["x"].tolist() == [big, 2]
    assert df["x"].dtype == "int64"
    assert list(frame([numbers("y", "float64"), numbers("x", "int64", 1)], {}).columns) == ["y", "x"]
    assert frame([numbers("x", "float64"), numbers("x", "float64")], {}).shape == (0, 1)


def test_rows_are_never_lost_silently_where_pandas_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas"):
        partial_frame([Rows([{"n": 1}])], {})
