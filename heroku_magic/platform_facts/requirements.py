"""Reads the lines of a requirements file as pip does, for the checks before a deploy and for the embedded Heroku alike.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import codecs
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The mark of UTF-32-LE begins with that of UTF-16-LE.
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_COMMENT = re.compile(r"(^|\s+)#.*$")
# pip accepts the start of a long option, and no space after a short one.
_OPTION = re.compile(r"(?:-([rcef])|--(?!require-)(req|cons|edit|find)[a-z-]*)\s*=?\s*(.*)")


class RequirementLine(NamedTuple):
    """One line. option: r, c, e or f for an option that names a file, folder or URL (`value`), otherwise empty."""

    number: int
    text: str
    option: str
    value: str


def decoded(data: bytes) -> str:
    """Return the text of a file, which may begin with a byte order mark."""
    mark, encoding = next(((mark, name) for mark, name in _ENCODINGS.items() if data.startswith(mark)), (b"", "utf-8"))
    return data[len(mark) :].decode(encoding, "replace")


def lines(text: str, expand: Callable[[str], str] = str) -> Iterator[RequirementLine]:
    """Yield the lines that are neither blank nor comments. expand: replaces variables."""
    for number, joined in _joined(text):
        if content := expand(_COMMENT.sub("", joined).strip()):
            match = _OPTION.match(content)
            kind = (match[1] or match[2])[0] if match else ""
            yield RequirementLine(number, content, kind, _first_word(match[3]) if match else "")


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with the number of its first one: a backslash at its end, not of a comment, continues it."""
    pieces: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        is_comment = _COMMENT.match(line) is not None
        first = first if pieces else number
        if line.endswith("\\") and not is_comment:
            pieces.append(line.strip("\\"))
            continue
        # The blank lets a comment end what it is joined to.
        yield first, "".join([*pieces, " " if is_comment else "", line])
        pieces = []
    if pieces:
        yield first, "".join(pieces)


def _first_word(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return words[0] if words else ""
