"""Pickle a function, with everything it uses, for a dyno.

The dyno imports what it has too: the standard library and installed packages. Everything else travels by value,
as it is in memory: the notebook's definitions, modules beside the notebook and editable installs.
"""

from __future__ import annotations

import dis
import functools
import importlib.util
import inspect
import io
import json
import math
import random
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from enum import EnumMeta
from itertools import filterfalse
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from heroku_magic.bundle.local_modules import is_local, is_local_name, local_modules_by_value
from heroku_magic.bundle.payload import all_chunks, size_of, table_chunks
from heroku_magic.bundle.reducers import reduce_class, reduce_decorated, reduce_enum, reduce_standard, what_changes
from heroku_magic.errors import InputTooLarge, InvalidParameters
from heroku_magic.protocol.helper import HELPER
from heroku_magic.protocol.spool import LARGE
from heroku_magic.protocol.typed_json import TAG, Encoder
from heroku_magic.protocol.values import LARGE_DATA_HINT
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from heroku_magic.protocol.spool import Spool

_OURS = "heroku_magic"
_TABLES = frozenset({"DataFrame", "Series", "ndarray"})
_LONG = 100_000  # characters or bytes; a longer text is not copied into the pickle
_MAX_SOURCE_CHARS = 20_000  # for tracebacks, besides the code itself
_OWN_NAMES = frozenset({"__builtins__", "__cached__", "__loader__", "__spec__"})  # of the import system


@dataclass(frozen=True)
class PickledCall:
    """A function as a pickle. sources: (file, first line, text) of its code, which tracebacks show."""

    name: str
    data: bytes
    sources: tuple[tuple[str, int, str], ...] = field(default=(), repr=False)


def pickle_function(
    function: Callable[..., Any], hidden: Iterable[str] = (), *, keeps_classes: bool = True
) -> PickledCall:
    """Return the pickle of a function, and of the local modules that it imports when it is called.

    hidden: texts that must not travel, such as the API token. keeps_classes: whether the program on the dyno rebuilds
    classes with `remote/classes.py`. Raises InvalidParameters naming what the function uses and cannot be pickled.
    """
    name = getattr(function, "__name__", type(function).__name__)
    modules: dict[str, ModuleType] = {}
    try:
        data, pickler = _dumps((function, modules), hidden, keeps_classes=keeps_classes)
        while found := {name: one for name, one in pickler.imported_modules() if name not in modules}:
            modules.update(found)
            data, pickler = _dumps((function, modules), hidden, keeps_classes=keeps_classes)
    except Exception as error:  # noqa: BLE001 - a __reduce__ may raise anything
        culprit = (
            _find_culprit(function, hidden, keeps_classes=keeps_classes)
            or f"an object of type {type(function).__name__}"
        )
        remedy = "" if getattr(error, "has_remedy", False) else f" Create it inside {name}."
        raise InvalidParameters([f'"{name}" uses {culprit}: {_reason(error)}{remedy}']) from None
    return PickledCall(name, data, pickler.sources(hidden))


def pickle_arguments(
    arguments: Mapping[str, Any],
    hidden: Iterable[str] = (),
    spool: Spool | None = None,
    *,
    keeps_classes: bool = True,
    most: float = math.inf,
) -> bytes:
    """Return the pickle of a call's arguments, followed by the source of functions in them as JSON, if there are any.

    spool: takes the bytes of arrays and tables, if given. most: bytes that arrays, tables and long texts may take.

    Raises InvalidParameters naming each that cannot be pickled, and InputTooLarge.
    """
    try:
        data, pickler = _dumps(
            dict(arguments), hidden, spool, keeps_classes=keeps_classes, owner="argument ", most=most
        )
        return data + json.dumps(sources).encode() if (sources := pickler.sources(hidden)) else data
    except InputTooLarge:
        raise
    except Exception as error:  # noqa: BLE001 - a __reduce__ may raise anything
        reason = _reason(error)
    faults = [(name, _fault(value, hidden, keeps_classes=keeps_classes)) for name, value in arguments.items()]
    raise InvalidParameters([f"{name}: {fault}" for name, fault in faults if fault] or [reason])


def _dumps(
    value: Any,
    hidden: Iterable[str],
    spool: Spool | None = None,
    *,
    keeps_classes: bool = True,
    owner: str = "",
    most: float = math.inf,
) -> tuple[bytes, _Pickler]:
    file = io.BytesIO()
    pickler = _Pickler(file, spool, keeps_classes=keeps_classes, owner=owner, most=most)
    try:
        with local_modules_by_value():
            pickler.dump(value)
    except InputTooLarge:
        raise
    except Exception as error:
        has_remedy = getattr(error, "has_remedy", False)
        raise _NotPicklable(_describe(error, pickler.latest), has_remedy=has_remedy) from error
    is_in_spool = spool is not None and spool.holds_hidden
    if is_in_spool or any(text and text.encode() in file.getvalue() for text in hidden):
        reason = "It holds a secret, such as the API token. Pass secrets by name, with secrets=[...]."
        raise _NotPicklable(reason, has_remedy=True)
    return file.getvalue(), pickler


def _in_body(value: Any) -> tuple[Any, bytes]:
    encoder = Encoder(table_chunks)
    return encoder.encode(value, "a value"), bytes(encoder.body)


def _in_spool(value: Any, spool: Spool) -> tuple[Any, None]:
    """Return the form of a value whose bytes a spool takes, or a reference to a long form, and no body."""
    with spool.one_value():
        form = Encoder(all_chunks, spool).encode(value, "a value")
    text = json.dumps(form, ensure_ascii=False).encode("utf-8", "surrogatepass")  # so that a secret in it is found
    if len(text) <= LARGE:
        return form, None
    with spool.one_value():
        form = {TAG: "json", "at": len(spool), "size": len(text)}  # which only `bundle/remote/transfer.py` reads
        spool += text
    return form, None


class _NotPicklable(Exception):
    """A value cannot be pickled; the message is for the user. has_remedy: it says what to do."""

    def __init__(self, message: str, *, has_remedy: bool = False) -> None:
        super().__init__(message)
        self.has_remedy = has_remedy


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Pickles by value what the dyno cannot import. latest: the object that was reduced last.

    owner: what tracebacks say before the name of a function. most: bytes that arrays, tables and long texts may take.
    """

    def __init__(self, file: io.BytesIO, spool: Spool | None, *, keeps_classes: bool, owner: str, most: float) -> None:
        super().__init__(file, protocol=5)
        self._keeps_classes, self._owner = keeps_classes, owner
        self._size, self._most = 0, most
        self._spool = spool
        self.latest: Any = None
        self._functions: list[tuple[str, FunctionType]] = []
        self._labels: dict[CodeType, str] = {}
        self._singletons: dict[str, dict[int, str]] = {}
        self._cells: dict[int, Any] = {}
        self._tables: dict[int, tuple[Any, Any]] = {}

    def persistent_id(self, value: Any) -> Any:
        """Encode tables and arrays as typed columns, so that the versions of pandas may differ."""
        kind = type(value)  # first, because pickle asks about each number in a list
        if kind is str or kind is bytes:
            if len(value) <= _LONG:
                return None
        elif kind.__name__ not in _TABLES or kind.__module__.partition(".")[0] not in ("pandas", "numpy"):
            return None
        if id(value) in self._tables:  # one table of two names is one table on the dyno
            return self._tables[id(value)][0]
        self._size += size_of(value)
        if self._size > self._most:
            raise InputTooLarge([f"The arguments take more than {self._most:,} bytes. {LARGE_DATA_HINT}"])
        if self._spool is None and kind in (str, bytes):
            return None
        try:
            pair = _in_body(value) if self._spool is None else _in_spool(value, self._spool)
        except TypeError:  # the columns hold objects: pickle can carry them
            pair = None
        self._tables[id(value)] = (pair, value)
        return pair

    def _function_getnewargs(self, function: FunctionType) -> tuple[Any, ...]:
        """Give functions that share a variable of their closures one cell; cloudpickle gives each its own."""
        *args, closure = super()._function_getnewargs(function)
        pairs = zip(function.__closure__ or (), closure or (), strict=True)
        return (*args, closure and tuple(self._cells.setdefault(id(cell), empty) for cell, empty in pairs))

    def reducer_override(self, value: Any) -> Any:
        """Return how to rebuild an object on the dyno; NotImplemented leaves that to pickle."""
        self.latest = value
        kind = type(value)
        if isinstance(value, CodeType):
            label = self._labels.get(value, f"<{value.co_name.strip('<>')}>")
            rebuild, args = self.dispatch_table[CodeType](value.replace(co_filename=label))
            return rebuild, tuple(label if one == "<dynamic-code>" else one for one in args)  # of cloudpickle 3.1
        if getattr(kind, "is_heroku_function", False):
            return reduce_decorated(value)
        if (rebuilt := reduce_standard(value)) or (rebuilt := self._by_import(value)):
            return rebuilt
        _refuse_private(value)
        if isinstance(value, ModuleType) and is_local(value):  # as a state, because modules import each other
            return ModuleType, (value.__name__,), {k: v for k, v in vars(value).items() if k not in _OWN_NAMES}
        reduced = super().reducer_override(value)
        if reduced is NotImplemented:
            return reduced
        if isinstance(value, FunctionType):
            self._remember(value)
        return self._class(value, reduced) if isinstance(value, type) else reduced

    def _class(self, kind: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        reduced = reduce_class(kind, reduced)
        if self._keeps_classes:
            return reduce_enum(kind, reduced) if isinstance(kind, EnumMeta) else reduced
        by_value = super().reducer_override
        if reason := what_changes(kind, lambda one: by_value(one) is not NotImplemented):
            remedy = "add a line `cloudpickle` to the app's requirements.txt and deploy it"
            raise _NotPicklable(f"{reason}. Call without allow_pickle, or {remedy}.", has_remedy=True)
        return reduced

    def _by_import(self, value: Any) -> Any:
        """Refer to a standard stream, or to a package's own instance such as `os.environ` or `random`'s generator."""
        for name in ("stdin", "stdout", "stderr"):
            if value is getattr(sys, name) or value is getattr(sys, f"__{name}__"):
                return getattr, (sys, name)
        module = sys.modules.get(type(value).__module__)
        if module is None or module.__name__ in ("__main__", "builtins") or is_local(module):
            return None
        if module.__name__ not in self._singletons:
            self._singletons[module.__name__] = {id(one): name for name, one in [*vars(module).items()]}
        found = self._singletons[module.__name__].get(id(value))
        return (getattr, (module, found)) if found else _shared_generator(value)

    def _remember(self, function: FunctionType) -> None:
        """Name the function's code, and all code in it, for tracebacks: `<f>`, and `<f 2>` for another f."""
        if function.__module__ and function.__module__.partition(".")[0] == _OURS:  # a wrapper: no line of the user's
            self._labels.update(dict.fromkeys(_codes(function), f"<{_OURS}>"))
            return
        name = self._owner + function.__name__.strip("<>")
        taken = {label for label, _ in self._functions}
        labels = (f"<{name}>", *(f"<{name} {number}>" for number in range(2, len(taken) + 2)))
        label = next(one for one in labels if one not in taken)
        self._functions.append((label, function))
        for code in _codes(function):
            self._labels.setdefault(code, label)

    def imported_modules(self) -> Iterator[tuple[str, ModuleType]]:
        """Yield the local modules that statements in the pickled functions import."""
        for _, function in self._functions:
            for name in _imports(function):
                with suppress(ImportError, ValueError):  # the app may have it
                    module = importlib.import_module(name) if is_local_name(name) else None
                    if module is not None:
                        yield name, module

    def sources(self, hidden: Iterable[str] = ()) -> tuple[tuple[str, int, str], ...]:
        """Return the source of the pickled functions, as far as Python finds it and no comment has a hidden text."""
        found, size = [], 0
        for label, function in self._functions:
            text, first = _source(function.__code__)
            size += len(text)
            if text and not any(one and one in text for one in hidden) and size <= _MAX_SOURCE_CHARS:
                found.append((label, max(first, 1), text))
        return tuple(found)


@functools.lru_cache(maxsize=256)
def _source(code: CodeType) -> tuple[str, int]:
    """Return the source of some code and its first line; no text if Python does not find it."""
    try:
        lines, first = inspect.getsourcelines(code)
    except (OSError, TypeError, IndexError, SyntaxError):
        return "", 0
    return "".join(lines), first


def _codes(function: FunctionType) -> Iterator[CodeType]:
    """Yield the code of a function, and all code in it."""
    codes = [function.__code__]
    while codes:
        yield (code := codes.pop())
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]


def _imports(function: FunctionType) -> Iterator[str]:
    """Yield the full names of what the import statements in a function may import, parents first."""
    package = function.__globals__.get("__package__") or ""
    for code in _codes(function):
        steps = list(dis.get_instructions(code))
        for at, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":  # after the level and the names that are taken from the module
                name = importlib.util.resolve_name("." * (steps[at - 2].argval or 0) + step.argval, package)
                parts = name.split(".")
                yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
                yield from (f"{name}.{one}" for one in steps[at - 1].argval or ())


def _shared_generator(value: Any) -> Any:
    """Refer to a generator that an installed module has made; with its state all dynos would draw the same numbers."""
    if not isinstance(value, random.Random) and not type(value).__module__.startswith("numpy.random"):
        return None
    main = sys.modules.get("__main__")  # multiprocessing gives it a second name
    modules = [one for one in [*sys.modules.values()] if one is not main and isinstance(one, ModuleType)]
    for module in filterfalse(is_local, (one for one in modules if getattr(one, "__file__", None))):
        for attribute, one in [*vars(module).items()]:
            if one is value:
                return getattr, (module, attribute)
    return None


def _refuse_private(value: Any) -> None:
    """Refuse what belongs to this session: a connection, a run, a sweep, a secret, an open file, the shell."""
    kind = type(value)
    if isinstance(value, io.IOBase) and not isinstance(value, io.BytesIO | io.StringIO):
        raise _NotPicklable("an open file stays on this computer.")
    if kind.__name__ == "Secret" and kind.__module__.partition(".")[0] in (_OURS, HELPER):
        raise _NotPicklable("a secret is passed by name only, with secrets=[...] and os.environ.", has_remedy=True)
    if kind.__name__.endswith("InteractiveShell"):
        raise _NotPicklable(
            "there is no notebook on a dyno, so pass what you need from it as an argument.", has_remedy=True
        )
    # The functions of some versions of Cython have a type whose module is no text.
    if str(kind.__module__).partition(".")[0] == _OURS and not isinstance(value, BaseException):
        raise _NotPicklable(f"a {kind.__name__} of this session cannot be used on a dyno.")


def _find_culprit(function: Any, hidden: Iterable[str], *, keeps_classes: bool, depth: int = 0) -> str | None:
    """Return the name and type of the first variable of a function that cannot be pickled."""
    inner = inspect.unwrap(function) if callable(function) else function
    try:
        variables = inspect.getclosurevars(inner)
    except (TypeError, ValueError):
        return None
    for name, value in {**variables.nonlocals, **variables.globals}.items():
        if value is function or not _fault(value, hidden, keeps_classes=keeps_classes):
            continue
        is_function = isinstance(value, FunctionType) and depth < 5
        deeper = _find_culprit(value, hidden, keeps_classes=keeps_classes, depth=depth + 1) if is_function else None
        return f'{deeper}, through "{name}"' if deeper else f'"{clean_line(name)}" ({type(value).__name__})'
    return None


def _fault(value: Any, hidden: Iterable[str], *, keeps_classes: bool) -> str | None:
    try:
        _dumps(value, hidden, keeps_classes=keeps_classes)
    except _NotPicklable as error:
        return _reason(error)
    return None


def _describe(error: Exception, latest: Any) -> str:
    if isinstance(error, _NotPicklable):
        return str(error)
    if isinstance(error, RecursionError) or isinstance(error.__cause__ or error.__context__, RecursionError):
        return "it is nested too deeply to be pickled."
    return f"an object of type {type(latest).__module__}.{type(latest).__qualname__} cannot be pickled."


def _reason(error: Exception) -> str:
    return clean_line(str(error)[:500])
