"""A Range header and a list -> one page of it, with the headers that tell of the next; nothing else is read.

https://devcenter.heroku.com/articles/platform-api-reference#ranges
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.emulator.errors import invalid_range

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = 200
LARGEST_PAGE = 1000

_RANGE = re.compile(r"\s*(\w+)\s*(\]?)([^\s.;\]]*)\.\.([^\s.;]*)\s*(?:;(.*))?", re.DOTALL)
_VERSION = re.compile(r"[0-9]{1,9}")


class Page(NamedTuple):
    """A part of a list. status: 206 if more follows."""

    status: int
    items: list[dict[str, Any]]
    headers: dict[str, str]


class _Wanted(NamedTuple):
    key: str
    after: str
    first: str
    last: str
    order: str
    most: int


def page(items: Sequence[dict[str, Any]], header: str | None, keys: tuple[str, ...]) -> Page:
    """Return the part of a list that a Range header asks for; keys: what it may be sorted by, the usual one first."""
    wanted = _parsed(header or f"{keys[0]} ..")
    if wanted.key not in keys:
        raise invalid_range()
    found = _chosen(items, wanted)
    part = found[: wanted.most]
    headers = {"Accept-Ranges": ", ".join(keys)}
    if part:
        headers["Content-Range"] = f"{wanted.key} {part[0][wanted.key]}..{part[-1][wanted.key]}"
    if len(found) <= wanted.most:
        return Page(200, part, headers)
    headers["Next-Range"] = (
        f"{wanted.key} ]{part[-1][wanted.key]}..{wanted.last}; order={wanted.order},max={wanted.most}"
    )
    return Page(206, part, headers)


def _parsed(header: str) -> _Wanted:
    match = _RANGE.fullmatch(header)
    if match is None:
        raise invalid_range()
    key, exclusive, first, last, options = match.groups(default="")
    order, most = _options(options)
    return _Wanted(key, first if exclusive else "", "" if exclusive else first, last, order, most)


def _options(text: str) -> tuple[str, int]:
    """Read `order=desc,max=1`, in either order, with or without blanks; heroku3 ends it with a semicolon."""
    order, most = "asc", PAGE
    for option in filter(None, (part.strip() for part in re.split("[,;]", text))):
        name, _, value = option.partition("=")
        if name == "order" and value in {"asc", "desc"}:
            order = value
        elif name == "max" and _VERSION.fullmatch(value) and 0 < int(value) <= LARGEST_PAGE:
            most = int(value)
        else:
            raise invalid_range()
    return order, most


def _chosen(items: Sequence[dict[str, Any]], wanted: _Wanted) -> list[dict[str, Any]]:
    def place(value: Any) -> tuple[int, str]:
        return (_version(value), "") if wanted.key == "version" else (0, str(value))

    is_down = wanted.order == "desc"

    def is_past(item: dict[str, Any], bound: str, *, or_at: bool) -> bool:
        here, there = place(item[wanted.key]), place(bound)
        return (or_at and here == there) or (here < there if is_down else here > there)

    found = sorted(items, key=lambda item: place(item[wanted.key]), reverse=is_down)
    if wanted.after:
        found = [item for item in found if is_past(item, wanted.after, or_at=False)]
    if wanted.first:
        found = [item for item in found if is_past(item, wanted.first, or_at=True)]
    if wanted.last:
        found = [item for item in found if not is_past(item, wanted.last, or_at=False)]
    return found


def _version(value: Any) -> int:
    if not _VERSION.fullmatch(str(value)):
        raise invalid_range()
    return int(value)
