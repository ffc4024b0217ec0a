"""Cell text and `--arg` -> parameters -> the dyno's environment; it knows no task and starts nothing.

A body holds assignments alone. They are parsed whole before the first is evaluated, in a copy of the
notebook's variables. What cannot travel is refused by name, all faults at once.
"""

from __future__ import annotations

import ast
import json
import math
import re
import sys
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.safetext import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOM = 32 * 1024  # bytes of names and values: https://devcenter.heroku.com/articles/limits#config-vars

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROXY = re.compile(r".*_proxy", re.IGNORECASE)
_VARIABLE = re.compile(r"\$([^\W\d]\w*)")
# What would break a dyno, or run code in it before the task's.
_REFUSED = re.compile(
    r"PATH|HOME|DYNO|PORT|PYTHON(PATH|HOME|STARTUP)|(LD|DYLD)_.*|BASH_(ENV|FUNC.*)|ENV|IFS|SHELLOPTS|BASHOPTS"
    r"|NODE_OPTIONS|PERL5(LIB|OPT)|RUBY(LIB|OPT)|JAVA_TOOL_OPTIONS"
)
_WAYS_OUT = (
    "Environment variables carry at most 32 kB in all. Three ways for more: a file in the worker folder "
    "(`df.to_csv('worker/data.csv')`, then deploy), a table in the app's database "
    "(`df.to_sql('data', engine)`, read by DATABASE_URL), or a presigned URL of an object store as the parameter."
)


class Typed(str):
    """Text as it was typed on the line: it travels as it is, and the declared type decides how it is read."""

    __slots__ = ()


_ADVICE = "A body holds parameters: `name = expression`, one a line."


def read_body(text: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    r"""Return the parameters that a cell's body assigns, evaluated over `namespace`, which stays as it is.

    Later lines see earlier names; names that begin with `_` are helpers and are not returned.

    >>> read_body("n = len(data)\n_half = n // 2\nk = [i * _half for i in data]", {"data": [1, 2, 3]})
    {'n': 3, 'k': [1, 2, 3]}
    """
    statements = _assignments(text)
    variables = dict(namespace)
    assigned: dict[str, Any] = {}
    for statement in statements:
        value = _evaluate(statement, variables)
        names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        variables.update(dict.fromkeys(names, value))
        assigned.update(dict.fromkeys(names, value))
    return {name: value for name, value in assigned.items() if not name.startswith("_")}


def read_argument(word: str, namespace: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the name and value of one `NAME=VALUE` as it was typed, its quotes still there.

    The text travels as it is. A value that is wholly `{expression}` or `$name` passes the object;
    text that is JSON is no expression; nothing is expanded in single quotes.

    >>> read_argument("V='$$x'", {}), read_argument('V={"a":1}', {}), read_argument("n={k + 1}", {"k": 9})
    (('V', '$$x'), ('V', '{"a":1}'), ('n', 10))
    """
    whole, is_literal = unquote(word)
    name, equals, raw = whole.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise InvalidOptions(f"--arg {clean_line(word[:60])}: expected NAME=VALUE, for example --arg n=10.")
    if whole == word:
        raw, is_literal = unquote(raw)
    return name, Typed(raw) if is_literal else _expanded(raw, namespace)


def unquote(word: str) -> tuple[str, bool]:
    """Take quotes off that stand around the whole word; tell whether they were single ones."""
    if len(word) > 1 and word[0] in "'\"" and word[-1] == word[0] and word[0] not in word[1:-1]:
        return word[1:-1], word[0] == "'"
    return word, False


def expand(text: str, namespace: Mapping[str, Any]) -> str:
    """Return the text with `$name` and `{expression}` replaced; `$$`, `{{` and `}}` stand for one character.

    >>> expand("run-{i}-$name costs $$5 {{}}", {"i": 7, "name": "eu"})
    'run-7-eu costs $5 {}'
    """
    parts: list[str] = []
    at = 0
    while at < len(text):
        taken, part = _next_part(text, at, namespace)
        parts.append(part)
        at += taken
    return "".join(parts)


def to_env(parameters: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the environment variables that carry the parameters; `schema` is what the task declares.

    Raises InvalidParameters with every fault: a refused name, a value that has no form, too much in all.
    """
    declared = (schema or {}).get("properties")
    properties = declared if isinstance(declared, dict) else {}
    env: dict[str, str] = {}
    issues: list[str] = []
    for name, value in parameters.items():
        text, issue = _carried(name, value, properties.get(name) if schema is not None else None)
        if issue:
            issues.append(issue)
        elif text is not None:
            env[name] = text
    size = sum(len(name.encode()) + len(value.encode()) for name, value in env.items())
    if size > ROOM:
        largest = max(env, key=lambda name: len(env[name]))
        issues.append(f"The parameters take {size:,} bytes, {largest} most of them. {_WAYS_OUT}")
    if issues:
        raise InvalidParameters(issues)
    return env


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numpy, pandas, dates, Decimal, Path and Enum become plain values.

    Raises TypeError, whose text is the kind of value that has no form.
    """
    if value is None or type(value) in {bool, int, str}:
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, range) and len(value) > ROOM:
        raise TypeError(f"a range of {len(value):,} numbers")
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {_key(key): plain(item) for key, item in value.items()}
    return _derived(value)


def _derived(value: Any) -> Any:
    """Values of a subclass of a plain type, such as numpy.float64, as that type; others by what they can do."""
    if isinstance(value, float):
        return _finite(float(value))
    for kind in (str, int):
        if isinstance(value, kind):
            return kind(value)
    return _foreign(value)


class _NoForm(Exception):
    """A parameter that cannot travel: the sentence that says why."""


def _assignments(text: str) -> list[ast.Assign]:
    """Parse a body; refuse whatever is no plain assignment, before anything is evaluated."""
    lines = text.splitlines()
    try:
        statements = _parsed(text)
    except SyntaxError as error:
        where = f"line {error.lineno}{_quoted(lines, error.lineno)}"
        raise InvalidParameters([f"{where} is no Python: {error.msg}. {_ADVICE}"]) from None
    except ValueError as error:
        raise InvalidParameters([f"The body is no Python: {error}."]) from None  # a NUL, before Python 3.12
    issues = [f"{issue} {_ADVICE}" for statement in statements if (issue := _issue(statement, lines))]
    if issues:
        raise InvalidParameters(issues[:5])
    return [statement for statement in statements if isinstance(statement, ast.Assign)]


def _parsed(text: str) -> list[ast.stmt]:
    """Parse a body that may be indented as a whole; its strings stay as they are."""
    try:
        return ast.parse(text).body
    except IndentationError:
        block = ast.parse(f"if True:\n{text}").body[0]
    ast.increment_lineno(block, -1)
    return block.body if isinstance(block, ast.If) else []


def _issue(statement: ast.stmt, lines: list[str]) -> str | None:
    """Why a statement is no plain assignment, or None if it is one."""
    where = f"line {statement.lineno}{_quoted(lines, statement.lineno)}"
    if any(isinstance(node, ast.Yield | ast.YieldFrom | ast.Await) for node in ast.walk(statement)):
        return f"{where} waits or yields, which an assignment of parameters cannot."
    if not isinstance(statement, ast.Assign):
        kind = _KINDS.get(type(statement).__name__, "a statement")
        return f"{where} is {kind}, no assignment."
    for target in statement.targets:
        if not isinstance(target, ast.Name):
            return f"{where} assigns to something else than a name."
        if not _NAME.fullmatch(target.id):
            return f"{where}: {target.id} is no name of an environment variable (letters a-z, digits, _)."
    return None


_KINDS = {
    "Expr": "an expression",
    "Import": "an import",
    "ImportFrom": "an import",
    "FunctionDef": "a function",
    "ClassDef": "a class",
    "AugAssign": "an augmented assignment",
    "AnnAssign": "an annotated assignment",
    "For": "a loop",
    "While": "a loop",
    "With": "a with block",
    "If": "a condition",
    "Delete": "a del statement",
}


def _quoted(lines: list[str], number: int | None) -> str:
    if not number or number > len(lines) or not lines[number - 1].strip():
        return ""
    return f" (`{clean_line(lines[number - 1].strip()[:80])}`)"


def _evaluate(statement: ast.Assign, variables: dict[str, Any]) -> Any:
    """Evaluate one expression; what it raises is told in a line, not as our traceback."""
    code = compile(ast.Expression(statement.value), "<body>", "eval")
    try:
        return eval(code, variables)  # noqa: S307 - the user's own cell, in the user's own kernel
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        raise InvalidParameters([f"line {statement.lineno}: {type(error).__name__}: {error}"]) from None


def _expanded(text: str, namespace: Mapping[str, Any]) -> Any:
    """The value of an argument that is not in single quotes: an object, or text."""
    variable = _VARIABLE.fullmatch(text)
    if variable:
        return _look_up(variable[1], namespace)
    if text.startswith("{") and not text.startswith("{{"):
        if _is_json(text):
            return Typed(text)
        if _closing(text, 0) == len(text) - 1:
            return _value(text[1:-1], namespace)
    return Typed(text if _is_json(text) else expand(text, namespace))


def _next_part(text: str, at: int, namespace: Mapping[str, Any]) -> tuple[int, str]:
    """How many characters the next part takes, and what it stands for."""
    if text[at : at + 2] in {"$$", "{{", "}}"}:
        return 2, text[at]
    if text[at] == "$" and (match := _VARIABLE.match(text, at)):
        return len(match[0]), str(_look_up(match[1], namespace))
    if text[at] == "{":
        end = _closing(text, at)
        return end + 1 - at, str(_value(text[at + 1 : end], namespace))
    return 1, text[at]


def _closing(text: str, at: int) -> int:
    """Where the brace that opens at `at` closes."""
    depth, quote = 0, ""
    for index in range(at, len(text)):
        character = text[index]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return index
    raise InvalidOptions(f"`{clean_line(text[at : at + 40])}`: the brace does not close. {{{{ stands for one brace.")


def _look_up(name: str, namespace: Mapping[str, Any]) -> Any:
    if name in namespace:
        return namespace[name]
    near = get_close_matches(name, [known for known in namespace if isinstance(known, str)], 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise InvalidOptions(f"${name}: there is no variable {name}.{hint} $$ stands for one dollar sign.")


def _value(expression: str, namespace: Mapping[str, Any]) -> Any:
    try:
        return eval(compile(expression.strip(), "<line>", "eval"), dict(namespace))  # noqa: S307 - the user's own line
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        reason = f"{type(error).__name__}: {error}"
    raise InvalidOptions(f"{{{clean_line(expression[:60])}}}: {reason}. {{{{ and }}}} stand for one brace each.")


def _is_json(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _carried(name: str, value: Any, schema: Any) -> tuple[str | None, str]:
    """The text that carries a parameter (None leaves it out), or why there is none."""
    try:
        _check_name(name)
        return _encoded(name, value, schema), ""
    except _NoForm as fault:
        return None, str(fault)
    except RecursionError:
        return None, f"{name} is nested too deeply, or holds itself: send plain lists and dicts."


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _NoForm(f"{name!r} is no name of an environment variable (letters a-z, digits, _).")
    if name == "RUN_KEY":
        raise _NoForm("RUN_KEY carries the run's own key: choose another name.")
    if name.startswith(("HEROKU_", "__")):
        raise _NoForm(f"{name}: Heroku keeps names that begin with HEROKU_ or __ for itself: choose another name.")
    if _PROXY.fullmatch(name):
        raise _NoForm(f"{name} would send the dyno's connections elsewhere: choose another name.")
    if _REFUSED.fullmatch(name):
        raise _NoForm(f"{name} would change how the dyno itself works: choose another name.")


def _encoded(name: str, value: Any, schema: Any) -> str | None:
    """The text that carries a value; None leaves the variable out."""
    if isinstance(value, Typed):
        return _text(name, str(value))
    try:
        value = plain(value)
    except TypeError as kind:
        raise _NoForm(f"{name}: {kind} {_hint(str(kind))}") from None
    if value is None:
        return "null" if schema is not None else None
    if isinstance(value, str):
        return _text(name, _quoted_where_needed(value, schema))
    return _text(name, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _quoted_where_needed(text: str, schema: Any) -> str:
    """Where the declared type takes text and something else, text that reads as JSON is sent as JSON text."""
    return json.dumps(text) if takes_text_and_more(schema) and _reads_as_json(text) else text


def takes_text_and_more(schema: Any) -> bool:
    """Whether a declared type (None: undeclared) takes text and something else, so that text is ambiguous."""
    if not isinstance(schema, dict):
        return False
    kinds = schema.get("anyOf")
    if not schema.keys() - {"default", "description", "title"}:
        return True
    return isinstance(kinds, list) and any(isinstance(kind, dict) and kind.get("type") == "string" for kind in kinds)


def _reads_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _text(name: str, text: str) -> str:
    if "\0" in text:
        raise _NoForm(f"{name} holds a NUL character, which no environment variable can.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NoForm(f"{name} holds half a character (a lone surrogate), which is no text.") from None
    return text


def _foreign(value: Any) -> Any:
    """Values of other libraries, known by what they can do; none of these is imported for it."""
    if type(value).__name__ == "NaTType" or value is getattr(sys.modules.get("pandas"), "NA", value is None):
        raise TypeError("a missing value (NaT, NA)")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    module = type(value).__module__.partition(".")[0]
    if module == "decimal" and not value.is_finite():
        raise TypeError(f"{value} (JSON has no NaN and no Infinity)")
    if isinstance(value, PurePath) or module in {"decimal", "uuid"}:
        return str(value)
    if module == "pandas" and type(value).__name__ == "DataFrame":
        raise TypeError("a DataFrame")
    if module in {"numpy", "pandas"} and not isinstance(value, timedelta):
        return _from_array(value)
    raise TypeError(_kind(value))


def _from_array(value: Any) -> Any:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "M" and "NaT" not in str(value):
        return plain(value.astype(str).tolist())
    if kind in {"M", "m"}:
        raise TypeError("a missing time or a length of time")
    for convert in ("tolist", "item"):
        if hasattr(value, convert):
            converted = getattr(value, convert)()
            if type(converted) is not type(value):
                return plain(converted)
    raise TypeError(_kind(value))


def _finite(value: Any) -> Any:
    if not math.isfinite(value):
        raise TypeError(f"{value} (JSON has no NaN and no Infinity)")
    return value


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    raise TypeError(f"a dict with a key that is {_kind(key)}")


def _kind(value: Any) -> str:
    if callable(value):
        return "a function"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _hint(kind: str) -> str:
    if kind == "a DataFrame":
        return f"does not travel as a parameter. {_WAYS_OUT}"
    if kind in {"a set", "a frozenset"}:
        return "has no order: send sorted(...) instead."
    return "has no form as an environment variable: send text, numbers, booleans, lists or dicts of these."
