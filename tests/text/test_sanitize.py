"""Untrusted text cannot control the terminal or reorder a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.text.sanitize import clean, clean_line, mask_emails


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain", "plain"),
        ("héllo 😀", "héllo 😀"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b[2J\x1b[Hgone?", "gone?"),
        ("bell\x07", "bell\\x07"),
        ("nul\0", "nul\\x00"),
        ("c1 \x9b31m", "c1 \\x9b31m"),
        ("over\rwritten", "over\\rwritten"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2066hidden\u2069", "\\u2066hidden\\u2069"),
        ("sep\u2028arated", "sep\\u2028arated"),
        ("to\u200bken", "to\\u200bken"),
        ("to\xadken", "to\\xadken"),
        ("to\u180eken", "to\\u180eken"),
        ("\U000e0041\U000e007f", "\\U000e0041\\U000e007f"),
        ("\U000e0100\u3164\u115f", "\\U000e0100\\u3164\\u115f"),
        ("\U0001f468\u200d\U0001f469 \u2764\ufe0f", "\U0001f468\u200d\U0001f469 \u2764\ufe0f"),
        ("\ud800", "\\ud800"),
        ("<script>", "<script>"),
    ],
)
def test_control_characters_are_shown_escaped(hostile, shown):
    assert clean(hostile) == shown


def test_a_line_stays_one_line():
    assert clean_line("a\nb") == "a⏎b"


@given(st.text())
def test_the_result_contains_only_printable_characters(text):
    cleaned = clean(text)

    assert not any(ord(c) < 32 and c not in "\t\n" for c in cleaned)
    assert not set(cleaned) & set("\x7f\x9b\u202e\u2066\u2028")
    assert clean(cleaned) == cleaned


def test_emails_are_masked():
    assert mask_emails("by user jo.doe+x@mail.example.com now") == "by user ***@*** now"
    assert mask_emails("a @ b") == "a @ b"
    assert mask_emails("by me\x1b[1m@exa\u200bmple.com now") == "by ***@*** now"
    assert mask_emails("?user=me%40example.com&x, me&#64;EXAMPLE.com") == "?user=***@***&x, ***@***"
    assert mask_emails("a&commat;example.com, b\\u0040example.com") == "***@***, ***@***"
    assert mask_emails("\x1b[1mno address\x1b[0m") == "\x1b[1mno address\x1b[0m"
