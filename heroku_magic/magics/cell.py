"""Read the parameters that a cell's body and `--arg` give.

A body holds assignments alone. They are parsed and compiled whole before the first is evaluated, in
a copy of the notebook's variables.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.magics.expand import VARIABLE, closing, evaluate, expand, expand_word, is_json, look_up, told, unquote
from heroku_magic.protocol.values import Typed
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType
from heroku_magic.protocol.environ import NAME

_UNREADABLE = re.compile("[\x00\ud800-\udfff]")


_ADVICE = "A body holds parameters, one `name = expression` a line; to run the cell's own code use %%dyno."


_SHOWN = 5  # faulty lines of a body, so that a pasted program does not fill the cell


_KINDS = {
    "Expr": "an expression",
    "Import": "an import",
    "ImportFrom": "an import",
    "FunctionDef": "a function",
    "AsyncFunctionDef": "a function",
    "ClassDef": "a class",
    "AugAssign": "an augmented assignment",
    "AnnAssign": "an annotated assignment",
    "For": "a loop",
    "While": "a loop",
    "With": "a with block",
    "If": "a condition",
    "Delete": "a del statement",
}


def read_body(text: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    r"""Return the parameters that a cell's body assigns, evaluated over `namespace`, which stays as it is.

    Later lines see earlier names; names that begin with `_` are helpers and are not returned.

    >>> read_body("n = len(data)\n_half = n // 2\nk = [i * _half for i in data]", {"data": [1, 2, 3]})
    {'n': 3, 'k': [1, 2, 3]}
    """
    variables = dict(namespace)
    assigned: dict[str, Any] = {}
    for assignment in _assignments(text):
        given = dict.fromkeys(assignment.names, assignment.evaluate(variables))
        variables.update(given)
        assigned.update(given)
    return {name: value for name, value in assigned.items() if not name.startswith("_")}


def read_argument(word: str, namespace: Mapping[str, Any], *, option: str = "--arg") -> tuple[str, Any]:
    """Return the name and value of one `NAME=VALUE` as it was typed, its quotes still there.

    The text travels as it is. A value that is wholly `{expression}` or `$name` passes the object;
    text that is JSON is no expression; nothing is expanded in single quotes.

    >>> read_argument("V='$$x'", {}), read_argument('V={"a":1}', {}), read_argument("n={k + 1}", {"k": 9})
    (('V', '$$x'), ('V', '{"a":1}'), ('n', 10))
    """
    whole, is_literal = unquote(word)
    name, equals, raw = whole.partition("=")
    if not equals or not NAME.fullmatch(name):
        raise InvalidOptions(f"{option} {clean_line(word[:60])}: expected NAME=VALUE, for example {option} n=10.")
    value, is_literal = unquote(raw) if whole == word else (raw, is_literal)
    if is_literal:
        return name, Typed(value)
    return name, _expanded(value, namespace, expand_word if value == word[len(name) + 1 :] else expand)


@dataclass(frozen=True)
class _Assignment:
    """One line of a body, ready to be evaluated."""

    names: list[str]
    code: CodeType
    line: int
    source: str

    def evaluate(self, variables: dict[str, Any]) -> Any:
        """Return the value; what the expression raises is told in a line, not as our traceback."""
        try:
            return eval(self.code, variables)  # noqa: S307 - the user's own cell, in the user's own kernel
        except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
            reason = told(error, variables)
        raise InvalidParameters([f"line {self.line}: {reason}{self.source}"])


def _assignments(text: str) -> list[_Assignment]:
    """Parse a body; refuse whatever is no plain assignment, before anything is evaluated."""
    lines = re.split(r"\r\n|\r|\n", text)
    statements = _parsed(text, lines)
    issues = [issue for statement in statements if (issue := _issue(statement, lines))]
    if issues:
        raise InvalidParameters(_advised(issues))
    return [
        _Assignment(_names(statement), _compiled(statement, lines), statement.lineno, _quoted(lines, statement.lineno))
        for statement in statements
        if isinstance(statement, ast.Assign)
    ]


def _parsed(text: str, lines: list[str]) -> list[ast.stmt]:
    for number, line in enumerate(lines, 1):
        if _UNREADABLE.search(line):
            raise InvalidParameters([f"line {number}: a NUL or half a character (a lone surrogate) is no Python."])
    try:
        return ast.parse(text).body
    except IndentationError as error:
        if (indented := _parsed_indented(text, lines)) is not None:
            return indented
        raise _no_python(error, lines) from None
    except SyntaxError as error:
        raise _no_python(error, lines) from None
    except (RecursionError, MemoryError):
        raise InvalidParameters(["The body is nested too deeply for Python to read."]) from None


def _parsed_indented(text: str, lines: list[str]) -> list[ast.stmt] | None:
    """The statements of a body that is indented as a whole; its strings stay as they are."""
    try:
        statements = ast.parse(f"if 1:\n{text}").body
    except IndentationError:
        return None
    except SyntaxError as error:
        error.lineno = max((error.lineno or 1) - 1, 1)
        raise _no_python(error, lines) from None
    block = statements[0]
    if len(statements) > 1 or not isinstance(block, ast.If) or block.orelse:
        return None
    return [ast.increment_lineno(statement, -1) for statement in block.body]


def _no_python(error: SyntaxError, lines: list[str]) -> InvalidParameters:
    where = f"line {error.lineno}: " if error.lineno else ""
    return InvalidParameters(_advised([f"{where}{type(error).__name__}: {error.msg}{_quoted(lines, error.lineno)}"]))


def _issue(statement: ast.stmt, lines: list[str]) -> str | None:
    """Why a statement is no plain assignment, or None if it is one."""
    where, source = f"line {statement.lineno}", _quoted(lines, statement.lineno)
    if not isinstance(statement, ast.Assign):
        return f"{where}: {_KINDS.get(type(statement).__name__, 'a statement')}, no plain assignment{source}"
    for target in statement.targets:
        if not isinstance(target, ast.Name):
            return f"{where}: assigns to something else than a name{source}"
        if not NAME.fullmatch(target.id):
            return f"{where}: {target.id} is no name of an environment variable (letters a-z, digits, _){source}"
    return None


def _names(statement: ast.Assign) -> list[str]:
    return [target.id for target in statement.targets if isinstance(target, ast.Name)]


def _compiled(statement: ast.Assign, lines: list[str]) -> CodeType:
    """Compile one expression: `yield` and `await` are syntax that only this step refuses."""
    try:
        return compile(ast.Expression(statement.value), "<body>", "eval")
    except SyntaxError as error:
        raise _no_python(error, lines) from None
    except RecursionError:
        raise InvalidParameters([f"line {statement.lineno}: nested too deeply for Python to read."]) from None


def _quoted(lines: list[str], number: int | None) -> str:
    line = lines[number - 1].strip() if number and number <= len(lines) else ""
    return f" (`{clean_line(line[:80])}`)" if line else ""


def _advised(issues: list[str]) -> list[str]:
    """The first issues, the last of them with what a body is for: the advice is no fault of its own."""
    more = f" And {len(issues) - _SHOWN} more such lines." if len(issues) > _SHOWN else ""
    *first, last = issues[:_SHOWN]
    return [*first, f"{last}.{more} {_ADVICE}"]


def _expanded(text: str, namespace: Mapping[str, Any], read: Callable[[str, Mapping[str, Any]], str]) -> Any:
    """The value of an argument that is not in single quotes: an object, or text as `read` expands it."""
    if variable := VARIABLE.fullmatch(text):
        return look_up(variable[1], namespace)
    if is_json(text):
        return Typed(text)
    if text.startswith("{") and not text.startswith("{{") and closing(text, 0) == len(text) - 1:
        return evaluate(text[1:-1], namespace)
    return Typed(read(text, namespace))
