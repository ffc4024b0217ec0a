"""Programs: a cell's text -> source that a dyno can run, or what is wrong with it; not a line of it runs here."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import warnings
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.text.excerpt import carets, numbered
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "<cell>"  # what tracebacks call it
FIRST = 2  # the line of the body's first line: `%%dyno` itself is line 1, as the gutter counts


@dataclass(frozen=True)
class Piece:
    """Some source: `first` is the number of its first line; that many `decorators` of its definition are left out.

    lazy_annotations: it is to be read as below `from __future__ import annotations`.
    """

    file: str
    first: int
    text: str
    decorators: int = 0
    lazy_annotations: bool = False


@dataclass(frozen=True)
class Program:
    """What a dyno is to run.

    name: what to show. imports: names and where they come from, `module` or `module:attribute`. call: the
    function to call; None for a cell. quiet: the value of the last expression is not wanted.
    """

    name: str
    pieces: tuple[Piece, ...]
    imports: Mapping[str, str] = field(default_factory=dict)
    call: str | None = None
    quiet: bool = False


def read_cell(body: str, *, is_final: bool = True) -> Program:
    r"""Return the program that a cell's body is. Raises InvalidParameters for what is no Python.

    is_final: this Python judges the syntax; False where the dyno's is newer and may know more.

    >>> read_cell("n = 1\nn + 1;").quiet
    True
    """
    if not body.strip():
        raise InvalidParameters(["The cell has no code: what is to run on the dyno stands below the %%dyno line."])
    _compiled(body, is_final=is_final)
    return Program("cell", (Piece(FILE, FIRST, body),), quiet=_ends_with_semicolon(body))


def too_new(program: Program, version: tuple[int, int]) -> str | None:
    """Return which syntax a Python of this version does not know, as far as this one can tell; or None."""
    if version > sys.version_info[:2]:
        return None
    for piece in program.pieces:
        try:
            ast.parse(piece.text, feature_version=version)
        except SyntaxError as error:  # noqa: PERF203 - the first one is told
            return _told(error, piece)
    return None


def _compiled(body: str, *, is_final: bool) -> None:
    """Compile it, which finds all that is wrong with its syntax."""
    piece = Piece(FILE, FIRST, body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are told where it runs
            compile(body, FILE, "exec", dont_inherit=True)
    except SyntaxError as error:
        advice = _advice(error)
        if not is_final and not advice:
            return
        raise InvalidParameters([_told(error, piece) + advice]) from None
    except UnicodeEncodeError:
        reason = "The cell holds half a character (a lone surrogate), which is no Python."
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL; brackets without end
        reason = f"Python cannot read the cell: {clean_line(str(error)) or type(error).__name__}."
    else:
        return
    raise InvalidParameters([reason])


def _told(error: SyntaxError, piece: Piece) -> str:
    """The fault with its line, and carets below what is meant."""
    number = error.lineno or 1
    head = f"{type(error).__name__}: {clean_line(error.msg)}\n  {piece.file}:{number + piece.first - 1}"
    lines = re.split(r"\r\n|\r|\n", piece.text)
    if not 0 < number <= len(lines):
        return head
    line, begin = lines[number - 1], (error.offset or 1) - 1
    is_here = error.end_lineno == number and (error.end_offset or 0) > (error.offset or 0)
    mark = carets(line, begin, (error.end_offset or 0) - 1 if is_here else begin + 1)
    shown = numbered(number + piece.first - 1, line, is_failing=True)
    return "\n".join(filter(None, [head, shown, mark]))


def _advice(error: SyntaxError) -> str:
    """What to do about syntax that notebooks have, and Python has not."""
    line = (error.text or "").strip()
    if line.startswith(("%", "!", "?")) or line.endswith("?") or re.match(r"[\w\s,.]+=\s*[%!]", line):
        return "\nThat is IPython's, which is not on the dyno: what runs there is plain Python."
    if re.match(r"'(await|async \w+)' outside|asynchronous comprehension outside", error.msg):
        return "\nPlain Python awaits in functions alone: asyncio.run(main()) runs an `async def main()`."
    return ""


def _ends_with_semicolon(body: str) -> bool:
    """Whether the last statement is followed by a semicolon: as in any cell, its value is then not wanted."""
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT, tokenize.INDENT}
    try:
        tokens = [one for one in tokenize.generate_tokens(io.StringIO(body).readline) if one.type not in empty]
    except (tokenize.TokenError, SyntaxError):
        return False
    return bool(tokens) and tokens[-1].string == ";"


def as_literal(program: Program) -> dict[str, Any]:
    """Return what the driver takes of a program."""
    return {
        "name": program.name,
        "pieces": [astuple(one) for one in program.pieces],
        "imports": dict(program.imports),
        "call": program.call,
        "quiet": program.quiet,
    }
