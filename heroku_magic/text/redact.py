"""Hides the values of secret parameters in the output of tasks.

A secret is hidden verbatim, line by line, and as JSON, Python and a URL write it. A transformed secret (encrypted,
drawn, as a number) is not recognised.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from heroku_magic.text.secret import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.text.secret import Secret

STARS = "***"


class Mask:
    """Replaces the values of some secrets with stars."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        forms = {form for secret in secrets for line in _lines(secret.reveal()) for form in _forms(line)}
        self._forms = sorted(forms, key=len, reverse=True)  # a secret may be a part of another one

    def __repr__(self) -> str:
        return f"<Mask of {len(self._forms)} texts>"

    def __bool__(self) -> bool:
        return bool(self._forms)

    def __or__(self, other: Mask) -> Mask:
        both = Mask()
        both._forms = sorted({*self._forms, *other._forms}, key=len, reverse=True)
        return both

    def text(self, text: str, *, begins: bool = True, ends: bool = True) -> str:
        """Return the text with stars for secrets.

        begins, ends: False if a line was cut there, so that a part of a secret may be missing.
        """
        for form in self._forms:
            if form in text:
                text = text.replace(form, STARS)
        if not begins:
            text = self._without_tail(text)
        return text if ends else self._without_head(text)

    def value(self, value: Any) -> Any:
        """Return a JSON value with stars for secrets in its texts."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value

    def _without_tail(self, text: str) -> str:
        """Hide the end of a secret that began in the line before."""
        ends = (form[at:] for form in self._forms for at in range(1, len(form) - SHORTEST + 1))
        found = max((end for end in ends if text.startswith(end)), key=len, default="")
        return STARS + text[len(found) :] if found else text

    def _without_head(self, text: str) -> str:
        """Hide the beginning of a secret that ends in the next line."""
        heads = (form[:at] for form in self._forms for at in range(SHORTEST, len(form)))
        found = max((head for head in heads if text.endswith(head)), key=len, default="")
        return text[: -len(found)] + STARS if found else text


NO_MASK = Mask()


def _lines(value: str) -> list[str]:
    """Return a text and its single lines: a log shows each by itself."""
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in dict.fromkeys([value, *lines]) if len(line) >= SHORTEST]


def _forms(line: str) -> set[str]:
    """Return a text as JSON, Python and URLs write it."""
    quoted = {json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1], repr(line)[1:-1]}
    return {line, quote(line, safe=""), quote(line), quote_plus(line), *quoted}
