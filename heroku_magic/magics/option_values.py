"""Convert the text of an option to its value; a ValueError says what was expected instead."""

from __future__ import annotations

import keyword
import re

LONGEST_TIMEOUT = 86400  # seconds
# https://devcenter.heroku.com/articles/oauth#scopes
SCOPES = ("global", "identity", "read", "write", "read-protected", "write-protected")
_DURATION = re.compile(r"(\d{1,8})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def count(text: str, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    if not text.isascii() or not text.isdecimal() or not least <= int(text[:9]) < 10**8:
        raise ValueError(f"expected a whole number of at least {least}")
    return int(text)


def retries(text: str) -> int:
    """Return a whole number of at least 0."""
    return count(text, 0)


def chunk(text: str) -> int:
    """Return how many combinations share a dyno; 0 stands for `auto`."""
    try:
        return 0 if text == "auto" else count(text)
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


def seconds(text: str) -> int:
    """Return a timeout."""
    digits = text.lstrip("0")
    if not text.isascii() or not digits.isdecimal() or len(digits) > 5 or int(digits) > LONGEST_TIMEOUT:
        raise ValueError(f"expected whole seconds from 1 to {LONGEST_TIMEOUT} (24 hours)")
    return int(digits)


def lifetime(text: str) -> int:
    """Return the seconds of a duration such as `8h`."""
    match = _DURATION.fullmatch(text)
    if match is None or not 60 <= (result := int(match[1]) * _SECONDS[match[2]]) <= 366 * 86400:
        raise ValueError("expected a time from a minute to a year, such as 30m, 8h or 2d")
    return result


def price(text: str) -> float:
    """Return an amount of dollars."""
    try:
        dollars = float(text.removeprefix("$"))
    except ValueError:
        dollars = 0.0
    if not 0 < dollars < 1e9:
        raise ValueError("expected dollars, such as 0.50")
    return dollars


def scopes(text: str) -> list[str]:
    """Return the OAuth scopes in a comma-separated list."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in SCOPES]:
        raise ValueError(f'"{unknown[0]}" is not a valid scope. Choose one or more of {", ".join(SCOPES)}')
    return names


def variable(text: str) -> str:
    """Return the name of a Python variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("expected the name of a variable")
    return text


def variables(text: str) -> list[str]:
    """Return the names of Python variables in a comma-separated list."""
    try:
        return [variable(name.strip()) for name in text.split(",")]
    except ValueError:
        raise ValueError("expected names of variables, such as a,b without blanks; for a value use --arg") from None


def none(text: str) -> str:
    """Return `none`, the only value there is."""
    if text != "none":
        raise ValueError("expected none")
    return text
