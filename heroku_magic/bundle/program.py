"""Check the syntax of a cell and describe the source that a dyno is to run."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import warnings
from dataclasses import dataclass
from functools import lru_cache

from heroku_magic.bundle.minify import parse, unparse
from heroku_magic.errors import InvalidParameters
from heroku_magic.text.excerpt import carets, numbered
from heroku_magic.text.sanitize import clean_line

CELL_FILE = "<cell>"  # its file name in tracebacks
_CELLS = 64  # whose checks are remembered, because many a cell runs again and again
_SINCE = {"Match": (3, 10), "TryStar": (3, 11)}  # statements that Python rejects only once it has read them
FIRST_LINE = 2  # line 1 is `%%dyno` itself, as the notebook's line numbers count


@dataclass(frozen=True)
class Program:
    """A cell's text that a dyno is to run. quiet: do not show the value of the last expression."""

    text: str
    quiet: bool = False

    def definitions(self) -> str:
        """Return the cell's imports, definitions and constants, if it may start processes that need them.

        A spawned process imports its parent's `__main__`. Without these names, `multiprocessing` would start one
        process after another, each unable to find the cell's functions.
        """
        if not re.search("multiprocessing|Process", self.text):
            return ""
        kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        body = parse(self.text).body
        kept: list[ast.stmt] = [one for one in body if isinstance(one, kinds) or _is_constant(one)]
        return unparse(ast.Module(kept, []))


@lru_cache(maxsize=_CELLS)
def read_cell(body: str, *, is_final: bool = True) -> Program:
    r"""Return a cell's body as a program. Raises InvalidParameters for invalid Python.

    The indent of the first line is removed from all lines. is_final: whether this Python has the last word on the
    syntax; False where the dyno's Python is newer.

    >>> read_cell("n = 1\nn + 1;").quiet
    True
    >>> read_cell("    if n:\n        n + 1").text
    'if n:\n    n + 1'
    """
    if not body.strip():
        raise InvalidParameters(["The cell has no code. Write the code to run on the dyno below the %%dyno line."])
    if indent := re.match(r"(?:[ \t]*\r?\n)*([ \t]+)\S", body):  # IPython removes it from any cell
        body = re.sub(f"(?m)^{indent[1]}", "", body)
    _check_syntax(body, is_final=is_final)
    return Program(body, quiet=_ends_with_semicolon(body))


@lru_cache(maxsize=_CELLS)
def find_unsupported_syntax(program: Program, version: tuple[int, int]) -> str | None:
    """Return a message about syntax that this version of Python does not support; None where none is found."""
    if version > sys.version_info[:2]:
        return None
    try:
        parse(program.text, feature_version=version)
    except SyntaxError as error:
        newer = [one for one in ast.walk(parse(program.text)) if _SINCE.get(type(one).__name__, version) > version]
        if newer:  # the parser names the line after it
            error.lineno, error.offset = min((one.lineno, one.col_offset + 1) for one in newer)  # type: ignore[attr-defined]
            error.end_lineno = None
        return _describe(error, program.text)
    return None


def _check_syntax(body: str, *, is_final: bool) -> None:
    """Compile a cell: unlike `ast.parse`, the compiler finds a `return` outside of a function, for example."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the dyno shows them
            compile(body, CELL_FILE, "exec", dont_inherit=True)
    except SyntaxError as error:
        hint = _syntax_hint(error)
        if not is_final and not hint:
            return
        raise InvalidParameters([_describe(error, body) + hint]) from None
    except UnicodeEncodeError:
        reason = "The cell contains a lone surrogate (half a character), which is not valid Python."
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL byte, or brackets nested too deeply
        reason = f"Python cannot parse the cell: {clean_line(str(error)) or type(error).__name__}."
    else:
        return
    raise InvalidParameters([reason])


def _describe(error: SyntaxError, body: str) -> str:
    """Return the error with its line, and carets below the part that caused it."""
    number = error.lineno or 1
    header = f"{type(error).__name__}: {clean_line(error.msg)}\n  {CELL_FILE}:{number + FIRST_LINE - 1}"
    lines = re.split(r"\r\n|\r|\n", body)
    if not 0 < number <= len(lines):
        return header
    line, begin = lines[number - 1], (error.offset or 1) - 1
    is_on_line = error.end_lineno == number and (error.end_offset or 0) > (error.offset or 0)
    mark = carets(line, begin, (error.end_offset or 0) - 1 if is_on_line else begin + 1)
    shown = numbered(number + FIRST_LINE - 1, line, is_failing=True)
    return "\n".join(filter(None, [header, shown, mark]))


def _syntax_hint(error: SyntaxError) -> str:
    """Return advice about syntax that is valid in a notebook and not in plain Python."""
    line = (error.text or "").strip()
    if line.startswith(("%", "!", "?")) or line.endswith("?") or re.match(r"[\w\s,.]+=\s*[%!]", line):
        return "\nThat is IPython syntax, and the dyno runs plain Python. Replace it with Python code."
    if re.match(r"'(await|async \w+)' outside|asynchronous comprehension outside", error.msg):
        return (
            "\nPlain Python allows `await` only in async functions. Call asyncio.run(main()) for an `async def main()`."
        )
    return ""


def _ends_with_semicolon(body: str) -> bool:
    """Whether the last statement ends with a semicolon, which hides its value as in any notebook cell."""
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT, tokenize.INDENT}
    lines = io.StringIO(body, newline=None)  # "\r" ends a line, too, which confuses `tokenize` in Python 3.12
    try:
        tokens = [one for one in tokenize.generate_tokens(lines.readline) if one.type not in empty]
    except (tokenize.TokenError, SyntaxError):
        return False
    return bool(tokens) and tokens[-1].string == ";"


def _is_constant(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Assign):
        return False
    try:
        ast.literal_eval(statement.value)
    except (ValueError, TypeError):  # a TypeError for an unhashable key, which the dyno reports
        return False
    return True
