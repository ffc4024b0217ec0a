"""Pages of a list by its Range header, with the headers that lead to the next page.

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
# Builds may be sorted by their start, but their JSON has the time of their creation only.
_ALIASES = {"started_at": "created_at"}

_RANGE = re.compile(r"\s*(\w+)\s*(\]?)([^\s;\]]*?)\.\.([^\s;]*)\s*(?:;(.*))?", re.DOTALL)
_VERSION = re.compile(r"[0-9]{1,9}")


class Page(NamedTuple):
    """A part of a list. status: 206 if more follows."""

    status: int
    items: list[dict[str, Any]]
    headers: dict[str, str]


class _Range(NamedTuple):
    key: str
    is_exclusive: bool
    first: str
    last: str
    order: str
    most: int


def page(items: Sequence[dict[str, Any]], header: str | None, keys: tuple[str, ...]) -> Page:
    """Return the part of a list that a Range header requests. keys: what it may be sorted by, the default first."""
    wanted = _parse(header or f"{keys[0]} ..")
    if wanted.key not in keys:
        raise invalid_range()
    found = _select(items, wanted)
    part = found[: wanted.most]
    headers = {"Accept-Ranges": ", ".join(keys)}
    if part:
        headers["Content-Range"] = f"{wanted.key} {part[0][wanted.key]}..{part[-1][wanted.key]}"
    if len(found) <= wanted.most:
        return Page(200, part, headers)
    options = f"order={wanted.order},max={wanted.most}"
    headers["Next-Range"] = f"{wanted.key} ]{part[-1][wanted.key]}..{wanted.last}; {options}"
    return Page(206, part, headers)


def _parse(header: str) -> _Range:
    match = _RANGE.fullmatch(header)
    if match is None:
        raise invalid_range()
    key, exclusive, first, last, options = match.groups(default="")
    order, most = "asc", PAGE
    # `order=desc,max=1`, in either order, with or without blanks; heroku3 ends it with a semicolon.
    for option in filter(None, (part.strip() for part in re.split("[,;]", options))):
        name, _, value = option.partition("=")
        if name == "order" and value in {"asc", "desc"}:
            order = value
        elif name == "max" and _VERSION.fullmatch(value) and 0 < int(value) <= LARGEST_PAGE:
            most = int(value)
        else:
            raise invalid_range()
    return _Range(_ALIASES.get(key, key), bool(exclusive), first, last, order, most)


def _select(items: Sequence[dict[str, Any]], wanted: _Range) -> list[dict[str, Any]]:
    def position(value: Any) -> tuple[int, str]:
        return (_version(value), "") if wanted.key == "version" else (0, str(value))

    is_down = wanted.order == "desc"

    def is_past(item: dict[str, Any], bound: str, *, or_at: bool) -> bool:
        own, other = position(item[wanted.key]), position(bound)
        return (or_at and own == other) or (own < other if is_down else own > other)

    found = sorted(items, key=lambda item: position(item[wanted.key]), reverse=is_down)
    if wanted.first:
        found = [item for item in found if is_past(item, wanted.first, or_at=not wanted.is_exclusive)]
    if wanted.last:
        found = [item for item in found if not is_past(item, wanted.last, or_at=False)]
    return found


def _version(value: Any) -> int:
    if not _VERSION.fullmatch(str(value)):
        raise invalid_range()
    return int(value)
