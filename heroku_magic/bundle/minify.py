"""Reduce a module's source to the code that some of its names need.

A dyno's environment is small and nobody reads the source there, so docstrings, comments, annotations,
blank lines and unused definitions are removed.
"""

from __future__ import annotations

import ast
import re
import threading
import warnings
from contextlib import suppress
from itertools import product
from string import ascii_letters
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOCK = threading.Lock()


def minify(source: str, names: Iterable[str] | None = None, without: Iterable[str] = ()) -> str:
    r"""Return a module's source with only the code that these names need; None keeps all definitions.

    without: functions that are not called.

    >>> minify('import os\ndef f(n: int) -> int:\n    "Doc."\n    return os.getpid()  # why\ndef g(): pass\n', ["f"])
    'import os\ndef f(n):\n return os.getpid()'
    """
    return to_text(reduced(source, names, without))


def reduced(source: str, names: Iterable[str] | None = None, without: Iterable[str] = ()) -> ast.Module:
    """Return the tree of what `minify` keeps."""
    tree: ast.Module = _Minifier(without).visit(parse(source))
    if names is not None:
        tree.body = _select(tree.body, set(names))
    return tree


def to_text(tree: ast.Module) -> str:
    """Return the source of a tree, with as few blanks as possible."""
    text = re.sub(r"(?m)^( *)\(([\w., ]+)\) = ", r"\1\2 = ", unparse(tree))  # as Python writes it from 3.11 on
    return re.sub(r"(?m)^ +", lambda indent: " " * (len(indent[0]) // 4), re.sub(r"\n{2,}", "\n", text))


def shorten_names(trees: Iterable[ast.Module]) -> None:
    """Shorten the private names of modules that travel together, where nothing but the module's own code has them."""
    nodes_of = [(tree, [*ast.walk(tree)]) for tree in trees]
    shared = {word for _, nodes in nodes_of for node in nodes for word in _mentioned(node)}
    for tree, nodes in nodes_of:
        names = [node for node in nodes if isinstance(node, ast.Name)]
        private = {name for one in tree.body for name in _defined_names(one) if re.match("_[^_]", name)}
        short = (f"_{letters}" for size in (1, 2) for letters in map("".join, product(ascii_letters, repeat=size)))
        found = shared | {name.id for name in names}
        new_names = dict(zip(sorted(private - shared), (name for name in short if name not in found), strict=False))
        for name in names:
            name.id = new_names.get(name.id, name.id)
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                node.name = new_names.get(node.name, node.name)


def _mentioned(node: ast.AST) -> list[str]:
    """Return the names that a node mentions other than as a variable, a function or a class."""
    if isinstance(node, ast.Constant):
        return re.findall(r"\w+", node.value) if isinstance(node.value, str) else []
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.arg | ast.keyword):
        return [node.arg or ""]
    if isinstance(node, ast.alias):
        return [node.name, node.asname or ""]
    if isinstance(node, ast.ExceptHandler):
        return [node.name or ""]
    return node.names if isinstance(node, ast.Global | ast.Nonlocal) else []


def parse(source: str, feature_version: tuple[int, int] | None = None) -> ast.Module:
    """Parse a module, or one of an older version of Python. Of several threads, one at a time.

    Python 3.11 can fail with SystemError when two threads parse: https://github.com/python/cpython/issues/106905
    Warnings, which Python 3.12 and newer give here, are left to the one that runs the code.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            with suppress(SystemError):
                return ast.parse(source, feature_version=feature_version)
        return ast.parse(source, feature_version=feature_version)


def unparse(tree: ast.AST) -> str:
    r"""Return the source of a tree, which Pythons from 3.9 on can read: a dyno's may be older than this one.

    >>> unparse(ast.parse("f'{x!r:>9}{\",\".join(y)}'"))
    "'{!r:>9}{}'.format(x, ','.join(y))"
    """
    return ast.unparse(_WithoutNestedQuotes().visit(tree))


def _select(body: list[ast.stmt], names: set[str]) -> list[ast.stmt]:
    """Return the statements that define the names and their dependencies, and the statements that define nothing."""
    kept: set[int] = set()
    while True:
        found = [index for index, one in enumerate(body) if index not in kept and _is_needed(one, names)]
        if not found:
            return [body[index] for index in sorted(kept)]
        kept.update(found)
        for index in found:
            names |= {node.id for node in ast.walk(body[index]) if isinstance(node, ast.Name)}


def _is_needed(statement: ast.stmt, names: set[str]) -> bool:
    defined = _defined_names(statement)
    return not defined or bool(defined & names)


def _defined_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(one.asname or one.name).partition(".")[0] for one in statement.names}
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


class _Minifier(ast.NodeTransformer):
    """Removes docstrings, annotations, code for type checkers, and calls of some functions."""

    def __init__(self, without: Iterable[str]) -> None:
        self._without = {*without}

    def visit(self, node: ast.AST) -> Any:
        return node if isinstance(node, ast.expr) else super().visit(node)  # expressions have none of these

    def visit_Expr(self, node: ast.Expr) -> Any:
        call = node.value
        return ast.Pass() if isinstance(call, ast.Call) and ast.unparse(call.func) in self._without else node

    def visit_Module(self, node: ast.Module) -> Any:
        node.body = [one for one in node.body if not _is_skipped_on_dyno(one)]
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        self.generic_visit(node)
        return ast.copy_location(ast.Assign([node.target], node.value), node) if node.value else None

    def _without_docstring(self, node: Any) -> Any:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


class _WithoutNestedQuotes(ast.NodeTransformer):
    """Replaces f-strings with text in their expressions, where Python before 3.12 allows no quotes of the same kind."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        expressions = [one.value for one in ast.walk(node) if isinstance(one, ast.FormattedValue)]
        if not any(_is_text(one) for expression in expressions for one in ast.walk(expression)):
            return node
        arguments: list[ast.expr] = []
        template = ast.Constant(self._template(node.values, arguments))
        return ast.Call(ast.Attribute(template, "format", ast.Load()), arguments, [])

    def _template(self, parts: Iterable[Any], arguments: list[ast.expr]) -> str:
        text = ""
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                text += part.value.replace("{", "{{").replace("}", "}}")
                continue
            arguments.append(self.visit(part.value))
            conversion = f"!{chr(part.conversion)}" if part.conversion >= 0 else ""
            form = f":{self._template(part.format_spec.values, arguments)}" if part.format_spec else ""
            text += f"{{{conversion}{form}}}"
        return text


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _is_skipped_on_dyno(statement: ast.stmt) -> bool:
    """Whether a statement is only for type checkers, or runs only where the file is a script."""
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return True
    if not isinstance(statement, ast.If):
        return False
    test = ast.unparse(statement.test)
    return test in {"TYPE_CHECKING", "__name__ == '__main__'"}
