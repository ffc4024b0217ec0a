"""A function travels with the values, imports and neighbouring definitions that it uses."""

from __future__ import annotations

import concurrent.futures
import functools
import json
import linecache
import math
import posixpath as paths
import re
import types
from dataclasses import dataclass
from math import sqrt as root

import pytest
from dynos import Dyno
from numpy.linalg import norm

import heroku_magic
from heroku_magic.app.function import bound, returned
from heroku_magic.bundle.build import Bundle
from heroku_magic.bundle.closure import read_function
from heroku_magic.errors import InvalidParameters

FACTOR = 3
NAMES = ("ada", "grace")
STRANGE = {1}


def neighbour(x):
    return x * FACTOR


def uses_all(x, y=FACTOR, *, names=NAMES):
    """Doc."""
    inner = [neighbour(i) for i in range(x)]
    return {
        "sum": sum(inner),
        "root": root(y),
        "pi": math.floor(math.pi),
        "base": paths.join("a", "b"),
        "names": names,
    }


def counts_down(n):
    return [n, *counts_down(n - 1)] if n else []


@functools.lru_cache
def cached(x):
    return x + 1


def calls_cached(x):
    return cached(x)


@heroku_magic.function
def decorated(x):
    return decorated_too(x) + 1


@heroku_magic.function(size="basic")
@functools.lru_cache(maxsize=4)
def decorated_too(x):
    return x * 10


def annotated(x: pytest.Item | None = None) -> pytest.Item:
    return x


@dataclass
class Point:
    x: int
    y: int = FACTOR

    def moved(self):
        return neighbour(self.x) + self.y


def uses_a_class(x):
    return Point(x).moved()


also_counts = counts_down


def counts_elsewhere(n):
    return also_counts(n)


def squares_in_threads(numbers):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(pow, numbers, [2, 2]))


def add_tens(function):
    @functools.wraps(function)
    def wrapper(x):
        return function(x) + 10

    return wrapper


class Foreign:
    function = staticmethod(add_tens)


ours = heroku_magic.function


@ours
@Foreign.function
def foreign_below(x):
    return x


@add_tens
@heroku_magic.function
def foreign_above(x):
    return x


def uses_norm(x):
    return float(norm(x))


def makes_inner():
    FACTOR = 100  # noqa: N806 - as the module's

    def inner(x):
        return neighbour(x) + FACTOR

    return inner


def shows(x):
    display(x)  # noqa: F821 - undefined on purpose


def reports(x):
    return [*progress(x)]  # noqa: F821 - undefined on purpose


def square(x):
    return by_lambda(x)


by_lambda = lambda x: x * x  # noqa: E731 - a lambda on purpose


def fails(x):
    y = 1

    return [1 / x for _ in range(y)]


def undefined(x):
    return no_such_name + x  # noqa: F821 - undefined on purpose


def takes_strange():
    return STRANGE


def has_attribute(x):
    return x.FACTOR  # an attribute of this name does not refer to the global


async def later():
    return 1


def call(folder, function, *args, **kwargs):
    program, values = read_function(function)
    return Dyno(Bundle(program, values).build_env(bound(function, args, kwargs)), folder)


def result(folder, function, *args, **kwargs):
    dyno = call(folder, function, *args, **kwargs)
    assert dyno.status == 0, dyno.errors
    return returned(dyno.decoder.parts, {})


@pytest.mark.usefixtures("processes")
def test_a_function_travels_with_its_dependencies(tmp_path):
    program, values = read_function(uses_all)

    assert values == {"FACTOR": 3, "NAMES": ("ada", "grace")}
    assert program.imports == {"math": "math", "paths": "posixpath", "root": "math:sqrt"}
    assert [piece.file for piece in program.pieces] == ["<neighbour>", "<uses_all>"]
    expected = {"sum": 9, "root": 3**0.5, "pi": 3, "base": "a/b", "names": ["ada", "grace"]}
    assert result(tmp_path, uses_all, 3) == expected


@pytest.mark.parametrize(
    ("function", "args", "value"),
    [
        (counts_down, (3,), [3, 2, 1]),
        (calls_cached, (1,), 2),
        (decorated, (4,), 41),
        (decorated_too, (4,), 40),
        (annotated, (), None),
        (uses_a_class, (2,), 9),
        (counts_elsewhere, (2,), [2, 1]),
        (foreign_below, (1,), 11),
        (squares_in_threads, ([2, 3],), [4, 9]),
        (json.dumps, ({"a": 1},), '{"a": 1}'),
        (paths.join, ("a", "b"), "a/b"),
        (math.sqrt, (9,), 3.0),
        (math.comb, (5, 2), 10),
        (sum, ([1, 2],), 3),
    ],
)
@pytest.mark.usefixtures("processes")
def test_functions_return_the_same_as_locally(tmp_path, function, args, value):
    assert result(tmp_path, function, *args) == value


@pytest.mark.parametrize("function", [uses_norm, norm])
def test_a_function_of_a_package_is_imported(function):
    program, values = read_function(function)

    assert "numpy.linalg:norm" in program.imports.values()
    assert not values


@pytest.mark.usefixtures("processes")
def test_annotations_of_a_plain_function_are_not_evaluated_on_the_dyno(tmp_path):
    module = types.ModuleType("typed_module")
    source = (
        "import pytest\nVector = list[float]\ndef typed(x: Vector, y: pytest.Item = None) -> Vector:\n    return x\n"
    )
    linecache.cache["<typed>"] = (len(source), None, source.splitlines(keepends=True), "<typed>")
    exec(compile(source, "<typed>", "exec", dont_inherit=True), vars(module))

    program, values = read_function(module.typed)
    assert (dict(program.imports), values) == ({}, {})
    assert result(tmp_path, module.typed, [1.5]) == [1.5]


@pytest.mark.usefixtures("processes")
def test_variables_of_an_enclosing_function_travel_as_values(tmp_path):
    offset = 7

    def inner(x):
        return x + offset

    assert result(tmp_path, inner, 1) == 8


@pytest.mark.usefixtures("processes")
def test_a_failure_has_the_line_numbers_of_the_file(tmp_path):
    dyno = call(tmp_path, fails, 0)
    first = fails.__code__.co_firstlineno

    assert dyno.failure.type == "ZeroDivisionError"
    assert {(frame.file, frame.line) for frame in dyno.failure.frames} == {("<fails>", first + 3)}
    assert dyno.failure.frames[-1].source[-1][1] == "    return [1 / x for _ in range(y)]"


def test_an_attribute_with_the_name_of_a_global_does_not_count_as_a_use():
    assert read_function(has_attribute)[1] == {}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (undefined, '"undefined" uses "no_such_name", which is not defined.'),
        (lambda x: x, "The source of a lambda cannot be sent. Define a named function with `def`."),
        (foreign_above, 'Put @heroku_magic.function above the other decorators of "foreign_above"'),
        (makes_inner(), '"neighbour" and another function use different objects named "FACTOR". Rename one.'),
        (shows, '"shows" uses "display", which is defined only in cells. Return the value instead.'),
        (reports, 'Import it inside "reports": from heroku_task import progress'),
        (square, "The source of a lambda cannot be sent. Define a named function with `def`."),
        (later, "Make it a plain function that calls asyncio.run()."),
        (functools.partial(sum), "is not a named function"),
    ],
)
def test_a_function_that_cannot_travel_is_refused(function, message):
    with pytest.raises(InvalidParameters, match=re.escape(message)):
        read_function(function)


def test_a_value_that_cannot_be_encoded_is_named():
    program, values = read_function(takes_strange)
    with pytest.raises(InvalidParameters, match="STRANGE: a set cannot be passed as a parameter"):
        Bundle(program, values)


def test_a_function_without_source_is_refused():
    namespace = {}
    exec("def ghost():\n    return 1\n", namespace)

    with pytest.raises(InvalidParameters, match='source of "ghost" is not available'):
        read_function(namespace["ghost"])


@pytest.mark.parametrize(
    ("args", "kwargs", "values"),
    [
        ((1,), {}, {"x": 1}),
        ((1, 2), {"names": ["a"]}, {"x": 1, "y": 2, "names": ["a"]}),
    ],
)
def test_arguments_are_bound_by_name(args, kwargs, values):
    assert bound(uses_all, args, kwargs) == values


def test_arguments_without_a_name_are_bound_by_position():
    def many(first, *rest, **more): ...

    assert bound(many, (1, 2), {"k": 3}) == {"0": 1, "1": 2, "k": 3}
    assert bound(math.sqrt, (9,), {}) == {"0": 9}


def test_arguments_that_do_not_match_raise_a_type_error():
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        bound(uses_all, (), {})
