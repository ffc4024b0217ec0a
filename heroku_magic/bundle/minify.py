"""Source of a module -> as little of it as does the same for some of its names; it runs none of it.

A dyno's environment has little room, and nobody reads the source there: docstrings, comments and
annotations go, and so does every definition that none of the names needs.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def slim(source: str, names: Iterable[str] | None = None) -> str:
    r"""Return the source of a module without what is not needed for these names (None: all of them).

    >>> slim('import os\ndef f(n: int) -> int:\n    "Doc."\n    return n  # why\ndef g(): pass\n', ["f"])
    'import os\n\ndef f(n):\n    return n'
    """
    tree = _Bare().visit(ast.parse(source))
    if names is not None:
        tree.body = _needed(tree.body, set(names))
    return ast.unparse(ast.fix_missing_locations(tree))


def _needed(body: list[ast.stmt], names: set[str]) -> list[ast.stmt]:
    """The statements that define the names, and what these use; of the others those that define nothing."""
    kept: set[int] = set()
    while True:
        fresh = [at for at, one in enumerate(body) if at not in kept and _is_needed(one, names)]
        if not fresh:
            return [body[at] for at in sorted(kept)]
        kept.update(fresh)
        for at in fresh:
            names |= {node.id for node in ast.walk(body[at]) if isinstance(node, ast.Name)}


def _is_needed(statement: ast.stmt, names: set[str]) -> bool:
    defined = _defined(statement)
    return not defined or bool(defined & names)


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


class _Bare(ast.NodeTransformer):
    """Takes off what only a reader needs."""

    def visit_Module(self, node: ast.Module) -> Any:
        node.body = [one for one in node.body if not _is_for_readers(one)]
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


def _is_for_readers(statement: ast.stmt) -> bool:
    """Whether it is for type checkers, or what runs where the file is a script."""
    if not isinstance(statement, ast.If):
        return False
    test = ast.unparse(statement.test)
    return test in {"TYPE_CHECKING", "__name__ == '__main__'"}
