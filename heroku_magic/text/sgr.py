"""Reads the colours of a terminal (SGR sequences) in a line of text; other control sequences stay visible as text.

https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ (8.3.117)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.text.sanitize import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

OVERWRITES = "\x1b[1A\x1b[2K"  # before a line that replaces the last one: up, and erase the line
_SGR = re.compile(r"\x1b\[([0-9;]{0,40})m")
COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_CUBE = (0, 95, 135, 175, 215, 255)
_FLAGS = {1: "bold", 4: "underline", 7: "inverse"}
_ENDED = {22: "bold", 24: "underline", 27: "inverse"}
_MAX_CARRIED = 8  # sequences before a carriage return that still count after it

# A colour of the palette, from 0 to 15, or its red, green and blue.
RGB = tuple[int, int, int]
Colour = int | RGB | None


class Span(NamedTuple):
    """A part of a line in one style. flags: of `bold`, `underline` and `inverse`."""

    text: str
    colour: Colour = None
    background: Colour = None
    flags: frozenset[str] = frozenset()

    @property
    def is_plain(self) -> bool:
        """Whether the span looks like any other text."""
        return self.colour is None and self.background is None and not self.flags


def last_state(text: str) -> str:
    r"""Return what a terminal shows of a line whose carriage returns overwrite it.

    >>> last_state("10 %\r20 %\r\n")
    '20 %'
    """
    text = text.rstrip("\r\n")
    if "\r" not in text:
        return text
    before, _, after = text.rpartition("\r")
    return "".join([match[0] for match in _SGR.finditer(before)][-_MAX_CARRIED:]) + after


def spans(line: str) -> Iterator[Span]:
    r"""Yield the parts of a line with their styles, their texts safe to show.

    >>> [(span.text, span.colour) for span in spans("a\x1b[31mb\x1b[0m\x1b[2J")]
    [('a', None), ('b', 1), ('\\x1b[2J', None)]
    """
    style, begin = Span(""), 0
    for match in _SGR.finditer(line):
        if match.start() > begin:
            yield style._replace(text=_safe(line[begin : match.start()]))
        style, begin = _changed(style, [int(code or 0) for code in match[1].split(";")]), match.end()
    if begin < len(line):
        yield style._replace(text=_safe(line[begin:]))


def plain(line: str) -> str:
    """Return a line without its colours, safe to show."""
    return _safe(_SGR.sub("", line)) if "\x1b" in line else _safe(line)


def for_terminal(line: str) -> str:
    """Return a line, safe to print, with its colours and no other control sequence."""
    if "\x1b[" not in line:
        return _safe(line)
    return "".join(one.text if one.is_plain else f"\x1b[{_codes(one)}m{one.text}\x1b[0m" for one in spans(line))


def _safe(text: str) -> str:
    return escape(text).replace("\n", "\u23ce")


def _changed(style: Span, codes: list[int]) -> Span:
    """Apply the codes of one sequence; an unknown code changes nothing."""
    rest = iter(codes)
    for code in rest:
        if code == 0:
            style = Span("")
        elif code in _FLAGS:
            style = style._replace(flags=style.flags | {_FLAGS[code]})
        elif code in _ENDED:
            style = style._replace(flags=style.flags - {_ENDED[code]})
        elif 30 <= code <= 39 or 90 <= code <= 97:
            style = style._replace(colour=_colour(code, rest))
        elif 40 <= code <= 49 or 100 <= code <= 107:
            style = style._replace(background=_colour(code, rest))
    return style


def _colour(code: int, rest: Iterator[int]) -> Colour:
    """Return the colour of a code, which for the large palette stands in the codes after it."""
    if code % 10 == 8:
        kind = next(rest, 0)
        if kind == 5:
            return _from_palette(next(rest, 0))
        return _rgb(next(rest, 0), next(rest, 0), next(rest, 0)) if kind == 2 else None
    return None if code % 10 == 9 else code % 10 + (8 if code >= 90 else 0)


def _from_palette(number: int) -> Colour:
    """Return one of the 256 colours: 16 named ones, a cube of 6 × 6 × 6, and 24 greys."""
    if number < 16:
        return number
    if number < 232:
        cell = number - 16
        return _CUBE[cell // 36], _CUBE[cell // 6 % 6], _CUBE[cell % 6]
    return _rgb(*[8 + 10 * (number - 232)] * 3)


def _rgb(red: int, green: int, blue: int) -> RGB:
    return min(red, 255), min(green, 255), min(blue, 255)


def _codes(span: Span) -> str:
    flags = [code for code, name in _FLAGS.items() if name in span.flags]
    return ";".join(map(str, [*flags, *_colour_codes(span.colour, 30), *_colour_codes(span.background, 40)]))


def _colour_codes(colour: Colour, base: int) -> list[int]:
    if colour is None:
        return []
    if isinstance(colour, tuple):
        return [base + 8, 2, *colour]
    return [base + colour if colour < 8 else base + 52 + colour]
