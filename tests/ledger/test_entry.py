"""Rows and tables come back from their compressed form exactly as they went in."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
import pytest

from heroku_magic.bundle.payload import table_chunks
from heroku_magic.ledger.entry import DamagedEntry, pack, read_parts, unpack, write_parts
from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import read_table

TYPED = pd.DataFrame(
    {
        "i8": np.array([1, 2, 3], "int8"),
        "f": [0.1, np.nan, -0.0],
        "c": pd.Categorical(["a", "b", "a"], ordered=True),
        "t": pd.to_datetime(["2026-01-01", None, "2026-01-03"]).tz_localize("Europe/Berlin"),
        "n": pd.array([1, None, 3], "Int64"),
        "s": pd.Series(["\ud800", "x", ""], dtype=object),
        7: [2**70, -1, 0],
    }
)


def _again(parts):
    return read_parts(zlib.compress(write_parts(parts)))


@pytest.mark.parametrize(
    "table", [TYPED, TYPED.drop(columns=["s", 7]), TYPED.iloc[:0]], ids=["text", "binary", "empty"]
)
def test_a_table_keeps_its_dtypes_and_its_values(table):
    parts = [read_table(header, body) for _, header, body in table_chunks(table)]
    expected = frame(parts, {})
    assert _again(parts) == parts
    pd.testing.assert_frame_equal(frame(_again(parts), {}), expected)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"n": 1}, {"n": None, "x": [1, {"a": 2.5}]}],
        [{"big": 2**70, "text": "\udc80 \U0001f600"}],
        [{"inf": float("inf"), "zero": -0.0, "bool": True}],
    ],
)
def test_rows_keep_their_values_and_whether_they_are_verified(rows):
    parts = [Rows(rows), Rows(rows, verified=False)]
    assert repr(_again(parts)) == repr(parts)


@pytest.mark.parametrize("value", [(1, 2), {3, 4}, b"x", 1j, {"a": {5: None}}, "text", None])
def test_values_of_functions_keep_their_types(value):
    (part,) = _again([Rows([{"value": value}], typed=True)])
    assert part == Rows([{"value": value}], typed=True)
    assert type(part.rows[0]["value"]) is type(value)


def test_a_value_without_an_exact_form_is_refused():
    with pytest.raises(TypeError, match="is of type"):
        write_parts([Rows([{"value": object()}], typed=True)])


@pytest.mark.parametrize("data", [b"", b"no zlib", zlib.compress(b"m\xc1"), zlib.compress(b"j{")])
def test_a_damaged_entry_is_reported(data):
    with pytest.raises(DamagedEntry, match="This entry of the history is damaged"):
        unpack(data)


def test_any_plain_value_can_be_packed():
    value = {"a": [1, 2**80, "\ud800", None, 0.5]}
    assert unpack(pack(value)) == value
    assert unpack(pack([1, "a"])) == [1, "a"]
