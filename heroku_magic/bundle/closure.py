"""Collect a function's source and the module-level names that it uses into a program that calls it.

A name travels as a value, as an import from another module, or, for a function or a class of the same
module, as source. Nothing is pickled.
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


def read_function(function: Callable[..., Any]) -> tuple[Program, dict[str, Any]]:
    """Return the program that calls a function, and the values that travel with it.

    A function of the standard library or of a package travels as an import. Raises InvalidParameters
    where the source of a definition is unavailable or a name is undefined.
    """
    inner = inspect.unwrap(function)
    if not isinstance(inner, FunctionType) or (_is_installed(inner) and _import_path(function)):
        return _by_import(function)
    collector = _Collector(inner)
    collector.add(inner)
    name = inner.__name__
    return Program(name, tuple(collector.pieces.values()), collector.imports, call=name), collector.values


_NOTHING = object()
_CELL_NAMES = frozenset({"display", "emit", "emit_file", "metric", "progress"})
_IMPORTABLE_NAMES = _CELL_NAMES - {"display", "emit"}


class _Collector:
    """Collects what a function needs from its module."""

    def __init__(self, function: FunctionType) -> None:
        self._home = function.__module__
        self.pieces: dict[str, Piece] = {}
        self.imports: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        # All definitions share one namespace on the dyno, so each name has one meaning.
        self._resolved = {function.__name__: cast("Any", function)}

    def add(self, definition: Any) -> None:
        """Add a function or a class, after the definitions that it needs."""
        name = definition.__name__
        piece = _source(definition)
        scope = _scope(definition)
        for used in _global_names(piece):
            self._resolve(used, scope, name)
        self.imports.update({module: module for module in _submodules(piece, scope)})
        self.pieces[name] = piece

    def _resolve(self, name: str, scope: dict[str, Any], user: str) -> None:
        found = scope.get(name, _NOTHING)
        value = inspect.unwrap(found) if callable(found) else found
        if name in self._resolved:
            if self._resolved[name] is not value:
                issue = f'"{user}" and another function use different objects named "{clean_line(name)}". Rename one.'
                raise InvalidParameters([issue])
            return
        self._resolved[name] = value
        if found is _NOTHING:
            _check_builtin(name, user)
        elif isinstance(value, FunctionType | type) and value.__module__ == self._home and _is_named(value, scope):
            self._add_as(name, value, user)
        elif path := _import_path(found) or _import_path(value):
            self.imports[name] = path
        else:
            self.values[name] = found

    def _add_as(self, name: str, definition: Any, user: str) -> None:
        """Add a function or a class under this name, which may be an alias of its own name."""
        if definition.__name__ in (name, "<lambda>"):
            self.add(definition)
            return
        self._resolve(definition.__name__, _scope(definition), user)
        self.pieces[name] = Piece(f"<{name}>", 1, f"{name} = {definition.__name__}\n")


def _is_named(definition: Any, scope: dict[str, Any]) -> bool:
    """Whether a definition is what its own name refers to, which it is not where a factory made it."""
    found = scope.get(definition.__name__)
    return definition.__name__ == "<lambda>" or (callable(found) and inspect.unwrap(found) is definition)


def _check_builtin(name: str, user: str) -> None:
    """Accept a builtin of Python, which every dyno has, and refuse any other name."""
    if name in _CELL_NAMES:
        hint = "Return the value instead."
        if name in _IMPORTABLE_NAMES:
            hint = f'Import it inside "{user}": from heroku_task import {name}.'
        raise InvalidParameters([f'"{user}" uses "{name}", which is defined only in cells. {hint}'])
    if not hasattr(builtins, name) and name not in {"__name__", "__file__"}:
        raise InvalidParameters([f'"{user}" uses "{clean_line(name)}", which is not defined.'])


def _by_import(function: Callable[..., Any]) -> tuple[Program, dict[str, Any]]:
    path = _import_path(function) or _import_path(inspect.unwrap(function))
    if path is None:
        issue = f'An object of type "{type(function).__name__}" is not a named function'
        raise InvalidParameters([f"{issue}. Define one with `def` at the top level of a module."])
    name = getattr(function, "__name__", "call")
    return Program(name, (), {name: path}, call=name), {}


def _import_path(value: Any) -> str | None:
    """Return where a value can be imported from, as `module` or `module:attribute`; None if nowhere."""
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
    """Whether a function belongs to the standard library or to an installed package."""
    file = PurePath(function.__code__.co_filename)
    is_package = not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
    return is_package or str(file).startswith("<frozen ") or file.is_relative_to(sysconfig.get_path("stdlib"))


def _source(definition: Any) -> Piece:
    """Return the source of a function or a class with its original line numbers."""
    name = definition.__name__
    if name == "<lambda>":
        raise InvalidParameters(["The source of a lambda cannot be sent. Define a named function with `def`."])
    if inspect.iscoroutinefunction(definition):
        raise InvalidParameters([f'"{name}" is an async function. Make it a plain function that calls asyncio.run().'])
    try:
        lines, first = _class_in_cells(definition) or inspect.getsourcelines(definition)
    except (OSError, TypeError):
        hint = "Define it inside the function that uses it, or in a module of the app."
        raise InvalidParameters([f'The source of "{name}" is not available. {hint}']) from None
    text = textwrap.dedent("".join(lines))
    skipped = _count_own_decorators(text, definition)
    is_lazy = _has_lazy_annotations(definition) or _ignores_annotations(definition, text, skipped)
    return Piece(f"<{name}>", max(first, 1), text, skipped, lazy_annotations=is_lazy)


def _class_in_cells(definition: Any) -> tuple[list[str], int] | None:
    """Return the lines of a class from a notebook cell, which `inspect` cannot find; None for any other definition."""
    if not isinstance(definition, type) or definition.__module__ != "__main__":
        return None
    # IPython keeps the lines of cells in linecache, under names that are not files.
    cached = [(file, entry[2]) for file, entry in [*linecache.cache.items()] if len(entry) > 2]
    cells = {file: lines for file, lines in cached if not Path(file).exists()}
    functions = filter(inspect.isfunction, map(inspect.unwrap, vars(definition).values()))
    files = {function.__code__.co_filename for function in functions} & cells.keys()
    classes = (one for file in files or cells for one in _classes(cells[file], definition.__name__))
    found = {"".join(lines): (lines, first) for lines, first in classes}
    if len(found) > 1:
        issue = f'Several cells define a class named "{definition.__name__}", and it is unclear which one is meant.'
        raise InvalidParameters([f"{issue} Rename one."])
    return next(iter(found.values()), None)


def _classes(lines: list[str], name: str) -> Iterator[tuple[list[str], int]]:
    """Yield the lines and the first line number of each class of this name in a cell."""
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            yield lines[first - 1 : node.end_lineno], first


def _has_lazy_annotations(definition: Any) -> bool:
    """Whether a function was compiled with `from __future__ import annotations`."""
    code = getattr(definition, "__code__", None)
    return bool(code and code.co_flags & __future__.annotations.compiler_flag)


def _ignores_annotations(definition: Any, text: str, skipped: int) -> bool:
    """Whether nothing on the dyno reads a function's annotations, so that they need not be evaluated there."""
    tree: Any = ast.parse(text).body[0]
    has_classes = any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
    return isinstance(definition, FunctionType) and skipped == len(tree.decorator_list) and not has_classes


def _count_own_decorators(text: str, definition: Any) -> int:
    """Return how many leading decorators are `heroku.function`, which the dyno must not apply."""
    tree: Any = ast.parse(text).body[0]
    scope = _scope(definition)
    is_own = [_is_own_decorator(one, scope) for one in tree.decorator_list]
    if True in is_own[1:]:
        name = ast.unparse(tree.decorator_list[is_own.index(True, 1)])
        raise InvalidParameters(
            [f'Put @{name} above the other decorators of "{definition.__name__}", which are applied on the dyno.']
        )
    return sum(is_own)


def _is_own_decorator(decorator: ast.expr, scope: dict[str, Any]) -> bool:
    """Whether a decorator is `heroku.function` under any alias; an unresolved decorator is judged by its name."""
    path = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).split(".")
    found = scope.get(path[0])
    for attribute in path[1:]:
        found = getattr(found, attribute, None)
    return path[-1] == "function" if found is None else getattr(type(found), "is_heroku_function", False) is True


def _scope(definition: Any) -> dict[str, Any]:
    """Return the names that a function can see outside itself: its enclosing scopes' and its module's."""
    if isinstance(definition, type):
        return vars(sys.modules[definition.__module__])
    cells = dict(zip(definition.__code__.co_freevars, definition.__closure__ or (), strict=True))
    filled = {name: cell.cell_contents for name, cell in cells.items() if _is_filled(cell)}
    return {**definition.__globals__, **filled}


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # not bound yet
        return False


def _global_names(piece: Piece) -> list[str]:
    """Return the global names that a piece of source refers to, without those of the decorators it leaves out."""
    tree = ast.parse(piece.text)
    definition: Any = tree.body[0]
    del definition.decorator_list[: piece.decorators]
    future = "from __future__ import annotations\n" if piece.lazy_annotations else ""
    table = symtable.symtable(future + ast.unparse(tree), piece.file, "exec")
    return sorted(set(_referenced_globals(table)))


def _submodules(piece: Piece, scope: dict[str, Any]) -> Iterator[str]:
    """Yield the submodules reached through a module's name, as in `concurrent.futures`: each needs an import."""
    for node in ast.walk(ast.parse(piece.text)):
        path = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else [""]
        module = scope.get(path[0])
        if isinstance(module, ModuleType) and (found := ".".join([module.__name__, *path[1:]])) in sys.modules:
            yield found


def _referenced_globals(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _referenced_globals(inner)
