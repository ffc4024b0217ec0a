"""Read the parameters that a cell's body assigns, and the parameters that the line sets with `--arg NAME=VALUE`.

A body holds only assignments. All of them are compiled before the first one is evaluated, in a copy of
the notebook's variables.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.magics.expand import VARIABLE, closing, describe, evaluate, expand, is_json, look_up, unquote
from heroku_magic.protocol.environ import NAME_RULE, VARIABLE_NAME
from heroku_magic.protocol.values import RawText
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType

_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_ADVICE = "The body sets parameters, one `name = expression` per line. To run the cell's own code, use %%dyno."
_SHOWN = 5  # faulty lines of a body, so that a pasted program does not fill the cell
_STATEMENTS = {
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
    r"""Return the parameters that a cell's body assigns, evaluated over `namespace`, which does not change.

    Later lines can use earlier names; names that begin with `_` are private to the body.

    >>> read_body("n = len(data)\n_half = n // 2\nk = [i * _half for i in data]", {"data": [1, 2, 3]})
    {'n': 3, 'k': [1, 2, 3]}
    """
    lines = re.split(r"\r\n|\r|\n", text)
    statements = _statements(text, lines)
    if issues := [issue for statement in statements if (issue := _issue(statement, lines))]:
        raise InvalidParameters(_advised(issues))
    assignments = [statement for statement in statements if isinstance(statement, ast.Assign)]
    compiled = [_compiled(assignment, lines) for assignment in assignments]
    variables = dict(namespace)
    parameters: dict[str, Any] = {}
    for assignment, code in zip(assignments, compiled, strict=True):
        value = _evaluated(code, variables, assignment.lineno, lines)
        names = [target.id for target in assignment.targets if isinstance(target, ast.Name)]
        variables.update(dict.fromkeys(names, value))
        parameters.update((name, value) for name in names if not name.startswith("_"))
    return parameters


def read_argument(word: str, namespace: Mapping[str, Any], *, option: str = "--arg") -> tuple[str, Any]:
    """Return the name and value of one `NAME=VALUE` as it was typed, with its quotes.

    A value that is just `{expression}` or `$name` passes the object; any other value is text. JSON text is
    not an expression. Nothing is expanded in single quotes.

    >>> read_argument("V='$$x'", {}), read_argument('V={"a":1}', {}), read_argument("n={k + 1}", {"k": 9})
    (('V', '$$x'), ('V', '{"a":1}'), ('n', 10))
    """
    content, is_literal = unquote(word)
    name, equals, raw = content.partition("=")
    if not equals or not VARIABLE_NAME.fullmatch(name):
        cause = f'"{name}" cannot name a parameter; {NAME_RULE}' if equals and name.isidentifier() else ""
        reason = cause or f"expected NAME=VALUE, for example {option} n=10"
        raise InvalidOptions(f"{option} {clean_line(word[:60])}: {reason}.")
    value, is_literal = unquote(raw) if content == word else (raw, is_literal)
    if is_literal or is_json(value):
        return name, RawText(value)
    if variable := VARIABLE.fullmatch(value):
        return name, look_up(variable[1], namespace)
    if value.startswith("{") and not value.startswith("{{") and closing(value, 0) == len(value) - 1:
        return name, evaluate(value[1:-1], namespace)
    return name, RawText(expand(value, namespace, quotes=word == f"{name}={value}"))


def _statements(text: str, lines: list[str]) -> list[ast.stmt]:
    for number, line in enumerate(lines, 1):
        if _UNREADABLE.search(line):
            raise InvalidParameters([f"line {number}: Python does not accept a NUL or a lone surrogate character."])
    try:
        return ast.parse(text, "<body>").body
    except IndentationError as error:
        if (indented := _indented_statements(text, lines)) is not None:
            return indented
        raise _syntax_error(error, lines) from None
    except SyntaxError as error:
        raise _syntax_error(error, lines) from None
    except (RecursionError, MemoryError):
        raise InvalidParameters(["The body is nested too deeply for Python to read."]) from None


def _indented_statements(text: str, lines: list[str]) -> list[ast.stmt] | None:
    """Return the statements of a body that is evenly indented; dedenting the text would change its strings."""
    try:
        statements = ast.parse(f"if 1:\n{text}", "<body>").body
    except IndentationError:
        return None
    except SyntaxError as error:
        error.lineno = max((error.lineno or 1) - 1, 1)
        raise _syntax_error(error, lines) from None
    block = statements[0]
    if len(statements) > 1 or not isinstance(block, ast.If) or block.orelse:
        return None
    return [ast.increment_lineno(statement, -1) for statement in block.body]


def _issue(statement: ast.stmt, lines: list[str]) -> str | None:
    """Return why a statement is not an assignment to parameters, or None if it is one."""
    where, source = f"line {statement.lineno}", _quoted(lines, statement.lineno)
    if not isinstance(statement, ast.Assign):
        found = _STATEMENTS.get(type(statement).__name__, "a statement")
        return f"{where}: expected an assignment, found {found}{source}"
    for target in statement.targets:
        if not isinstance(target, ast.Name):
            return f"{where}: a parameter's name was expected to the left of ={source}"
        if not VARIABLE_NAME.fullmatch(target.id):
            return f'{where}: "{target.id}" cannot name a parameter; {NAME_RULE}{source}'
    return None


def _compiled(assignment: ast.Assign, lines: list[str]) -> CodeType:
    """Compile an assigned expression; only this step rejects `yield` and `await`."""
    try:
        return compile(ast.Expression(assignment.value), "<body>", "eval")
    except SyntaxError as error:
        raise _syntax_error(error, lines) from None
    except RecursionError:
        raise InvalidParameters([f"line {assignment.lineno}: nested too deeply for Python to read."]) from None


def _evaluated(code: CodeType, variables: dict[str, Any], line: int, lines: list[str]) -> Any:
    try:
        return eval(code, variables)  # noqa: S307 - the user's own cell, in the user's own kernel
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        reason = describe(error, variables)
    raise InvalidParameters([f"line {line}: {reason}{_quoted(lines, line)}"])


def _syntax_error(error: SyntaxError, lines: list[str]) -> InvalidParameters:
    where = f"line {error.lineno}: " if error.lineno else ""
    return InvalidParameters(_advised([f"{where}{type(error).__name__}: {error.msg}{_quoted(lines, error.lineno)}"]))


def _quoted(lines: list[str], number: int | None) -> str:
    line = lines[number - 1].strip() if number and number <= len(lines) else ""
    return f" (`{clean_line(line[:80])}`)" if line else ""


def _advised(issues: list[str]) -> list[str]:
    """Return the first issues; advice is appended to the last one, so that it does not count as an issue."""
    more = f" And {len(issues) - _SHOWN} more such lines." if len(issues) > _SHOWN else ""
    *first, last = issues[:_SHOWN]
    return [*first, f"{last}.{more} {_ADVICE}"]
