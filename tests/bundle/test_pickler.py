"""A function travels with everything it uses, by value or by import, as it is in memory."""

from __future__ import annotations

import concurrent.futures
import copy
import enum
import functools
import importlib
import inspect
import json
import linecache
import logging
import math
import multiprocessing
import os
import pickle
import posixpath as paths
import random
import secrets
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt as root
from pathlib import Path
from typing import ClassVar, NamedTuple, NewType, ParamSpec

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from dynos import OTHERS, Dyno, find_python
from IPython.core import interactiveshell
from IPython.core.autocall import ExitAutocall
from numpy.linalg import norm

import heroku_magic
from heroku_magic.app.function import bound, returned
from heroku_magic.bundle.build import CallBundle
from heroku_magic.bundle.pickler import pickle_arguments, pickle_function
from heroku_magic.errors import InputTooLarge, InvalidParameters
from heroku_magic.text.redact import Mask
from heroku_magic.text.secret import Secret

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


def add_a_connection(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function("connection", *args)

    return wrapper


@add_a_connection
def uses_a_connection(connection, x):
    return connection, x


class Remembering:
    """A wrapper that looks like the function below, but takes its arguments under other names."""

    def __init__(self, function):
        self.function = function

    def __getattr__(self, name):
        if name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    def __call__(self, *given):
        return given, self.function(*given)


@Remembering
def remembered(x):
    return x


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


async def later(x):
    return x + 1


def make_callable():
    class Adder:
        def __init__(self, by):
            self.by = by

        def __call__(self, x):
            return x + self.by

        def method(self, x):
            return x * self.by

    return Adder(5)


class Lazy:
    @functools.cached_property
    def value(self):
        return 9


def reads_a_cached_property():
    return Lazy().value


class Settings:
    limit = 1


Settings.limit = 7  # after the class was defined


def reads_a_class_attribute():
    return Settings.limit


def counts_calls():
    global fresh  # noqa: PLW0603 - a global that only the function sets
    fresh = 3
    return fresh + 1


def quotes():
    return """
    a
        b"""


def shares_a_variable():
    n = 0

    def add():
        nonlocal n
        n += 1

    def read():
        return n

    def adds_twice():
        add()
        add()
        return read()

    return adds_twice


@functools.singledispatch
def describe(_):
    return "anything"


@describe.register
def _(_: list):
    return "a list"


describe(3)  # fills the cache of the dispatcher


class Shape:
    known: ClassVar = []

    def __init_subclass__(cls, corners):
        cls.corners = corners
        Shape.known.append(cls.__name__)


class Square(Shape, corners=4):
    pass


class Counting(type):
    made: ClassVar = []

    def __new__(cls, name, bases, space):
        cls.made.append(name)
        return super().__new__(cls, name, bases, space)

    def __init__(cls, name, bases, space):
        super().__init__(name, bases, space)
        cls.inits = getattr(cls, "inits", 0) + 1


class Counted(metaclass=Counting):
    pass


class CountedAgain(Counted):
    pass


def uses_hooked_classes():
    """Creating a class has effects, which travel and do not happen again."""
    return Square.corners, Shape.known, CountedAgain.inits, Counting.made


class Planet(enum.Enum):
    EARTH = (6, 3)
    TERRA = EARTH
    MARS = (2, 1)

    def __init__(self, mass, radius):
        self.mass = mass
        self.radius = radius

    @property
    def density(self):
        return self.mass / self.radius


class Unit(bytes, enum.Enum):
    def __new__(cls, value, label):
        unit = bytes.__new__(cls, [value])
        unit._value_ = value
        unit.label = label
        return unit

    METRE = (0, "m")
    SECOND = (1, "s")


class Corner(tuple, enum.Enum):  # noqa: SLOT001 - Enum has no slots
    ORIGIN = ((0, 0),)


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2
    ALL = 3


def uses_enums():
    """Members have aliases, names of combinations, and attributes of their own."""
    return {
        "aliases": (Planet.TERRA.name, [*Planet.__members__], Planet["TERRA"] is Planet.EARTH),
        "attributes": (Planet.MARS.mass, Planet.EARTH.density, Planet((2, 1)).name),
        "data": (bytes(Unit.SECOND), Unit.SECOND.value, Unit(0).label, Corner.ORIGIN == (0, 0)),
        "flags": (Rights.ALL.name, [*Rights.__members__], int(Rights.READ | Rights.WRITE), Rights(1).name),
    }


class Slotted:
    __slots__ = ("__hidden", "shown")

    def __init__(self):
        self.__hidden, self.shown = 1, 2

    def both(self):
        return self.__hidden, self.shown

    class Pair(NamedTuple):
        left: int
        right: int = 2

    @dataclass(slots=True)
    class Inner:
        x: int = 3


SLOTTED = Slotted()


def uses_slots():
    """Objects with slots have no other attributes, and their classes keep their qualified names."""
    inner, has_dict = Slotted.Inner(4), [hasattr(one, "__dict__") for one in (SLOTTED, Slotted(), Slotted.Pair(1))]
    return SLOTTED.both(), Slotted().both(), Slotted.__slots__, has_dict, repr(inner), Slotted.Pair.__qualname__


UserId = NewType("UserId", int)
P = ParamSpec("P")


def describes(x: UserId, _: type[P] | None = None) -> UserId:
    return UserId(len(describe(x) + describe([])))


def call(folder, function, *args, python=sys.executable, secrets=None, **kwargs):
    options = {name: kwargs.pop(name) for name in ("allow_pickle", "has_cloudpickle") if name in kwargs}
    bundle = CallBundle(function, secrets or {}, **options)
    return Dyno(
        bundle.build_env(bound(function, args, kwargs)), folder, python, allow_pickle=options.get("allow_pickle", False)
    )


def result(folder, function, *args, **kwargs):
    dyno = call(folder, function, *args, **kwargs)
    assert dyno.status == 0, dyno.errors
    assert dyno.decoder.problem() is None
    return returned(dyno.decoder.parts, dict)


@heroku_magic.function
def counted():
    counted.calls += 1
    return counted.calls


counted.calls = 4


GHOST = {}
exec("def ghost(x):\n    return x + 1\n", GHOST)  # a function without source


@pytest.mark.parametrize(
    ("function", "args", "value"),
    [
        (
            uses_all,
            (3,),
            {"sum": 9, "root": 3**0.5, "pi": 3, "base": "a/b", "names": ("ada", "grace")},
        ),
        (counts_down, (3,), [3, 2, 1]),
        (calls_cached, (1,), 2),
        (decorated, (4,), 41),
        (decorated_too, (4,), 40),
        (annotated, (), None),
        (uses_a_class, (2,), 9),
        (counts_elsewhere, (2,), [2, 1]),
        (foreign_below, (1,), 11),
        (foreign_above, (1,), 11),
        (uses_a_connection, (1,), ("connection", 1)),
        (remembered, (1,), ((1,), 1)),
        (describe, ([],), "a list"),
        (squares_in_threads, ([2, 3],), [4, 9]),
        (json.dumps, ({"a": 1},), '{"a": 1}'),
        (paths.join, ("a", "b"), "a/b"),
        (math.sqrt, (9,), 3.0),
        (math.comb, (5, 2), 10),
        (sum, ([1, 2],), 3),
        (uses_norm, ([3.0, 4.0],), 5.0),
        (norm, ([3.0, 4.0],), np.float64(5.0)),
        (makes_inner(), (2,), 106),
        (square, (3,), 9),
        (lambda x: x + FACTOR, (1,), 4),
        (functools.partial(pow, 2), (5,), 32),
        (functools.partial(decorated, 1), (), 11),
        (make_callable(), (1,), 6),
        (make_callable().method, (2,), 10),
        (GHOST["ghost"], (1,), 2),
        (later, (1,), 2),
        (reads_a_class_attribute, (), 7),
        (counts_calls, (), 4),
        (reads_a_cached_property, (), 9),
        (shares_a_variable(), (), 2),
        (describes, (1,), 14),
        (counted, (), 5),
        (quotes, (), "\n    a\n        b"),
        (uses_hooked_classes, (), uses_hooked_classes()),
        (uses_enums, (), uses_enums()),
        (uses_slots, (), uses_slots()),
        (takes_strange, (), {1}),
        (max, ([Decimal(3), Decimal(10)],), Decimal(10)),
        (copy.copy, ((1, (2, None)),), (1, (2, None))),
        (random.Random(4).random, (), random.Random(4).random()),
        (np.random.default_rng(4).integers, (1000,), np.random.default_rng(4).integers(1000)),
    ],
)
@pytest.mark.usefixtures("processes")
def test_functions_return_the_same_as_locally(tmp_path, function, args, value):
    found = result(tmp_path, function, *args)
    assert (type(found), found) == (type(value), value)


@pytest.mark.usefixtures("processes")
def test_variables_of_an_enclosing_function_travel_as_values(tmp_path):
    offset = 7

    def inner(x):
        return x + offset

    assert result(tmp_path, inner, 1) == 8


@pytest.mark.usefixtures("processes")
def test_a_module_beside_the_notebook_travels_as_it_is_in_memory(tmp_path, monkeypatch):
    beside, dyno = tmp_path / "beside", tmp_path / "dyno"
    beside.mkdir()
    dyno.mkdir()
    (beside / "beside_the_notebook.py").write_text("LIMIT = 1\ndef f(x):\n    return x + LIMIT\n")
    monkeypatch.syspath_prepend(beside)
    module = importlib.import_module("beside_the_notebook")
    module.LIMIT = 10  # in memory only

    def through_the_module(x):
        return module.f(x)

    assert result(dyno, module.f, 1) == 11
    assert result(dyno, through_the_module, 1) == 11
    del sys.modules["beside_the_notebook"]


@pytest.mark.usefixtures("processes")
def test_local_modules_that_a_function_imports_travel_with_it(tmp_path, monkeypatch):
    package, dyno = tmp_path / "beside" / "beside_package", tmp_path / "dyno"
    package.mkdir(parents=True)
    dyno.mkdir()
    (dyno / "beside_later.py").write_text("VALUE = 'of the app'\n")
    (package.parent / "beside_later.py").write_text("VALUE = 7\n")
    (package / "__init__.py").write_text("from beside_package import first\n")
    (package / "first.py").write_text("def f(x):\n    from .second import g\n    return g(x)\n")
    (package / "second.py").write_text(
        "import beside_package.first as first\ndef g(x):\n    return x, first.__name__\n"
    )
    monkeypatch.syspath_prepend(package.parent)

    def lazily(x):
        from json import dumps

        import beside_later
        import beside_package.first

        return beside_package.first.f(x), beside_later.VALUE, dumps(x)

    assert result(dyno, lazily, 3) == lazily(3) == ((3, "beside_package.first"), 7, "3")
    for name in [name for name in sys.modules if name.startswith("beside_")]:
        del sys.modules[name]


def test_a_package_in_a_folder_of_installed_packages_travels_by_import(tmp_path, monkeypatch):
    (tmp_path / "installed_elsewhere.py").write_text("def f():\n    return 'unique text'\n")
    (tmp_path / "installed_elsewhere-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("installed_elsewhere")

    assert b"unique text" not in pickle_function(module.f).data
    del sys.modules["installed_elsewhere"]


@pytest.mark.parametrize("draw", [random.randint, np.random.randint])
@pytest.mark.usefixtures("processes")
def test_dynos_draw_different_random_numbers(tmp_path, draw):
    def one():
        return int(draw(1, 10**9))

    assert len({result(tmp_path, one) for _ in range(4)}) == 4


@pytest.mark.usefixtures("processes")
def test_the_environment_the_streams_and_the_loggers_are_the_dynos_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ONLY_HERE", "only-in-the-notebook")
    environ, stream, logger = os.environ, sys.stderr, logging.getLogger("own")

    def uses_them():
        stream.write("written\n")
        logger.warning("logged")
        return "ONLY_HERE" in environ, environ is os.environ, stream is sys.stderr

    assert b"only-in-the-notebook" not in pickle_function(uses_them).data
    dyno = call(tmp_path, uses_them)
    assert returned(dyno.decoder.parts, dict) == (False, True, True)
    assert "written" in dyno.errors
    assert "logged" in dyno.errors


@pytest.mark.usefixtures("processes")
def test_tables_and_arrays_arrive_with_their_index_and_types(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.Index(["p", "q"], name="k"))
    shared = np.arange(6, dtype="int16").reshape(2, 3)

    def swap(frame, *, pair):
        return pair, frame[frame["a"] > 1], frame["a"], shared.T, frame.index

    pair, rows, series, array, index = result(tmp_path, swap, table, pair=(1, {2}))
    assert pair == (1, {2})
    pd.testing.assert_frame_equal(rows, table[table["a"] > 1])
    pd.testing.assert_series_equal(series, table["a"])
    pd.testing.assert_index_equal(index, table.index)
    np.testing.assert_array_equal(array, shared.T)
    assert array.dtype == shared.dtype


@pytest.mark.usefixtures("processes")
def test_an_array_of_two_names_is_one_array(tmp_path):
    def writes(one, *, other):
        one[0] = 5
        return other

    array = np.zeros(2)
    assert result(tmp_path, writes, array, other=array).tolist() == [5, 0]


def test_an_argument_whose_name_is_a_number_is_refused():
    with pytest.raises(TypeError, match='"0" cannot be the name'):
        bound(lambda *args, **kwargs: (args, kwargs), (1,), {"0": 5})


def test_deep_nesting_is_reported():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidParameters, match="nested too deeply"):
        pickle_arguments({"x": deep})


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3),
        pd.Index([5, 7, 9]),
        pd.Index(["x", "y", "x"], name="a"),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("b", 3)], names=["name", None]),
        pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin", name="day"),
    ],
    ids=range(5),
)
@pytest.mark.usefixtures("processes")
def test_a_returned_table_keeps_its_index(tmp_path, index):
    def make():
        return pd.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 1.5]}, index=index)

    pd.testing.assert_frame_equal(result(tmp_path, make), make(), check_freq=True)


@pytest.mark.usefixtures("processes")
def test_a_returned_table_keeps_labels_and_dtypes_that_rows_cannot_show(tmp_path):
    def make():
        table = pd.DataFrame({"a": [1j, 2], "b": pd.cut([1, 9], 2)}, index=pd.interval_range(0, 2))
        table = table.set_axis(["x", "x"], axis=1)
        table.attrs["unit"] = ("m", 2)
        return table

    found, table = result(tmp_path, make), make()
    pd.testing.assert_frame_equal(found, table)
    assert found.attrs["unit"] == ("m", 2)


@pytest.mark.usefixtures("processes")
def test_no_part_of_a_returned_table_shows_a_secret_and_the_rest_is_exact(tmp_path):
    def make(secret):
        index = pd.MultiIndex.from_arrays([pd.Categorical([secret, "i"]), [0.5, 1]], names=[secret, None])
        objects = [{secret: b"\xff" + secret.encode()}, {"long": 9000 * ["other"], "moment": np.datetime64(7, "s")}]
        table = pd.DataFrame({secret: [True, False], "b": objects}, index=index)
        table.attrs.update(unit=(secret, Decimal("1.10")), at=1, size=np.arange(3), long=secret + 100_000 * "x")
        return table

    text = "hunter2-hunter2"
    bundle = CallBundle(make, {})
    dyno = Dyno(bundle.build_env({"secret": text}), tmp_path, mask=Mask([Secret(text)]))
    assert dyno.decoder.problem() is None, dyno.errors
    found, expected = returned(dyno.decoder.parts, dict), make("***")
    expected["b"] = [{"***": b"\xff" + text.encode()}, expected["b"].iloc[1]]  # bytes are data, not text to show

    assert repr(found.attrs) == repr({**expected.attrs, "heroku": {}})
    found.attrs = expected.attrs = {}
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.usefixtures("processes")
def test_a_returned_table_of_lone_surrogates_is_exact(tmp_path):
    def make():
        index = pd.Index(["\ud800", "i"], dtype=object)
        return pd.DataFrame({"a": pd.Series(["\udfff", 1], dtype=object, index=index)})

    found = result(tmp_path, make)
    assert (found.index.tolist(), found["a"].tolist()) == (["\ud800", "i"], ["\udfff", 1])


@pytest.mark.usefixtures("processes")
def test_a_failure_has_the_line_numbers_of_the_file(tmp_path):
    dyno = call(tmp_path, fails, 0)
    first = fails.__code__.co_firstlineno

    assert dyno.failure.type == "ZeroDivisionError"
    assert {(frame.file, frame.line) for frame in dyno.failure.frames} == {("<fails>", first + 3)}
    assert dyno.failure.frames[-1].source[-1][1] == "    return [1 / x for _ in range(y)]"


@pytest.mark.parametrize(("function", "name"), [(undefined, "no_such_name"), (shows, "display"), (reports, "progress")])
@pytest.mark.usefixtures("processes")
def test_a_name_that_is_not_defined_fails_as_it_does_locally(tmp_path, function, name):
    assert f"name '{name}' is not defined" in call(tmp_path, function, 1).failure.message


def uses_a_lock():
    return LOCK


LOCK = threading.Lock()
CONNECTION = Secret("hunter2-hunter2")


def goes_through():
    return uses_a_lock()


def uses_a_file():
    return FILE


FILE = Path(__file__).open("rb")  # noqa: SIM115 - it stays open on purpose
FILE.close()


def uses_a_secret():
    return CONNECTION


SHELL = type("ZMQInteractiveShell", (), {"user_ns": {}})()


def uses_the_shell():
    return SHELL.user_ns


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        (
            uses_a_lock,
            ['"uses_a_lock" uses "LOCK" (lock)', "_thread.lock cannot be pickled", "Create it inside uses_a_lock"],
        ),
        (goes_through, ['"LOCK" (lock), through "uses_a_lock"']),
        (uses_a_file, ['"FILE" (BufferedReader)', "an open file stays on this computer"]),
        (uses_a_secret, ['"CONNECTION" (Secret)', "a secret is passed by name only"]),
        (uses_the_shell, ['"SHELL" (ZMQInteractiveShell)', "there is no notebook on a dyno"]),
    ],
)
def test_what_cannot_travel_is_named_before_a_dyno_starts(function, parts):
    with pytest.raises(InvalidParameters) as caught:
        CallBundle(function)
    has_own_remedy = function in {uses_a_secret, uses_the_shell}
    assert ("Create it inside" in str(caught.value)) != has_own_remedy
    assert not [part for part in parts if part not in str(caught.value)]
    assert "hunter2" not in str(caught.value)


def test_arguments_that_cannot_travel_are_all_named():
    with pytest.raises(InvalidParameters) as caught:
        pickle_arguments({"a": 1, "lock": threading.Lock(), "file": sys.stdout.buffer, "key": CONNECTION})
    assert [issue.split(":")[0] for issue in caught.value.issues] == ["lock", "file", "key"]


def test_the_token_never_travels():
    token = "c0ffee00-0000-4000-8000-123456789abc"
    holder = {"headers": {"Authorization": f"Bearer {token}"}}

    def uses_it():
        return holder

    with pytest.raises(InvalidParameters, match="such as the API token"):
        CallBundle(uses_it, hidden=[token])
    with pytest.raises(InvalidParameters, match="holder: It holds a secret"):
        pickle_arguments({"holder": holder}, [token])


def test_source_with_the_token_in_a_comment_does_not_travel():
    def uses_none():
        return 1  # not c0ffee00-1234

    assert any("c0ffee00" in text for _, _, text in pickle_function(uses_none).sources)
    assert not pickle_function(uses_none, ["c0ffee00-1234"]).sources
    assert b"c0ffee00" in pickle_arguments({"f": uses_none})
    assert b"c0ffee00" not in pickle_arguments({"f": uses_none}, ["c0ffee00-1234"])


def test_a_type_whose_module_is_no_text_is_pickled():
    def make():
        return kept

    kept = Oddly()
    assert pickle.loads(pickle_function(make).data)[0]() == 7


def test_generators_that_an_installed_module_has_made_travel_by_import(monkeypatch):
    generators = {"shared": random.Random(4), "array": np.random.default_rng(4)}
    for name, generator in generators.items():
        monkeypatch.setattr(pytest, name, generator, raising=False)
    for generator in generators.values():
        (found, _) = pickle.loads(pickle_function(generator.random).data)
        assert found.__self__ is generator
    assert pickle.loads(pickle_function(secrets.choice).data)[0]([5]) == 5


def test_a_generator_of_a_script_travels_with_its_state(monkeypatch):
    main, generator = sys.modules["__main__"], random.Random(4)
    monkeypatch.setitem(sys.modules, "__mp_main__", main)
    monkeypatch.setattr(main, "generator", generator, raising=False)

    (found, _) = pickle.loads(pickle_function(generator.random).data)
    assert found.__self__ is not generator
    assert found() == random.Random(4).random()


def ends_the_process():
    os._exit(0)


def leaves_a_thread():
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return 5


def leaves_a_pool():
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.submit(print, "done").result()
    return 6


@pytest.mark.parametrize("code", [0, 3, "text", None])
@pytest.mark.usefixtures("processes")
def test_a_function_that_exits_has_failed(tmp_path, code):
    def exits():
        sys.exit(code)

    dyno = call(tmp_path, exits)
    assert dyno.status == 1
    assert f'"exits" called sys.exit({code!r}) and returned no value' in dyno.failure.message


@pytest.mark.usefixtures("processes")
def test_a_function_among_the_arguments_has_its_own_lines_also_if_its_name_is_that_of_the_function(tmp_path):
    def made(name):
        namespace = {}
        exec(compile(f"def work(f=None):\n    return f() if f else {name}\n", file := f"/{name}.py", "exec"), namespace)
        linecache.cache[file] = (0, None, ["def work(f=None):\n", f"    return f() if f else {name}\n"], file)
        return namespace["work"]

    frames = call(tmp_path, made("outer"), made("inner")).failure.frames
    assert [frame.file for frame in frames] == ["<work>", "<argument work>"]
    assert [frame.source[-1][1].split()[-1] for frame in frames] == ["outer", "inner"]


@pytest.mark.usefixtures("processes")
def test_exit_of_a_notebook_is_that_of_the_dyno(tmp_path):
    quits = ExitAutocall(None)

    assert "called sys.exit(3) and returned no value" in call(tmp_path, lambda: quits(3)).failure.message


@pytest.mark.usefixtures("processes")
def test_open_of_a_notebook_is_that_of_the_dyno(tmp_path):
    opens = getattr(interactiveshell, "_modified_open", open)  # IPython 7 has none of its own

    failure = call(tmp_path, lambda: opens("missing.csv")).failure
    assert [frame.function for frame in failure.frames] == ["<lambda>"]


@pytest.mark.usefixtures("processes")
def test_a_function_that_ends_its_process_has_no_verified_result(tmp_path):
    assert not call(tmp_path, ends_the_process).decoder.is_verified


@pytest.mark.parametrize(("function", "value"), [(leaves_a_thread, 5), (leaves_a_pool, 6)])
@pytest.mark.usefixtures("processes")
def test_threads_that_a_function_leaves_behind_do_not_delay_its_value(tmp_path, function, value):
    assert result(tmp_path, function) == value


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.usefixtures("processes")
def test_a_pool_of_processes_gives_the_value_or_an_error(tmp_path, method):
    def in_a_pool(function, values):
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map(function, values)

    assert result(tmp_path, in_a_pool, math.sqrt, [4, 9]) == [2.0, 3.0]
    assert call(tmp_path, in_a_pool, lambda x: x, [4]).failure is not None


NOTEBOOK = {"__name__": "__main__"}
exec(
    """
import multiprocessing, pickle
class Job:
    def __init__(self, x):
        self.x = x
def run(job):
    return Job(job.x * 2)
runs = {"usual": run}
def in_processes(method, jobs):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return [job.x for job in pool.map(runs["usual"], jobs)]
def through_a_pickle(job):
    return pickle.loads(pickle.dumps(job)).x, type(pickle.loads(pickle.dumps(job))) is type(job)
""",
    NOTEBOOK,
)


@pytest.mark.usefixtures("processes")
def test_pickle_finds_the_definitions_of_the_notebook_on_the_dyno(tmp_path):
    jobs = [NOTEBOOK["Job"](1), NOTEBOOK["Job"](2)]

    assert result(tmp_path, NOTEBOOK["through_a_pickle"], jobs[0]) == (1, True)
    assert result(tmp_path, NOTEBOOK["in_processes"], "fork", jobs) == [2, 4]
    failure = call(tmp_path, NOTEBOOK["in_processes"], "spawn", jobs).failure  # and does not wait forever
    assert "Can't pickle" in failure.message


@pytest.mark.usefixtures("processes")
def test_a_value_that_is_not_exact_is_refused_unless_pickle_is_allowed(tmp_path):
    def point():
        return {"points": [Point(1, 2)]}

    failure = call(tmp_path, point).failure
    assert failure.type == "TypeError"
    assert (
        "the result of point['points'][0] is of type test_pickler.Point, and cannot be sent exactly" in failure.message
    )
    assert "allow_pickle=True" in failure.message
    assert result(tmp_path, point, allow_pickle=True) == point()


class Measured(pd.DataFrame):
    """A table with more than its columns."""

    _metadata: ClassVar = ["unit"]


@pytest.mark.usefixtures("processes")
def test_a_subclass_of_a_table_is_refused(tmp_path):
    failure = call(tmp_path, lambda: Measured({"a": [1]})).failure
    assert "is of type test_pickler.Measured" in failure.message


@pytest.mark.large
def test_an_enum_that_cloudpickle_changes_is_refused_where_nothing_else_fits():
    changed = (Planet, Unit, Rights) if sys.version_info >= (3, 11) else (Planet, Unit)  # ALL is no alias before
    for kind in changed:
        with pytest.raises(InvalidParameters, match=rf"the members of {kind.__name__} have aliases or attributes"):
            CallBundle(lambda kind=kind: kind, allow_pickle=True)
        CallBundle(lambda kind=kind: kind, allow_pickle=True, has_cloudpickle=True)
    plain = enum.Enum("plain", "A B", module=__name__)
    CallBundle(lambda: plain, allow_pickle=True)


class Numbered(type):
    """Counts the classes that it makes."""

    def __init__(cls, *args):
        super().__init__(*args)
        cls.number = 1


class Plugin:
    """Keeps a list of its subclasses."""

    known: ClassVar = []

    def __init_subclass__(cls):
        Plugin.known.append(cls.__name__)


@pytest.mark.parametrize(
    ("base", "options", "hook"),
    [(Plugin, {}, r"Plugin\.__init_subclass__"), (object, {"metaclass": Numbered}, r"Numbered\.__init__")],
)
def test_a_class_whose_hook_would_run_again_is_refused_where_nothing_else_fits(base, options, hook):
    class Sub(base, **options):
        pass

    reason = f"{hook} has made the class Sub and would run again on the dyno"
    with pytest.raises(InvalidParameters, match=rf'uses "Sub" \(.*{reason}'):
        CallBundle(lambda: Sub, allow_pickle=True)
    with pytest.raises(InvalidParameters, match=f"kind: {reason}"):
        CallBundle(lambda kind: kind, allow_pickle=True).build_env({"kind": Sub})
    CallBundle(lambda: Sub, allow_pickle=True, has_cloudpickle=True)
    CallBundle(lambda: Plugin, allow_pickle=True)


@pytest.mark.usefixtures("processes")
def test_a_pickle_is_not_loaded_without_permission(tmp_path):
    def point():
        return Point(1, 2)

    env = CallBundle(point, allow_pickle=True).build_env({})
    dyno = Dyno(env, tmp_path)
    assert "loaded only with allow_pickle=True" in dyno.decoder.problem()


@pytest.mark.usefixtures("processes")
def test_another_minor_version_of_python_is_refused_before_the_function_runs(tmp_path):
    here = ".".join(map(str, sys.version_info[:2]))
    other = next(filter(None, (find_python(version) for version in OTHERS if version != here)), None)
    if other is None:
        pytest.skip("no other Python is installed")

    def writes():
        Path("ran").touch()

    dyno = call(tmp_path, writes, python=other)
    assert f"writes was sent by Python {here}" in dyno.failure.message
    assert ".python-version" in dyno.failure.message
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("processes")
def test_the_apps_own_cloudpickle_is_used_if_it_has_one(tmp_path):
    sizes = [len(CallBundle(neighbour, has_cloudpickle=has_it).build_env()["RUN_CODE"]) for has_it in (True, False)]
    assert sizes[0] < sizes[1] - 1500  # only what unpickles is sent of it
    assert sizes[1] < 27_000
    dyno = call(tmp_path, neighbour, 1, has_cloudpickle=True)
    assert dyno.status == 0, dyno.errors


def test_a_decorated_function_runs_in_a_process_pool_here():
    assert pickle.loads(pickle.dumps(decorated)) is decorated


@pytest.mark.usefixtures("processes")
def test_a_decorated_function_runs_in_a_pool_of_forked_processes_here():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        assert [*pool.map(decorated, [1, 2])] == [11, 21]


decorated_by_a_call = heroku_magic.function(neighbour)


def test_a_decorated_function_without_a_name_of_its_own_is_pickled_as_the_wrapped_function():
    assert pickle.loads(pickle.dumps(decorated_by_a_call)) is neighbour
    with pytest.raises((pickle.PicklingError, AttributeError), match="<lambda>"):
        pickle.dumps(heroku_magic.function(lambda x: x))


def test_a_decorated_function_travels_by_value_where_functions_do():
    power = heroku_magic.function(lambda n: 2 * power(n - 1) if n else 1)
    assert pickle.loads(cloudpickle.dumps(power))(3) == 8


@pytest.mark.parametrize("method", ["__call__", "remote", "remote_async", "submit"])
def test_a_decorated_function_may_have_a_parameter_named_self(method):
    parameters = inspect.signature(getattr(heroku_magic.function(neighbour).__class__, method)).parameters
    assert parameters["self"].kind is inspect.Parameter.POSITIONAL_ONLY


def test_a_decorated_function_has_the_attributes_of_the_wrapped_function():
    assert decorated_too.cache_parameters()["maxsize"] == 4
    assert not hasattr(decorated, "calls")


class Oddly(metaclass=type("Meta", (type,), {"__module__": property(lambda _: 7)})):
    """As the functions of Cython 3.1.0, whose `type(f).__module__` is a descriptor."""

    def __reduce__(self):
        return int, (7,)


class Scale:
    by = 3

    @heroku_magic.function
    def times(self, x):
        return x * self.by

    @heroku_magic.function
    @classmethod
    def name(cls):
        return cls.__name__

    cosine = heroku_magic.function(math.cos)


@pytest.mark.usefixtures("processes")
def test_a_decorated_method_is_bound_to_its_instance(tmp_path):
    assert Scale().times(2) == 6
    assert Scale.times(Scale(), 2) == 6
    assert (Scale.name(), Scale().name(), Scale().cosine(0)) == ("Scale", "Scale", 1.0)
    assert pickle.loads(pickle.dumps(Scale().times))(2) == 6
    assert result(tmp_path, Scale().times.__wrapped__, 2) == 6
    assert result(tmp_path, lambda: (Scale.name(), Scale().cosine(0))) == ("Scale", 1.0)


def test_a_function_that_is_too_large_is_refused_with_a_remedy():
    large = random.Random(1).randbytes(40_000)

    def uses_it():
        return len(large)

    with pytest.raises(InvalidParameters, match=r"bytes after compression; [\d,]+ of them are code\."):
        CallBundle(uses_it).build_env({})
    with pytest.raises(InvalidParameters, match='of them are "data"'):
        CallBundle(len).build_env({"data": large})
    almost = random.Random(1).randbytes(6_600)
    with pytest.raises(InvalidParameters, match=r"Add a line `cloudpickle` to the app's requirements\.txt"):
        CallBundle(len).build_env({"0": almost})
    CallBundle(len, has_cloudpickle=True).build_env({"0": almost})


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [{"x": one}], lambda one: functools.partial(len, one)])
def test_an_array_that_cannot_fit_into_an_environment_is_not_encoded_for_it(wrap, monkeypatch):
    monkeypatch.setattr("heroku_magic.bundle.pickler._in_body", lambda _: pytest.fail("this takes long"))
    with pytest.raises(InputTooLarge, match="The arguments take more than 16,000,000 bytes"):
        CallBundle(len).build_env({"0": wrap(np.zeros(2_000_001))})


def test_a_function_that_not_even_a_connection_takes_is_refused_with_the_way_for_large_values():
    large = random.Random(1).randbytes(10_000_000)

    def uses_it():
        return len(large)

    refused = r'"uses_it", with the variables that it uses, takes [\d,]{9,} bytes .* Pass large values as arguments'
    with pytest.raises(InvalidParameters, match=refused):
        CallBundle(uses_it).build_call({})
    env, spool = CallBundle(lambda data: len(data)).build_call({"0": large})  # noqa: PLW0108 - it travels by value
    assert len(str(env["RUN_CODE"])) < 100_000
    assert len(spool) > len(large)


@pytest.mark.parametrize(("size", "most"), [(15_000, 1.4), (1_000_000, 1.3)])
def test_binary_variables_of_a_function_take_little_more_room_than_base85_does(size, most):
    def code_size(data):
        return len(str(CallBundle(lambda: data).build_call({})[0]["RUN_CODE"]))

    assert code_size(random.Random(1).randbytes(size)) - code_size(b"") < most * size


def test_a_function_finds_its_binary_variables_unchanged(tmp_path, processes):
    data = random.Random(1).randbytes(3_000)
    assert result(tmp_path, lambda: data) == data


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


def test_arguments_of_a_wrapper_are_bound_as_it_takes_them():
    def wrapper(given, *, verbose=False): ...

    functools.update_wrapper(wrapper, neighbour)
    assert bound(wrapper, (1,), {"verbose": True}) == {"given": 1, "verbose": True}
    wrapper.__signature__ = inspect.signature(neighbour)
    assert bound(wrapper, (1,), {"verbose": True}) == {"0": 1, "verbose": True}
    assert bound(decorated_too.__wrapped__, (1,), {}) == {"0": 1}
    with pytest.raises(TypeError, match="unexpected keyword argument 'of'"):
        bound(Remembering(neighbour), (1,), {"of": 2})


def test_arguments_that_do_not_match_raise_a_type_error():
    with pytest.raises(TypeError, match=r"uses_all\(\): missing a required argument: 'x'"):
        bound(uses_all, (), {})
