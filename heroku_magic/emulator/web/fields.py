"""Reads the fields of a request's body, with Heroku's errors for what is not valid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from heroku_magic.emulator.errors import invalid_params
from heroku_magic.emulator.state import fixed_id

if TYPE_CHECKING:
    from collections.abc import Sequence

# The longest string that Linux allows in a process's arguments and environment (MAX_ARG_STRLEN).
LONGEST_TEXT = 131_072 - 1

T = TypeVar("T")
_DIGITS = re.compile(r"[0-9]{1,9}")


def one_of(name: str, value: Any, known: Sequence[str]) -> str | None:
    """Return the choice that a value names, by name or id; None for None."""
    if value is None:
        return None
    for each in known:
        if isinstance(value, str) and value in {each, fixed_id(each)}:
            return each
    raise invalid_params(f"{name} must be one of {', '.join(known)}.")


def texts(body: dict[str, Any], name: str) -> list[str]:
    """Return a field that is an array of strings, empty if it is missing."""
    value = body.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        raise invalid_params(f"{name} must be an array of strings.")
    return value or []


def objects(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a field that is an array of objects."""
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise invalid_params(f"{name} must be an array of objects.")
    return value


def mapping(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a field that is an object, empty if it is missing."""
    return _of_type(body, name, dict, "an object") or {}


def only(body: dict[str, Any], *known: str) -> None:
    """Refuse fields that are not known."""
    if unknown := sorted(set(body) - set(known)):
        raise invalid_params(f"Unknown params: {', '.join(map(shown, unknown))}.")


def shown(name: str) -> str:
    """Return a name that may hold anything, fit for an error."""
    return ascii(name[:100])


def text(name: str, value: Any) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise invalid_params(f"{name} must be a string that is not empty.")
    return checked_text(name, value)


def checked_text(name: str, value: str) -> str:
    """Refuse a string that cannot be passed to a process."""
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise invalid_params(f"{shown(name)} is not valid Unicode text.") from None
    if "\0" in value:
        raise invalid_params(f"{shown(name)} contains a NUL character.")
    if length + len(name) >= LONGEST_TEXT:
        raise invalid_params(f"{shown(name)} is too long: {length} bytes of at most {LONGEST_TEXT}.")
    return value


def number(name: str, value: Any, *, most: int) -> int:
    """Return a number; the official CLI sends some as text."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise invalid_params(f"{name} must be a whole number from 0 to {most}.")
    return value


def flag(body: dict[str, Any], name: str) -> bool:
    """Return a field that is true or false, False if it is missing."""
    return bool(_of_type(body, name, bool, "true or false"))


def switch(body: dict[str, Any], name: str) -> bool:
    """Return a field that is true or false, or 1 or 0 as heroku3 sends it."""
    if type(body.get(name)) is int and body[name] in {0, 1}:
        return bool(body[name])
    return flag(body, name)


def string(body: dict[str, Any], name: str) -> str | None:
    """Return a field that is a string, None if it is missing or empty."""
    return _of_type(body, name, str, "a string") or None


def _of_type(body: dict[str, Any], name: str, kind: type[T], expected: str) -> T | None:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise invalid_params(f"{name} must be {expected}.")
    return value
