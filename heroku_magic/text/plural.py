"""Writes numbers of things, and of bytes, as a sentence has them."""

from __future__ import annotations


def quantity(count: int, noun: str) -> str:
    """Return a number of things in words.

    >>> quantity(1, "run"), quantity(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size_text(size: int) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> size_text(12), size_text(2_900), size_text(1_240_000)
    ('12 B', '3 kB', '1.2 MB')
    """
    if size < 1_000:
        return f"{size} B"
    return f"{size / 1e3:.0f} kB" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"
