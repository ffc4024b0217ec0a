"""Typed JSON keeps values exactly, types included, or refuses them by place and type."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import pathlib
import sys
import time
import uuid
from collections import Counter, OrderedDict, namedtuple
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.bundle.payload import table_chunks
from heroku_magic.protocol.call_value import decode_row
from heroku_magic.protocol.columns import build_frame
from heroku_magic.protocol.typed_decoder import Decoder
from heroku_magic.protocol.typed_json import Encoder
from heroku_magic.text.redact import NO_MASK, Mask
from heroku_magic.text.secret import Secret


class Color(enum.Enum):
    RED = 1
    BLUE = "b"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


def round_trip(value, mask=NO_MASK):
    encoder = Encoder(table_chunks)
    form = json.loads(json.dumps(encoder.encode(value, "v")))
    body = __import__("base64").b64encode(encoder.body).decode()
    return decode_row({"value": form, "body": body}, mask, allow_pickle=False)["value"]


def is_exact(one, other):  # noqa: PLR0911 - one per type
    """Whether two values are equal, types, signs of zeros, NaN and folds included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, pd.DataFrame | pd.Series | pd.Index):
        return one.equals(other) and repr(one) == repr(other)
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape) == (other.dtype, other.shape) and repr(one.tolist()) == repr(other.tolist())
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_exact, one, other))
    if isinstance(one, dict):
        return all(map(is_exact, [*one], [*other])) and all(map(is_exact, one.values(), other.values()))
    return repr(one) == repr(other) if isinstance(one, dt.datetime | dt.time) else bool(one == other)


HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.datetimes(timezones=st.none() | st.timezones()),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
VALUES = st.recursive(
    HASHABLE | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HASHABLE, inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
)


@pytest.mark.large
@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_any_combination_of_plain_values_is_exact(value):
    assert is_exact(round_trip(value), value)


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.nan,
        -math.inf,
        10**5000,
        "\ud800 half",
        bytearray(b"x"),
        {"$": "tuple", "v": [1]},
        {1: "a", "1": "b", None: 0, (1, 2): 3},
        {1, 2, 3},
        complex(0.0, -0.0),
        Decimal("1.10"),
        Decimal("NaN").is_nan(),
        uuid.UUID(int=7),
        pathlib.Path("a/b"),
        pathlib.PureWindowsPath("c:/x"),
        dt.time(1, 2, 3, 4, fold=1),
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3.5), "odd")),
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
        Color.RED,
        Color.BLUE,
        Access.READ | Access.WRITE,
        Level.LOW,
        np.int8(-3),
        np.float16(0.5),
        np.bool_(True),
        np.datetime64("2026-01-31T12", "h"),
        np.str_("text"),
        np.str_("ends with \0"),
        np.bytes_(b"ends with \0"),
        np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2],
        np.zeros((0, 3), dtype="float32"),
        np.array(7),
        np.array(["a", "bcd"]),
        np.array([b"a", b"bc"]),
        np.array([("a", 1)], dtype=[("name", "U3"), ("n", "<i4")]),
        np.array([1, "x", (2, None)], dtype=object),
        np.array(["2026-01-31", "NaT"], dtype="datetime64[D]"),
        pd.Timestamp("2026-01-31 12:00:00.123456789", tz="Asia/Tokyo"),
        pd.Timestamp("9999-12-31").as_unit("s"),
        pd.Timestamp("2026-10-25 01:30", tz="UTC").tz_convert("Europe/Berlin"),
        pd.Timestamp("2026-01-31 12:00:00+05:30"),
        pd.Timedelta("1 day 3 ns"),
        pd.NaT,
        pd.NA,
        pd.Series([1.5, None], name="s", index=["a", "b"]),
        pd.Series([1, None], dtype="Int64", name=("x", 1)),
        pd.Series(pd.Categorical(["a", "b", "a"], ordered=True)),
        pd.Index([1, 2], name="k"),
        pd.RangeIndex(3, 9, 2, name="r"),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.Index(["p", "q"], name="i")),
        [pd.DataFrame({"a": [1]}), {"deep": (pd.Series([1]),)}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_exact(value):
    found = round_trip(value)
    if value is pd.NA or value is pd.NaT:
        assert found is value
    elif isinstance(value, list):
        pd.testing.assert_frame_equal(found[0], value[0])
        pd.testing.assert_series_equal(found[1]["deep"][0], value[1]["deep"][0])
    else:
        assert is_exact(found, value)


def test_an_offset_without_a_name_in_the_database_arrives_as_that_offset():
    from dateutil import tz

    moment = dt.datetime(2026, 7, 1, 12, tzinfo=tz.gettz("Europe/Berlin"))
    found = round_trip(moment)
    assert (found, found.utcoffset(), found.tzname()) == (moment, moment.utcoffset(), "CEST")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "v is of type object"),
        ([1, {"k": object}], "v[1]['k'] is of type type"),
        ((len,), "an item of v is of type builtin_function_or_method"),
        ({"c": Counter("a")}, "v['c'] is of type collections.Counter"),
        (OrderedDict(a=1), "v is of type collections.OrderedDict"),
        (namedtuple("Pair", "a b")(1, 2), "v is of type test_typed_json.Pair"),  # noqa: PYI024
        (Secret("hunter2-hunter2"), "v is of type heroku_magic.text.secret.Secret"),
        (np.ma.masked_array([1], [True]), "v is of type numpy.ma"),
        (pd.DataFrame({"o": [object()]}), "an item of column 'o' of v is of type object"),
        (np.zeros(2, dtype=[("a", "i4"), ("b", "i8")])[["b", "a"]], "v has the dtype {'names': ['b', 'a']"),
        (pd.Timestamp("2026-10-25 02:30").replace(fold=1), "a Timestamp without a time zone has fold=1"),
        (np.rec.array([(1, 2)], names="a,b")[0], "v has the dtype (numpy.record, "),
        (
            pd.date_range("2026", periods=3, freq=pd.offsets.CustomBusinessDay(weekmask="Sun Mon")),
            "v has the frequency <CustomBusinessDay>",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_other_value_is_refused_by_place_and_type(value, place):
    with pytest.raises(TypeError) as caught:
        Encoder(table_chunks).encode(value, "v")
    assert place in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [
        {"$": "os.system", "v": "true"},
        {"$": ["tuple"], "v": []},
        {"$": "tuple"},
        {"$": "array", "dtype": "|O", "shape": [1], "at": 0, "size": 8},
        {"$": "array", "dtype": "<i8", "shape": [10**9], "at": 0, "size": 8},
        {"$": "array", "dtype": "<i8", "shape": [1], "at": 0, "size": 16},
        {"$": "Enum", "v": ["os", "system", "x", None]},
        {"$": "Enum", "v": ["not_imported", "Color", "RED", None]},
        {"$": "Enum", "v": [__name__, "Color", "GREEN", None]},
        {"$": "Path", "v": 3, "pure": ""},
        {"$": "datetime", "v": "tomorrow", "fold": 0, "zone": None},
        {"$": "set", "v": [[1]]},
        {"$": "Decimal", "v": "x"},
    ],
    ids=str,
)
def test_malformed_and_hostile_values_are_errors(form):
    with pytest.raises(ValueError):
        Decoder(b"\0" * 8, list).decode(form)


def test_decoding_imports_no_module_of_the_value():
    sys.modules.pop("this", None)
    with pytest.raises(ValueError, match="this has not been imported here"):
        Decoder(b"", list).decode({"$": "Enum", "v": ["this", "Color", "RED", None]})
    assert "this" not in sys.modules


def test_secrets_in_nested_tables_and_arrays_are_masked():
    mask = Mask([Secret("hunter2-hunter2")])
    text = np.array(["a hunter2-hunter2"])
    value = [text, ("hunter2-hunter2",), {"hunter2-hunter2": 1}, pd.Series(["hunter2-hunter2"])]
    assert "hunter2" not in str(round_trip(value, mask))
    assert round_trip(pathlib.Path("/hunter2-hunter2"), mask) == pathlib.Path("/***")
    assert round_trip(b"hunter2-hunter2", mask) == b"hunter2-hunter2"  # bytes are data, not text to show


TABLES = {
    "labels that occur twice": pd.DataFrame([[1, "a"]], columns=["x", "x"]),
    "labels of several types": pd.DataFrame([[1, 2, 3]], columns=[b"x", Decimal("1.0"), Color.RED]),
    "numbered labels": pd.DataFrame(np.zeros((2, 3))),
    "narrow labels": pd.DataFrame([[1, 2]], columns=pd.Index([1, 2], dtype="int8")),
    "labels with levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("b", 1), ("a", np.nan)])),
    "one level": pd.DataFrame([[1]], columns=pd.MultiIndex.from_arrays([["a"]], names=["k"])),
    "no columns": pd.DataFrame(index=pd.Index(["a", "b"], name="n")),
    "nothing": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="int16")}, index=pd.MultiIndex.from_arrays([[], []])),
    "frequency": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026", periods=2, freq="MS", tz="Asia/Tokyo")),
    "text as objects": pd.DataFrame({"a": pd.Series(["x"], dtype=object)}, index=pd.Index(["i"], dtype=object)),
    "complex numbers": pd.DataFrame({"a": [1j, 2]}, index=pd.Index([1j, 3])),
    "swapped bytes": pd.DataFrame({"a": np.array([1, 2], dtype=">i4")}),
    "intervals": pd.DataFrame({"a": pd.cut([1, 2, 9], 2)}, index=pd.interval_range(0, 3, closed="left")),
    "categories of tuples": pd.DataFrame(
        {"a": pd.Categorical([(3, 4)], pd.Index([(1, 2), (3, 4)], tupleize_cols=False), ordered=True)}
    ),
    "named categories": pd.DataFrame({"a": pd.Categorical(["b"], pd.Index(["b"], name="letter"))}),
    "regular categories": pd.DataFrame({"a": pd.Categorical(pd.date_range("2026", periods=2, freq="MS"))}),
    "categories of objects": pd.DataFrame({"a": pd.Categorical(["b", None], pd.Index(["b", "a"], dtype=object))}),
}
TABLES["attributes"] = pd.DataFrame({"a": [1]})
TABLES["attributes"].attrs["unit"] = ("m", 2)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_keeps_its_labels_dtypes_and_attributes(table):
    encoder = Encoder(table_chunks)
    form = json.loads(json.dumps(encoder.encode(table, "v")))

    for found in (round_trip(table), Decoder(encoder.body, build_frame).decode(form)):
        pd.testing.assert_frame_equal(found, table, check_exact=True)
        assert (type(found.columns), found.attrs, repr(found)) == (type(table.columns), table.attrs, repr(table))


def test_a_column_of_another_dtype_is_refused_by_name():
    with pytest.raises(TypeError, match=r"column 'a' of v has the dtype Sparse"):
        round_trip(pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}))


NO_ARROW = "pandas may be installed without pyarrow, or pyarrow may need a newer NumPy"


@pytest.mark.parametrize("kind", ["null", "decimal256(40, 2)"])
def test_a_column_of_arrow_keeps_its_type(kind):
    pa = pytest.importorskip("pyarrow", reason=NO_ARROW, exc_type=ImportError)
    array = pa.array([None, None]) if kind == "null" else pa.array([Decimal("1.10"), None], pa.decimal256(40, 2))
    table = pd.DataFrame({"a": pd.Series(pd.arrays.ArrowExtensionArray(array))})
    pd.testing.assert_frame_equal(round_trip(table), table)
    assert str(round_trip(table).dtypes["a"]) == f"{kind}[pyarrow]"


@pytest.mark.parametrize("kind", ["month_day_nano_interval", "string_view"])
def test_a_column_of_an_arrow_type_that_pandas_does_not_know_is_refused_by_name(kind):
    pa = pytest.importorskip("pyarrow", minversion="16", reason=NO_ARROW, exc_type=ImportError)
    array = pa.array([], getattr(pa, kind)())
    with pytest.raises(TypeError, match=rf"column 'a' of v has the dtype {kind}\[pyarrow\]"):
        round_trip(pd.DataFrame({"a": pd.Series(pd.arrays.ArrowExtensionArray(array))}))


def test_arrays_keep_their_order_in_memory():
    assert round_trip(np.asfortranarray(np.ones((2, 3)))).flags.fnc
    assert round_trip(np.ones((2, 3))).flags.c_contiguous


@pytest.mark.large
def test_many_small_arrays_and_times_take_time_in_proportion():
    many = [*pd.date_range("2026-01-01", periods=10_000, tz="Asia/Tokyo"), *[np.zeros(1000)] * 2000]

    started = time.process_time()
    assert is_exact(round_trip(many), many)
    assert time.process_time() - started < 10
