"""Tables and rows below each other keep every value, and labels, time zones and Arrow's types arrive as they were."""

from __future__ import annotations

import datetime as dt
import io
import struct
import zoneinfo
from decimal import Decimal
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from dateutil import tz
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.protocol import columns
from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.tables import read_table

BIG = 2**53 + 1  # the first integer that no float represents
ODD = "ab\ud83d"  # text with half a character
ODD_CATEGORY = pd.Categorical(pd.Series([ODD], dtype="object"))


@pytest.fixture(scope="module")
def joined(sent):
    """Return a function that sends tables and rows, each a run of its own, and returns the one DataFrame."""

    def join(*parts, chunk=1_000_000):
        def script(sender):
            for part in parts:
                (sender.table if isinstance(part, pd.DataFrame) else sender.rows)(part)

        decoder, _ = sent(script, chunk)
        assert decoder.is_verified
        return frame(decoder.parts, {})

    return join


def table(**columns):
    """Return a table of columns, each a list of values, or values and a dtype."""
    return pd.DataFrame({name: pd.Series(column[0], dtype=(*column, None)[1]) for name, column in columns.items()})


def values(column):
    """Return the values of a column, with None for each null and NaN only where a mask tells it from null."""
    is_masked = hasattr(column.array, "_mask")
    nulls = column.array._mask if is_masked else column.isna()
    if column.dtype == object:
        nulls = [value is None for value in column]
    return [None if null else value for value, null in zip(column.tolist(), nulls, strict=True)]


def is_same(value, expected):
    """Whether two values are equal, exactly: Python compares an int and a float without rounding."""
    are_nan = isinstance(value, float) and isinstance(expected, float) and np.isnan(value) and np.isnan(expected)
    return are_nan or (value == expected and (value is None) == (expected is None))


def pieces(dtype, items):
    return st.lists(items, min_size=1, max_size=4).map(lambda given: ("table", pd.Series(given, dtype=dtype), given))


INT_LIMITS = [-(2**63), -BIG, -1, 0, 1, 2**53, BIG, 2**63 - 1]
PIECES = st.one_of(
    st.integers(1, 3).map(lambda count: ("missing", count, [None] * count)),
    pieces("int64", st.sampled_from(INT_LIMITS)),
    pieces("uint64", st.sampled_from([0, 1, BIG, 2**63 - 1, 2**63, 2**64 - 1])),
    pieces("int8", st.integers(-128, 127)),
    pieces("Int64", st.none() | st.sampled_from(INT_LIMITS)),
    pieces("UInt64", st.none() | st.sampled_from([0, 2**64 - 1])),
    pieces("float64", st.floats(allow_nan=False)),
    pieces("float32", st.floats(width=32, allow_nan=False)),
    pieces("bool", st.booleans()),
    pieces("boolean", st.none() | st.booleans()),
    pieces("object", st.none()),
    pieces("object", st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.just(ODD)),
    pieces("string", st.none() | st.text("ab", max_size=2)),
    pieces(None, st.text("ab", max_size=2)),
    pieces("category", st.none() | st.sampled_from([BIG, 2, -1])),
    pieces("category", st.none() | st.sampled_from("ab")),
    st.lists(st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.just(ODD), max_size=4).map(
        lambda given: ("rows", given, given)
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=5), st.sampled_from([1, 1_000_000]))
def test_no_mix_of_types_missing_columns_and_chunks_changes_a_value(joined, parts, chunk):
    sent, expected = [], []
    for kind, data, given_values in parts:
        if kind == "rows":
            sent.append([{"other": "", "x": value} for value in data])
        else:
            columns = {} if kind == "missing" else {"x": data}
            sent.append(pd.DataFrame({"other": [""] * len(given_values), **columns}))
        expected += given_values

    df = joined(*sent, chunk=chunk)
    assert len(df) == len(expected)
    received = values(df["x"]) if "x" in df else [None] * len(df)
    assert all(map(is_same, received, expected)), (received, expected)


@pytest.mark.parametrize(
    ("parts", "dtype", "expected"),
    [
        (([BIG], None), "Int64", [BIG, None]),
        (([BIG], np.array([2**64 - 1], dtype="uint64")), "uint64", [BIG, 2**64 - 1]),
        (([-BIG], np.array([2**63 - 1], dtype="uint64")), "int64", [-BIG, 2**63 - 1]),
        (([-BIG], np.array([2**63], dtype="uint64")), "object", [-BIG, 2**63]),
        (([BIG], [0.5]), "object", [BIG, 0.5]),
        (([2**53], [0.5]), "float64", [2**53, 0.5]),
        (([0.5], None), "float64", [0.5, None]),
        (([0.5, np.nan], None), "Float64", [0.5, np.nan, None]),
        (([True], None), "boolean", [True, None]),
        (([True], [1]), "object", [True, 1]),
        (([True], [None]), "boolean", [True, None]),
        ((pd.Categorical([BIG, None]), [7]), "Int64", [BIG, None, 7]),
        ((pd.Categorical(["a"]), pd.Categorical(["a"]), None), "category", ["a", "a", None]),
        ((ODD_CATEGORY, ODD_CATEGORY, None), "category", [ODD, ODD, None]),
        ((pd.array(["a"], dtype="string"), pd.array(["b"], dtype="string"), None), "string", ["a", "b", None]),
    ],
)
def test_the_type_of_a_joined_column_is_the_narrowest_that_keeps_each_value(joined, parts, dtype, expected):
    df = joined(*(pd.DataFrame({"other": [""]} if data is None else {"other": "", "x": data}) for data in parts))

    assert df["x"].dtype == dtype
    assert all(map(is_same, values(df["x"]), expected))


@pytest.mark.parametrize("dtype", ["Int64", "Float32", "boolean"])
def test_an_empty_table_with_a_nullable_column_may_come_before_one_with_rows(joined, dtype):
    column = pd.Series([1, None], dtype=dtype)

    df = joined(*(pd.DataFrame({"x": part}) for part in (column[:0], column[:0], column, column[:0])))
    pd.testing.assert_series_equal(df["x"], column, check_names=False)


def test_times_of_different_units_and_zones_are_joined_exactly(joined):
    early, late = np.array(["2026-01-01"], dtype="M8[s]"), np.array(["2026-01-01T00:00:00.123456789"], dtype="M8[ns]")
    distant = np.array(["9026-01-01"], dtype="M8[s]")
    day = pd.Timestamp("2026-01-31")

    assert joined(table(t=[early]), table(t=[late]))["t"].tolist() == [pd.Timestamp(early[0]), pd.Timestamp(late[0])]
    assert joined(table(t=[distant]), table(t=[late]))["t"].tolist() == [
        pd.Timestamp(distant[0]),
        pd.Timestamp(late[0]),
    ]
    zones = joined(table(t=[[day.tz_localize("UTC")]]), table(t=[[day.tz_localize("Europe/Berlin")]]))["t"]
    assert [moment.isoformat() for moment in zones] == ["2026-01-31T00:00:00+00:00", "2026-01-31T00:00:00+01:00"]
    assert joined(table(t=[[day]]), table(n=[[1]]))["t"].dtype == table(t=[[day]])["t"].dtype


def test_a_text_column_without_text_keeps_its_type(joined):
    text = pd.Series(["a"]).dtype
    for df in (
        joined(table(a=[[None, None], text])),
        joined(table(a=[[None], text]), table(b=[[1]])),
        joined(table(a=[[None, None, "x", None], text]), chunk=1),
        joined(table(a=[["x"], text]), table(a=[[None], "object"])),
    ):
        assert df["a"].dtype == text


FIXED = dt.timezone(dt.timedelta(hours=-3, minutes=-30))


@pytest.mark.parametrize(
    ("zone", "arrives_as"),
    [
        (tz.tzutc(), "UTC"),
        (tz.tzoffset("EST", -5 * 3600), "UTC-05:00"),
        (FIXED, "UTC-03:30"),
        (dt.timezone(dt.timedelta(hours=1), "CET"), "UTC+01:00"),
        (dt.timezone(dt.timedelta(seconds=19_803)), "UTC+05:30:03"),
        (zoneinfo.ZoneInfo("Asia/Kolkata"), "Asia/Kolkata"),
    ],
)
def test_a_time_zone_arrives_by_its_name_or_as_its_offset(joined, zone, arrives_as):
    moments = pd.DatetimeIndex(["2026-01-31 12:00", "2026-07-31 12:00", None]).tz_localize("UTC").tz_convert(zone)
    back = joined(pd.DataFrame({"t": moments}), pd.DataFrame({"t": moments}))["t"]

    assert str(back.dtype.tz) == arrives_as
    assert [one.isoformat() for one in back.dropna()] == 2 * [one.isoformat() for one in moments.dropna()]
    assert str(joined(pd.DataFrame({"t": moments[:0]}))["t"].dtype.tz) == arrives_as


def test_a_zone_of_pytz_keeps_its_name_or_offset(joined):
    pytz = pytest.importorskip("pytz")
    for zone, name in ((pytz.timezone("Europe/Berlin"), "Europe/Berlin"), (pytz.FixedOffset(330), "UTC+05:30")):
        moment = pd.Timestamp("2026-07-31 12:00", tz="UTC").tz_convert(zone)
        back = joined(pd.DataFrame({"t": [moment]}))["t"]
        assert str(back.dtype.tz) == name
        assert back[0].isoformat() == moment.isoformat()


def test_a_zone_without_a_name_whose_offset_changes_is_refused_by_column(joined):
    # A file of time zone data, version 1 (RFC 9636): one hour ahead of UTC, two from the spring of 2026 on.
    head = struct.pack(">4sx15x6l", b"TZif", 0, 0, 0, 1, 2, 8)
    spring = struct.pack(">lBlbblbb8s", 1_774_746_000, 1, 3600, 0, 0, 7200, 1, 4, b"AAA\0BBB\0")
    nameless = zoneinfo.ZoneInfo.from_file(io.BytesIO(head + spring))
    moments = pd.DatetimeIndex(["2026-01-31", "2026-07-31"]).tz_localize("UTC").tz_convert(nameless)

    with pytest.raises(TypeError, match=r"column 'when' has times in .*, whose offset changes .*tz_convert"):
        joined(pd.DataFrame({"when": moments}))
    assert joined(pd.DataFrame({"when": moments[:1]}))["when"][0].isoformat() == "2026-01-31T01:00:00+01:00"


def test_a_zone_that_this_computer_does_not_know_is_shown_in_utc_with_a_warning():
    head = {"name": "t", "coding": "numbers", "dtype": "datetime64[s, Mars/Phobos]", "numbers": "int64"}
    part = read_table({"rows": 1, "columns": [head], "sizes": [8]}, bytes([0, 1, 0, 0, 0, 0, 0, 0]))

    with pytest.warns(UserWarning, match='does not know the time zone "Mars/Phobos"'):
        assert frame([part], {})["t"].tolist() == [pd.Timestamp(256, unit="s", tz="UTC")]


DAY = pd.Timestamp("2026-01-31")
LABELS = [
    pd.RangeIndex(2),
    pd.Index([0.5, np.nan]),
    pd.Index([True, False]),
    pd.Index([2**70, "2"], dtype="object"),
    pd.Index(["1", 1], dtype="object"),
    pd.Index([None, ("a", 1)], dtype="object", tupleize_cols=False),
    pd.Index([ODD, "x"], dtype="object"),
    pd.Index([dt.date(2026, 1, 31), DAY], dtype="object"),
    pd.MultiIndex.from_tuples([("a", 1), ("b", DAY)], names=["name", None]),
    pd.DatetimeIndex([DAY, pd.Timestamp("2026-02-01")], name="day").tz_localize(FIXED),
    pd.to_timedelta(["1s", "2s"]),
    pd.period_range("2026-01", periods=2, freq="M"),
    pd.interval_range(0.5, 2.5),
]


@pytest.mark.parametrize("labels", LABELS, ids=ascii)
def test_column_labels_keep_their_types_and_names(joined, labels):
    df = pd.DataFrame([[1, 2.5]], columns=labels)
    back = joined(df, df).columns

    assert [*map(type, back)] == [*map(type, labels)]
    assert all(map(is_same, back, labels)) or back.equals(labels)
    assert back.names == labels.names
    assert back.nlevels == labels.nlevels


def test_a_label_that_cannot_be_sent_is_refused_by_name(joined):
    for label, kind in ((1j, "complex"), (Decimal(1), "Decimal"), (b"a", "bytes")):
        with pytest.raises(TypeError, match=rf"the column label .* \({kind}\) cannot be sent. Rename it"):
            joined(pd.DataFrame({label: [1]}))
    with pytest.raises(TypeError, match="two columns of the table have the same name"):
        joined(pd.DataFrame([[1, 2]], columns=[1, 1]))


def test_runs_with_labels_of_other_types_stand_beside_each_other(joined):
    df = joined(pd.DataFrame({1: [1]}), pd.DataFrame({"1": [2]}), [{"1": 3}])
    assert df.columns.tolist() == [1, "1"]
    assert values(df[1]) == [1, None, None]
    assert values(df["1"]) == [None, 2, 3]


@pytest.mark.parametrize(
    "label",
    [["int"], "int", ["tuple", [1]], ["date", "31"], ["json", [1]], ["int64", 1], ["period[M]", 2**63], [1, 2]],
)
def test_a_malformed_label_is_reported_as_damaged(sent, label):
    head = {"name": "a", "label": label, "coding": "json"}
    header = {"rows": 1, "columns": [head], "sizes": [3]}
    decoder, _ = sent(lambda sender: sender._send_packed("table", header, b"[1]"))

    assert decoder.problem().endswith("cannot be read")


def test_half_characters_lose_nothing(joined):
    text = pd.Series(["a"]).dtype
    df = joined(table(a=[[ODD, "x", None], "object"]), [{"a": ODD}, {"a": None}], table(a=[["y"]]))
    assert values(df["a"]) == [ODD, "x", None, ODD, None, "y"]
    assert str(df["a"].dtype) == str(text)
    assert values(joined(table(a=[[ODD] * 5, "object"]))["a"]) == [ODD] * 5
    assert joined(pd.DataFrame({"c": ODD_CATEGORY}))["c"].tolist() == [ODD]


def test_categories_of_any_object_keep_their_rows(joined):
    days = pd.Categorical([dt.date(2026, 1, 31), None, "2026-01-31"])
    assert values(joined(pd.DataFrame({"c": days}))["c"]) == ["2026-01-31", None, "2026-01-31"]
    pairs = pd.Categorical(pd.Index([("a", 1), ("b", 2)], tupleize_cols=False))
    assert joined(pd.DataFrame({"c": pairs}))["c"].tolist() == [["a", 1], ["b", 2]]


def test_categories_that_pandas_takes_for_the_same_are_joined_exactly(joined):
    for one, other in ((["a", 1], ["a", True]), (["a", 1], ["a", 1.0]), ([0.5, -0.0], [0.5, 0.0])):
        kinds = [pd.Categorical(given, pd.Index(given)) for given in (one, other)]
        back = joined(*(pd.DataFrame({"c": kind}) for kind in kinds))["c"]
        assert repr(back.tolist()) == repr([*one, *other])


def test_categories_that_an_earlier_helper_sent_as_equal_or_unhashable_json_keep_their_rows():
    head = {"name": "c", "coding": "codes", "dtype": "category", "numbers": "int8", "ordered": False}
    for body, expected in ((b'["x","x"]', ["x", "x"]), (b"[[1],[2]]", [[1], [2]])):
        column = {**head, "of": {"coding": "json", "dtype": "", "name": "", "rows": 2}}
        part = read_table({"rows": 3, "columns": [column], "sizes": [3, len(body)]}, b"\0\1\xff" + body)
        assert values(frame([part], {})["c"]) == [*expected, None]


def test_periods_arrive_as_periods(joined):
    df = pd.DataFrame({"p": pd.PeriodIndex(["2026-01", None, "2026-03"], freq="Q")})
    pd.testing.assert_frame_equal(joined(df), df)


ARROW = [
    ("int64", [BIG, None]),
    ("uint64", [2**64 - 1, None]),
    ("int8", [-1, None]),
    ("bool_", [True, None]),
    ("float64", [0.5, float("nan"), None]),
    ("float16", [np.float16(0.5), None]),
    ("string", ["a", None]),
    ("large_string", ["a", None]),
    ("date32", [dt.date(2026, 1, 31), None]),
    ("timestamp:ns", [DAY, None]),
    ("timestamp:us:Europe/Berlin", [DAY.tz_localize("Europe/Berlin").as_unit("us"), None]),
    ("timestamp:s:+05:30", [DAY.tz_localize("+05:30").as_unit("s"), None]),
    ("duration:ms", [pd.Timedelta(5, "ms"), None]),
    ("time64:us", [dt.time(1, 2, 3, 4), None]),
    ("decimal128:10:2", [Decimal("1.10"), None]),
]


@pytest.mark.parametrize(("name", "items"), ARROW)
def test_an_arrow_column_keeps_its_type(joined, name, items):
    pa = pytest.importorskip("pyarrow")
    kind, *options = name.split(":", 2)
    dtype = pd.ArrowDtype(getattr(pa, kind)(*(int(one) if one.isdigit() else one for one in options)))
    df = pd.DataFrame({"x": pd.Series(pa.array(items, type=dtype.pyarrow_dtype, from_pandas=False), dtype=dtype)})

    for back in (joined(df), joined(df, df, chunk=1)[: len(df)]):
        assert back["x"].dtype == dtype
        assert (
            back["x"].array.__arrow_array__().to_pylist() == pytest.approx(items, nan_ok=True)
            if name == "float64"
            else (back["x"].tolist() == df["x"].tolist() or str(back["x"].tolist()) == str(df["x"].tolist()))
        )


def test_a_dictionary_of_arrow_arrives_with_the_type_of_its_values(joined):
    pa = pytest.importorskip("pyarrow")
    for items, kind in (([DAY, None, DAY], pa.timestamp("us")), (["b", None, "a"], pa.string()), ([BIG], pa.int64())):
        array = pa.array(items, kind)
        df = pd.DataFrame({"x": pd.Series(pd.arrays.ArrowExtensionArray(array.dictionary_encode()))})
        pd.testing.assert_series_equal(joined(df)["x"], pd.Series(pd.arrays.ArrowExtensionArray(array), name="x"))


def test_a_notebook_without_pyarrow_gets_the_nearest_types_of_pandas(joined, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    df = pd.DataFrame(
        {
            "i": pd.Series([BIG, None], dtype="int64[pyarrow]"),
            "f": pd.Series(pa.array([float("nan"), None]), dtype="double[pyarrow]"),
            "t": pd.Series([DAY, None], dtype="timestamp[ns][pyarrow]"),
            "d": pd.Series(pa.array([dt.date(2026, 1, 31), None]), dtype=pd.ArrowDtype(pa.date32())),
        }
    )
    monkeypatch.setattr(columns, "importlib", SimpleNamespace(import_module=mock.Mock(side_effect=ImportError)))
    back = joined(df)

    assert [*map(str, back.dtypes[:3])] == ["Int64", "Float64", "datetime64[ns]"]
    assert values(back["i"]) == [BIG, None]
    assert all(map(is_same, values(back["f"]), [float("nan"), None]))
    assert values(back["t"]) == [DAY, None]
    assert values(back["d"]) == ["2026-01-31", None]


def test_arrow_columns_joined_with_others_keep_each_value(joined):
    pytest.importorskip("pyarrow")
    numbers, text = table(x=[[BIG, None], "int64[pyarrow]"]), table(x=[["a", None], "string"])
    assert values(joined(numbers, table(x=[[1]]))["x"]) == [BIG, None, 1]
    assert values(joined(numbers, table(x=[[0.5]]))["x"]) == [BIG, None, 0.5]
    assert values(joined(numbers, text)["x"]) == [BIG, None, "a", None]
    moments = joined(table(x=[[DAY, None], "timestamp[us][pyarrow]"]), table(x=[[DAY]]))["x"]
    assert values(moments) == [DAY, None, DAY]
