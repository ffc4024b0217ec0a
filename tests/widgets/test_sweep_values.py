"""The contents of fields that are swept, their values, and the way back."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heroku_magic.protocol.task import Parameter
from heroku_magic.widgets.field_factory import field
from heroku_magic.widgets.sweep_values import first_sweep, sweep_values

INT, NUMBER, TEXT = ({"type": kind} for kind in ("integer", "number", "string"))
DATE, MOMENT = {**TEXT, "format": "date"}, {**TEXT, "format": "date-time"}
SMALL = {**INT, "minimum": 1, "maximum": 9, "default": 1}
LIST = {"type": "array", "items": {"type": "number"}}


def swept(schema, *start):
    shaped = field(Parameter("n", schema, is_required=True), *start)
    return first_sweep(shaped, shaped.start)


@pytest.mark.parametrize(
    ("schema", "content", "values"),
    [
        (INT, "1, 2,5", [1, 2, 5]),
        (INT, "7", [7]),
        (INT, "1,", [1]),
        (INT, "1..4", [1, 2, 3, 4]),
        (INT, "1 .. 10 by 3", [1, 4, 7, 10]),
        (INT, "1..9 by 3", [1, 4, 7]),
        (INT, "2..-2", [2, 1, 0, -1, -2]),
        (INT, "10..1 by 4", [10, 6, 2]),
        (INT, "5..5", [5]),
        (INT, "1..3, 10, 20..40 by 10", [1, 2, 3, 10, 20, 30, 40]),
        (INT, "1_000..3_000 by 1_000", [1000, 2000, 3000]),
        (INT, f"{2**70}", [2**70]),
        ({**INT, "multipleOf": 5, "default": 5}, "0..20", [0, 5, 10, 15, 20]),
        (NUMBER, "0..0.5 by 0.1", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (NUMBER, "1, 0.5, 1e-3", [1, 0.5, 0.001]),
        (NUMBER, "0..2", [0, 1, 2]),
        (NUMBER, "-.5...5 by .5", [-0.5, 0.0, 0.5]),
        (DATE, "2024-02-28..2024-03-01", ["2024-02-28", "2024-02-29", "2024-03-01"]),
        (DATE, "2024-01-01..2024-01-31 by 14, 2025-01-01", ["2024-01-01", "2024-01-15", "2024-01-29", "2025-01-01"]),
        (MOMENT, "2024-01-01T10:00, 2024-01-02T10:00", ["2024-01-01T10:00", "2024-01-02T10:00"]),
        (TEXT, "one\n\n two words, \n", ["one", " two words, "]),
        (LIST, "[1]\n[1, 2]\n", [[1], [1, 2]]),
        ({"anyOf": [INT, TEXT]}, "1\nx\n", [1, "x"]),
    ],
)
def test_a_written_list_or_range_gives_its_values(schema, content, values):
    made = swept(schema).put(content)

    assert made.fault == ""
    assert [*map(repr, made.values)] == [*map(repr, values)]


@pytest.mark.parametrize(
    ("schema", "content", "fault"),
    [
        (INT, "", r"n has no values to sweep over\. Expected, for example, 1, 2, 5 or 1\.\.10 by 3"),
        (INT, "1, two", "n: 'two' is not a number. Expected, for example, 1, 2, 5"),
        (INT, "1, 2.5", "n is 2.5: expected a whole number"),
        (SMALL, "8..12", "n is 10: expected a whole number from 1 up to 9. The nearest valid value is 9."),
        (INT, "1..5 by 0", r"must be above 0, such as 1\.\.5 by 2"),
        (INT, "1..5 by -1", "must be above 0"),
        (INT, "1..1000000000", "n has 1,000,000,000 values. A form sweeps a field over at most 10,000"),
        (INT, "1..99999999999999999999", "n has too many values"),
        (INT, ",".join(["1..9000"] * 2), "n has 18,000 values"),
        (INT, "1..9 by", "is not a number"),
        (NUMBER, "0.1..0.9", r"0\.1\.\.0\.9 needs a step"),
        (NUMBER, "nan", "is not a number"),
        (NUMBER, "1e999", "is not a number"),
        (NUMBER, "0..1e999999999", "is not a number"),
        (NUMBER, "0..1 by 1e-9", "n has 1,000,000,001 values"),
        (INT, "9" * 5000, "is not a number"),
        (NUMBER, f"0..{'9' * 400} by {'9' * 399}.5", "too large"),
        (DATE, "2024-02-30..2024-03-01", "a date that does not exist"),
        (DATE, "2024-1-5", "Did you mean 2024-01-05"),
        (LIST, "[1]\n[1,", "value 2: n is not valid JSON"),
        (LIST, "[1]\n['a']", "value 2: n is not valid JSON"),
        (TEXT, "\n \n", "n has no values"),
        (TEXT, "x\n" * 10_001, "n has 10,001 values"),
    ],
)
def test_an_invalid_content_gives_a_fault_that_says_what_is_expected(schema, content, fault):
    made = swept(schema).put(content)

    assert re.search(fault, made.fault)
    assert made.put("1").content == "1", "it can be put right"


@pytest.mark.parametrize(
    ("schema", "start", "content", "values"),
    [
        (SMALL, 4, "4", [4]),
        ({**INT, "default": 3}, 3, "3", [3]),
        ({**NUMBER, "default": 0.5}, 0.5, "0.5", [0.5]),
        ({**TEXT, "default": "one"}, "one", "one", ["one"]),
        ({**DATE, "default": "2024-02-29"}, "2024-02-29", "2024-02-29", ["2024-02-29"]),
        ({**LIST, "default": [1]}, [1], "[1]", [[1]]),
        ({"enum": ["a", "b"], "default": "b"}, "b", (0, 1), ["a", "b"]),
        ({"type": "boolean", "default": True}, True, (0, 1), [False, True]),
    ],
)
def test_a_sweep_begins_with_the_current_value_or_with_all_choices(schema, start, content, values):
    made = swept(schema, start)

    assert (made.content, [*made.values], made.fault) == (content, values, "")


def test_none_is_a_choice_only_if_the_task_takes_null():
    optional = Parameter("n", {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None}, is_required=False)
    left_out = Parameter("n", {"type": "boolean"}, is_required=False)

    assert first_sweep(field(optional), 0).values == [True, False, None]
    assert first_sweep(field(left_out), 0).values == [True, False]


def test_choices_keep_their_order_regardless_of_clicks():
    made = swept({"enum": ["a", "b", "c"]}).put((2, 0))

    assert made.values == ["a", "c"]
    assert made.put(()).fault == "n has no values to sweep over."


def test_a_range_of_whole_numbers_remains_a_range():
    assert swept(INT).put("1..10").values == range(1, 11)
    assert swept(INT).put("1..10, 12").values == [*range(1, 11), 12]


@pytest.mark.parametrize(
    ("schema", "values", "content"),
    [
        (INT, range(50), "0..49"),
        (INT, range(0, 50, 7), "0..49 by 7"),
        (INT, range(5, 0, -1), "5..1"),
        (INT, range(5, 6), "5..5"),
        (INT, range(5, 8), "5..7"),
        (INT, [1, 2, 3, 4], "1..4"),
        (INT, [1, 2, 3], "1, 2, 3"),
        (INT, [1, 1, 1, 1], "1, 1, 1, 1"),
        ({**INT, "multipleOf": 5, "default": 5}, range(0, 40, 10), "0..30 by 10"),
        (NUMBER, [0.1, 1e-30], "0.1, 1e-30"),
        (TEXT, ["one", "two words"], "one\ntwo words"),
        ({"enum": ["a", "b", "c"]}, ["a", "c"], (0, 2)),
        ({"enum": ["a", "b", "c"]}, ["c", "a"], (0, 1)),
        (TEXT, ["one\ntwo", ""], (0, 1)),
    ],
)
def test_values_are_written_in_the_simplest_exact_way(schema, values, content):
    made = sweep_values(field(Parameter("n", schema, is_required=True)), values)

    assert made.content == content
    assert [*map(repr, made.values)] == [*map(repr, values)]


def test_the_hint_counts_the_values_and_says_how_to_write_them():
    assert swept(INT).put("1..10").hint == "10 values: 1, 2, 3 … 10 · such as 1, 2, 5 or 1..10 by 3"
    assert swept(TEXT).put("a\x1b[2J").hint == "1 value: a · one value per line"


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
MANY = st.one_of(
    st.lists(st.integers(-(10**20), 10**20), min_size=1, max_size=9).map(lambda values: (INT, values)),
    st.builds(range, st.integers(-99, 99), st.integers(-99, 99), st.sampled_from([-7, -1, 1, 3])).map(
        lambda values: (INT, values)
    ),
    st.lists(FINITE | st.integers(), min_size=1, max_size=9).map(lambda values: (NUMBER, values)),
    st.lists(TEXTS, min_size=1, max_size=5).map(lambda values: (TEXT, values)),
    st.lists(st.lists(FINITE, max_size=3), min_size=1, max_size=5).map(lambda values: (LIST, values)),
    st.lists(st.dates().map(str), min_size=1, max_size=5).map(lambda values: (DATE, values)),
    st.lists(st.sampled_from([1, True, "1", "a"]), min_size=1, max_size=5).map(
        lambda values: ({"enum": [1, True, "1", "a"]}, values)
    ),
    st.lists(st.booleans(), min_size=1, max_size=3).map(lambda values: ({"type": "boolean", "default": True}, values)),
)


@given(MANY)
@example((TEXT, [" a ", "\r"]))
@example((INT, range(3, 0, -1)))
def test_given_values_are_swept_unchanged(pair):
    schema, values = pair
    if not values:
        return
    made = sweep_values(field(Parameter("n", schema, is_required=True)), values)

    assert [*map(repr, made.values)] == [*map(repr, values)]
    assert made.fault == ""
    assert made.put(made.content) == made


@given(TEXTS | st.text("0123456789.-e, by", max_size=20), st.sampled_from([INT, NUMBER, DATE, TEXT, LIST]))
def test_no_input_breaks_the_field(text, schema):
    made = swept(schema).put(text)

    assert made.values or made.fault
    assert "\x1b" not in made.hint + made.fault
