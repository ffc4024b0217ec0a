"""Which field a declaration gets, and what it starts with."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.environ import to_env
from heroku_magic.protocol.task import Parameter, Task
from heroku_magic.protocol.values import RawText
from heroku_magic.widgets.field_factory import field, fields
from heroku_magic.widgets.fields import (
    NOTHING,
    CheckField,
    ChoiceField,
    DateField,
    DateTimeField,
    JsonField,
    LiteralField,
    NumberField,
    SecretField,
    SliderField,
    TextField,
)


def declared(schema, *, is_required=True):
    return Parameter("n", schema, is_required=is_required)


INT, NUMBER, TEXT, BOOL = ({"type": kind} for kind in ("integer", "number", "string", "boolean"))
LIST, DICT = {"type": "array", "items": {"type": "number"}}, {"type": "object"}
OPTIONAL = {"anyOf": [INT, {"type": "null"}], "default": None}


@pytest.mark.parametrize(
    ("schema", "kind", "value"),
    [
        ({**INT, "default": 3}, NumberField, 3),
        ({**INT, "minimum": 1, "maximum": 9, "default": 3}, SliderField, 3),
        ({**INT, "minimum": 1, "maximum": 9}, SliderField, 1),
        ({**INT, "minimum": 9, "maximum": 1, "default": 3}, NumberField, 3),
        ({**INT, "default": 2**60}, LiteralField, 2**60),
        ({**INT, "default": 2**53}, LiteralField, 2**53),
        ({**INT, "default": 1 - 2**53}, NumberField, 1 - 2**53),
        (INT, LiteralField, NOTHING),
        ({**NUMBER, "default": 0.5}, NumberField, 0.5),
        ({"enum": ["a", "b"], "default": "b"}, ChoiceField, "b"),
        ({"enum": [1, True, "1"], "default": True}, ChoiceField, True),
        ({"enum": ["a", "b"]}, ChoiceField, NOTHING),
        ({**BOOL, "default": True}, CheckField, True),
        (BOOL, ChoiceField, NOTHING),
        ({**TEXT, "default": "x"}, TextField, "x"),
        ({**TEXT, "default": ""}, TextField, ""),
        (TEXT, TextField, NOTHING),
        ({**TEXT, "default": "a\nb"}, TextField, "a\nb"),
        ({**TEXT, "format": "date", "default": "2024-02-29"}, DateField, "2024-02-29"),
        ({**TEXT, "format": "date", "default": "2024-02-30"}, TextField, "2024-02-30"),
        ({**TEXT, "format": "date"}, DateField, NOTHING),
        ({**TEXT, "format": "date-time", "default": "2024-02-29T12:30:00"}, DateTimeField, "2024-02-29T12:30:00"),
        (
            {**TEXT, "format": "date-time", "default": "2024-02-29T12:30:00+01:00"},
            TextField,
            "2024-02-29T12:30:00+01:00",
        ),
        ({**LIST, "default": [1, 2]}, JsonField, [1, 2]),
        ({**DICT, "default": {"a": 1}}, JsonField, {"a": 1}),
        (OPTIONAL, NumberField, None),
        ({"type": ["integer", "null"], "default": 4}, NumberField, 4),
        ({"anyOf": [BOOL, {"type": "null"}], "default": None}, ChoiceField, None),
        ({"anyOf": [INT, TEXT], "default": "5"}, LiteralField, "5"),
        ({"default": {"a": [1]}}, LiteralField, {"a": [1]}),
    ],
)
def test_each_type_has_its_field_and_starts_with_its_default(schema, kind, value):
    shaped = field(declared(schema))
    read = shaped.read(shaped.start)

    assert type(shaped) is kind
    assert (read, type(read)) == (value, type(value))


def test_a_default_of_several_lines_gets_a_text_area():
    assert field(declared({**TEXT, "default": "a\nb"})).is_multiline
    assert not field(declared({**TEXT, "default": "x"})).is_multiline
    assert not field(declared({**TEXT, "format": "date", "default": "2024-02-30"})).is_multiline


def test_an_optional_parameter_without_default_can_be_left_out():
    shaped = field(declared(INT, is_required=False))

    assert shaped.may_be_absent
    assert shaped.start is None
    assert shaped.read(None) is NOTHING
    assert shaped.fault(None) == ""


@pytest.mark.parametrize("schema", [INT, TEXT, {"enum": ["a"]}, BOOL, LIST, {**TEXT, "format": "date"}])
def test_a_required_value_that_is_not_given_is_reported_as_missing(schema):
    shaped = field(declared(schema))

    assert "n is missing" in shaped.fault(shaped.start)


@pytest.mark.parametrize(
    ("schema", "start", "value"),
    [
        (INT, RawText("7"), 7),
        (NUMBER, RawText("1e3"), 1000.0),
        (BOOL, RawText("yes"), True),
        (TEXT, RawText("7"), "7"),
        (LIST, RawText("[1, 2]"), [1, 2]),
        (OPTIONAL, RawText("null"), None),
        ({"enum": [1, 2]}, RawText("2"), 2),
        ({"enum": ["a", "b"]}, RawText("b"), "b"),
        ({**TEXT, "format": "date"}, date(2024, 2, 29), "2024-02-29"),
        ({**TEXT, "format": "date-time"}, datetime(2024, 2, 29, 12, 30), "2024-02-29T12:30:00"),  # noqa: DTZ001
        (LIST, (1, 100), [1, 100]),
        (LIST, range(3), [0, 1, 2]),
    ],
)
def test_a_start_value_is_read_as_the_declared_type(schema, start, value):
    shaped = field(declared(schema), start)

    assert shaped.read(shaped.start) == value


@pytest.mark.parametrize(
    ("schema", "start", "fault"),
    [
        (INT, RawText("ten"), "n is 'ten': expected a whole number"),
        (INT, "ten", "n is the text 'ten'"),
        ({"enum": ["fast"]}, "fats", "Did you mean fast?"),
        *((INT, values, r"Expected \(lowest, highest\)") for values in ((9, 1), (1.5, 2.5), (1, 9, 0), (1, 9, 2.5))),
        ({**INT, "minimum": 1, "maximum": 5}, (6, 9), "within what the task takes"),
        (INT, [1, "two"], "n is the text 'two'"),
        (INT, [], "Expected values to choose from"),
        (INT, object(), "object cannot be passed as a parameter"),
    ],
)
def test_a_start_value_that_does_not_fit_is_rejected(schema, start, fault):
    with pytest.raises(InvalidParameters, match=fault):
        field(declared(schema), start)


@pytest.mark.parametrize(
    ("schema", "start", "fault"),
    [
        ({"format": "dataframe"}, NOTHING, "n: a form cannot hold a DataFrame. Assign n in a %%heroku cell instead."),
        ({"format": "dataframe"}, pd.DataFrame(), "n: a form cannot hold a DataFrame. "),
        ({"format": "binary"}, b"abc", "n: a form cannot hold bytes. "),
        ({"format": "path"}, Path(__file__), "n: a form cannot hold a file. "),
    ],
)
def test_a_value_that_travels_over_a_connection_has_no_field(schema, start, fault):
    with pytest.raises(InvalidParameters, match=fault):
        field(declared(schema), start)
    optional = {"anyOf": [schema, {"type": "null"}], "default": None}
    assert field(declared(optional, is_required=False)).start is None


def test_two_or_three_numbers_are_a_slider_within_the_declared_range():
    shaped = field(declared({**INT, "minimum": 5, "default": 20}), (1, 100, 10))

    assert type(shaped) is SliderField
    assert (shaped.lowest, shaped.highest, shaped.step, shaped.start) == (5, 100, 10, 20)
    assert shaped.hint == "a whole number from 5 up to 100"
    assert field(declared({**NUMBER, "default": 3.0}), (0.5, 1.5)).start == 0.5, "the default is not in the range"


def test_the_help_of_a_docstring_loses_its_full_stop_before_more():
    assert field(declared({**INT, "description": "number of rows."})).hint == "number of rows · a whole number"
    assert field(declared({**TEXT, "description": "a name."})).hint == "a name."


def test_a_list_gives_the_choices():
    shaped = field(declared({**INT, "default": 3}), [1, 3, 10])

    assert type(shaped) is ChoiceField
    assert (shaped.options, shaped.read(shaped.start)) == ((1, 3, 10), 3)


def test_for_an_undeclared_task_the_values_determine_the_types():
    given = {"n": (1, 100), "kind": ["a", "b"], "deep": True, "rate": 0.5, "config": {"a": 1}}
    shaped = {one.name: one for one in fields(Task("plain", "", None), given)}

    assert [*map(type, shaped.values())] == [SliderField, ChoiceField, CheckField, NumberField, JsonField]
    assert shaped["kind"].read(shaped["kind"].start) == "a"


def test_all_faults_are_reported_at_once():
    task = Task("sim", "", {"properties": {"n": INT, "m": INT}, "required": ["n", "m"]})
    with pytest.raises(InvalidParameters) as caught:
        fields(task, {"n": "x", "m": "y", "q": 1})

    assert len(caught.value.issues) == 3


def test_a_secret_takes_no_value_and_offers_its_sources():
    hidden = {"type": "string", "writeOnly": True}
    assert field(declared(hidden)).options == ("environment", "keyring", "prompt")
    assert field(declared(hidden, is_required=False)).options[-1] == ""
    with pytest.raises(InvalidParameters, match="--secret n") as caught:
        field(declared(hidden), "hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_name_given_as_secret_is_secret_whatever_is_declared():
    task = Task("sim", "", {"properties": {"key": TEXT}, "required": ["key"]})

    assert isinstance(fields(task, {}, ["key"])[0], SecretField)
    with pytest.raises(InvalidParameters, match=r"no parameter kye\. Did you mean key"):
        fields(task, {}, ["kye"])


HOSTILE = [
    {"type": "integer", "minimum": "1", "maximum": [], "multipleOf": -3},
    {"type": "integer", "minimum": 1e400, "maximum": float("nan"), "default": 1},
    {"type": 7, "enum": "abc", "anyOf": {}},
    {"anyOf": []},
    {"anyOf": [7, None]},
    {"enum": [[1], {"a": 1}, None]},
    {"type": "string", "format": ["date"], "default": 7},
    {"type": "boolean", "default": "yes"},
    {"type": "array", "default": "x"},
    {"type": "integer", "default": "x"},
    {"type": "number", "minimum": 0, "maximum": 1, "default": 5},
    {"type": "string", "description": "<script>alert(1)</script>\x1b[2J" * 100},
]


@pytest.mark.parametrize("schema", HOSTILE)
def test_a_hostile_declaration_breaks_nothing(schema):
    shaped = field(declared(schema, is_required=False))

    assert isinstance(shaped.fault(shaped.start), str)
    assert "\x1b" not in shaped.hint
    assert len(shaped.hint) < 400


def test_a_default_that_violates_its_own_type_is_shown_with_its_fault():
    shaped = field(declared({"type": "integer", "default": "many"}))

    assert "expected a whole number" in shaped.fault(shaped.start)


def test_a_boolean_whose_default_is_no_boolean_has_no_tick_box_and_sends_nothing_until_it_is_chosen():
    shaped = field(declared({**BOOL, "default": "yes"}, is_required=False))

    assert type(shaped) is ChoiceField
    assert (shaped.options, shaped.start, shaped.read(shaped.start)) == ((True, False), -1, NOTHING)


def test_a_whole_number_that_a_browser_may_have_rounded_is_a_fault():
    shaped = field(declared({**INT, "default": 1}))

    assert shaped.fault(2**53 - 1) == ""
    assert shaped.fault(-(2**53)) == (
        "n is too large for this field, which may have rounded it. Assign n in a %%heroku cell instead."
    )
    assert field(declared({**NUMBER, "default": 1.0})).fault(1e300) == ""


def test_choices_with_equal_labels_are_written_whole_as_json():
    long = "x" * 80
    shaped = field(declared({"enum": [long + "a", long + "b", 1, "1", True, "true", "fast"]}))

    assert shaped.labels == [f'"{long}a"', f'"{long}b"', "1", '"1"', "true", '"true"', "fast"]


# -- round trip: value -> field -> content -> value -> environment ----------------------------------------

EARLIEST = datetime(1000, 1, 1)  # noqa: DTZ001 - a task may want one without a zone
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TYPED = st.one_of(
    st.integers(-(10**20), 10**20).map(lambda value: (INT, value)),
    st.integers(1, 9).map(lambda value: ({**INT, "minimum": 1, "maximum": 9}, value)),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: (NUMBER, value)),
    st.booleans().map(lambda value: (BOOL, value)),
    TEXTS.map(lambda value: (TEXT, value)),
    st.dates().map(lambda value: ({**TEXT, "format": "date"}, value.isoformat())),
    st.datetimes(min_value=EARLIEST).map(lambda value: ({**TEXT, "format": "date-time"}, value.isoformat())),
    st.sampled_from([1, True, "1", "a", 1.5]).map(lambda value: ({"enum": [1, True, "1", "a", 1.5]}, value)),
    st.lists(JSON, max_size=4).map(lambda value: ({"type": "array"}, value)),
    st.dictionaries(TEXTS, JSON, max_size=4).map(lambda value: (DICT, value)),
    JSON.filter(lambda value: value is not None).map(lambda value: ({}, value)),
    (st.integers(-9, 9) | TEXTS).map(lambda value: ({"anyOf": [INT, TEXT]}, value)),
)


@given(TYPED, st.booleans(), st.booleans())
@example((TEXT, ""), False, False)
@example(({}, " 7"), False, True)
@example(({"anyOf": [INT, TEXT]}, "null"), False, False)
def test_a_form_sends_the_values_that_it_starts_with(pair, is_optional, is_default):
    schema, value = pair
    kinds = schema.get("anyOf", [schema])
    schema = {"anyOf": [*kinds, {"type": "null"}]} if is_optional else schema
    start = NOTHING if is_default else value
    shaped = field(declared({**schema, "default": value} if is_default else schema), start)

    read = shaped.read(shaped.start)
    whole = {"properties": {"n": schema}}
    assert json.dumps(read) == json.dumps(value)
    assert to_env({"n": read}, whole) == to_env({"n": value}, whole)
    assert shaped.fault(shaped.start) == ""
