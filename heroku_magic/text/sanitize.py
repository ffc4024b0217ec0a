"""Makes hostile text safe to show.

Log lines, exception messages and help texts are untrusted: a control sequence may rewrite a terminal, a
bidirectional mark may reorder what a reader sees. Both become visible escapes, so that nothing disappears
silently. The templates escape HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

# The longest name and line that are shown, in characters.
NAME, LINE = 60, 300

# C0 (but tab and newline), DEL, C1; bidirectional and other invisible format marks; line and
# paragraph separators, which some front ends break lines at; lone surrogates; U+FFFE and U+FFFF.
_HOSTILE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb\ufffe\uffff]"
)
# Colours and cursor moves of a terminal: dropped, because they carry no text.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[@-Z\\-_])")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


def clean(text: str) -> str:
    r"""Return the text with colours dropped and control, C1, bidi and invisible marks shown as escapes.

    >>> clean("\x1b[31mred\x1b[0m \u202eevil")
    'red \\u202eevil'
    """
    if text.isascii() and text.isprintable():
        return text
    return _HOSTILE.sub(_visible, _ANSI.sub("", text))


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
    return _EMAIL.sub("***@***", text) if "@" in text else text


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
