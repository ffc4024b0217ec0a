"""The relevant part of a source line is marked, even with invalid column numbers."""

from __future__ import annotations

import pytest

from heroku_magic.text.excerpt import carets, numbered


@pytest.mark.parametrize(
    ("line", "columns", "marked"),
    [
        ("    x = 1 / n + 2", (8, 13), "         |         ^^^^^"),
        ("\tx = f(a)", (5, 9), "         | \t    ^^^^"),
        ("    x = 1 / n", (4, 13), ""),
        ("x = 1", (3, 3), "         |    ^"),
        ("if x", (4, 5), "         |     ^"),
        ("x = 1", (-7, 1), "         | ^"),
        ("x = 1", (4, 10**9), "         |     ^"),
        ("x = 1", (70, 80), ""),
        ("x" * 5000, (100, 4000), "         | " + " " * 100 + "^" * 100),
    ],
)
def test_carets_mark_a_part_of_a_line(line, columns, marked):
    assert carets(line, *columns) == marked


def test_a_line_is_shortened_sanitized_and_numbered():
    assert numbered(7, "\x1b[31mx\n", is_failing=False).startswith("       7 | ")
    assert "\x1b" not in numbered(7, "\x1b[31mx", is_failing=True)
    assert len(numbered(7, "x" * 5000, is_failing=True)) < 220
