"""Limits, formats and choices of a JSON Schema are checked, and near misses get a suggestion."""

from __future__ import annotations

from datetime import date, datetime, timezone

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.protocol.json_schema import (
    example,
    expectation,
    fits,
    limits_text,
    locate_fault,
    suggestion,
    type_text,
)
from heroku_magic.protocol.values import RawText, plain

INT, NUMBER, TEXT, NULL = ({"type": kind} for kind in ("integer", "number", "string", "null"))
DAY, MOMENT = ({"type": "string", "format": form} for form in ("date", "date-time"))


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({**INT, "minimum": 1, "maximum": 3}, [1, 3, RawText("2")], [0, 4, RawText("0"), 2.0]),
        ({**NUMBER, "exclusiveMinimum": 0, "exclusiveMaximum": 1}, [0.5, RawText("1e-9")], [0, 1, float("nan")]),
        ({**INT, "multipleOf": 5}, [0, -5, 10], [3]),
        ({**NUMBER, "multipleOf": 0.1}, [0.3, 0.7, 1, 1e6, 123456.7], [0.35, float("inf")]),
        ({**TEXT, "minLength": 2, "maxLength": 3}, ["ab", RawText("123")], ["a", "abcd"]),
        ({"type": "array", "items": INT, "minItems": 1, "maxItems": 2}, [[1], RawText("[1,2]")], [[], [1, 2, 3]]),
        (DAY, ["2026-01-31", RawText("2026-01-31")], ["2026-02-30", "31.1.2026", "20260131", "2026-01-31T00:00"]),
        (MOMENT, ["2026-01-31T12:00", "2026-01-31 12:00:00.5Z", "2026-01-31", "2026-01-31T12:00:00+01:00"], ["12:00", "2026-01-31T25:00"]),
        ({**INT, "enum": [1, 2]}, [1, RawText("2")], [3, RawText("3")]),
        ({"anyOf": [{**INT, "minimum": 1}, NULL]}, [1, None, RawText("1"), RawText("null")], [0, RawText("0")]),
        ({"type": "array", "items": DAY}, [["2026-01-31"], []], [["x"]]),
    ],
)  # fmt: skip
def test_values_within_their_limits_fit(schema, good, bad):
    assert [one for one in good if not fits(one, schema)] == []
    assert [one for one in bad if fits(one, schema)] == []


@pytest.mark.parametrize(
    "value",
    [
        date(2026, 1, 31),
        datetime.fromisoformat("2026-01-31T12:30:00.000005"),
        datetime(2026, 1, 31, tzinfo=timezone.utc),
    ],
)
def test_dates_from_a_notebook_fit(value):
    assert fits(plain(value), DAY if type(value) is date else MOMENT)


@pytest.mark.parametrize("limit", ["x", None, True, [], {}])
def test_a_limit_that_is_not_a_number_is_ignored(limit):
    for word in ("minimum", "maximum", "multipleOf", "exclusiveMinimum"):
        assert fits(5, {**INT, word: limit})
    assert fits(5, {**INT, "multipleOf": -1})
    assert fits(5, {**INT, "multipleOf": 0})


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.text("ab", max_size=3) | st.floats(-50, 50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)
SIMPLE = st.one_of(
    st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": st.integers(-9, 9), "multipleOf": st.integers(1, 5)}),
    st.fixed_dictionaries({"type": st.just("number")}, optional={"maximum": st.integers(-9, 9), "exclusiveMinimum": st.integers(-9, 9)}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"minLength": st.integers(0, 3), "maxLength": st.integers(0, 3)}),
    st.sampled_from([{"type": "boolean"}, NULL, {"enum": ["a", 1, None]}, {}]),
)  # fmt: skip
SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda one: {"type": "object", "additionalProperties": one}, inner),
        st.builds(lambda kinds: {"anyOf": kinds}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=4,
)


@pytest.mark.large
@given(SCHEMAS, JSONS)
@settings(deadline=None, max_examples=300)
def test_a_value_fits_if_jsonschema_accepts_it(schema, value):
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(value)

    if fits(value, schema):
        assert is_valid
    else:
        # Unlike in JSON Schema, a float is never a whole number here, and true is not 1.
        assert not is_valid or "." in repr(value) or "True" in repr(value) or "False" in repr(value)


@pytest.mark.parametrize(
    ("schema", "value", "hint"),
    [
        ({"enum": ["naive", "fast"]}, "fats", " Did you mean fast?"),
        ({"anyOf": [{"enum": ["naive", "fast"]}, NULL]}, RawText("fats"), " Did you mean fast?"),
        ({**INT, "minimum": 1, "maximum": 10}, 11, " The nearest valid value is 10."),
        ({**INT, "minimum": 1}, RawText("0"), " The nearest valid value is 1."),
        ({**INT, "multipleOf": 5}, 12, " The nearest valid value is 10."),
        ({**INT, "minimum": 3, "multipleOf": 5}, 4, " The nearest valid value is 5."),
        ({**NUMBER, "multipleOf": 0.1}, 0.35, " The nearest valid value is 0.3."),
        (INT, 5.0, " The nearest valid value is 5."),
        (INT, 5.5, ""),
        ({**INT, "minimum": 5, "maximum": 4}, 7, ""),
        ({**NUMBER, "exclusiveMinimum": 0}, 0, ""),
        (DAY, "2026-1-5", " Did you mean 2026-01-05?"),
        (DAY, "2026/01/05", " Did you mean 2026-01-05?"),
        (DAY, "2026-01-05T12:00:00", " Did you mean 2026-01-05?"),
        (DAY, "2026-13-05", ""),
        (DAY, "soon", ""),
        (INT, "x", ""),
        (INT, float("inf"), ""),
    ],
)
def test_a_near_miss_gets_a_suggestion(schema, value, hint):
    assert suggestion(value, schema) == hint


@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({"type": "array", "items": INT}, [1, "a"], ("[1]", "a", INT)),
        ({"type": "array", "items": INT}, RawText('[1, "a"]'), ("[1]", "a", INT)),
        ({"type": "object", "additionalProperties": {"type": "array", "items": INT}}, {"k": [1.5]}, ("['k'][0]", 1.5, INT)),
        ({"anyOf": [{"type": "array", "items": INT}, NULL]}, ["a"], ("[0]", "a", INT)),
        (INT, "a", ("", "a", INT)),
    ],
)  # fmt: skip
def test_the_invalid_item_is_located(schema, value, found):
    assert locate_fault(value, schema) == found


@pytest.mark.parametrize(
    ("schema", "expected", "written"),
    [
        ({**INT, "minimum": 1, "maximum": 9, "multipleOf": 2}, "a whole number from 1 up to 9 in steps of 2", "int"),
        (DAY, "a date (YYYY-MM-DD)", "date"),
        (MOMENT, "a time (YYYY-MM-DDTHH:MM:SS)", "datetime"),
        ({"type": "string", "format": "password"}, "text", "Secret"),
        ({"type": "string", "format": "email"}, "text", "str"),
        ({"anyOf": [DAY, NULL]}, "a date (YYYY-MM-DD) or null", "date | None"),
        ({"type": "array", "items": DAY, "minItems": 1}, "a list (list[date]) of at least 1 items", "list[date]"),
    ],
)
def test_a_schema_is_described_in_words_and_in_python_notation(schema, expected, written):
    assert (expectation(schema), type_text(schema)) == (expected, written)


@given(SCHEMAS)
@settings(deadline=None)
def test_an_example_fits_wherever_one_is_found(schema):
    shown = example(schema)

    assert shown == "text" or fits(shown, schema)


@pytest.mark.parametrize(
    "schema",
    [
        {**INT, "minimum": 100},
        {**INT, "maximum": -1},
        {**NUMBER, "exclusiveMinimum": 3},
        {**NUMBER, "exclusiveMaximum": 0},
        {**INT, "multipleOf": 7},
        {"type": "array", "items": {"enum": ["x"]}},
        {"anyOf": [{**INT, "minimum": 100}, NULL]},
        DAY,
        MOMENT,
    ],
)
def test_an_example_is_within_the_limits(schema):
    assert fits(example(schema), schema)


def test_limits_are_described_in_a_fixed_order():
    assert limits_text({"multipleOf": 2, "maximum": 8, "minimum": 0}) == "from 0 up to 8 in steps of 2"
    assert limits_text({"type": "string"}) == ""


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -float("inf")])
def test_a_limit_that_is_not_finite_is_ignored(limit):
    schema = {"type": "integer", "minimum": limit, "maximum": limit, "multipleOf": limit}
    assert limits_text(schema) == ""
    assert fits(1, schema)
    suggestion(1, schema)


@pytest.mark.parametrize("schema", [{"type": ["string", "null"]}, {"type": []}, {"type": {}}])
def test_a_type_that_is_no_single_name_is_described_without_an_error(schema):
    assert (expectation(schema), type_text(schema)) == ("something else", "Any")
    assert example(schema) == "text"
