"""Tasks: values are checked before a dyno starts, and untrusted declarations are shown safely."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.cell import read_argument, read_body
from heroku_magic.protocol.environ import to_env
from heroku_magic.protocol.task import Parameter, Task, check, choose
from heroku_magic.protocol.values import RawText
from heroku_magic.text.secret import Secret

INT, FLOAT, BOOL, TEXT = ({"type": kind} for kind in ("integer", "number", "boolean", "string"))
NULL, LIST, DICT = {"type": "null"}, {"type": "array"}, {"type": "object"}
CHOICE = {"enum": ["naive", "fast", 3, None]}
MAYBE = {"anyOf": [INT, NULL]}
INTS = {"type": "array", "items": INT}
FLOATS = {"type": "object", "additionalProperties": FLOAT}


def task(required=(), **properties):
    schema = {"type": "object", "properties": properties, "required": list(required), "description": "Estimate pi."}
    return Task("simulate", "python -m heroku_task simulate", schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INT, 5),
        (INT, np.int64(5)),
        (INT, RawText("5")),
        (INT, RawText(" -5 ")),
        (INT, Decimal(5)),
        (FLOAT, 1.5),
        (FLOAT, 1),
        (FLOAT, RawText("1e3")),
        (FLOAT, Decimal("1.5")),
        (BOOL, True),
        (BOOL, np.bool_(False)),
        (BOOL, RawText("On")),
        (BOOL, RawText("0")),
        (TEXT, "x"),
        (TEXT, RawText("5")),
        (TEXT, Decimal("1.5")),
        (CHOICE, "fast"),
        (CHOICE, 3),
        (CHOICE, None),
        (CHOICE, RawText("fast")),
        (CHOICE, RawText("3")),
        (MAYBE, None),
        (MAYBE, RawText("null")),
        (MAYBE, RawText("5")),
        ({"anyOf": [INT, TEXT]}, "5"),
        (LIST, [1, "a"]),
        (LIST, range(3)),
        (LIST, RawText("[1]")),
        (INTS, np.array([1, 2])),
        (DICT, {"a": 1}),
        (FLOATS, {"a": 1.5}),
        ({}, object),
        ({}, [None]),
        ({"type": "unheard of"}, 5),
        ({"anyOf": []}, 5),
        ({"enum": []}, 5),
        ({"anyOf": "x", "enum": 5}, 5),
        ("no schema", 5),
    ],
)
def test_valid_values_pass(schema, value):
    assert check(task(v=schema), {"v": value}) == []


@pytest.mark.parametrize(
    ("schema", "value", "issue"),
    [
        (INT, 1.5, "v is 1.5: expected a whole number."),
        (INT, True, "v is True: expected a whole number."),
        (INT, None, "v is None: expected a whole number."),
        (INT, RawText("many"), "v is 'many': expected a whole number."),
        (INT, RawText("1.5"), "v is '1.5': expected a whole number."),
        (INT, "many", "v is the text 'many': expected a whole number."),
        (
            INT,
            "10",
            "v is the text '10': expected a whole number. Remove the quotes to pass a Python value.",
        ),
        (FLOAT, "x", "v is the text 'x': expected a number."),
        (BOOL, 1, "v is 1: expected true or false."),
        (BOOL, RawText("maybe"), "v is 'maybe': expected true or false."),
        (TEXT, 5, "v is 5: expected text."),
        (CHOICE, "fats", "v is the text 'fats': expected one of 'naive', 'fast', 3, None. Did you mean fast?"),
        (CHOICE, RawText("x"), "v is 'x': expected one of 'naive', 'fast', 3, None."),
        (CHOICE, True, "v is True: expected one of 'naive', 'fast', 3, None."),
        (MAYBE, 1.5, "v is 1.5: expected a whole number or null."),
        (MAYBE, RawText("x"), "v is 'x': expected a whole number or null."),
        ({"anyOf": [INT, {"enum": ["a"]}]}, "b", "v is the text 'b': expected a whole number or one of 'a'."),
        (INTS, [1, "a"], "v[1] is the text 'a': expected a whole number."),
        (INTS, RawText("[1"), "v is '[1': expected a list (list[int])."),
        (FLOATS, {"a": "x"}, "v['a'] is the text 'x': expected a number."),
        (LIST, 5, "v is 5: expected a list."),
        (DICT, 5, "v is 5: expected a dict."),
    ],
)
def test_an_invalid_value_is_reported_with_the_expected_type(schema, value, issue):
    assert check(task(v=schema), {"v": value}) == [issue]


def test_all_faults_are_reported_at_once_with_expectations_and_suggestions():
    declared = task(
        ["seed"],
        n={**INT, "minimum": 1, "maximum": 10, "multipleOf": 3},
        method={"enum": ["naive", "fast"]},
        day={**TEXT, "format": "date"},
        data=INTS,
        seed=INT,
    )

    assert check(declared, {"n": 11, "method": "fats", "day": "2026-1-5", "data": [1, 2.5], "sed": 1}) == [
        f"simulate has no parameter sed. Did you mean seed? It takes: {declared.signature}.",
        "n is 11: expected a whole number from 1 up to 10 in steps of 3. The nearest valid value is 9.",
        "method is the text 'fats': expected one of 'naive', 'fast'. Did you mean fast?",
        "day is the text '2026-1-5': expected a date (YYYY-MM-DD). Did you mean 2026-01-05?",
        "data[1] is 2.5: expected a whole number.",
        "seed is missing: simulate takes seed: int.",
    ]


SECRET = {**TEXT, "format": "password", "writeOnly": True}


def test_a_declared_secret_never_appears_in_a_message():
    declared = task(["token"], token={**SECRET, "minLength": 20})

    for value in ("hunter22", RawText("hunter22"), Secret("hunter22"), ["hunter22"], 5):
        assert check(declared, {"token": value}) == ["token is a secret: expected text of at least 20 characters."]
    (missing,) = check(declared, {})
    assert missing == "token is missing: simulate takes token: Secret. --secret token prompts for it."
    assert declared.example == "%%heroku simulate --secret token"


def test_a_declared_secret_is_hidden_however_it_is_passed():
    declared = task(token=SECRET)

    assert to_env({"token": "hunter22"}, declared.schema) == {"token": Secret("hunter22")}
    assert to_env({"token": RawText("hunter22")}, declared.schema) == {"token": Secret("hunter22")}
    assert to_env({"token": ""}, declared.schema) == {"token": ""}


def test_undeclared_parameters_require_additional_properties():
    more = Task("t", "", {"properties": {"n": INT}, "additionalProperties": True})
    silent = Task("t", "", {"properties": {"n": INT}})

    assert check(more, {"x": 1}) == []
    assert len(check(silent, {"x": 1})) == 1


@pytest.mark.parametrize(
    ("schema", "choices"),
    [
        ({"enum": ["a b", "c", 3, True, None]}, ["'a b'", "c", "3", "true", "null"]),
        ({"anyOf": [{"enum": ["x"]}, NULL]}, ["x", "null"]),
        (BOOL, ["true", "false"]),
        (INT, []),
        ({"enum": ["a\nb", "\x1b[2J"]}, []),
    ],
)
def test_choices_can_be_typed_on_a_magic_line(schema, choices):
    parameter = Parameter("v", schema, False)

    assert parameter.choices == choices
    for choice in choices:
        assert check(task(v=schema), dict([read_argument(f"v={choice}", {})])) == []


def test_the_limits_of_items_are_described():
    limited = {**INT, "minimum": 1}

    assert Parameter("v", {"anyOf": [limited, NULL]}, False).limits == "from 1"
    assert Parameter("v", {**LIST, "items": limited, "maxItems": 5}, False).limits == "of at most 5 items, each from 1"


def test_text_on_the_line_is_read_by_declared_type_and_text_in_a_body_is_text():
    declared = task(n=INT)

    assert check(declared, dict([read_argument("n=10", {})])) == []
    assert check(declared, read_body("n = 10", {})) == []
    (issue,) = check(declared, read_body("n = '10'", {}))
    assert "the text '10'" in issue


@pytest.mark.parametrize("value", [range(3), [1, 2], (1,), np.arange(3), pd.Series([1]), range(10**12), [print]])
@pytest.mark.parametrize("schema", [INT, TEXT, CHOICE, MAYBE])
def test_a_list_for_a_single_value_suggests_each(schema, value):
    (issue,) = check(task(v=schema), {"v": value})

    assert "--each v" in issue


def test_unknown_and_missing_names_are_reported_with_the_declared_ones():
    issues = check(task(["seed"], n=INT, seed=INT), {"m": 1, "sed": 2})

    assert issues[0].startswith("simulate has no parameter m. Did you mean n?") or "It takes: n: int" in issues[0]
    assert "Did you mean seed?" in issues[1]
    assert issues[2] == "seed is missing: simulate takes seed: int."


def test_an_undeclared_task_accepts_anything():
    assert check(Task("script", "sh script", None), {"x": object()}) == []


@pytest.mark.parametrize(
    "schema", [{"anyOf": []}, {"anyOf": [5]}, {"enum": []}, {"anyOf": [{"anyOf": []}, {"enum": []}]}]
)
def test_an_empty_choice_is_never_expected(schema):
    for value in (5, "x", [print]):
        assert not any("expected ." in issue for issue in check(task(v=schema), {"v": value}))
    assert check(task(v={"anyOf": [INT, {"type": "array", "items": {"enum": []}}]}), {"v": "x"}) != []


@pytest.mark.parametrize(
    ("name", "schema", "shown"),
    [
        ("n", {**INT, "default": 10}, "n: int = 10"),
        ("x", FLOAT, "x: float"),
        ("b", {**BOOL, "default": False}, "b: bool = False"),
        ("m", {**CHOICE, "default": "fast"}, "m: 'naive' | 'fast' | 3 | None = 'fast'"),
        ("o", MAYBE, "o: int | None"),
        ("l", INTS, "l: list[int]"),
        ("d", FLOATS, "d: dict[str, float]"),
        ("a", {}, "a: Any"),
        ("e", {"anyOf": []}, "e: Any"),
    ],
)
def test_a_parameter_is_shown_in_python_notation(name, schema, shown):
    assert str(Parameter(name, schema, False)) == shown


@pytest.mark.parametrize(
    ("schema", "argument"),
    [
        ({**INT, "default": 7}, "v=7"),
        (INT, "v=10"),
        (CHOICE, "v=naive"),
        (INTS, "v=[1,2,3]"),
        (TEXT, "v=text"),
        ({**TEXT, "default": "a b"}, "v='a b'"),
        ({**TEXT, "default": "it's"}, 'v="it\'s"'),
        ({**TEXT, "default": "$x {y}"}, "v='$x {y}'"),
        ({**TEXT, "default": "it's {x} $y"}, 'v="it\'s {{x}} $$y"'),
        ({**TEXT, "default": "a'b\"c"}, "v=…"),
        ({**TEXT, "default": "a\nb"}, "v=…"),
        ({"default": {"a b": "c'd"}}, 'v={"a b":"c\'d"}'),
        ({**TEXT, "default": "x" * 1000}, "v=…"),
    ],
)
def test_an_example_can_be_pasted(schema, argument):
    assert task(["v"], v=schema).example == f"%%heroku simulate --arg {argument}"
    name, value = read_argument(argument, {})
    assert (name, check(task(v=schema), {"v": value})) == ("v", [])
    if "default" in schema and not argument.endswith("…"):
        default = schema["default"]
        assert value == (default if isinstance(default, str) else json.dumps(default, separators=(",", ":")))


def test_help_shows_types_help_and_an_example():
    shown = task(n={**INT, "default": 10, "description": "points to draw"}).help()

    assert shown == (
        "simulate(n: int = 10)\nEstimate pi.\n  n: int = 10  points to draw\n"
        "runs:    python -m heroku_task simulate\nexample: %%heroku simulate --arg n=10"
    )
    limited = {**INT, "minimum": 1, "description": "how many"}
    rows = task(n=limited, method=CHOICE).help().splitlines()
    assert rows[2:4] == [
        "  n: int                               from 1; how many",
        "  method: 'naive' | 'fast' | 3 | None",
    ]
    assert "it accepts any" in Task("hello", "sh hello.sh", None).help()


EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\nn"


@pytest.mark.parametrize("size", [1, 1_000])
def test_a_hostile_declaration_is_shown_clean_and_short(size):
    text = EVIL * size
    schema = {"enum": [text], "description": text, "default": text}
    hostile = Task("simulate", text, {"properties": {text + str(at): schema for at in range(200)}, "description": text})
    required = Task("simulate", "", {**hostile.schema, "required": list(hostile.schema["properties"])})

    shown = [
        hostile.help(),
        required.help(),
        hostile.summary,
        *check(required, {"x": 1, **dict.fromkeys(hostile.schema["properties"], 5)}),
    ]
    for one in shown:
        assert not set(one) & set("\x1b\x07\u202e")
        assert len(one) < 40_000
    assert "\n" not in hostile.summary + hostile.parameters[0].description + str(hostile.parameters[0])


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": []},
        {"properties": {"n": 5}},
        {"properties": {"n": {"enum": {}}}},
        {"required": 5},
        {"description": 5},
    ],
)
def test_a_declaration_that_is_not_a_schema_accepts_anything(schema):
    odd = Task("odd", "", schema)

    assert odd.help()
    assert check(odd, dict.fromkeys(schema["properties"], 1) if schema.get("properties") else {}) == []


def test_a_deeply_nested_declaration_is_shown():
    deep = {}
    for _ in range(200):
        deep = {"anyOf": [{"type": "array", "items": deep}, INT]}

    assert len(str(Parameter("v", deep, False))) < 1000
    assert check(task(v=deep), {"v": "x"})


def test_a_row_from_describe_becomes_a_task():
    assert Task.from_row({"task": "a", "parameters": None}, "c") == Task("a", "c", None)
    assert Task.from_row({"task": "a", "parameters": {"properties": {}}}, "c").parameters == []
    assert Task.from_row({"task": "a", "parameters": [1]}, "c").schema is None
    broken = Task.from_row({"task": "a", "parameters": None, "error": "SyntaxError: \x1b[2Jno"}, "c")
    assert broken.faults == ("it cannot be read, so parameters are not checked: SyntaxError: no",)


# -- which process type ----------------------------------------------------------------------------


def types(*names, **quantities):
    return {
        **dict.fromkeys(names, ("cmd", 0)),
        **{name: ("cmd", quantity) for name, quantity in quantities.items()},
    }


@pytest.mark.parametrize(
    ("name", "there", "chosen"),
    [
        (None, types("task", "other"), "task"),
        (None, types("only"), "only"),
        (None, types("only", "web", "release", "describe", worker=1), "only"),
        ("other", types("task", "other"), "other"),
    ],
)
def test_the_task_is_the_named_one_or_the_only_candidate(name, there, chosen):
    assert choose(name, there) == chosen


@pytest.mark.parametrize(
    ("name", "there", "message"),
    [
        (None, types("a", "b"), "Which task? The app has a, b: %%heroku a"),
        (None, types("web", worker=1), "no task to run, only web, worker"),
        (None, {}, "no process types at all"),
        ("taks", types("task"), "There is no task 'taks'. Did you mean task?"),
        ("x", types("task"), "The app has: task."),
        ("x", {}, "There is no task 'x'. The app has none; %heroku deploy FOLDER deploys some. To run any command"),
        ("web", types("web"), "--any-type"),
        ("describe", types("describe"), "--any-type"),
        ("worker", types(worker=2), "--any-type"),
    ],
)
def test_an_ambiguous_task_is_an_error_that_lists_the_candidates(name, there, message):
    with pytest.raises(InvalidOptions) as caught:
        choose(name, there)

    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["web", "release", "describe", "worker"])
def test_any_type_accepts_the_other_types_by_name(name):
    assert choose(name, types("web", "release", "describe", worker=2), any_type=True) == name


def test_a_default_nested_too_deeply_to_write_is_shown_as_an_ellipsis():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    declared = task(["v"], v={"default": deep})

    assert declared.signature == "v: Any = …"
    assert declared.example == "%%heroku simulate --arg v=…"


@pytest.mark.parametrize(("name", "remedy"), [(5, ""), (["sim"], ""), (len, " A function is run by @heroku.function")])
def test_the_name_of_a_task_is_text(name, remedy):
    with pytest.raises(InvalidOptions) as caught:
        choose(name, {"sim": ("python -m heroku_task sim", 0)})
    assert f"task is {name!r}: expected the name of a task, such as 'sim'.{remedy}" in str(caught.value)
