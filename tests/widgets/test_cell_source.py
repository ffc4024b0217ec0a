"""The cell that is equal to a form: running it sends the same values."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.magics.parser import parse
from heroku_magic.protocol.environ import to_env
from heroku_magic.sweeps.grid import grid
from heroku_magic.widgets.cell_source import cell

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["n", "seed", "class", "lambda", "None", "_private", "NAME"])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "worker": TEXTS.filter(str.strip),
        "size": st.just("standard-2x"),
        "timeout": st.integers(1, 86400),
        "override": st.lists(st.sampled_from(["A", "B"]), min_size=1, max_size=2, unique=True),
        "local": st.just(value=True),
        "out": st.just("df"),
    },
)


def read(text):
    line, _, body = text.partition("\n")
    return parse(line.removeprefix("%%heroku "), {}, body=body)


@pytest.mark.large
@given(st.dictionaries(NAMES, VALUES, max_size=4), OPTIONS)
def test_the_cell_has_the_same_values_and_options(values, options):
    parsed = read(cell("simulate", values, ["KEY"], options))

    assert to_env(parsed.parameters) == to_env(values)
    assert parsed.words == ["simulate"]
    assert {name: value for name, value in parsed.options.items() if name != "secret"} == options
    assert parsed.options["secret"] == ["KEY"]


@pytest.mark.large
@given(
    st.dictionaries(NAMES, st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["a", "_b", "if"]), VALUES, max_size=2),
)
@settings(deadline=None)
def test_the_cell_of_a_sweep_makes_the_same_grid(each, values):
    parsed = read(cell("simulate", values, [], {}, each))

    assert list(map(repr, grid(parsed.each, parsed.each))) == list(map(repr, grid(each, each)))
    assert to_env(parsed.parameters) == to_env(values)


def test_a_range_remains_a_range_in_the_cell():
    text = cell("sim", {"n": 1}, [], {"jobs": 4}, {"seed": range(1, 6), "method": ["a", "b"]})

    assert text == "%%heroku sim --jobs 4 --each seed,method\nseed = range(1, 6)\nmethod = ['a', 'b']\nn = 1"


def test_names_that_are_not_python_names_go_on_the_line():
    text = cell("sim", {"class": {"a": "b c"}, "n": 1}, [], {})

    assert text == "%%heroku sim --arg class={ {'a': 'b c'} }\nn = 1"
    assert keyword.iskeyword("class")


def test_without_values_the_cell_is_one_line():
    assert cell("sim", {}, [], {}) == "%%heroku sim"
