"""Declarations written by hand are normalized, bounded and reported if they are faulty."""

from __future__ import annotations

import time

import pytest

from heroku_magic.protocol.declaration import read_declaration
from heroku_magic.protocol.task import Task, check

INT, NULL = {"type": "integer"}, {"type": "null"}


def read(schema, **document):
    """The normalized schema of one parameter, and the faults."""
    declared, faults = read_declaration({"properties": {"v": schema}, **document})
    return declared["properties"]["v"], faults


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        ({"const": 5}, {"enum": [5]}),
        ({"type": ["integer", "null"], "minimum": 1}, {"anyOf": [{"type": "integer", "minimum": 1}, NULL]}),
        ({"oneOf": [INT, NULL], "description": "d"}, {"anyOf": [INT, NULL], "description": "d"}),
        ({"anyOf": [INT, NULL], "maximum": 9}, {"anyOf": [{"type": "integer", "maximum": 9}, NULL]}),
        ({"$ref": "#/$defs/n", "description": "d"}, {"type": "integer", "minimum": 1, "description": "d"}),
        ({"type": "array", "items": {"$ref": "#/$defs/a~1b"}}, {"type": "array", "items": INT}),
        (True, {}),
        (5, {}),
    ],
)
def test_equivalent_keywords_are_normalized_to_one_form(schema, form):
    defs = {"n": {"type": "integer", "minimum": 1}, "a/b": INT}

    assert read(schema, **{"$defs": defs}) == (form, ())


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"$ref": "#/$defs/self"}, "v: its schema refers to itself (#/$defs/self), so any value is accepted."),
        ({"$ref": "#/$defs/a"}, "v: its schema refers to itself (#/$defs/a), so any value is accepted."),
        ({"$ref": "#"}, "v: its schema refers to itself (#/properties/v), so any value is accepted."),
        ({"$ref": "#/$defs/nobody"}, "v: #/$defs/nobody does not exist in its schema, so any value is accepted."),
        ({"$ref": "https://example.com/schema.json"}, "v: https://example.com/schema.json does not exist in its schema, so any value is accepted."),
        ({"type": "integer", "minimum": 1, "default": 0}, "v: its default 0 is not allowed: expected a whole number from 1."),
        ({"enum": ["a"], "default": "b"}, "v: its default 'b' is not allowed: expected one of 'a'."),
    ],
)  # fmt: skip
def test_faults_of_a_declaration_name_the_parameter_and_break_nothing(schema, fault):
    defs = {
        "self": {"$ref": "#/$defs/self"},
        "a": {"type": "array", "items": {"$ref": "#/$defs/b"}},
        "b": {"$ref": "#/$defs/a"},
    }
    if schema == {"$ref": "#"}:
        schema, defs = {"$ref": "#/properties/v"}, {}
    found, faults = read(schema, **{"$defs": defs})

    assert faults == (fault,)
    task = Task.from_row({"task": "t", "parameters": {"properties": {"v": schema}, "$defs": defs}}, "c")
    assert fault in task.help()
    assert check(task, {"v": "anything"}) == [] or "any value is accepted" not in fault or found.get("items") == {}


def test_references_that_multiply_at_each_step_are_stopped_in_time():
    defs = {f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 20} for at in range(60)}
    began = time.process_time()
    found, faults = read({"$ref": "#/$defs/d0"}, **{"$defs": {**defs, "d60": INT}})

    assert faults == ("v: its schema is too large or too deeply nested to check, so any value is accepted.",)
    assert check(Task("t", "", {"properties": {"v": found}}), {"v": "x"}) == []
    assert time.process_time() - began < 5


def test_five_hundred_parameters_are_checked_and_shown():
    schema = {"type": "integer", "minimum": 0, "description": "<script>alert(1)</script>", "default": 1}
    row = {"task": "t", "parameters": {"properties": {f"p{at}": schema for at in range(500)}, "required": ["p0"]}}
    task = Task.from_row(row, "c")

    assert len(task.parameters) == 500
    assert len(task.help()) < 20_000
    issues = check(task, {**{f"p{at}": -1 for at in range(500)}, "p": 1})
    assert len(issues) == 501
    assert issues[1] == "p0 is -1: expected a whole number from 0. The nearest valid value is 0."


@pytest.mark.parametrize("given", [None, 5, [], {}, {"properties": 5}])
def test_an_invalid_declaration_declares_nothing(given):
    declared, faults = read_declaration(given)

    assert declared == (given if isinstance(given, dict) else None)
    assert faults == ()
