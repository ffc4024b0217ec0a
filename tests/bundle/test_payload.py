"""Values are encoded for a dyno, and a DataFrame arrives with its types and its index."""

from __future__ import annotations

import datetime as dt
import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.bundle.payload import encode
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol import columns
from heroku_magic.protocol.typed_decoder import Decoder
from heroku_magic.text.secret import Secret

FLOATS = st.floats(width=32)
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6)
FIRST, LAST = pd.Timestamp("1950-01-01").to_pydatetime(), pd.Timestamp("2150-01-01").to_pydatetime()


def column(values, dtype):
    return st.lists(values, min_size=4, max_size=4).map(lambda items: pd.Series(items, dtype=dtype))


COLUMNS = st.one_of(
    column(st.integers(-(2**63), 2**63 - 1), "int64"),
    column(st.integers(0, 255), "uint8"),
    column(st.none() | st.integers(-(2**31), 2**31 - 1), "Int32"),
    column(FLOATS, "float64"),
    column(FLOATS, "float32"),
    column(st.none() | st.floats(width=32, allow_nan=False), "Float64"),
    column(st.booleans(), "bool"),
    column(st.none() | st.booleans(), "boolean"),
    column(TEXT, None),
    column(st.none() | TEXT, "string"),
    column(st.sampled_from(["a", "b", None]), "category"),
    column(st.none() | st.datetimes(FIRST, LAST), "datetime64[ns]"),
    column(st.datetimes(FIRST, LAST), "datetime64[ns]").map(
        lambda one: one.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    ),
    column(st.none() | st.integers(-(10**9), 10**9), "timedelta64[ns]"),
)
INDEXES = st.one_of(
    st.just(pd.RangeIndex(4)),
    st.just(pd.RangeIndex(4, name="row")),
    st.just(pd.RangeIndex(8, 0, -2)),
    st.lists(st.integers(0, 9), min_size=4, max_size=4).map(lambda items: pd.Index(items, name="k")),
    st.lists(TEXT, min_size=4, max_size=4).map(pd.Index),
    st.lists(st.tuples(TEXT, st.integers(0, 3)), min_size=4, max_size=4).map(
        lambda pairs: pd.MultiIndex.from_tuples(pairs, names=["name", None])
    ),
    st.just(pd.date_range("2026-01-01", periods=4, tz="UTC", name="day")),
    st.just(pd.Index([("a", 1), None, dt.date(2026, 1, 31), 2**70], dtype="object", tupleize_cols=False)),
    st.just(pd.MultiIndex([[2**53 + 1, 5], [dt.date(2026, 1, 31)]], [[0, -1, 1, 0], [0, 0, 0, -1]], names=[1, ("a",)])),
    st.just(pd.period_range("2026-01", periods=4, freq="M")),
)
LABELS = (
    TEXT | st.integers() | st.booleans() | st.tuples(TEXT, st.integers()) | st.dates() | st.just(pd.Timestamp(FIRST))
)


def decoded(values):
    text, body = encode(values)
    return {name: Decoder(body, columns.build_frame).decode(form) for name, form in json.loads(text).items()}


@pytest.mark.large
@settings(max_examples=150, deadline=None)
@given(st.dictionaries(LABELS, COLUMNS, max_size=4), INDEXES)
def test_any_small_table_makes_the_round_trip_unchanged(columns, index):
    df = pd.DataFrame(dict(enumerate(series.array for series in columns.values())), index=index)
    kinds = {*map(type, columns)}
    df.columns = pd.Index([*columns], dtype=None if len(kinds) == 1 else "object", tupleize_cols=False)
    back = decoded({"df": df})["df"]

    assert [*map(str, back.dtypes)] == [*map(str, df.dtypes)]
    assert [*map(type, back.columns)] == [*map(type, df.columns)]
    assert back.index.nlevels == 1 or [*map(list, back.index.levels)] == [*map(list, index.levels)]
    pd.testing.assert_frame_equal(back, df, check_column_type=False, check_freq=False)


def test_two_tables_and_a_plain_value_can_be_combined():
    one, other = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": ["x", None, "y"]}, index=["p", "q", "r"])
    found = decoded({"one": one, "n": 3, "other": other})

    pd.testing.assert_frame_equal(found["other"], other)
    pd.testing.assert_frame_equal(found["one"], one)
    assert found["n"] == 3


@pytest.mark.large
def test_a_table_of_several_chunks_arrives_complete():
    df = pd.DataFrame({"x": np.zeros(300_000), "w": ["word"] * 300_000})

    assert len(json.loads(encode({"df": df})[0])["df"]["chunks"]) > 1
    pd.testing.assert_frame_equal(decoded({"df": df})["df"], df)


def refused(value):
    with pytest.raises(InvalidParameters) as caught:
        encode({"v": value})
    return str(caught.value)


def test_a_table_that_cannot_be_encoded_is_refused_with_the_reason():
    assert "presigned URL" in refused(pd.DataFrame({"x": np.zeros(10_000_000)}))
    assert "presigned URL" in refused(np.zeros(10_000_000))
    assert "an item of column 'o' of v is of type object" in refused(pd.DataFrame({"o": [object()]}))
    assert "of type object" in refused(pd.DataFrame([[1]], columns=[object()]))
    assert "column 'x' of v has the dtype Sparse" in refused(pd.DataFrame({"x": pd.arrays.SparseArray([0, 1])}))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({1j: [1]}),
        pd.DataFrame({"x": np.array([1, 2], dtype="longdouble")}),
    ],
)
def test_a_table_whose_columns_rows_cannot_show_arrives(table):
    pd.testing.assert_frame_equal(decoded({"v": table})["v"], table)


def test_plain_values_are_encoded_as_themselves():
    values = {"n": 3, "t": [1, None, {"a": "x"}], "f": 0.5, "b": True}
    text, body = encode(values)
    assert (json.loads(text), body) == (values, b"")


@pytest.mark.parametrize(
    ("value", "kind"), [(print, "function"), (lambda x: x, "function"), (pd, "module"), (dict, "class")]
)
def test_functions_modules_and_classes_are_refused(value, kind):
    assert (
        f"v: a {kind} cannot be passed as a value. Import or define it in the code that runs on the dyno."
        in refused(value)
    )


def test_a_secret_is_refused_and_not_shown():
    assert "a secret is passed by name only" in refused(Secret("hunter2-hunter2"))
    assert "hunter2" not in refused(Secret("hunter2-hunter2"))


def test_a_value_without_an_exact_form_is_refused_with_its_place():
    assert "v[1]['k'] is of type fractions.Fraction, and cannot be passed exactly" in refused(
        [0, {"k": Fraction(1, 3)}]
    )
    recursive = []
    recursive.append(recursive)
    assert "0… contains itself" in refused(recursive)
    assert len(refused(recursive)) < 250
