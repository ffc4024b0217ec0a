"""Cell text and `--arg` -> parameters -> the dyno's environment; it knows no task and starts nothing.

A body holds assignments alone. They are parsed and compiled whole before the first is evaluated, in
a copy of the notebook's variables. What cannot travel is refused by name, all faults at once.
"""

from __future__ import annotations

import ast
import json
import re
import zlib
from binascii import b2a_base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.safetext import clean_line
from heroku_magic.secret import SHORTEST, Secret
from heroku_magic.values import ROOM, WAYS_OUT, Typed, to_text
from heroku_magic.words import VARIABLE, closing, evaluate, expand, expand_word, is_json, look_up, told, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import CodeType

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_ADVICE = "A body holds parameters, one `name = expression` a line; to run the cell's own code use %%dyno."
_SHOWN = 5  # faulty lines of a body, so that a pasted program does not fill the cell

# Names that would break a dyno, or run code in it before the task's.
_REFUSED = [
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"RUN_KEY", "carries the run's own key"),
        (r"RUN_PACE", "tells the helper how fast it may print"),
        (r"RUN_CALLS", "tells the helper which calls to make"),
        (r"RUN_(CODE|DATA)", "carries the code of a %%dyno cell"),
        (r"HEROKU_.*", "begins with HEROKU_, which Heroku keeps for its own names"),
        (r"__.*", "begins with __, which Heroku takes in no name"),
        (r"DYNO|PORT", "is Heroku's own: each dyno gets it from Heroku"),
        (r"PATH", "would break the dyno's PATH, where it finds its programs"),
        (r"HOME", "would break the dyno's HOME, where it finds the app"),
        (
            r"PYTHON(PATH|HOME|STARTUP|BREAKPOINT|WARNINGS|INSPECT|USERBASE|EXECUTABLE|PLATLIBDIR)",
            "would make the dyno's Python run other code than the app's",
        ),
        (r"(LD|DYLD)_.*", "would inject code into every program of the dyno"),
        (r"ENV|BASH_(ENV|FUNC.*)|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND", "would inject code into the dyno's shell"),
        (r"IFS", "would change how the dyno's shell reads its command"),
        (
            r"_|PPID|PS[12]|S?RANDOM|(OLD)?PWD|LINENO|SHLVL|HISTCMD|OPT(ERR|IND)|EPOCH(REALTIME|SECONDS)|COMP_WORDBREAKS|BASH(PID|_.*)?",
            "is set by the dyno's own shell, so it would not arrive",
        ),
        (
            r"NODE_OPTIONS|PERL5(LIB|OPT|DB)|RUBY(LIB|OPT)|(_|JDK_)JAVA_OPTIONS|JAVA_TOOL_OPTIONS",
            "would inject code into the dyno's programs",
        ),
        (r"(?i:(https?|ftp|wss?|socks|rsync|all|no)_proxy)", "would send the dyno's requests through another host"),
    )
]
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
    if not equals or not _NAME.fullmatch(name):
        raise InvalidOptions(f"{option} {clean_line(word[:60])}: expected NAME=VALUE, for example {option} n=10.")
    value, is_literal = unquote(raw) if whole == word else (raw, is_literal)
    if is_literal:
        return name, Typed(value)
    return name, _expanded(value, namespace, expand_word if value == word[len(name) + 1 :] else expand)


def to_env(parameters: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> dict[str, str | Secret]:
    """Return the environment variables that carry the parameters; `schema` is what the task declares.

    A Secret stays one. Raises InvalidParameters with every fault: a refused name, a value that has no
    form, too much in all.
    """
    declared = (schema or {}).get("properties")
    properties = declared if isinstance(declared, dict) else {}
    env: dict[str, str | Secret] = {}
    issues: list[str] = []
    for name, value in parameters.items():
        if reason := _refusal(name):
            issues.append(reason)
            continue
        try:
            text = _text(value, properties.get(name) if schema is not None else None)
        except TypeError as fault:
            issues.append(f"{name}: {fault}")
        else:
            env.update({} if text is None else {name: text})
    issues += _overweight(env)
    if issues:
        raise InvalidParameters(issues)
    return env


def with_calls(
    shared: Mapping[str, str | Secret], calls: Sequence[Mapping[str, str | Secret]]
) -> dict[str, str | Secret]:
    """Return the environment of a run that makes several calls, each with an environment of its own on top.

    Raises InvalidParameters where they do not fit into one.
    """
    packed = zlib.compress(json.dumps(calls, separators=(",", ":")).encode("ascii"), 9)
    env: dict[str, str | Secret] = {**shared, "RUN_CALLS": b2a_base64(packed, newline=False).decode("ascii")}
    if issues := _overweight(env):
        raise InvalidParameters(issues)
    return env


def refused(names: Iterable[Any]) -> list[str]:
    """Return why names may not be parameters, for each that may not."""
    return [reason for name in names if (reason := _refusal(name))]


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
        if not _NAME.fullmatch(target.id):
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


def _text(value: Any, schema: Any) -> str | Secret | None:
    """A value's text; that of a secret is read as if it was typed, and one that is declared secret becomes one."""
    if not isinstance(value, Secret):
        is_secret = isinstance(schema, dict) and schema.get("writeOnly") is True and isinstance(value, str) and value
        return _text(Secret(value), schema) if is_secret else to_text(value, schema)
    if len(value.reveal()) < SHORTEST:
        raise TypeError(f"a secret of fewer than {SHORTEST} characters cannot be hidden in what the task prints.")
    to_text(Typed(value.reveal()), schema)
    return value


def _refusal(name: Any) -> str | None:
    """Why a name may not be a parameter's, or None if it may."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{clean_line(repr(name)[:60])} is no name of an environment variable (letters a-z, digits, _)."
    reason = next((reason for pattern, reason in _REFUSED if pattern.fullmatch(name)), None)
    return f"{name} {reason}: choose another name." if reason else None


def _overweight(env: Mapping[str, str | Secret]) -> list[str]:
    sizes = {name: len(name.encode()) + len(_revealed(value).encode()) for name, value in env.items()}
    if sum(sizes.values()) <= ROOM:
        return []
    largest = max(sizes, key=lambda name: sizes[name])
    return [f"The parameters take {sum(sizes.values()):,} bytes, {largest} most of them. {WAYS_OUT}"]


def _revealed(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
