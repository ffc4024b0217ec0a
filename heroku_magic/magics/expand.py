"""Split a line into words and replace `$name` and `{expression}` in them.

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
_STRING_OR_BRACKET = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[][{}()'"]""", re.DOTALL)


def split(line: str) -> list[str]:
    """Split a line at blanks, except inside quotes and inside braces, brackets or parentheses that close.

    A word that starts with # starts a comment, as in a shell.

    >>> split('-e NAME="a b" --arg n={x[0] + 1} -e V=:-( -e C=#fff  # a comment')
    ['-e', 'NAME="a b"', '--arg', 'n={x[0] + 1}', '-e', 'V=:-(', '-e', 'C=#fff']
    """
    return [line[start:end] for start, end in spans(line)]


def spans(line: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each word. Nothing after the last word taken is read, so it may be malformed."""
    at = start = 0
    while at < len(line) and not (at == start and line[at] == "#"):
        if not line[at].isspace():
            at = _skip(line, at)
            continue
        if at > start:
            yield start, at
        at = start = at + 1
    if at > start:
        yield start, at


def join_continued(line: str, body: str) -> tuple[str, str]:
    r"""Move the lines that continue a cell's first line, after a backslash at its end, from the body into it.

    As IPython does for the line of a line magic, a blank replaces the backslash. A comment is not continued.

    >>> join_continued("--arg n=1 \\", "  --local\nn + 1")
    ('--arg n=1    --local', 'n + 1')
    """
    while _is_continued(line):
        more, _, body = body.partition("\n")
        line = f"{line.rstrip()[:-1]} {more}"
    return line, body


def _is_continued(line: str) -> bool:
    text = line.rstrip()
    if (len(text) - len(text.rstrip("\\"))) % 2 == 0:
        return False
    try:
        end = max((end for _, end in spans(text)), default=0)
    except InvalidOptions:  # a quote is open
        return True
    return end == len(text)


def _skip(line: str, at: int) -> int:
    """Return the position after the character at `at`, or after the quoted or bracketed text that it opens."""
    if line[at] in _PAIRS:
        end = closing(line, at)
        return at + 1 if end is None else end + 1
    if line[at] not in "'\"":
        return at + 1
    end = line.find(line[at], at + 1)
    if end < 0:
        raise InvalidOptions(f"A {line[at]} is not closed in: {clean_line(line.strip()[:80])}")
    return end + 1


def closing(text: str, at: int) -> int | None:
    """Return where the bracket at `at` closes, ignoring brackets in strings; None if it does not."""
    open_brackets: list[str] = []
    for match in _STRING_OR_BRACKET.finditer(text, at):
        if len(match[0]) > 1:
            continue
        if match[0] in _PAIRS:
            open_brackets.append(_PAIRS[match[0]])
        elif not open_brackets or open_brackets.pop() != match[0]:
            return None
        if not open_brackets:
            return match.start()
    return None


def unquote(word: str) -> tuple[str, bool]:
    """Remove quotes that enclose the entire word; also return whether they were single quotes."""
    if len(word) > 1 and word[0] in "'\"" and word[-1] == word[0] and word[0] not in word[1:-1]:
        return word[1:-1], word[0] == "'"
    return word, False


def expand(text: str, namespace: Mapping[str, Any], *, quotes: bool = False, escape: str = "") -> str:
    r"""Return the text with `$name` and `{expression}` replaced; `$$`, `{{` and `}}` stand for one character.

    quotes: leave text in single quotes alone. escape: a character that protects the next one.

    >>> expand("run-{i}-$name costs $$5 {{}}", {"i": 7, "name": "eu"})
    'run-7-eu costs $5 {}'
    >>> expand('''echo "it's $name" '$name' \\$name''', {"name": "eu"}, quotes=True, escape="\\")
    'echo "it\'s eu" \'$name\' \\$name'
    """
    parts: list[str] = []
    at, in_double_quotes = 0, False
    while at < len(text):
        part = source = _protected(text, at, escape, quotes=quotes and not in_double_quotes)
        if not source:
            source, part = _next_part(text, at, namespace)
        in_double_quotes ^= source == '"'
        parts.append(part)
        at += len(source)
    return "".join(parts)


def _protected(text: str, at: int, escape: str, *, quotes: bool) -> str:
    """Return the text at `at` that is not expanded: an escaped character, or single quotes with their content."""
    if text[at] == escape:
        return text[at : at + 2]
    if text[at] != "'" or not quotes:
        return ""
    end = text.find("'", at + 1)
    return text[at:] if end < 0 else text[at : end + 1]


def _next_part(text: str, at: int, namespace: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of the next part, and what it stands for."""
    if (pair := text[at : at + 2]) in {"$$", "{{", "}}"}:
        return pair, text[at]
    if match := VARIABLE.match(text, at):
        return match[0], _as_text(look_up(match[1], namespace), match[0])
    if text[at] != "{":
        return text[at], text[at]
    end = closing(text, at)
    if end is None:
        raise InvalidOptions(
            f"The brace in `{clean_line(text[at : at + 40])}` is not closed. Type {{{{ for a literal brace."
        )
    braced = text[at : end + 1]
    return braced, braced if is_json(braced) else _as_text(evaluate(braced[1:-1], namespace), braced)


def _as_text(value: Any, source: str) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value's own __str__ may raise anything
        reason = describe(error)
    raise InvalidOptions(f"The value of {clean_line(source[:60])} cannot be converted to text ({reason}).")


def look_up(name: str, namespace: Mapping[str, Any], *, option: str = "") -> Any:
    """Return a variable's value. option: the option that names the variable, if it is not a `$name`."""
    if name in namespace:
        return namespace[name]
    near = _nearest(name, namespace)
    hint = f" Did you mean {near}?" if near else ""
    source, advice = f"${name}", " Type $$ for a literal dollar sign."
    if option:
        source, advice = f"{option} {name}", "" if near else " Assign it in an earlier cell: this one runs on the dyno."
    raise InvalidOptions(f"{source}: there is no variable {name}.{hint}{advice}")


def evaluate(expression: str, namespace: Mapping[str, Any]) -> Any:
    """Return the value of a Python expression on the line."""
    try:
        return eval(compile(expression.strip(), "<line>", "eval"), dict(namespace))  # noqa: S307 - the user's own line
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        reason = describe(error, namespace)
    raise InvalidOptions(f"{{{clean_line(expression[:60])}}}: {reason}. Type {{{{ and }}}} for literal braces.")


def describe(error: Exception, namespace: Mapping[str, Any] | None = None) -> str:
    """Return an exception of the user's code in one short line; an unknown name comes with the nearest known one."""
    try:
        text = clean_line(str(error))
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything, too
        text = ""
    text = text if len(text) <= 300 else f"{text[:299]}…"
    near = _nearest(error.name, namespace or {}) if isinstance(error, NameError) else ""
    text += f" (did you mean {near}?)" if near else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _nearest(name: str | None, namespace: Mapping[str, Any]) -> str:
    near = get_close_matches(name or "", [known for known in namespace if isinstance(known, str)], 1)
    return near[0] if near else ""


def is_json(text: str) -> bool:
    """Return whether the text is a JSON object or array, and therefore not an expression."""
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
