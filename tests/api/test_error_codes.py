"""Heroku's error codes are explained for a run."""

from __future__ import annotations

import pytest

from heroku_magic.api.error_codes import explained_code, lost


@pytest.mark.parametrize(
    ("message", "size", "said"),
    [
        ("Error R14 (Memory quota exceeded)", "Standard-1X", "R14: the dyno used more memory than Standard-1X has"),
        ("Error R15 (Memory quota vastly exceeded)", "Performance-M", "try --size performance-l"),
        ("Error R14 (Memory quota exceeded)", None, "more memory than it has, and swapping slowed it down: try --size"),
        ("Error R14 (Memory quota exceeded)", "Performance-2XL", "slowed it down: try a larger size if there is one"),
        ("Error R15 (Memory quota vastly exceeded)", "private-l", "was killed: try a larger size if there is one"),
        ("Error R12 (Exit timeout) -> At least one process failed", None, "did not end within 30 s"),
        ("Error R99 (New)", None, "see https://devcenter.heroku.com/articles/error-codes"),
        ("Error L12: 7 messages dropped since 2026", None, "L12: Heroku dropped 7 lines"),
        (
            "Error L11 (Tail buffer overflow) -> This tail session dropped 12 messages since 2026",
            None,
            "dropped 12 lines",
        ),
        ("L11 (Tail buffer overflow) -> This tail session dropped 3 messages since 2026", None, "dropped 3 lines"),
    ],
)
def test_an_error_code_is_explained_with_what_to_do(message, size, said):
    assert said in explained_code(message, size)[1]


@pytest.mark.parametrize("message", ["Process exited with status 0", "Starting process with command `echo R14`", ""])
def test_a_line_without_a_code_has_no_explanation(message):
    assert explained_code(message, None) is None
    assert lost(message) == 0


def test_lost_lines_are_counted():
    assert lost("Error L13: 4 messages lost since 2026") == 4
    assert lost("Error L10 (output buffer overflow): 500 messages dropped since 2026") == 500
    assert lost("Error R14 (Memory quota exceeded)") == 0
