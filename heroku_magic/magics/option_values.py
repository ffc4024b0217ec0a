"""Converts the text of options to values; a ValueError says what was expected."""

from __future__ import annotations

import keyword

from heroku_magic.runs.options import LONGEST_IDLE, duration

# https://devcenter.heroku.com/articles/oauth#scopes
SCOPES = ("global", "identity", "read", "write", "read-protected", "write-protected")


def token_lifetime(text: str) -> int:
    """Return the seconds of a time from a minute to a year."""
    return duration(text, 60, 366 * 86400, "a time from a minute to a year, such as 30m, 8h or 2d")


def idle_time(text: str) -> int:
    """Return the seconds that a warm dyno may wait for a call."""
    return duration(text, 1, LONGEST_IDLE, "a time from a second to an hour, such as 90s or 30m")


def number(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:19]) < 10**18:
        raise ValueError("expected a whole number of at least 1")
    return int(text)


def scopes(text: str) -> list[str]:
    """Return the scopes in a list with commas."""
    found = [scope.strip() for scope in text.split(",")]
    if unknown := [scope for scope in found if scope not in SCOPES]:
        raise ValueError(f'"{unknown[0]}" is not a valid scope. Choose one or more of {", ".join(SCOPES)}')
    return found


def variable(text: str) -> str:
    """Return the name of a variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("expected the name of a variable")
    return text


def variables(text: str) -> list[str]:
    """Return the names of variables in a list with commas."""
    try:
        return [variable(name.strip()) for name in text.split(",")]
    except ValueError:
        raise ValueError("expected names of variables, such as a,b without blanks; for a value use --arg") from None
