"""Hides the values of secret parameters in the output of tasks.

A secret is hidden in upper and lower case, line by line, with colours or invisible characters in it, and as the
formats of `text/encodings.py` write it. A secret that is encrypted, drawn or turned into one number is not recognised.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.text import encodings
from heroku_magic.text.sanitize import hidden, visible
from heroku_magic.text.secret import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    from heroku_magic.text.secret import Secret

STARS = "***"
CLIPPED = "\n[...]\n"  # stands for the middle of a long text of the worker's helper
_BASE64 = re.compile(r"[\w+/=-]*", re.ASCII)


class Mask:
    """Replaces the values of some secrets with stars."""

    __slots__ = ("_known_bytes", "_known_forms", "_lines", "_shortest")
    _known_bytes: list[bytes]  # as the forms

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._keep({line for secret in secrets for line in _lines(secret.reveal())})

    def __repr__(self) -> str:
        return f"<Mask of {len(self._forms)} texts>"

    def __reduce__(self) -> NoReturn:
        message = "a Mask cannot be pickled: it holds secrets"
        raise TypeError(message)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __or__(self, other: Mask) -> Mask:
        if not (self and other):
            return self or other
        both = Mask()
        both._keep(self._lines | other._lines)
        return both

    def text(self, text: str, *, begins: bool = True, ends: bool = True) -> str:
        """Return the text with stars for secrets. What hides a part of a secret goes with it, such as a colour.

        begins, ends: False if a line was cut there, so that a part of a secret may be missing.
        """
        is_whole = begins and ends
        if not self._lines or (is_whole and len(text) < self._shortest):  # decoding lengthens no text
            return text
        return hidden(text, partial(self._hidden, begins=begins, ends=ends))

    def occurs_in(self, data: bytes) -> bool:
        """Return whether the bytes of a text have a secret, as far as it is not hidden by colours."""
        if not self._lines or self._longest_part(data) < self._shortest:
            return False
        lowered = data.lower()
        if not all(map(str.isascii, self._forms)):  # letters that bytes do not have in lower case
            lowered = _lower(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return any(form in lowered for form in self._known_bytes)

    def _longest_part(self, data: bytes) -> int:
        """Return the length of the longest part that may hold a secret: only quotes in it become quotation marks."""
        has_quotes = any(quote in line for line in self._lines for quote in "'\"")
        return len(data) if has_quotes else max(map(len, data.split(b'"')))

    def clipped(self, text: str) -> str:
        """Return a text whose middle may have been cut out, with stars for secrets and for what is left of them."""
        first, *more = text.split(CLIPPED)
        if not more:
            return self.text(text)
        *middle, last = more
        parts = [self.text(part, begins=False, ends=False) for part in middle]
        return CLIPPED.join([self.text(first, ends=False), *parts, self.text(last, begins=False)])

    def value(self, value: Any) -> Any:
        """Return a JSON value with stars for secrets in its texts."""
        if not self._lines:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value

    def _keep(self, lines: set[str]) -> None:
        """Keep the lines of secrets. Most texts are shorter than each of them, and need none of their forms."""
        self._lines = lines
        # No form is shorter than its line, except the lines that Base64 breaks a long one into.
        self._shortest = min([*map(len, lines), encodings.BASE64_LINE // 2])
        self._known_forms: dict[str, bool] | None = None

    @property
    def _forms(self) -> dict[str, bool]:
        """What to look for, and whether it is Base64; the longest one first, as a secret may be a part of another."""
        if self._known_forms is None:
            forms = {_lower(one): True for line in self._lines for one in encodings.base64(line)}
            for line in self._lines:
                forms |= {_lower(one): False for one in encodings.escaped(line) | encodings.numbers(line)}
            found = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
            self._known_forms = {form: forms[form] for form in found}
            self._known_bytes = [form.encode("utf-8", "surrogatepass") for form in found]
        return self._known_forms

    def _hidden(self, text: str, *, begins: bool, ends: bool) -> str:
        lowered = _lower(text)
        for form, is_base64 in self._forms.items():
            at = lowered.find(form)
            while at >= 0:
                begin, end = _base64_around(text, at, at + len(form)) if is_base64 else (at, at + len(form))
                text, lowered = (f"{one[:begin]}{STARS}{one[end:]}" for one in (text, lowered))
                at = lowered.find(form, begin + len(STARS))
        if not begins:
            text = self._without_tail(text)
        return text if ends else self._without_head(text)

    def _without_tail(self, text: str) -> str:
        """Hide the end of a secret that began in the line before."""
        lowered = _lower(text)
        ends = (form[at:] for form in self._forms for at in range(1, len(form) - SHORTEST + 1))
        found = max((end for end in ends if lowered.startswith(end)), key=len, default="")
        return STARS + text[len(found) :] if found else text

    def _without_head(self, text: str) -> str:
        """Hide the beginning of a secret that ends in the next line."""
        lowered = _lower(text)
        heads = (form[:at] for form in self._forms for at in range(SHORTEST, len(form)))
        found = max((head for head in heads if lowered.endswith(head)), key=len, default="")
        return text[: -len(found)] + STARS if found else text


def _lines(value: str) -> list[str]:
    """Return a text and its single lines: a log shows each by itself."""
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in dict.fromkeys([value, value.strip(), *lines, visible(value)]) if len(line) >= SHORTEST]


def _lower(text: str) -> str:
    """Return a text in lower case, character by character, so that positions stay the same."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(one.lower() if len(one.lower()) == 1 else one for one in text)
    return lowered.replace("\u03c2", "\u03c3")  # a sigma has another form at the end of a word


def _base64_around(text: str, begin: int, end: int) -> tuple[int, int]:
    """Return where the encoded data around a position begins and ends: its neighbours also depend on the secret."""
    while begin and _BASE64.fullmatch(text[begin - 1]):
        begin -= 1
    match = _BASE64.match(text, end)
    return begin, match.end() if match else end


NO_MASK = Mask()
