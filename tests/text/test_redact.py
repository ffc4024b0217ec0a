"""A secret is hidden in every common encoding, and nothing else changes."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.api.log_lines import LogLine
from heroku_magic.protocol.tables import Column, ColumnHeader, Table
from heroku_magic.text.redact import Mask
from heroku_magic.text.secret import SHORTEST, Secret

SECRET = 'p@ss "w0rd"/\\ü'
MASK = Mask([Secret(SECRET)])

secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=SHORTEST)


@pytest.mark.parametrize(
    "write", [str, repr, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), quote, quote_plus]
)
def test_a_secret_is_hidden_in_every_common_encoding(write):
    hidden = MASK.text(f"<{write(SECRET)}>")
    assert "w0rd" not in hidden
    assert "***" in hidden


@given(secrets, st.text(max_size=50), st.text(max_size=50))
def test_no_text_shows_a_secret(secret, before, after):
    assert secret.strip("*") == "" or secret not in Mask([Secret(secret)]).text(before + secret + after)


@given(secrets, st.data())
def test_a_secret_split_by_a_cut_line_is_hidden(secret, data):
    mask = Mask([Secret(secret)])
    at = data.draw(st.integers(SHORTEST, len(secret)))
    first = mask.text("~" * 20 + secret[:at], ends=False)
    second = mask.text(secret[at:] + "~" * 20, begins=False)
    assert secret[:at].strip("*") == "" or secret[:at] not in first
    assert len(secret[at:]) < SHORTEST or secret[at:].strip("*") == "" or secret[at:] not in second


def test_each_line_of_a_secret_is_hidden():
    mask = Mask([Secret("-----BEGIN KEY-----\nabcdefgh\n  ijklmnop\n-----END KEY-----\n")])
    assert mask.text("> abcdefgh <") == "> *** <"
    assert mask.text("ijklmnop") == "***"


def test_a_secret_that_contains_another_is_hidden_completely():
    assert Mask([Secret("abcd"), Secret("abcdefgh")]).text("abcdefgh abcd") == "*** ***"


def test_secrets_are_hidden_in_the_keys_and_values_of_json():
    value = {"k": [SECRET, 1, None, 2.5, {SECRET: True}], "other": "text"}
    assert MASK.value(value) == {"k": ["***", 1, None, 2.5, {"***": True}], "other": "text"}


def test_secrets_are_hidden_in_the_text_of_a_table_and_numbers_are_kept():
    texts = Column(ColumnHeader("json", "string"), [SECRET, None, "x"])
    codes = Column(ColumnHeader("codes", "category", dictionary=texts.head), b"\0\1", dictionary=texts)
    numbers = Column(ColumnHeader("numbers", numbers="int8"), b"\1\2")
    hidden = Table(2, {"a": texts, "b": codes, "c": numbers}).redacted(MASK).columns
    assert hidden["a"].values == ["***", None, "x"]
    assert hidden["b"].dictionary.values == ["***", None, "x"]
    assert hidden["b"].values == b"\0\1"
    assert hidden["c"] == numbers


def test_without_secrets_the_same_object_is_returned():
    value, table, line = {"a": ["b"]}, Table(0, {}), LogLine("t", "app", "run.1", "text")
    assert Mask().value(value) is value
    assert table.redacted(Mask()) is table
    assert line.redacted(MASK) is line


def test_masks_can_be_combined_and_do_not_show_secrets():
    both = MASK | Mask([Secret("hunter22")])
    assert both.text(f"{SECRET} hunter22") == "*** ***"
    assert "hunter" not in repr(both) + str(both)
