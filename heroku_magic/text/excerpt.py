"""Formats a line of source with its number and carets below a part of it, as in a traceback."""

from __future__ import annotations

from heroku_magic.text.sanitize import clean_line

WIDEST = 200  # characters of a line that are shown


def numbered(number: int, line: str, *, is_failing: bool) -> str:
    """Return a line with its number, marked if it is the failing one.

    >>> numbered(3, "y = 1 / x", is_failing=True)
    '  →    3 | y = 1 / x'
    """
    return f"  {'→' if is_failing else ' '} {number:>4} | {clean_line(line.rstrip()[:WIDEST])}"


def carets(line: str, begin: int, end: int) -> str:
    """Return the carets below a line that mark its characters from `begin` up to `end`.

    Empty if that is the entire line, as in Python. One past the end may be marked, if something is missing there.

    >>> carets("y = 1 / x", 4, 9)
    '         |     ^^^^^'
    """
    line = line.rstrip()[:WIDEST]
    begin = max(begin, 0)
    end = max(min(end, len(line)), begin + 1)
    if begin > len(line) or (line.strip() and line[begin:end] == line.strip()):
        return ""
    blanks = "".join("\t" if one == "\t" else " " for one in line[:begin])
    return f"         | {blanks}{'^' * (end - begin)}"
