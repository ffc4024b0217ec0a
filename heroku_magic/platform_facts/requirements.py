"""Reads the lines of a requirements file as pip does, for the checks before a deploy and for the embedded Heroku alike.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import codecs
import re
import shlex
from functools import cache
from optparse import OptionParser
from typing import TYPE_CHECKING, NamedTuple, NoReturn

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
# As pip splits a line: the options begin at the first word with a dash.
_OPTIONS = re.compile(r"(?:^| )(-.*)", re.DOTALL)
# Options that name a file, folder or URL; of several in one line, pip reads the first of these.
_PATHS = {"e": "--editable", "r": "--requirement", "c": "--constraint", "f": "--find-links"}
_VALUES = (
    *("-i --index-url --pypi-url", "--extra-index-url", "--no-binary", "--only-binary", "--trusted-host"),
    *("--use-feature", "--global-option", "--hash", "-C --config-setting --config-settings"),
)
_FLAGS = ("--no-index", "--prefer-binary", "--require-hashes", "--pre")
NO_SUCH_OPTION = "no such option"


class RequirementLine(NamedTuple):
    """One line. option: r, c, e or f for an option that names a file, folder or URL (`value`), otherwise empty.

    problem: why pip does not accept its options; empty if it does.
    """

    number: int
    text: str
    option: str
    value: str
    problem: str = ""


def decoded(data: bytes) -> str:
    """Return the text of a file, which may begin with a byte order mark."""
    mark, encoding = next(((mark, name) for mark, name in _ENCODINGS.items() if data.startswith(mark)), (b"", "utf-8"))
    return data[len(mark) :].decode(encoding, "replace")


def lines(text: str, expand: Callable[[str], str] = str) -> Iterator[RequirementLine]:
    """Yield the lines that are neither blank nor comments. expand: replaces variables."""
    for number, joined in _joined(text):
        if content := expand(_COMMENT.sub("", joined).strip()):
            try:
                option, value = _path_option(content)
            except ValueError as error:
                yield RequirementLine(number, content, "", "", str(error))
            else:
                yield RequirementLine(number, content, option, value)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with the number of its first one: a backslash at its end continues it, except in a comment."""
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


def _path_option(content: str) -> tuple[str, str]:
    """Return the option of a line that names a path, and the path. Raises ValueError for what pip does not accept."""
    if not (match := _OPTIONS.search(content)):
        return "", ""
    options, _ = _parser().parse_args(shlex.split(match[1]))
    if match.start(1) == 0:  # otherwise they belong to the requirement before them
        for name in _PATHS:
            if values := getattr(options, name):
                return name, values[0]
    return "", ""


class _Parser(OptionParser):
    """Reads options as pip does: with this parser of the standard library, which accepts the start of a long option."""

    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


@cache
def _parser() -> _Parser:
    parser = _Parser(add_help_option=False)
    for name, option in _PATHS.items():
        parser.add_option(f"-{name}", option, dest=name, action="append")
    for spellings in _VALUES:
        parser.add_option(*spellings.split())
    for flag in _FLAGS:
        parser.add_option(flag, action="store_true")
    return parser
