"""parameters: what a user typed or computed travels exactly, or is refused by name before anything starts."""

from __future__ import annotations

import enum
import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.parameters import ROOM, Typed, expand, read_argument, read_body, to_env


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", {}),
        ("# only a comment\n\n", {}),
        ("n = 1\nm = n + 1", {"n": 1, "m": 2}),
        ("a = b = 3", {"a": 3, "b": 3}),
        ("_half = 2\nn = [i * _half for i in data]", {"n": [2, 4]}),
        ("    n = 1\n    m = 2", {"n": 1, "m": 2}),
        ('s = """a\n   \nb"""', {"s": "a\n   \nb"}),
        ("n = (lambda k: k + base)(1)", {"n": 11}),
        ("n = (m := 3)", {"n": 3}),
    ],
)
def test_a_body_is_assignments_over_the_notebooks_variables(body, expected):
    namespace = {"data": [1, 2], "base": 10}

    assert read_body(body, namespace) == expected
    assert namespace == {"data": [1, 2], "base": 10}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("n = 1\nprint(n)", ["line 2: an expression", "(`print(n)`)", "it runs no code"]),
        ("import os", ["line 1: an import", "`import os`"]),
        ("n += 1", ["augmented"]),
        ("n: int = 1", ["annotated"]),
        ("a, b = 1, 2", ["something else than a name"]),
        ("x.y = 1", ["something else than a name"]),
        ("def f(): pass", ["function"]),
        ("n = (", ["line 1: SyntaxError"]),
        ("é = 1", ["é"]),
        ("n = 1 / 0", ["line 1: ZeroDivisionError: division by zero"]),
        ("n = nope", ["NameError"]),
        ("n = yield 1", ["line 1: SyntaxError"]),
        ("n = await x", ["line 1: SyntaxError"]),
        ("n = 'a\0b'", ["no Python"]),
    ],
)
def test_whatever_is_no_assignment_is_refused_with_its_line(body, words):
    with pytest.raises(InvalidParameters) as caught:
        read_body(body, {})

    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_nothing_is_evaluated_when_a_later_line_is_refused():
    touched = []

    with pytest.raises(InvalidParameters):
        read_body("n = touched.append(1)\nprint(n)", {"touched": touched})

    assert touched == []


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("V=1.10", "1.10"),
        ("V=1234567e56", "1234567e56"),
        ('V="a b"', "a b"),
        ('"V=a b"', "a b"),
        ("'V=$$x'", "$$x"),
        ("V='$$x'", "$$x"),
        ("V=$$x", "$x"),
        ('V={"a":1}', '{"a":1}'),
        ("V=[1, 2]", "[1, 2]"),
        ("V=😀", "😀"),
        ("V=", ""),
        ('V=say "hi"', 'say "hi"'),
        ("V=a=b", "a=b"),
        ("V={k}", 7),
        ("V=$k", 7),
        ("V={k + 1}", 8),
        ("V=run-{k}-$k", "run-7-7"),
        ("V={{k}}", "{k}"),
        ('V={"}"}', "}"),
        ("V={d}", {"a": [1]}),
        ("V=5$", "5$"),
    ],
)
def test_an_argument_is_what_was_typed_or_the_object_that_it_names(word, value):
    assert read_argument(word, {"k": 7, "d": {"a": [1]}}) == ("V", value)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("V", "NAME=VALUE"),
        ("=1", "NAME=VALUE"),
        ("V=$nope", "no variable nope"),
        ("V=$dat", r"Did you mean data\?"),
        ("V={nope}", "NameError"),
        ("V={1 +}", "SyntaxError"),
        ("V=a{b", "does not close"),
    ],
)
def test_an_argument_that_cannot_be_read_says_why(word, message):
    with pytest.raises(InvalidOptions, match=message):
        read_argument(word, {"data": 1})


def test_text_expands_names_and_expressions():
    assert expand("$a-{a + 1}-$$-{{}}", {"a": 1}) == "1-2-$-{}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.10", "1.10"),
        ("", ""),
        (True, "true"),
        (10, "10"),
        (0.1, "0.1"),
        ([1, "a", None], '[1,"a",null]'),
        ({"a": {"b": (1, 2)}}, '{"a":{"b":[1,2]}}'),
        (range(3), "[0,1,2]"),
        (np.int64(3), "3"),
        (np.float64(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.arange(3), "[0,1,2]"),
        (np.array(5), "5"),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (np.array(["2024-01-02"], dtype="datetime64[D]"), '["2024-01-02"]'),
        (pd.Series([1.5, 2]), "[1.5,2.0]"),
        (pd.Index(["a"]), '["a"]'),
        (pd.Timestamp("2024-01-02T03:04:05"), "2024-01-02T03:04:05"),
        (date(2024, 1, 2), "2024-01-02"),
        (datetime(2024, 1, 2, tzinfo=timezone.utc), "2024-01-02T00:00:00+00:00"),
        (Decimal("1.10"), "1.10"),
        (PurePosixPath("a/b"), "a/b"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        ("é\u2028😀", "é\u2028😀"),
    ],
)
def test_values_have_one_form_as_environment_variables(value, text):
    assert to_env({"v": value}) == {"v": text}


def test_none_leaves_a_variable_out_unless_the_task_takes_null():
    schema = {"properties": {"v": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}

    assert to_env({"v": None}) == {}
    assert to_env({"v": None}, schema) == {"v": "null"}


def test_text_that_reads_as_json_is_quoted_where_the_type_takes_more_than_text():
    either = {"properties": {"v": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}
    text = {"properties": {"v": {"type": "string"}}}

    assert to_env({"v": "5"}, either) == {"v": '"5"'}
    assert to_env({"v": "five"}, either) == {"v": "five"}
    assert to_env({"v": "5"}, text) == {"v": "5"}
    assert to_env({"v": Typed("5")}, either) == {"v": "5"}, "typed text travels as it was typed"


def holds_itself():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, ["v:", "nan", "JSON has no NaN"]),
        ([1, math.inf], ["v:", "inf"]),
        (Decimal("sNaN"), ["v:", "NaN"]),
        (pd.NaT, ["v:", "missing"]),
        (np.datetime64("NaT"), ["v:", "missing"]),
        (timedelta(1), ["v:", "timedelta"]),
        (np.timedelta64(3, "ns"), ["v:", "length of time"]),
        (print, ["v:", "a function"]),
        ({1, 2}, ["v:", "a set", "sorted"]),
        ({1: 2}, ["v:", "key"]),
        (object(), ["v:", "an object"]),
        (pd.DataFrame({"a": [1]}), ["a DataFrame", "to_csv", "to_sql", "presigned URL"]),
        ("a\0b", ["NUL"]),
        ("\ud800", ["surrogate"]),
        ("x" * (ROOM + 1), ["32 kB", "presigned URL"]),
        (range(10**12), ["v:", "range"]),
        (holds_itself(), ["v: a value that holds itself"]),
    ],
)
def test_what_has_no_form_is_refused_by_name_with_a_way_out(value, words):
    with pytest.raises(InvalidParameters) as caught:
        to_env({"v": value})

    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "DYNO",
        "PORT",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "LD_PRELOAD",
        "BASH_ENV",
        "ENV",
        "IFS",
        "NODE_OPTIONS",
        "http_proxy",
        "HTTPS_PROXY",
        "socks_proxy",
        "HEROKU_X",
        "RUN_KEY",
        "__x",
        "é",
        "a-b",
    ],
)
def test_names_that_break_a_dyno_are_refused(name):
    with pytest.raises(InvalidParameters):
        to_env({name: "x"})


def test_all_faults_are_told_at_once():
    with pytest.raises(InvalidParameters) as caught:
        to_env({"PATH": "x", "v": print, "ok": 1})

    assert len(caught.value.issues) == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(json_values, max_size=5))
def test_lists_and_dicts_come_back_equal(value):
    try:
        env = to_env({"v": value})
    except InvalidParameters as refused:
        assert "surrogate" in str(refused) or "NUL" in str(refused)  # noqa: PT017 - the only reasons there may be
        return

    assert json.loads(env["v"]) == value


@given(st.text())
def test_typed_text_is_read_as_it_stands_or_refused(text):
    try:
        name, value = read_argument(f"V={text}", {})
    except InvalidOptions:
        return

    assert name == "V"
    assert isinstance(value, (str, int, float, list, dict, tuple, set, bool, type(None), complex, bytes, type(...)))
