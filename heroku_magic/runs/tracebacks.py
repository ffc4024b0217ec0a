"""Reads tracebacks as Python prints them: that of a script in its log, and the chain of causes in one."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from heroku_magic.protocol.records import Failure, SourceFrame
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST_LINE = "Traceback (most recent call last)"
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b(?:: .*)?")
_FRAME = re.compile(r'  File "(.+)", line (\d+)(?:, in (.+))?')
_CARETS = re.compile(r"    [ ~^]*\^[ ~^]*")
_CHAIN = re.compile(r"\n\n(The above exception was the direct cause|During handling of the above exception)[^\n]*\n\n")
# A dyno's folder, and that of the embedded Heroku.
_HOME = re.compile(r"/app/|.*/dyno-[0-9a-f-]{36}/")
_MAX_CAUSES, _MAX_REMARKS, _LONGEST = 4, 12, 300
# How Python draws a group of exceptions.
_BORDER, _BAR = re.compile(r" *\+[- +]"), re.compile(r"^ *\| ")
_BETWEEN = (FIRST_LINE, "The above exception was", "During handling of the above")
_CUT = "\n[...]\n"  # where the helper has shortened a text


def failure_in(log: Sequence[str]) -> Failure | None:
    """Return the exception of the last traceback in a log, or None."""
    begins = [index for index, line in enumerate(log) if line.startswith(FIRST_LINE)]
    end = next((index for index in reversed(range(len(log))) if _EXCEPTION.fullmatch(log[index])), -1)
    begins = [index for index in begins if index < end]
    if not begins:
        return None
    first = begins[-1]
    for earlier, later in reversed([*pairwise(begins)]):
        if not _CHAIN.search("\n".join(log[earlier:later]) + "\n"):
            break
        first = earlier
    kind, _, message = log[end].partition(": ")
    frames = [*_frames(log[begins[-1] : end])]
    return Failure(kind, message, frames, traceback="\n".join(log[first : end + 1]))


def causes(traceback: str) -> list[str]:
    r"""Return a line for each cause of the exception that a traceback ends with, the nearest first.

    >>> causes("Traceback (most recent call last):\nKeyError: 1\n\nDuring handling of the above exception, another "
    ...     "exception occurred:\n\nTraceback (most recent call last):\nValueError: 2")
    ['  while handling KeyError: 1']
    """
    parts = _CHAIN.split(traceback)
    found = []
    for text, sentence in zip(parts[-3::-2], parts[-2::-2], strict=False):
        lines = text.splitlines()
        headline = next((line for line in lines if line[:1].strip() and not line.startswith(FIRST_LINE)), "")
        verb = "caused by" if sentence.startswith("The above") else "while handling"
        frame = next((match for match in map(_FRAME.match, reversed(lines)) if match), None)
        where = f"  ({_HOME.sub('', frame[1], count=1)}:{frame[2]})" if frame else ""
        found.append(clean_line(f"  {verb} {headline[:_LONGEST]}{where}"))
    return found[:_MAX_CAUSES]


def remarks(traceback: str, message: str) -> list[str]:
    r"""Return the notes of the exception that a traceback ends with, and the members of a group with theirs.

    message: of this exception.

    >>> remarks("Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 1\nin row 3", "1")
    ['  in row 3']
    """
    lines = [line for line in _CHAIN.split(traceback)[-1].split("\n") if not _BORDER.match(line)]
    texts = [(len(line) - len(text := _BAR.sub("", line)), text) for line in lines]
    said = [(depth, text) for depth, text in texts if text[:1].strip() and not text.startswith(_BETWEEN)]
    own = 1 + sum(bool(line[:1].strip()) for line in message.split("\n")[1:])
    if _CUT in message or _CUT in traceback:
        return []
    return [clean_line(f"  {' ' * (depth - said[0][0])}{text[:_LONGEST]}") for depth, text in said[own:][:_MAX_REMARKS]]


def _frames(lines: Sequence[str]) -> Iterator[SourceFrame]:
    """Yield the frames in the script's own files."""
    for index, match in enumerate(map(_FRAME.fullmatch, lines)):
        if match is None or "/lib/python" in match[1] or match[1].startswith("<frozen"):
            continue
        text, carets = [*lines[index + 1 : index + 3], "", ""][:2]
        source = [(int(match[2]), text[4:])] if text.startswith("    ") else []
        columns = None
        if source and _CARETS.fullmatch(carets):
            columns = len(carets) - len(carets.lstrip()) - 4, len(carets.rstrip()) - 4
        yield SourceFrame(_HOME.sub("", match[1], count=1), int(match[2]), match[3] or "<module>", source, columns)
