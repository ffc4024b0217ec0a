"""Parameters become environment variables; names and values that cannot be sent are rejected by name."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.environ import to_env
from heroku_magic.protocol.values import MAX_ENV_BYTES, RawText, plain

WORKER = pathlib.Path(__file__).parents[2] / "worker" / "heroku_task.py"


def faults(call, *arguments):
    with pytest.raises(InvalidParameters) as caught:
        call(*arguments)
    return caught.value.issues


# -- values ----------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"
    TWO = 2


class Text(str, Enum):
    A = "a"


UTC = timezone.utc
OBJECTS = [
    (True, "true"),
    (5, "5"),
    (1.5, "1.5"),
    (1e300, "1e+300"),
    ("text", "text"),
    ("", ""),
    ("5", "5"),
    ([1, "a", None, True], '[1,"a",null,true]'),
    ((1, 2), "[1,2]"),
    (range(3), "[0,1,2]"),
    ({"a": {"b": [1.0]}}, '{"a":{"b":[1.0]}}'),
    (["é😀"], '["é😀"]'),
    (Colour.RED, "red"),
    (Colour.TWO, "2"),
    (Text.A, "a"),
    (date(2024, 5, 6), "2024-05-06"),
    (datetime(2024, 5, 6, 7, 8, tzinfo=UTC), "2024-05-06T07:08:00+00:00"),
    (time(7, 8), "07:08:00"),
    (Decimal("1.10"), "1.10"),
    ([Decimal("1.10")], '["1.10"]'),
    (pathlib.PurePosixPath("a/b"), "a/b"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (np.int64(3), "3"),
    (np.float64(1.5), "1.5"),
    (np.float32(0.5), "0.5"),
    (np.bool_(True), "true"),
    (np.str_("a"), "a"),
    (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
    (np.array(5), "5"),
    (np.array(["a"]), '["a"]'),
    (np.datetime64("2024-01-02"), "2024-01-02"),
    (np.datetime64("2024-01-02T03:04:05", "ns"), "2024-01-02T03:04:05"),
    (np.datetime64("2024-01-02T03:04:05.5", "ns"), "2024-01-02T03:04:05.500"),
    (np.datetime64("2024-01-02T03:04:05.000000001", "ns"), "2024-01-02T03:04:05.000000001"),
    (np.array("2024-01-02", "datetime64[ns]"), "2024-01-02T00:00:00"),
    (np.array(["2024-01-02"], "datetime64[ns]"), '["2024-01-02T00:00:00"]'),
    (np.array([["2000"]], "datetime64[Y]"), '[["2000"]]'),
    (pd.Series([1, 2]), "[1,2]"),
    (pd.Series(pd.to_datetime(["2024-01-02"])), '["2024-01-02T00:00:00"]'),
    (pd.Index(["a"]), '["a"]'),
    (pd.RangeIndex(2), "[0,1]"),
    (pd.Categorical(["a"]), '["a"]'),
    (pd.Timestamp("2024-01-02", tz="UTC"), "2024-01-02T00:00:00+00:00"),
]


@pytest.mark.parametrize(("value", "text"), OBJECTS)
def test_values_are_encoded_as_text_or_json(value, text):
    assert to_env({"v": value}) == {"v": text}


LOOP = []
LOOP.append(LOOP)
NO_NAN = "cannot be passed as a parameter: JSON has no NaN and no Infinity"
NUL, HALF = "NUL character", "lone surrogate"
UNSUPPORTED = [
    (float("nan"), f"v: nan (a float) {NO_NAN}."),
    ([float("-inf")], f"v: -inf (a float) {NO_NAN}."),
    (np.float64("nan"), f"v: nan (a float64) {NO_NAN}."),
    (np.array([1, np.inf]), f"v: inf (a float) {NO_NAN}."),
    (pd.Series([1, None]), NO_NAN),
    (Decimal("NaN"), f"v: NaN (a Decimal) {NO_NAN}."),
    (Decimal("sNaN"), f"v: sNaN (a Decimal) {NO_NAN}."),
    (Decimal("-Infinity"), "v: -Infinity (a Decimal)"),
    (pd.NaT, "v: a missing value (NaT)"),
    (pd.NA, "v: a missing value (NA)"),
    (np.datetime64("NaT"), "v: a missing value (NaT)"),
    (np.array(["2024", "NaT"], "datetime64[ns]"), "v: a missing value (NaT)"),
    (timedelta(1), "v: a timedelta (a duration)"),
    (pd.Timedelta(1), "v: a Timedelta (a duration)"),
    (np.timedelta64(1, "s"), "v: a timedelta64 (a duration)"),
    (np.array([1], "timedelta64[ns]"), "v: a ndarray (a duration)"),
    (pd.Series([pd.Timedelta(1)]), "v: a Timedelta (a duration)"),
    (pd.DataFrame({"a": [1]}), "v: a DataFrame cannot be passed"),
    (type("Mine", (pd.DataFrame,), {})({"a": [1]}), "v: a DataFrame cannot be passed"),
    (print, "v: a function"),
    (lambda: 0, "v: a function"),
    (np.sum, "v: a function"),
    (int, "v: a class"),
    (object(), "v: an object"),
    (b"bytes", "v: a bytes"),
    (1j, "v: a complex"),
    (np.longdouble(1), "v: a"),
    (pd.Period("2024"), "v: a Period"),
    ({1, 2}, "Pass a list, such as sorted(...)"),
    (frozenset(), "Pass a list, such as sorted(...)"),
    (iter([]), "v: a list_iterator"),
    ({1: 2}, "v: a dict with a key that is an int"),
    (LOOP, "v: a value that contains itself"),
    ({"a": LOOP}, "v: a value that contains itself"),
    (10**5000, "v: a whole number with thousands of digits"),
    ("a\0b", NUL),
    (["a\0b"], NUL),
    ({"k": {"a\0b": 1}}, NUL),
    (RawText("a\0b"), NUL),
    (pathlib.PurePosixPath("a\0b"), NUL),
    (np.array(["a\0b"]), NUL),
    ("\ud800", HALF),
    ([["\udfff"]], HALF),
    (RawText("\ud800"), HALF),
]


@pytest.mark.parametrize(
    ("value", "message"), UNSUPPORTED, ids=[f"{at} {message}" for at, (_, message) in enumerate(UNSUPPORTED)]
)
@pytest.mark.parametrize("schema", [None, {"properties": {"v": {}}}])
def test_values_that_cannot_be_encoded_are_rejected_by_name_and_kind(value, message, schema):
    (issue,) = faults(to_env, {"v": value}, schema)

    assert issue.startswith("v: ")
    assert message in issue


@pytest.mark.parametrize(
    "value",
    [
        range(10**12),
        [0] * (MAX_ENV_BYTES + 1),
        np.zeros((10**5, 10**4), "int8"),
        pd.RangeIndex(10**12),
        pd.DataFrame({"a": [1]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_oversized_values_are_rejected_unbuilt_with_three_alternatives(value):
    (issue,) = faults(to_env, {"v": value})

    for way in ("df.to_csv", "df.to_sql", "presigned URL"):
        assert way in issue


def test_all_parameters_share_32_kb():
    half = MAX_ENV_BYTES // 2
    assert to_env({"a": "x" * (half - 1), "b": "x" * (half - 1)})
    (issue,) = faults(to_env, {"a": "x" * (half - 1), "b": "é" * half})

    assert "the largest is b" in issue
    assert "presigned URL" in issue


@pytest.mark.parametrize(
    ("value", "schema", "env"),
    [
        (None, None, {}),
        (None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"v": "null"}),
        ("5", {"type": "string"}, {"v": "5"}),
        ("5", {"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"v": '"5"'}),
        ("x", {"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"v": "x"}),
        ("5", {"anyOf": [{"enum": ["5"]}, {"type": "integer"}]}, {"v": '"5"'}),
        ("NaN", {}, {"v": '"NaN"'}),
        pytest.param("1" * 5000, {}, {"v": '"' + "1" * 5000 + '"'}, id="digits"),
        ("null", {"default": 1, "description": "d"}, {"v": '"null"'}),
        (RawText("5"), {}, {"v": "5"}),
        (RawText("5"), {"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"v": "5"}),
        ("5", {"enum": ["5", 5]}, {"v": "5"}),
        (Decimal("1.5"), {}, {"v": "1.5"}),
    ],
)
def test_the_declared_type_decides_how_text_and_none_are_encoded(value, schema, env):
    assert to_env({"v": value}, schema if schema is None else {"properties": {"v": schema}}) == env


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["RUN_KEY"], "the run's own key"),
        (["HEROKU_API_KEY", "HEROKU_"], "reserved by Heroku"),
        (["__", "__x"], "Heroku rejects names that begin with __"),
        (["DYNO", "PORT"], "Heroku sets it on every dyno"),
        (["PATH"], "would break the dyno's PATH"),
        (["HOME"], "would break the dyno's HOME"),
        (["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONBREAKPOINT"], "code other than the app's"),
        (["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"], "inject code into every program"),
        (["BASH_ENV", "ENV", "BASH_FUNC_x", "SHELLOPTS", "BASHOPTS"], "inject code into the dyno's shell"),
        (["IFS"], "how the dyno's shell reads"),
        (["NODE_OPTIONS", "PERL5LIB", "RUBYOPT", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"], "into the dyno's programs"),
        (["http_proxy", "HTTPS_PROXY", "Ftp_Proxy", "no_proxy", "RSYNC_PROXY", "socks_proxy"], "through another host"),
        (["a-b", "1a", "", "é", "a=b", 5], "is not a valid environment variable name"),
    ],
)
def test_names_that_would_break_a_dyno_or_run_code_on_it_are_rejected_with_the_reason(names, reason):
    issues = faults(to_env, dict.fromkeys(names, "x"))

    assert len(issues) == len(names)
    assert all(reason in issue for issue in issues)


@pytest.mark.parametrize(
    "name", ["n", "path", "home", "Port", "PATHS", "MY_PATH", "LDX", "PYTHON", "proxy", "_x", "PROXY_URL"]
)
def test_other_names_are_accepted(name):
    assert to_env({name: 1}) == {name: "1"}


def test_all_faults_are_reported_at_once():
    issues = faults(to_env, {"PATH": 1, "f": print, "x": float("nan"), "ok": 1})

    assert [re.split(r"\W", issue)[0] for issue in issues] == ["PATH", "f", "x"]


# -- there and back --------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBER = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
JSONS = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
AS_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "integer"}]}
KINDS = st.one_of(
    st.tuples(JSONS | st.just("NaN") | JSONS.map(json.dumps), st.just({})),
    st.tuples(TEXT | JSONS.map(json.dumps), st.just({"type": "string"})),
    st.tuples(st.none() | TEXT | st.integers() | st.integers().map(str) | st.just("null"), st.just(AS_TEXT)),
    st.tuples(st.integers(), st.just({"type": "integer"})),
    # Beyond 2**53 a float represents only some whole numbers.
    st.tuples(
        st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False), st.just({"type": "number"})
    ),
    st.tuples(st.booleans(), st.just({"type": "boolean"})),
    st.tuples(st.lists(JSONS, max_size=4), st.just({"type": "array"})),
    st.tuples(st.dictionaries(TEXT, JSONS, max_size=4), st.just({"type": "object"})),
)


@pytest.mark.large
@given(JSONS)
@settings(deadline=None)
def test_values_of_an_undeclared_task_are_restored_by_json(value):
    env = to_env({"v": value})

    if value is None:
        assert env == {}
    else:
        assert (env["v"] if isinstance(value, str) else json.loads(env["v"])) == value
    assert plain(value) == value


@pytest.fixture(scope="module")
def helper():
    spec = importlib.util.spec_from_file_location("heroku_task_under_test", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.large
@given(pair=KINDS)
@settings(deadline=None)
def test_the_helper_decodes_exactly_the_original_value(helper, pair):
    value, kind = pair
    schema = {"type": "object", "properties": {"v": kind}, "required": ["v"]}

    decoded = helper._read_text(to_env({"v": value}, schema)["v"], kind, {})

    assert decoded == value
    assert isinstance(decoded, float if kind == {"type": "number"} else type(value))


@pytest.mark.parametrize("name", ["_", "RANDOM", "LINENO", "PPID", "PWD", "SHLVL", "OPTIND"])
@pytest.mark.usefixtures("processes")
def test_variables_that_the_dynos_shell_sets_are_rejected(name):
    arrived = subprocess.run(
        ["bash", "-c", "env; true"], env={**os.environ, name: "abc"}, capture_output=True, check=True
    )

    assert f"{name}=abc".encode() not in arrived.stdout.splitlines()
    (issue,) = faults(to_env, {name: "abc"})
    assert name in issue


@pytest.mark.parametrize("name", ["reverse_proxy", "use_proxy", "random", "BASHFUL", "PWD2"])
def test_names_that_only_resemble_reserved_ones_are_accepted(name):
    assert to_env({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("text", ["007", "1_000", "+5", "yes", "OFF", "infinity"])
@pytest.mark.parametrize("other", ["integer", "number", "boolean"])
def test_text_that_reads_as_another_type_stays_text_where_both_are_accepted(helper, text, other):
    kind = {"anyOf": [{"type": other}, {"type": "string"}]}
    schema = {"type": "object", "properties": {"v": kind}}

    assert helper._read_text(to_env({"v": text}, schema)["v"], kind, {}) == text
