"""A cell's body and `--arg` become parameters, and these an environment; what cannot travel is refused by name."""

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

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.magics.cell import read_argument, read_body
from heroku_magic.protocol.environ import to_env
from heroku_magic.protocol.values import ROOM, Typed, plain

WORKER = pathlib.Path(__file__).parents[2] / "worker" / "heroku_task.py"


def faults(call, *arguments):
    with pytest.raises(InvalidParameters) as caught:
        call(*arguments)
    return caught.value.issues


# -- the body --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        ("", {}),
        ("\n\n# only a comment\n", {}),
        ("n = 1", {"n": 1}),
        ("n = len(data)  # a comment", {"n": 3}),
        ("n = 2\nm = n * 2", {"n": 2, "m": 4}),
        ("k = 2\nv = [i * k for i in data]", {"k": 2, "v": [2, 4, 6]}),
        ("_k = 2\nv = _k + 1", {"v": 3}),
        ("a = b = 1", {"a": 1, "b": 1}),
        ("n = 1; m = 2", {"n": 1, "m": 2}),
        ("v = [\n  1,\n  2,\n]", {"v": [1, 2]}),
        ("n = (m := 3)\nk = m", {"n": 3, "k": 3}),
        ("n = 1\nn = n + 1", {"n": 2}),
        ("data = data[:1]", {"data": [1]}),
        ("  n = 1\n  m = 2\n", {"n": 1, "m": 2}),
        ("\tn = 1", {"n": 1}),
        ("  # indented\n  n = 1", {"n": 1}),
        ('s = """a\n   \nb"""', {"s": "a\n   \nb"}),
        ('  s = """a\n   b\n  c"""', {"s": "a\n   b\n  c"}),
        ("n = 1\r\nm = 2", {"n": 1, "m": 2}),
    ],
)
def test_a_body_is_assignments_over_the_notebooks_variables(body, parameters):
    assert read_body(body, {"data": [1, 2, 3]}) == parameters


def test_the_notebooks_variables_stay_as_they_are():
    namespace = {"n": 1}
    read_body("n = 2\n_m = 3", namespace)

    assert namespace == {"n": 1}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("print(1)", "line 1: an expression, no plain assignment (`print(1)`)"),
        ("import os", "line 1: an import"),
        ("from os import path", "line 1: an import"),
        ("def f(): pass", "line 1: a function"),
        ("class C: pass", "line 1: a class"),
        ("for i in []: pass", "line 1: a loop"),
        ("while 0: pass", "line 1: a loop"),
        ("if 1: n = 1", "line 1: a condition"),
        ("with open('x') as f: pass", "line 1: a with block"),
        ("n += 1", "line 1: an augmented assignment"),
        ("n: int = 1", "line 1: an annotated assignment"),
        ("del n", "line 1: a del statement"),
        ("assert 1", "line 1: a statement"),
        ("a, b = 1, 2", "line 1: assigns to something else than a name"),
        ("d['k'] = 1", "line 1: assigns to something else than a name"),
        ("o.k = 1", "line 1: assigns to something else than a name"),
        ("größe = 1", "größe is no name of an environment variable"),
        ("n = = 1", "line 1: SyntaxError"),
        ("!ls", "line 1: SyntaxError"),
        ("n = yield 1", "line 1: SyntaxError"),
        ("n = await x", "line 1: SyntaxError"),
        ("n = [i async for i in x]", "line 1: SyntaxError"),
    ],
)
def test_anything_else_is_refused_before_anything_is_evaluated(line, said):
    evaluated = []
    (issue,) = faults(read_body, f"{line}\nm = note(1)", {"note": evaluated.append})

    assert said in issue
    assert "A body holds parameters, one `name = expression` a line" in issue
    assert evaluated == []


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        ("n = 1\nm = nope", "line 2: NameError: name 'nope' is not defined (`m = nope`)"),
        ("\n\n  n = 1 / 0", "line 3: ZeroDivisionError: division by zero (`n = 1 / 0`)"),
        ("n = fail()", "line 1: Silent (`n = fail()`)"),
        ("n = f'''\n{1 / 0}'''", "line 1: ZeroDivisionError: division by zero (`n = f'''`)"),
    ],
)
def test_what_an_expression_raises_is_told_with_its_line(body, issue):
    class Silent(Exception):
        def __str__(self):
            raise ValueError

    def fail():
        raise Silent

    assert faults(read_body, body, {"fail": fail}) == [issue]


def test_every_faulty_line_is_told_and_the_advice_is_no_fault():
    issues = faults(read_body, "import a\nn = 1\nprint(n)", {})

    assert [issue.partition(":")[0] for issue in issues] == ["line 1", "line 3"]
    assert [("A body holds" in issue) for issue in issues] == [False, True]


def test_a_pasted_program_does_not_fill_the_cell():
    issues = faults(read_body, "print(1)\n" * 200, {})

    assert len(issues) == 5
    assert "And 195 more such lines." in issues[-1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("n = 1\nm = 'a\0b'", "line 2: a NUL"),
        ("n = 'a\ud800'", "line 1: a NUL or half a character"),
        (" n = 1\nm = 2", "IndentationError"),
        ("  n = 1\nelse:\n  m = 2", "Error"),
        pytest.param("n = " + "-" * 100_000 + "1", "nested too deeply", id="deep"),
    ],
)
def test_a_body_that_is_no_python_is_our_error(body, said):
    assert said in faults(read_body, body, {})[0]


# -- NAME=VALUE ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("V=", ""),
        ("V=1.10", "1.10"),
        ("V=1234567e56", "1234567e56"),
        ("V=a=b", "a=b"),
        ('V="a b"', "a b"),
        ('"V=a b"', "a b"),
        ("'V=$k {k}'", "$k {k}"),
        ("V='$$x {k}'", "$$x {k}"),
        ("V=say \"hi\" 'now'", "say \"hi\" 'now'"),
        ('V={"a":1}', '{"a":1}'),
        ('V={"a":{"b":"it\'s"}}', '{"a":{"b":"it\'s"}}'),
        ("V=[1,2]", "[1,2]"),
        ("V={}", "{}"),
        ("V={{k}}", "{k}"),
        ("V=$$k", "$k"),
        ("V=run-{k}-$k", "run-9-9"),
        ("V={k}{k}", "99"),
        ("V=$5", "$5"),
        ("V=}", "}"),
        ("V=:-(", ":-("),
    ],
)
def test_the_text_is_as_it_was_typed(word, value):
    name, read = read_argument(word, {"k": 9})

    assert (name, read, type(read)) == ("V", value, Typed)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("V=$k", 9),
        ("V={k}", 9),
        ("V={ k + 1 }", 10),
        ('V={d["}"]}', "brace"),
        ('V={"}"}', "}"),
        ("V={'it\\'s}'}", "it's}"),
        ('V="{k}"', 9),
        ("V={str(k)}", "9"),
        ("V={data}", [1]),
    ],
)
def test_a_value_that_is_wholly_an_expression_passes_the_object(word, value):
    _, read = read_argument(word, {"k": 9, "d": {"}": "brace"}, "data": [1]})

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("n", "expected NAME=VALUE"),
        ("=1", "expected NAME=VALUE"),
        ("n-m=1", "expected NAME=VALUE"),
        ("n=$datum", "Did you mean data?"),
        ("n=a{datum}", "NameError"),
        ("n={1 +}", "SyntaxError"),
        ("n={yield 1}", "SyntaxError"),
        ("n={data", "does not close"),
        ("n=a{(}", "does not close"),
    ],
)
def test_an_argument_that_cannot_be_read_is_an_error_with_a_hint(word, said):
    with pytest.raises(InvalidOptions, match=re.escape(said)):
        read_argument(word, {"data": 1})


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
def test_values_travel_as_text_or_json(value, text):
    assert to_env({"v": value}) == {"v": text}


LOOP = []
LOOP.append(LOOP)
NO_NAN = "JSON has no NaN and no Infinity"
NUL, HALF = "NUL character", "lone surrogate"
FORMLESS = [
    (float("nan"), f"v: nan is a float, and {NO_NAN}."),
    ([float("-inf")], f"v: -inf is a float, and {NO_NAN}."),
    (np.float64("nan"), f"v: nan is a float64, and {NO_NAN}."),
    (np.array([1, np.inf]), f"v: inf is a float, and {NO_NAN}."),
    (pd.Series([1, None]), NO_NAN),
    (Decimal("NaN"), f"v: NaN is a Decimal, and {NO_NAN}."),
    (Decimal("sNaN"), f"v: sNaN is a Decimal, and {NO_NAN}."),
    (Decimal("-Infinity"), "v: -Infinity is a Decimal"),
    (pd.NaT, "v: a missing value (NaT)"),
    (pd.NA, "v: a missing value (NA)"),
    (np.datetime64("NaT"), "v: a missing value (NaT)"),
    (np.array(["2024", "NaT"], "datetime64[ns]"), "v: a missing value (NaT)"),
    (timedelta(1), "v: a timedelta (a length of time)"),
    (pd.Timedelta(1), "v: a Timedelta (a length of time)"),
    (np.timedelta64(1, "s"), "v: a timedelta64 (a length of time)"),
    (np.array([1], "timedelta64[ns]"), "v: a ndarray (a length of time)"),
    (pd.Series([pd.Timedelta(1)]), "v: a Timedelta (a length of time)"),
    (pd.DataFrame({"a": [1]}), "v: a DataFrame does not travel"),
    (type("Mine", (pd.DataFrame,), {})({"a": [1]}), "v: a DataFrame does not travel"),
    (print, "v: a function"),
    (lambda: 0, "v: a function"),
    (np.sum, "v: a function"),
    (int, "v: a class"),
    (object(), "v: an object"),
    (b"bytes", "v: a bytes"),
    (1j, "v: a complex"),
    (np.longdouble(1), "v: a"),
    (pd.Period("2024"), "v: a Period"),
    ({1, 2}, "send sorted(...) instead"),
    (frozenset(), "send sorted(...) instead"),
    (iter([]), "v: a list_iterator"),
    ({1: 2}, "v: a dict with a key that is an int"),
    (LOOP, "v: a value that holds itself"),
    ({"a": LOOP}, "v: a value that holds itself"),
    (10**5000, "v: a whole number of thousands of digits"),
    ("a\0b", NUL),
    (["a\0b"], NUL),
    ({"k": {"a\0b": 1}}, NUL),
    (Typed("a\0b"), NUL),
    (pathlib.PurePosixPath("a\0b"), NUL),
    (np.array(["a\0b"]), NUL),
    ("\ud800", HALF),
    ([["\udfff"]], HALF),
    (Typed("\ud800"), HALF),
]


@pytest.mark.parametrize(("value", "said"), FORMLESS, ids=[f"{at} {said}" for at, (_, said) in enumerate(FORMLESS)])
@pytest.mark.parametrize("schema", [None, {"properties": {"v": {}}}])
def test_what_has_no_form_is_refused_by_name_and_kind(value, said, schema):
    (issue,) = faults(to_env, {"v": value}, schema)

    assert issue.startswith("v: ")
    assert said in issue


@pytest.mark.parametrize(
    "value",
    [
        range(10**12),
        [0] * (ROOM + 1),
        np.zeros((10**5, 10**4), "int8"),
        pd.RangeIndex(10**12),
        pd.DataFrame({"a": [1]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_fit_is_refused_without_being_built_and_three_ways_are_named(value):
    (issue,) = faults(to_env, {"v": value})

    for way in ("df.to_csv", "df.to_sql", "presigned URL"):
        assert way in issue


def test_all_parameters_share_32_kb():
    half = ROOM // 2
    assert to_env({"a": "x" * (half - 1), "b": "x" * (half - 1)})
    (issue,) = faults(to_env, {"a": "x" * (half - 1), "b": "é" * half})

    assert "b most of them" in issue
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
        (Typed("5"), {}, {"v": "5"}),
        (Typed("5"), {"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"v": "5"}),
        ("5", {"enum": ["5", 5]}, {"v": "5"}),
        (Decimal("1.5"), {}, {"v": "1.5"}),
    ],
)
def test_the_declared_type_decides_how_text_and_none_travel(value, schema, env):
    assert to_env({"v": value}, schema if schema is None else {"properties": {"v": schema}}) == env


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["RUN_KEY"], "the run's own key"),
        (["HEROKU_API_KEY", "HEROKU_"], "Heroku keeps for its own"),
        (["__", "__x"], "Heroku takes in no name"),
        (["DYNO", "PORT"], "Heroku's own"),
        (["PATH"], "would break the dyno's PATH"),
        (["HOME"], "would break the dyno's HOME"),
        (["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONBREAKPOINT"], "other code than the app's"),
        (["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"], "inject code into every program"),
        (["BASH_ENV", "ENV", "BASH_FUNC_x", "SHELLOPTS", "BASHOPTS"], "inject code into the dyno's shell"),
        (["IFS"], "how the dyno's shell reads"),
        (["NODE_OPTIONS", "PERL5LIB", "RUBYOPT", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"], "into the dyno's programs"),
        (["http_proxy", "HTTPS_PROXY", "Ftp_Proxy", "no_proxy", "RSYNC_PROXY", "socks_proxy"], "through another host"),
        (["a-b", "1a", "", "é", "a=b", 5], "is no name of an environment variable"),
    ],
)
def test_names_that_would_break_a_dyno_or_run_code_in_it_are_refused_with_their_reason(names, reason):
    issues = faults(to_env, dict.fromkeys(names, "x"))

    assert len(issues) == len(names)
    assert all(reason in issue for issue in issues)


@pytest.mark.parametrize(
    "name", ["n", "path", "home", "Port", "PATHS", "MY_PATH", "LDX", "PYTHON", "proxy", "_x", "PROXY_URL"]
)
def test_other_names_pass(name):
    assert to_env({name: 1}) == {name: "1"}


def test_all_faults_are_told_at_once():
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
    # Beyond 2**53 a float holds only some whole numbers.
    st.tuples(
        st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False), st.just({"type": "number"})
    ),
    st.tuples(st.booleans(), st.just({"type": "boolean"})),
    st.tuples(st.lists(JSONS, max_size=4), st.just({"type": "array"})),
    st.tuples(st.dictionaries(TEXT, JSONS, max_size=4), st.just({"type": "object"})),
)


@given(JSONS)
@settings(deadline=None)
def test_values_of_an_undeclared_task_come_back_from_json(value):
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


@given(pair=KINDS)
@settings(deadline=None)
def test_the_workers_helper_decodes_exactly_what_was_given(helper, pair):
    value, kind = pair
    schema = {"type": "object", "properties": {"v": kind}, "required": ["v"]}

    decoded = helper._decoded(to_env({"v": value}, schema)["v"], kind, {})

    assert decoded == value
    assert isinstance(decoded, float if kind == {"type": "number"} else type(value))


@given(TEXT)
@settings(deadline=None)
def test_text_in_single_quotes_is_never_changed(text):
    if "'" not in text:
        assert read_argument(f"V='{text}'", {}) == ("V", text)


@pytest.mark.parametrize("name", ["_", "RANDOM", "LINENO", "PPID", "PWD", "SHLVL", "OPTIND"])
def test_what_the_dynos_shell_sets_itself_is_refused_for_it_would_not_arrive(name):
    arrived = subprocess.run(
        ["bash", "-c", "env; true"], env={**os.environ, name: "abc"}, capture_output=True, check=True
    )

    assert f"{name}=abc".encode() not in arrived.stdout.splitlines()
    (issue,) = faults(to_env, {name: "abc"})
    assert name in issue


@pytest.mark.parametrize("name", ["reverse_proxy", "use_proxy", "random", "BASHFUL", "PWD2"])
def test_names_that_only_look_like_refused_ones_travel(name):
    assert to_env({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("  n = 1\nk = 2", "line 1"),
        ("  n = 1\nelse:\n  k = 2", "line 1"),
        ("  n = 1\n  k = = 2", "line 2"),
        ("n = 1\n  k = 2", "line 2"),
        ("n = 1\nk = (2", "line 2"),
    ],
)
def test_a_body_that_is_indented_unevenly_is_refused_whole_at_its_own_line(body, line):
    (issue,) = faults(read_body, body, {})

    assert issue.startswith(line)


def test_a_missing_name_is_told_with_the_nearest_there_is():
    (issue,) = faults(read_body, "n = daat", {"data": 1})

    assert issue.startswith("line 1: NameError: name 'daat' is not defined (did you mean data?)")
    for word in ("V=$daat", "V={daat}", "V=a{daat}"):
        with pytest.raises(InvalidOptions, match=r"(?i)did you mean data\?"):
            read_argument(word, {"data": 1})


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("V=a'$x'b", "a'$x'b"),
        ("V='a'$k'b'", "'a'7'b'"),
        ('V="it\'s $k"', "it's 7"),
        ("V=a{d['x']}", "a8"),
        ("V=C:\\$k", "C:\\7"),
    ],
)
def test_single_quotes_inside_a_value_stay_and_keep_what_is_in_them(word, text):
    assert read_argument(word, {"k": 7, "d": {"x": 8}}) == ("V", text)


def test_a_value_without_a_text_is_our_error():
    class Mute:
        def __str__(self):
            raise RuntimeError("no")

    for word in ("V=a$mute", "V=a{mute}"):
        with pytest.raises(InvalidOptions, match="its value has no text"):
            read_argument(word, {"mute": Mute()})


@pytest.mark.parametrize("text", ["007", "1_000", "+5", "yes", "OFF", "infinity"])
@pytest.mark.parametrize("other", ["integer", "number", "boolean"])
def test_text_that_python_reads_as_more_stays_text_where_a_type_takes_both(helper, text, other):
    kind = {"anyOf": [{"type": other}, {"type": "string"}]}
    schema = {"type": "object", "properties": {"v": kind}}

    assert helper._decoded(to_env({"v": text}, schema)["v"], kind, {}) == text
