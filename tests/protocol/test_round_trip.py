"""A value of any declared type reaches the helper unchanged, through the checks and the environment."""

from __future__ import annotations

import datetime as dt
import enum
import importlib.util
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from heroku_magic.protocol.environ import to_env
from heroku_magic.protocol.task import Task, check
from heroku_magic.text.secret import Secret

WORKER = Path(__file__).resolve().parents[2] / "worker" / "heroku_task.py"
HEAD = """
class Method(Enum):
    NAIVE = "naive"
    NULL = "null"
    TWO = 2
"""


class Method(enum.Enum):
    NAIVE = "naive"
    NULL = "null"
    TWO = 2


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ZONES = st.none() | st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(dt.timezone)
TIMES = st.datetimes(timezones=ZONES)
STEPS = [0.1, 0.25, 3, 7]


def ranged(kind, values):
    """A type with limits, and a value within them."""
    return (
        st.tuples(values, values, values)
        .map(sorted)
        .map(lambda three: (f"Annotated[{kind}, {{'minimum': {three[0]!r}, 'maximum': {three[2]!r}}}]", three[1]))
    )


def stepped(step):
    return st.integers(-1000, 1000).map(
        lambda times: (f"Annotated[float, {{'multipleOf': {step}}}]", float(step * times))
    )


SCALARS = st.one_of(
    st.tuples(st.just("int"), st.integers(-(2**70), 2**70)),
    st.tuples(st.just("float"), NUMBERS),
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.just("str"), TEXT),
    st.tuples(st.just("date"), st.dates()),
    st.tuples(st.just("datetime"), TIMES),
    st.tuples(st.just("Method"), st.sampled_from(Method)),
    st.tuples(st.just("Literal['a', 'null', '1', 1, True, None]"), st.sampled_from(["a", "null", "1", 1, True, None])),
    ranged("int", st.integers(-100, 100)),
    ranged("float", st.floats(-100, 100)),
    st.sampled_from(STEPS).flatmap(stepped),
    TEXT.map(lambda text: (f"Annotated[str, {{'maxLength': {len(text)}}}, 'help']", text)),
)


def holding(inner):
    """Container types of a type, with values that contain its value."""
    return st.one_of(
        inner.map(lambda pair: (f"Optional[{pair[0]}]", pair[1])),
        inner.map(lambda pair: (f"{pair[0]} | None", None)),
        st.tuples(inner, st.integers(0, 3)).map(lambda both: (f"list[{both[0][0]}]", [both[0][1]] * both[1])),
        st.tuples(inner, TEXT).map(lambda both: (f"dict[str, {both[0][0]}]", {both[1]: both[0][1]})),
    )


TYPED = st.recursive(SCALARS, holding, max_leaves=4)


@pytest.fixture(scope="module")
def helper():
    spec = importlib.util.spec_from_file_location("heroku_task_of_round_trips", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tmp_path_factory.mktemp("round") / "job.py"


def same(one, other):
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@pytest.mark.large
@example(pair=("Literal['a', '1', 1]", 1))
@example(pair=("Literal['a', '1', 1]", "1"))
@example(pair=("Literal['true', True]", True))
@example(pair=("Literal['null', None]", None))
@example(pair=("Literal['null', None]", "null"))
@example(pair=("Literal['1', 'x'] | int", 1))
@given(pair=TYPED)
@settings(deadline=None, max_examples=400)
def test_a_value_of_a_declared_type_arrives_unchanged(helper, source, pair):
    annotation, value = pair
    source.write_text(f"{HEAD}\n@task\ndef job(v: {annotation}): pass\n", encoding="utf-8")
    schema = helper._Source(str(source)).schema()
    task = Task.from_row({"task": "job", "parameters": schema}, "python -m heroku_task job")

    Draft202012Validator.check_schema(schema)
    assert task.faults == ()
    assert check(task, {"v": value}) == []
    with mock.patch.dict(os.environ, to_env({"v": value}, task.schema)):
        argument = helper._read_arguments(schema, {"Method": Method})["v"]
    assert same(argument, value)


@pytest.mark.large
@given(value=TEXT.filter(lambda text: len(text) >= 4), optional=st.booleans())
@settings(deadline=None)
def test_a_declared_secret_arrives_unchanged_and_is_hidden(helper, source, value, optional):
    source.write_text(f"@task\ndef job(v: {'Secret | None' if optional else 'Secret'}): pass\n", encoding="utf-8")
    schema = helper._Source(str(source)).schema()
    task = Task.from_row({"task": "job", "parameters": schema}, "python -m heroku_task job")
    env = to_env({"v": value}, task.schema)

    assert check(task, {"v": value}) == []
    assert env == {"v": Secret(value)}
    with mock.patch.dict(os.environ, {"v": env["v"].reveal()}):
        argument = helper._read_arguments(schema, {})["v"]
    # An unquoted optional secret cannot distinguish the word null from None.
    assert argument == (None if optional and value.strip() == "null" else value)
