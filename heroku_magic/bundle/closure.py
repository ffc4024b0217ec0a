"""A function -> the program that is a call of it: its source, and the module-level names that it uses.

A name goes by value, by import from another module, or with its own source where it is a function or
a class of the same module. Nothing is pickled, and nothing runs here.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import inspect
import linecache
import symtable
import sys
import sysconfig
import textwrap
from pathlib import Path, PurePath
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from heroku_magic.bundle.program import Piece, Program
from heroku_magic.errors import InvalidParameters
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def program_of(function: Callable[..., Any]) -> tuple[Program, dict[str, Any]]:
    """Return the program that calls a function, and the values that travel with it.

    A function of Python's own, or of a package, goes by import. Raises InvalidParameters for what
    has no source, or whose names lead nowhere.
    """
    inner = inspect.unwrap(function)
    if not isinstance(inner, FunctionType) or (_is_installed(inner) and _place(function)):
        return _by_import(function)
    shipment = _Shipment(inner)
    shipment.add(inner)
    name = inner.__name__
    return Program(name, tuple(shipment.pieces.values()), shipment.imports, call=name), shipment.values


_NOTHING = object()
_FOR_CELLS = frozenset({"display", "emit", "emit_file", "metric", "progress"})
_IMPORTED = _FOR_CELLS - {"display", "emit"}
_INSTEAD = "Return the value instead."


class _Shipment:
    """All that one function needs, gathered from its module."""

    def __init__(self, function: FunctionType) -> None:
        self._home = function.__module__
        self.pieces: dict[str, Piece] = {}
        self.imports: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self._taken = {function.__name__: cast("Any", function)}  # what each name is: all share the dyno's names

    def add(self, definition: Any) -> None:
        """Take a function or a class, after what it needs itself."""
        name = definition.__name__
        piece = _source(definition)
        known = _known(definition)
        for used in _globals(piece):
            self._take(used, known, name)
        self.imports.update({place: place for place in _submodules(piece, known)})
        self.pieces[name] = piece

    def _take(self, name: str, known: dict[str, Any], user: str) -> None:
        given = known.get(name, _NOTHING)
        value = inspect.unwrap(given) if callable(given) else given
        if name in self._taken:
            if self._taken[name] is not value:
                raise InvalidParameters(
                    [f"{user} and another function use two different {clean_line(name)}: rename one."]
                )
            return
        self._taken[name] = value
        if given is _NOTHING:
            _check_builtin(name, user)
        elif isinstance(value, FunctionType | type) and value.__module__ == self._home and _is_own(value, known):
            self._add_as(name, value, user)
        elif place := _place(given) or _place(value):
            self.imports[name] = place
        else:
            self.values[name] = given

    def _add_as(self, name: str, definition: Any, user: str) -> None:
        """Take a function or a class that has this name, or one of its own beside it."""
        if definition.__name__ in (name, "<lambda>"):
            self.add(definition)
            return
        self._take(definition.__name__, _known(definition), user)
        self.pieces[name] = Piece(f"<{name}>", 1, f"{name} = {definition.__name__}\n")


def _is_own(definition: Any, known: dict[str, Any]) -> bool:
    """Whether a function or a class is what its own name stands for; a factory's are not."""
    own = known.get(definition.__name__)
    return definition.__name__ == "<lambda>" or (callable(own) and inspect.unwrap(own) is definition)


def _check_builtin(name: str, user: str) -> None:
    """Refuse what is no module's: Python's own is on each dyno, the notebook's is not."""
    if name in _FOR_CELLS:
        hint = f"Import it inside of {user}: from heroku_task import {name}." if name in _IMPORTED else _INSTEAD
        raise InvalidParameters([f"{user} uses {name}, which cells find on a dyno, and functions do not. {hint}"])
    if not hasattr(builtins, name) and name not in {"__name__", "__file__"}:
        raise InvalidParameters([f"{user} uses {clean_line(name)}, which is defined nowhere."])


def _by_import(function: Callable[..., Any]) -> tuple[Program, dict[str, Any]]:
    place = _place(function) or _place(inspect.unwrap(function))
    if place is None:
        kind = type(function).__name__
        raise InvalidParameters([f"{kind} is no function with a name: define one with `def`, at a module's top level."])
    name = getattr(function, "__name__", "call")
    return Program(name, (), {name: place}, call=name), {}


def _place(value: Any) -> str | None:
    """Where a value is imported from, as `module` or `module:attribute`; None: it is no module's."""
    if isinstance(value, ModuleType):
        return value.__name__
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for attribute in name.split("."):
        found = getattr(found, attribute, None)
    return f"{module}:{name}" if found is value else None


def _is_installed(function: FunctionType) -> bool:
    """Whether a function is Python's own or a package's: its name is all that has to travel."""
    file = PurePath(function.__code__.co_filename)
    is_package = not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
    return is_package or str(file).startswith("<frozen ") or file.is_relative_to(sysconfig.get_path("stdlib"))


def _source(definition: Any) -> Piece:
    """The source of a function or a class, with the numbers that its lines have where it was written."""
    name = definition.__name__
    if name == "<lambda>":
        raise InvalidParameters(["A lambda has no source of its own: give the function a name with `def`."])
    if inspect.iscoroutinefunction(definition):
        raise InvalidParameters([f"{name} is async: make it a plain function that calls asyncio.run()."])
    try:
        lines, first = _of_cells(definition) or inspect.getsourcelines(definition)
    except (OSError, TypeError):
        remedy = "define it inside the function that uses it, or in a module of the app"
        raise InvalidParameters([f"The source of {name} is not known here: {remedy}."]) from None
    text = textwrap.dedent("".join(lines))
    ours = _ours(text, definition)
    is_lazy = _has_lazy_annotations(definition) or _reads_no_annotations(definition, text, ours)
    return Piece(f"<{name}>", max(first, 1), text, ours, lazy_annotations=is_lazy)


def _of_cells(definition: Any) -> tuple[list[str], int] | None:
    """The lines of a class that a notebook's cell defines, which `inspect` does not find; None: it is none."""
    if not isinstance(definition, type) or definition.__module__ != "__main__":
        return None
    # What is no file is a cell, whose lines IPython keeps there.
    read = [(file, entry[2]) for file, entry in [*linecache.cache.items()] if len(entry) > 2]
    kept = {file: lines for file, lines in read if not Path(file).exists()}
    functions = filter(inspect.isfunction, map(inspect.unwrap, vars(definition).values()))
    own = {function.__code__.co_filename for function in functions} & kept.keys()
    classes = (one for file in own or kept for one in _classes(kept[file], definition.__name__))
    found = {"".join(lines): (lines, first) for lines, first in classes}
    if len(found) > 1:
        issue = f"Several cells defined {definition.__name__}, and none of its methods tells which: rename it."
        raise InvalidParameters([issue])
    return next(iter(found.values()), None)


def _classes(lines: list[str], name: str) -> Iterator[tuple[list[str], int]]:
    """Where lines of a cell define a class of this name."""
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            yield lines[first - 1 : node.end_lineno], first


def _has_lazy_annotations(definition: Any) -> bool:
    """Whether the source began with `from __future__ import annotations`."""
    code = getattr(definition, "__code__", None)
    return bool(code and code.co_flags & __future__.annotations.compiler_flag)


def _reads_no_annotations(definition: Any, text: str, ours: int) -> bool:
    """Whether nobody reads a function's annotations where it runs: they may name what only the notebook has."""
    tree: Any = ast.parse(text).body[0]
    has_classes = any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
    return isinstance(definition, FunctionType) and ours == len(tree.decorator_list) and not has_classes


def _ours(text: str, definition: Any) -> int:
    """How many decorators stand above a function that are not to be on the dyno: ours, or none."""
    tree: Any = ast.parse(text).body[0]
    known = _known(definition)
    ours = [_is_ours(one, known) for one in tree.decorator_list]
    if True in ours[1:]:
        name = ast.unparse(tree.decorator_list[ours.index(True, 1)])
        raise InvalidParameters(
            [f"{definition.__name__}: put @{name} above its other decorators, which go to the dyno."]
        )
    return sum(ours)


def _is_ours(decorator: ast.expr, known: dict[str, Any]) -> bool:
    """Whether a decorator is `heroku.function`, whatever it is called here; one that is not found, by its name."""
    path = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).split(".")
    found = known.get(path[0])
    for attribute in path[1:]:
        found = getattr(found, attribute, None)
    return path[-1] == "function" if found is None else getattr(type(found), "is_heroku_function", False) is True


def _known(definition: Any) -> dict[str, Any]:
    """The names that a function sees outside of itself: those around it, and its module's."""
    if isinstance(definition, type):
        return vars(sys.modules[definition.__module__])
    around = dict(zip(definition.__code__.co_freevars, definition.__closure__ or (), strict=True))
    filled = {name: cell.cell_contents for name, cell in around.items() if _is_filled(cell)}
    return {**definition.__globals__, **filled}


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # it is not bound yet
        return False


def _globals(piece: Piece) -> list[str]:
    """The names that some source takes from outside of itself, its first statement's own decorators left aside."""
    tree = ast.parse(piece.text)
    definition: Any = tree.body[0]
    del definition.decorator_list[: piece.decorators]
    future = "from __future__ import annotations\n" if piece.lazy_annotations else ""
    table = symtable.symtable(future + ast.unparse(tree), piece.file, "exec")
    return sorted(set(_used(table)))


def _submodules(piece: Piece, known: dict[str, Any]) -> Iterator[str]:
    """The modules that some source reaches by another's name, as in `concurrent.futures`: each has its own import."""
    for node in ast.walk(ast.parse(piece.text)):
        path = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else [""]
        place = getattr(known.get(path[0]), "__name__", None) if isinstance(known.get(path[0]), ModuleType) else None
        if place and (found := ".".join([place, *path[1:]])) in sys.modules:
            yield found


def _used(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _used(inner)
