"""tasks: a declaration refuses what does not fit, all faults at once, and never breaks on a hostile one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.errors import InvalidOptions
from heroku_magic.parameters import Typed
from heroku_magic.tasks import Task, check, choose

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "default": 10, "description": "points to draw"},
        "rate": {"type": "number", "default": 0.5},
        "loud": {"type": "boolean", "default": False},
        "name": {"type": "string", "default": ""},
        "method": {"enum": ["naive", "fast", 3], "default": "fast"},
        "data": {"type": "array", "items": {"type": "number"}},
        "more": {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}},
        "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "any": {"default": 0},
    },
    "required": ["data"],
    "additionalProperties": False,
    "description": "Estimate pi.",
}
TASK = Task("simulate", "python -m heroku_task simulate", SCHEMA)


def issues(**parameters):
    return check(TASK, {"data": [1.0], **parameters})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 3),
        ("n", Typed("3")),
        ("n", np.int64(3)),
        ("rate", 1),
        ("rate", Typed("1e3")),
        ("loud", True),
        ("loud", Typed("yes")),
        ("name", "007"),
        ("name", Typed("")),
        ("method", "naive"),
        ("method", 3),
        ("method", Typed("3")),
        ("data", [1, 2.5]),
        ("data", Typed("[1, 2]")),
        ("data", pd.Series([1.0])),
        ("more", {"a": 1}),
        ("seed", None),
        ("seed", Typed("5")),
        ("seed", Typed("null")),
        ("any", object),
    ],
)
def test_what_fits_is_taken(name, value):
    assert issues(**{name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("n", "3", ["n is the text '3'", "a whole number"]),
        ("n", Typed("1.5"), ["n is '1.5'", "a whole number"]),
        ("n", True, ["n is True"]),
        ("n", 3.0, ["n is 3.0"]),
        ("rate", Typed("fast"), ["a number"]),
        ("loud", Typed("maybe"), ["true or false"]),
        ("name", 7, ["name is 7", "text"]),
        ("method", Typed("fats"), ["'naive', 'fast', 3", "Did you mean fast?"]),
        ("data", Typed("[1"), ["a list (list[float])"]),
        ("data", ["a"], ["data is ['a']"]),
        ("more", {"a": "x"}, ["a dict"]),
        ("seed", Typed("x"), ["a whole number or null"]),
        ("n", range(3), ["--each n"]),
        ("n", [1, 2], ["--each n"]),
        ("n", pd.Series([1, 2]), ["--each n"]),
        ("nn", 1, ["simulate has no parameter nn", "Did you mean n?"]),
    ],
)
def test_what_does_not_fit_says_the_name_the_value_and_what_was_expected(name, value, words):
    (issue,) = issues(**{name: value})

    assert all(word in issue for word in words), issue


def test_all_faults_at_once():
    assert len(check(TASK, {"x": 1, "n": "a", "rate": "b"})) == 4


def test_an_undeclared_task_takes_anything():
    assert check(Task("hello", "python hello.py", None), {"whatever": object()}) == []


def test_help_shows_types_defaults_and_an_example():
    text = TASK.help()

    assert text.startswith("simulate(n: int = 10, rate: float = 0.5")
    assert "method: 'naive' | 'fast' | 3 = 'fast'" in text
    assert "points to draw" in text
    assert "%%heroku simulate --arg data=[1,2,3]" in text
    assert "takes any" in Task("hello", "x", None).help()


TYPES = {"web": ("x", 1), "worker": ("x", 0), "release": ("x", 0), "describe": ("x", 0)}


@pytest.mark.parametrize(
    ("name", "types", "chosen"),
    [
        (None, TYPES, "worker"),
        (None, {**TYPES, "task": ("x", 0)}, "task"),
        ("worker", TYPES, "worker"),
    ],
)
def test_left_out_it_is_task_or_the_only_candidate(name, types, chosen):
    assert choose(name, types) == chosen


@pytest.mark.parametrize(
    ("name", "types", "message"),
    [
        (None, {**TYPES, "other": ("x", 0)}, "worker, other"),
        (None, {"web": ("x", 1), "worker": ("x", 2)}, "no task to run, only web, worker"),
        (None, {}, "no process types"),
        ("wroker", TYPES, r"Did you mean worker\?"),
        ("web", TYPES, "--any-type"),
        ("describe", TYPES, "--any-type"),
    ],
)
def test_else_an_error_lists_what_there_is(name, types, message):
    with pytest.raises(InvalidOptions, match=message):
        choose(name, types)


def test_any_type_takes_any_type_that_is_there():
    assert choose("web", TYPES, any_type=True) == "web"


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "enum", "anyOf", "items", "properties", "required", "additionalProperties", "default"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=3), hostile, max_size=4), hostile)
def test_a_hostile_declaration_breaks_nothing(properties, value):
    task = Task("t", "x", {"properties": properties, "required": value})

    check(task, {**dict.fromkeys(properties, Typed("1")), "other": value})
    assert "\x1b" not in task.help() + task.signature + task.example


def test_a_declaration_that_goes_round_in_a_circle_ends():
    schema = {"anyOf": []}
    schema["anyOf"].append(schema)
    task = Task("t", "x", {"properties": {"a": schema}})

    assert check(task, {"a": 1}) in ([], check(task, {"a": 1}))
    assert len(task.help()) < 10_000
