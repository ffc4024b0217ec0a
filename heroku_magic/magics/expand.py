"""The words of a line as they were typed: blanks, quotes, `$name` and `{expression}`; it knows no option.

IPython's own splitter keeps quotes and cuts `NAME="a b"` in two, so lines are split here.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = re.compile(r"\$([^\W\d]\w*)")
_PAIRS = {"{": "}", "[": "]", "(": ")"}
_MARKS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[][{}()'"]""", re.DOTALL)


def split(line: str) -> list[str]:
    """Split a line at blanks, but not inside quotes, nor inside braces, brackets or parentheses that close.

    >>> split('-e NAME="a b" --arg n={x[0] + 1} -e V=:-( --local')
    ['-e', 'NAME="a b"', '--arg', 'n={x[0] + 1}', '-e', 'V=:-(', '--local']
    """
    return [line[start:end] for start, end in spans(line)]


def spans(line: str) -> Iterator[tuple[int, int]]:
    """Yield where each word begins and ends; what stands behind the last one asked for is not read."""
    at = start = 0
    while at < len(line):
        if not line[at].isspace():
            at = _past(line, at)
            continue
        if at > start:
            yield start, at
        at = start = at + 1
    if at > start:
        yield start, at


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


def expand_command(command: str, namespace: Mapping[str, Any]) -> str:
    r"""Return a shell command expanded outside single quotes; its quotes and escapes stay, for the dyno's shell.

    >>> expand_command('''echo "it's $name" '$name' \\$name''', {"name": "eu"})
    'echo "it\'s eu" \'$name\' \\$name'
    """
    return _expanded(command, namespace, escape="\\")


def expand_word(word: str, namespace: Mapping[str, Any]) -> str:
    r"""Return a word of the line expanded outside single quotes; a backslash is a character like others.

    >>> expand_word("a'$k'-$k", {"k": 7})
    "a'$k'-7"
    """
    return _expanded(word, namespace, escape="")


def closing(text: str, at: int) -> int | None:
    """Where the bracket that opens at `at` closes, strings left aside; None: it does not."""
    waiting: list[str] = []
    for mark in _MARKS.finditer(text, at):
        if len(mark[0]) > 1:
            continue
        if mark[0] in _PAIRS:
            waiting.append(_PAIRS[mark[0]])
        elif not waiting or waiting.pop() != mark[0]:
            return None
        if not waiting:
            return mark.start()
    return None


def look_up(name: str, namespace: Mapping[str, Any], *, told: str = "") -> Any:
    """Return a variable's value; the error names the nearest one. told: what the line has, where it is no `$name`."""
    if name in namespace:
        return namespace[name]
    near = _nearest(name, namespace)
    hint = f" Did you mean {near}?" if near else ""
    more = "" if told else " $$ stands for one dollar sign."
    raise InvalidOptions(f"{told or f'${name}'}: there is no variable {name}.{hint}{more}")


def evaluate(expression: str, namespace: Mapping[str, Any]) -> Any:
    """Return an expression's value; what it raises is told in a line."""
    try:
        return eval(compile(expression.strip(), "<line>", "eval"), dict(namespace))  # noqa: S307 - the user's own line
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        reason = told(error, namespace)
    raise InvalidOptions(f"{{{clean_line(expression[:60])}}}: {reason}. {{{{ and }}}} stand for one brace each.")


def told(error: Exception, namespace: Mapping[str, Any] | None = None) -> str:
    """Return an exception of the user's in a short line; a name that is missing, with the nearest there is."""
    try:
        text = clean_line(str(error))
    except Exception:  # noqa: BLE001 - an exception's own text may raise anything, too
        text = ""
    text = text if len(text) <= 300 else f"{text[:299]}…"
    near = _nearest(error.name, namespace or {}) if isinstance(error, NameError) else ""
    text += f" (did you mean {near}?)" if near else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _nearest(name: str | None, namespace: Mapping[str, Any]) -> str:
    near = get_close_matches(name or "", [known for known in namespace if isinstance(known, str)], 1)
    return near[0] if near else ""


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or array: such a text is no expression."""
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _past(line: str, at: int) -> int:
    """Where to go on after the character at `at`, or after what it opens."""
    if line[at] in _PAIRS:
        end = closing(line, at)
        return at + 1 if end is None else end + 1
    if line[at] not in "'\"":
        return at + 1
    end = line.find(line[at], at + 1)
    if end < 0:
        raise InvalidOptions(f"A {line[at]} is not closed in: {clean_line(line.strip()[:80])}")
    return end + 1


def _next_part(text: str, at: int, namespace: Mapping[str, Any]) -> tuple[int, str]:
    """How many characters the next part takes, and what it stands for."""
    if text[at : at + 2] in {"$$", "{{", "}}"}:
        return 2, text[at]
    if match := VARIABLE.match(text, at):
        return len(match[0]), _shown(look_up(match[1], namespace), match[0])
    if text[at] == "{":
        return _next_brace(text, at, namespace)
    return 1, text[at]


def _next_brace(text: str, at: int, namespace: Mapping[str, Any]) -> tuple[int, str]:
    end = closing(text, at)
    if end is None:
        raise InvalidOptions(
            f"`{clean_line(text[at : at + 40])}`: the brace does not close. {{{{ stands for one brace."
        )
    whole = text[at : end + 1]
    return len(whole), whole if is_json(whole) else _shown(evaluate(whole[1:-1], namespace), whole)


def _shown(value: Any, source: str) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value's own text may raise anything
        reason = told(error)
    raise InvalidOptions(f"{clean_line(source[:60])}: its value has no text ({reason}).")


def _expanded(text: str, namespace: Mapping[str, Any], *, escape: str) -> str:
    parts: list[str] = []
    at, in_double = 0, False
    while at < len(text):
        taken, part = _next_quoted(text, at, escape, in_double=in_double) or _next_part(text, at, namespace)
        in_double ^= part == '"' and text[at] == '"'
        parts.append(part)
        at += taken
    return "".join(parts)


def _next_quoted(text: str, at: int, escape: str, *, in_double: bool) -> tuple[int, str] | None:
    """What stands as it is: single quotes with what is in them, and what is escaped."""
    if text[at] == escape:
        return 2, text[at : at + 2]
    if text[at] != "'" or in_double:
        return None
    end = text.find("'", at + 1)
    whole = text[at:] if end < 0 else text[at : end + 1]
    return len(whole), whole
