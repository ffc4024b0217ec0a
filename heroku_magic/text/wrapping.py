"""Wraps a message at the edge of a narrow page, because a notebook and a terminal break its words."""

from __future__ import annotations

import re
import textwrap

_BLANK = "\0"  # stands for one where no line may end
WIDTH = 78  # columns of an output of JupyterLab in a window of 800 pixels
_INDENT = re.compile(r" *(?:- )?")
# Commands and assignments to paste, and lines of source with their number or carets.
_AS_IS = re.compile(r" *(?:%|\$ |>>> |python |pip )|\w+ = |[ →]*\d* \| ")
# Commands, names, and options with their values in a sentence.
_WHOLE = re.compile(r"`[^`]+`|\"[^\"]+\"|(?:\w+ = )?%%?\w+(?: [^\s.,;)]+(?<!:))*|--[a-z-]+ [^\s.,;)]+(?<!:)")


def wrapped(message: str) -> list[str]:
    """Return the lines of a message, long ones wrapped between words, below their own indentation.

    >>> wrapped("  - " + "word " * 17)[1]
    '    word word'
    """
    return [part for line in message.splitlines() for part in _parts(line)]


def _parts(line: str) -> list[str]:
    if len(line) <= WIDTH or _AS_IS.match(line):
        return [line]
    indent = " " * len(_INDENT.match(line)[0])  # type: ignore[index]  # the pattern matches every line
    parts = textwrap.wrap(
        _WHOLE.sub(lambda match: match[0].replace(" ", _BLANK), line),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
        expand_tabs=False,
    )
    return [part.replace(_BLANK, " ") for part in parts]
