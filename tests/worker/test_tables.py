"""Tables round-trip: the notebook decodes the DataFrame that the helper encoded."""

from __future__ import annotations

import json
import re
import string
from inspect import signature

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worker_app import unpacked

from heroku_magic.protocol.dataframe import frame

INTS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
NULLABLE = [f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "UTC+05:30"]
FIRST, LAST = pd.Timestamp("1900-01-01").to_pydatetime(), pd.Timestamp("2200-01-01").to_pydatetime()


def ints(dtype):
    limits = np.iinfo(dtype.lower())
    return st.integers(int(limits.min), int(limits.max))


def column(values, dtype):
    return st.lists(values, min_size=5, max_size=5).map(lambda items: pd.Series(items, dtype=dtype))


def moments(unit):
    return st.none() | st.datetimes(FIRST, LAST).map(lambda moment: pd.Timestamp(moment).as_unit(unit))


UNITS = st.sampled_from(["s", "ms", "us", "ns"])
TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("\u2028\u202e\0\n\r\x1b\ud800"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
COLUMNS = st.one_of(
    st.sampled_from(INTS).flatmap(lambda dtype: column(ints(dtype), dtype)),
    st.sampled_from(NULLABLE).flatmap(lambda dtype: column(st.none() | ints(dtype), dtype)),
    st.sampled_from(["float32", "float64"]).flatmap(lambda dtype: column(st.floats(width=32), dtype)),
    st.sampled_from(["Float32", "Float64"]).flatmap(
        lambda dtype: column(st.none() | st.floats(width=32, allow_nan=False), dtype)
    ),
    column(st.booleans(), "bool"),
    column(st.none() | st.booleans(), "boolean"),
    column(st.none() | TEXT.filter(lambda text: "\ud800" not in text), "string"),
    column(TEXT.filter(lambda text: "\ud800" not in text), None),
    column(st.sampled_from(["a", "b", None]), "category"),
    st.builds(
        lambda codes, ordered: pd.Series(pd.Categorical.from_codes(codes, [3, 1, 2], ordered=ordered)),
        st.lists(st.integers(-1, 2), min_size=5, max_size=5),
        st.booleans(),
    ),
    UNITS.flatmap(lambda unit: column(moments(unit), f"datetime64[{unit}]")),
    st.tuples(UNITS, st.sampled_from(ZONES)).flatmap(
        lambda pair: column(moments(pair[0]), f"datetime64[{pair[0]}]").map(
            lambda series: series.dt.tz_localize("UTC").dt.tz_convert(pair[1])
        )
    ),
    UNITS.flatmap(lambda unit: column(st.none() | st.integers(-(10**9), 10**9), f"timedelta64[{unit}]")),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXT, COLUMNS, max_size=4), st.sampled_from([1, 60, 1_000_000]))
def test_a_table_of_any_of_these_types_round_trips(sent, columns, chunk):
    df = pd.DataFrame(columns, index=range(5))
    decoder, _ = sent(lambda sender: sender.table(df), chunk)

    back = frame(decoder.parts, {})
    assert decoder.is_verified
    assert decoder.row_count == 5
    assert [*map(str, back.dtypes)] == [*map(str, df.dtypes)]
    pd.testing.assert_frame_equal(back, df, check_column_type=False)


@settings(deadline=None)
@given(st.lists(JSON, min_size=1, max_size=6))
def test_a_column_of_objects_returns_any_json_value(sent, values):
    decoder, _ = sent(lambda sender: sender.table(pd.DataFrame({"x": pd.Series(values, dtype="object")})))

    back = frame(decoder.parts, {})["x"].astype("object")
    assert [None if pd.api.types.is_scalar(one) and pd.isna(one) else one for one in back] == values


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), min_size=1, max_size=6))
def test_a_key_that_a_row_lacks_becomes_null(sent, rows):
    decoder, _ = sent(lambda sender: sender.rows(rows))

    df = frame(decoder.parts, {}).astype("object")
    for place, row in enumerate(rows):
        for name in df.columns:
            value = df[name][place]
            assert row.get(name) == (None if pd.api.types.is_scalar(value) and pd.isna(value) else value)


def test_null_and_nan_stay_distinct():
    from heroku_magic.protocol.concatenation import infer as of

    floats = of([1.5, None, float("nan")])
    assert str(floats.dtype) == "Float64"
    assert floats.array._mask.tolist() == [False, True, False]
    assert str(of([1, None]).dtype) == "Int64"
    assert str(of([True, None]).dtype) == "boolean"
    assert str(of([1, 2.5]).dtype) == "float64"
    assert of([2**53 + 1, 0.5]).tolist() == [2**53 + 1, 0.5]
    assert of([2**70]).tolist() == [2**70]


def test_an_empty_table_keeps_its_columns_and_types(sent):
    df = pd.DataFrame({"i": [1], "c": pd.Categorical(["x"]), "when": pd.to_datetime(["2026-01-01"])}).iloc[:0]
    decoder, _ = sent(lambda sender: sender.table(df))

    pd.testing.assert_frame_equal(frame(decoder.parts, {}), df.reset_index(drop=True))


def test_tables_and_rows_form_one_result_in_order(sent):
    def script(sender):
        sender.rows([{"i": 0, "x": 0.5}])
        sender.table(pd.DataFrame({"i": [1, 2], "x": [1.0, 2.0]}))
        sender.rows([{"i": 3}])

    df = frame(sent(script)[0].parts, {})
    assert df["i"].tolist() == [0, 1, 2, 3]
    assert df["x"].isna().tolist() == [False, False, False, True]


def test_an_unsupported_type_is_an_error_that_names_the_column(sent):
    with pytest.raises(TypeError, match="column 'z' holds complex"):
        sent(lambda sender: sender.table(pd.DataFrame({"z": [1j]})))


def test_a_file_is_reassembled_and_a_later_one_of_the_same_name_replaces_it(sent):
    data = bytes(range(256)) * 40

    def script(sender):
        sender.file("../../evil\u202e.png", b"first")
        sender.file("empty", b"")
        sender.file("../../evil\u202e.png", data)

    decoder, _ = sent(script, chunk=1000)
    assert decoder.files == {"evil_.png": data, "empty": b""}


def test_files_of_different_names_stay_apart_when_their_names_are_made_valid(sent):
    def script(sender):
        sender.file("a/plot.tar.gz", b"a")
        sender.file("b/plot.tar.gz", b"b")
        sender.file("plot.tar.gz", b"c")
        sender.file("b/plot.tar.gz", b"new b")

    decoder, _ = sent(script)
    assert decoder.files == {"plot.tar.gz": b"a", "plot-2.tar.gz": b"new b", "plot-3.tar.gz": b"c"}


def test_files_over_the_limit_are_rejected_when_sent(sent):
    with pytest.raises(ValueError, match=r"model.bin is too large: .* 5,000,000 bytes"):
        sent(lambda sender: sender.file("model.bin", bytes(5_000_001)))


def test_a_file_that_was_rejected_leaves_room_for_others(sent):
    def script(sender):
        with pytest.raises(ValueError, match="too large"):
            sender.file("model.bin", bytes(5_000_001))
        sender.file("small.bin", b"abc")

    decoder, _ = sent(script)
    assert decoder.files == {"small.bin": b"abc"}


@pytest.mark.parametrize(
    ("kind", "header", "body"),
    [
        ("table", {"rows": 10**12, "columns": [], "sizes": [5]}, b""),
        ("table", {"rows": -1, "columns": [], "sizes": []}, b""),
        (
            "table",
            {"rows": 1, "columns": [{"name": "a", "coding": "numbers", "numbers": "int64"}], "sizes": [4]},
            b"1234",
        ),
        (
            "table",
            {"rows": 1, "columns": [{"name": "a", "coding": "numbers", "numbers": "object"}], "sizes": [8]},
            b"12345678",
        ),
        ("table", {"rows": 1, "columns": [{"name": "a", "coding": "pickle"}], "sizes": [1]}, b"1"),
        (
            "table",
            {"rows": 1, "columns": [{"name": "a", "coding": "json", "dtype": "Sparse[int]"}], "sizes": [3]},
            b"[1]",
        ),
        ("table", {"rows": 2, "columns": [{"name": "a", "coding": "json"}], "sizes": [3]}, b"[1]"),
        ("table", {"rows": 1, "columns": [{"name": "a", "coding": "numbers", "numbers": "bool"}], "sizes": [1]}, b"\2"),
        (
            "table",
            {
                "rows": 1,
                "columns": [{"name": "a", "coding": "codes", "numbers": "int8", "of": {"coding": "json", "rows": 1}}],
                "sizes": [1, 3],
            },
            b"\x05[1]",
        ),
        ("table", "no header", b""),
        ("file", {"name": "f", "part": 0, "parts": 1, "size": 9}, b"short"),
        ("rows", {"a": "zip bomb"}, bytes(70_000_000)),
    ],
)
def test_a_signed_record_with_inconsistent_content_is_reported_as_damaged(sent, kind, header, body):
    decoder, _ = sent(lambda sender: sender._send_packed(kind, header, body))

    assert re.fullmatch(r"records \d+ cannot be read", decoder.problem())
    assert decoder.parts is None
    assert not decoder.files


def test_many_rows_at_once_are_packed_and_single_rows_are_not(sent):
    rows = [{"i": i, "word": "a word that repeats"} for i in range(20_000)]
    decoder, lines = sent(lambda sender: sender.rows(rows))

    assert frame(decoder.parts, {}).to_dict("records") == rows
    assert sum(map(len, lines)) < len(json.dumps(rows)) / 5
    _, lines = sent(lambda sender: sender.rows(rows[:1]))
    assert unpacked(lines[1].split(" ", 5)[5]) == rows[:1]


def test_file_names_are_sanitized():
    from heroku_magic.protocol.helper_records import _file_name

    for name in ["a/b.png", "a\\b.png", "b.png"]:
        assert _file_name(name) == "b.png"
    assert _file_name("..") == _file_name("") == "file"
    assert _file_name(".bashrc") == "bashrc"
    assert set(_file_name("".join(map(chr, range(256)))[::-1])) <= set(string.printable + "_") | set(
        map(chr, range(256))
    )
    assert len(_file_name("x" * 1000)) == 100


def test_the_rate_limiter_limits_lines_per_second(helper, monkeypatch):
    now, slept = [100.0], []
    monkeypatch.setattr(helper.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        helper.time, "sleep", lambda seconds: (slept.append(seconds), now.__setitem__(0, now[0] + seconds))
    )
    pace = helper._RateLimiter("50")
    for _ in range(150):
        pace.wait()

    assert now[0] - 100 == pytest.approx(2, abs=0.05), "the first 50 went at once"
    for unlimited in ("", "0", "no number"):
        slept.clear()
        helper._RateLimiter(unlimited).wait()
        assert not slept


@pytest.mark.parametrize("nullable_first", [True, False])
def test_text_with_a_lone_surrogate_joins_arrows_nullable_text(nullable_first):
    pytest.importorskip("pyarrow", reason="pandas may be installed without it", exc_type=ImportError)
    from heroku_magic.protocol.concatenation import join

    arrow = pd.Series([None], dtype="string[pyarrow]")
    own = {"na_value": float("nan")} if "na_value" in signature(pd.StringDtype).parameters else {}
    plain = pd.Series(["ab\ud83d"], dtype=pd.StringDtype("python", **own))
    pieces = [(1, arrow), (1, plain)] if nullable_first else [(1, plain), (1, arrow)]
    joined = join(pieces)
    texts = [value for value in joined.tolist() if value is not pd.NA]
    assert texts == ["ab\ud83d"]
    assert joined.isna().sum() == 1


@pytest.mark.parametrize("other", [[7], [2.5], ["x"], [None]])
def test_arrows_booleans_with_nulls_join_any_column(other):
    pytest.importorskip("pyarrow", reason="pandas may be installed without it", exc_type=ImportError)
    from heroku_magic.protocol.concatenation import join

    joined = join([(2, pd.Series([True, None], dtype="bool[pyarrow]")), (1, pd.Series(other, dtype=object))])
    assert [None if value is pd.NA else value for value in joined.tolist()] == [True, None, *other]


def test_categories_join_a_run_without_rows():
    from heroku_magic.protocol.concatenation import join

    letters = pd.Series(pd.Categorical(["b", "a"], ["a", "b"], ordered=True))
    joined = join([(0, pd.Series([], dtype="int64")), (2, letters), (0, letters[:0])])
    pd.testing.assert_series_equal(joined, letters)
    pd.testing.assert_series_equal(join([(0, letters[:0]), (0, letters[:0])]), letters[:0])


def test_a_record_of_a_table_with_many_columns_has_more_than_a_few_rows(sent):
    table = pd.DataFrame(np.arange(300_000.0).reshape(60, 5_000), columns=[f"gene {n}" for n in range(5_000)])
    decoder, _ = sent(lambda sender: sender.table(table))
    assert len(decoder.parts) == 1
    pd.testing.assert_frame_equal(frame(decoder.parts, {}), table, check_flags=False)
