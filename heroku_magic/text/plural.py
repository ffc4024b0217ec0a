"""Writes a number of things in words."""

from __future__ import annotations


def quantity(count: int, noun: str) -> str:
    """Return a number of things in words.

    >>> quantity(1, "run"), quantity(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
