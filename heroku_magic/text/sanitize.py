"""Makes hostile text safe to show.

Log lines, exception messages and help texts are untrusted: a control sequence may rewrite a terminal, a
bidirectional mark may reorder what a reader sees. Both become visible escapes, so that nothing disappears
silently. The templates escape HTML.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.text.encodings import unescaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The longest name and line that are shown, in characters.
NAME, LINE = 60, 300

# C0 (but tab and newline), DEL, C1; bidirectional and other invisible format marks, fillers and tags, which can carry
# text that nobody sees; line and paragraph separators, which some front ends break lines at; lone surrogates; U+FFFE
# and U+FFFF. Emoji and several scripts need the joiners U+200C and U+200D and the variation selectors U+FE00 to U+FE0F.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
_FORMATS = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U00013430-\U00013440\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_HOSTILE = re.compile(f"[{_CONTROLS}{_FORMATS}]")
# Colours and cursor moves of a terminal: dropped, because they carry no text.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[@-Z\\-_])")
# What a terminal or a reader does not see: control sequences of every kind, also in C1 form, and invisible characters.
# https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ (5.3 to 5.6)
_STRING = r"[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"
_UNSEEN = re.compile(
    rf"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f]){_STRING}|\x1b[ -/]*[0-~]"
    f"|[{_CONTROLS}{_FORMATS}\u200c\u200d\ufe00-\ufe0f]"
)
_DEEPEST = 4  # escapes within escapes
_OVERSTRUCK = re.compile("[^\b]\b")
_EMAIL = re.compile(r"[\w.+-]{1,64}(?:@|%40|&#(?:64|x40);)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", re.IGNORECASE)


def clean(text: str) -> str:
    r"""Return the text with colours dropped and control, C1, bidi and invisible marks shown as escapes.

    >>> clean("\x1b[31mred\x1b[0m \u202eevil")
    'red \\u202eevil'
    """
    if text.isascii() and text.isprintable():
        return text
    return escape(_ANSI.sub("", text))


def escape(text: str) -> str:
    r"""Return the text with all control, C1, bidi and invisible marks shown as escapes, those of colours included.

    >>> escape("\x1b[31mred")
    '\\x1b[31mred'
    """
    return text if text.isascii() and text.isprintable() else _HOSTILE.sub(_visible, text)


def visible(text: str) -> str:
    r"""Return only what a reader of the text sees, for comparisons.

    >>> visible("\x1b[31mto\x1b[0mk\u200ben")
    'token'
    """
    if text.isascii() and text.isprintable():
        return text
    while "\b" in text and (shorter := _OVERSTRUCK.sub("", text)) != text:
        text = shorter
    return _UNSEEN.sub("", text)


def hidden(text: str, hide: Callable[[str], str]) -> str:
    """Return a text in which `hide` has hidden something, also if a reader sees it only without colours, or decoded."""
    text = read = hide(text)
    for _ in range(_DEEPEST):
        if (seen := visible(read)) != text and (without := hide(seen)) != seen:
            return without
        escaped, read = read, unescaped(read)
        if read == escaped:
            break
    return text


def clean_line(text: str) -> str:
    """Return `clean(text)` on one line: newlines become a visible mark."""
    return clean(text).replace("\n", "\u23ce")


def clipped(text: str, longest: int = NAME) -> str:
    """Return untrusted text on one line, clean and cut."""
    return clean_line(text if len(text) <= longest else f"{text[: longest - 1]}…")


def short(value: Any) -> str:
    """Return a value as Python writes it, clean and cut."""
    try:
        return clipped(repr(value))
    except RecursionError:
        return "…"


def listed(names: Iterable[Any], longest: int = LINE) -> str:
    """Return names in a row, clean and cut."""
    return clipped(", ".join(map(str, names)), longest)


def mask_emails(text: str) -> str:
    """Return the text with e-mail addresses masked: Heroku's own log lines name the user.

    >>> mask_emails("by user me@example.com")
    'by user ***@***'
    """
    return hidden(text, partial(_EMAIL.sub, "***@***"))


def _visible(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
