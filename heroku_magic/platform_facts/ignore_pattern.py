"""One line of an ignore file, matched as git matches it.

The library pathspec differs from git in `**`, in classes such as [:digit:], in ranges and in names that are not ASCII,
so that a file could be sent that git ignores.

https://git-scm.com/docs/gitignore#_pattern_format
https://github.com/git/git/blob/master/wildmatch.c
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NOTHING = rb"(?!)"
_SLASH = ord("/")
_LITERAL = re.compile(rb"[^*?\[\\]*")
# Between brackets: a class such as [:digit:], or a byte and perhaps the end of its range.
_ELEMENT = re.compile(rb"\[:(?P<named>[^\]]*):\]|\\?(?P<first>.)(?:-(?!\])\\?(?P<last>.))?", re.DOTALL)
_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]",
    b"alpha": rb"[A-Za-z]",
    b"blank": rb"[ \t]",
    b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]",
    b"graph": rb"[!-~]",
    b"lower": rb"[a-z]",
    b"print": rb"[ -~]",
    b"punct": rb"[!-/:-@\[-`{-~]",
    b"space": rb"[ \t-\r]",
    b"upper": rb"[A-Z]",
    b"xdigit": rb"[0-9A-Fa-f]",
}


class IgnorePattern(NamedTuple):
    """What a line matches. is_path: the whole path counts, not only the name; is_negated: includes a file again."""

    expression: re.Pattern[bytes]
    is_path: bool
    is_negated: bool
    only_folders: bool

    def matches(self, path: bytes) -> bool:
        """Whether it matches this very path, relative to the file's folder; that of a folder ends with a slash."""
        bare = path.removesuffix(b"/")
        if self.only_folders and bare == path:
            return False
        return self.expression.fullmatch(bare if self.is_path else bare.rpartition(b"/")[2]) is not None


def parse(line: bytes) -> IgnorePattern | None:
    """Return the pattern of a line; None for a comment and a blank line."""
    text = b"" if line.startswith(b"#") else _without_trailing_blanks(line.removesuffix(b"\r").partition(b"\0")[0])
    is_negated, text = text.startswith(b"!"), text.removeprefix(b"!")
    only_folders, text = text.endswith(b"/"), text.removesuffix(b"/")
    is_path, text = b"/" in text, text.removeprefix(b"/")
    return IgnorePattern(_expression(text, is_path=is_path), is_path, is_negated, only_folders) if text else None


def _without_trailing_blanks(line: bytes) -> bytes:
    bare = line.rstrip(b" ")
    is_escaped = bare != line and (len(bare) - len(bare.rstrip(b"\\"))) % 2
    return bare + b" " if is_escaped else bare


def _expression(text: bytes, *, is_path: bool) -> re.Pattern[bytes]:
    """Translate a pattern. In a path, git compares what comes before the first wildcard byte by byte."""
    start = at = _LITERAL.match(text).end() if is_path else 0  # type: ignore[union-attr]  # it matches any text
    parts = [re.escape(text[:start])]
    while at < len(text):
        if text.startswith(b"*", at):
            part, at = _stars(text, at, start)
        elif text.startswith(b"[", at):
            part, at = _brackets(text, at + 1)
        else:
            part, at = _byte(text, at)
        parts.append(part)
    return re.compile(b"".join(parts), re.DOTALL)


def _byte(text: bytes, at: int) -> tuple[bytes, int]:
    """Translate one byte, which a backslash may precede; return where the rest begins, as the next functions do."""
    is_escaped = text.startswith(b"\\", at)
    at += is_escaped
    if text.startswith(b"?", at) and not is_escaped:
        return rb"[^/]", at + 1
    return re.escape(text[at : at + 1]) or _NOTHING, at + 1


def _stars(text: bytes, at: int, start: int) -> tuple[bytes, int]:
    """Translate stars: two or more that are a whole part of a path match any number of its parts."""
    end = len(text) - len(text[at:].lstrip(b"*"))
    begins_part = at == start or text.startswith(b"/", at - 1)
    ends_part = end == len(text) or text.startswith((b"/", b"\\/"), end)
    if end - at == 1 or not (begins_part and ends_part):
        return rb"[^/]*", end
    return (rb"(?:.*/)?", end + 1) if text.startswith(b"/", end) else (rb".*", end)


def _brackets(text: bytes, at: int) -> tuple[bytes, int]:
    """Translate the brackets that open before a position; without an end, or with an unknown class, nothing matches."""
    is_negated = text.startswith((b"!", b"^"), at)
    first = at = at + is_negated
    found: set[int] = set()
    while at == first or not text.startswith(b"]", at):
        match = _ELEMENT.match(text, at)
        if match is None or (match["first"] is None and match["named"] not in _CLASSES):
            return _NOTHING, len(text)
        found |= _members(match)
        at = match.end()
    members = (set(range(256)) - found if is_negated else found) - {_SLASH}
    return b"[%s]" % b"".join(rb"\x%02x" % byte for byte in sorted(members)) if members else _NOTHING, at + 1


def _members(match: re.Match[bytes]) -> set[int]:
    if match["first"] is None:
        return {byte for byte in range(256) if re.match(_CLASSES[match["named"]], bytes([byte]))}
    first = match["first"][0]
    return {first, *range(first, match["last"][0] + 1 if match["last"] else 0)}
