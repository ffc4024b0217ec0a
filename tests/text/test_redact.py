"""A secret is hidden in every common encoding, and nothing else changes."""

from __future__ import annotations

import html
import json
import pickle
import re
import shlex
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heroku_magic.api.log_lines import LogLine
from heroku_magic.protocol.tables import Column, ColumnHeader, Table
from heroku_magic.text import encodings
from heroku_magic.text.redact import CLIPPED, STARS, Mask
from heroku_magic.text.sanitize import visible
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


@given(secrets)
@example(77 * "0")  # a line of its Base64 is shorter than itself
@example("it's a secret")  # shells write its apostrophe between quotation marks
@example("\r00\x850")  # what its lines have in common with it is shorter than any secret
def test_each_form_of_a_secret_is_hidden_where_nothing_else_is(secret):
    mask, line = Mask([Secret(secret)]), secret.strip()
    forms = encodings.escaped(line) | encodings.numbers(line) | encodings.base64(line) if len(line) >= SHORTEST else []

    assert [form for form in forms if STARS not in mask.text(form)] == []
    assert [form for form in forms if not mask.occurs_in(form.encode("utf-8", "surrogatepass"))] == []


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
    assert (MASK | Mask()).text(SECRET) == (Mask() | MASK).text(SECRET) == "***"


TOKEN = "Zq81-xXyY/77p=QrS'\"<ü>"


@pytest.mark.parametrize(
    "write",
    [
        ascii,
        lambda text: repr(text.encode()),
        lambda text: repr([text + '"']),
        lambda text: json.dumps(json.dumps({"t": text})),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("'", "\\u0027"),
        html.escape,
        lambda text: html.escape(text).replace("&#x27;", "&#X27;").upper(),
        lambda text: html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
        shlex.quote,
        lambda text: quote(text, safe="").lower(),
        lambda text: quote(text, safe="!~*'()"),
        lambda text: quote(quote(text, safe="")),
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
        lambda text: b64encode(text.encode()).decode(),
        lambda text: b64encode(f"me:{text}".encode()).decode(),
        lambda text: b64encode(f"user:{text}@".encode()).decode(),
        lambda text: b64encode(f"{{'a': '{text}'}}".encode()).decode(),
        lambda text: urlsafe_b64encode(text.encode()).decode().rstrip("="),
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: text.encode().hex(":"),
        lambda text: text.encode().hex(" ").upper(),
        lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
        str.upper,
        str.lower,
        str.title,
    ],
)
def test_nothing_is_left_of_a_secret_however_it_is_written(write):
    mask = Mask([Secret(TOKEN)])
    frame = write("##").partition("##")[0] if "##" in write("##") else ""
    hidden = mask.text(f"<begin {write(TOKEN)} end>")

    assert hidden.startswith("<begin")
    assert hidden.endswith("end>")
    left = hidden.removeprefix("<begin ").removesuffix(" end>").replace("***", "")
    assert set(left) <= set("\"'b[]{}:t \\,@a0x%") | set(frame), left


@pytest.mark.parametrize(
    "colour",
    [
        "\x1b[31m",
        "\x1b[0m",
        "\x1b[38;5;200m",
        "\x1b]8;;http://x\x07",
        "\x9b1m",
        "\x00",
        "\r",
        "\x07",
        "\u200b",
        "\xad",
        "\u2060",
        "\ufeff",
        "\u180e",
        "\U000e0041",
        "\u200d",
        "️",
        "\u202e",
        "x\x08",
        "\x1b[1m\x1b[4m",
        "xy\x08\x08",
        "\x1b(B",
        "\x1b7",
        "\x1b=",
        "\x1b#8",
        "\x1b%G",
        "\x1bPq\x1b\\",
        "\x1b_hidden\x1b\\",
        "\x9d8;;http://x\x9c",
        "\U00013430",
    ],
)
@pytest.mark.parametrize("at", [1, 7, len(TOKEN) - 1])
def test_a_secret_with_colours_or_invisible_characters_in_it_is_hidden(colour, at):
    mask = Mask([Secret(TOKEN)])
    hidden = mask.text(f"Bearer {colour}{TOKEN[:at]}{colour}{TOKEN[at:]}{colour}.")

    assert visible(hidden) == "Bearer ***."


def test_a_text_with_colours_but_without_a_secret_keeps_them():
    text = "\x1b[31mred\x1b[0m \u200bhidden"

    assert Mask([Secret(TOKEN)]).text(text) is text


@given(secrets, st.text(max_size=9), st.integers(0, 9), st.sampled_from(["\x1b[1m", "\u200b", "\0"]))
def test_no_reader_of_a_text_sees_a_secret(secret, before, at, colour):
    hidden = visible(Mask([Secret(secret)]).text(f"{before}{secret[:at]}{colour}{secret[at:]}"))
    seen = visible(secret)

    assert len(seen) < SHORTEST or seen.strip("*") == "" or seen not in hidden


@given(secrets, st.integers(0, 5), st.integers(0, 5))
def test_base64_with_a_secret_in_it_is_hidden_completely(secret, before, after):
    encoded = b64encode(b"#" * before + secret.encode() + b"#" * after).decode()

    assert Mask([Secret(secret)]).text(f"Basic {encoded};") in {"Basic ***;", f"Basic {STARS * 2};"}


@pytest.mark.parametrize("kept", range(SHORTEST, len(TOKEN)))
def test_a_secret_of_which_the_middle_was_cut_out_is_hidden(kept):
    mask = Mask([Secret(TOKEN)])

    assert mask.clipped(f"bad {TOKEN[:kept]}{CLIPPED}the end") == f"bad ***{CLIPPED}the end"
    if len(TOKEN) - kept >= SHORTEST:
        assert mask.clipped(f"bad{CLIPPED}{TOKEN[kept:]}!") == f"bad{CLIPPED}***!"
    assert mask.clipped(f"bad {TOKEN}!") == "bad ***!"


def test_a_mask_is_not_pickled():
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(MASK)
    assert "w0rd" not in repr(vars(Secret)) + repr(MASK)


@pytest.mark.parametrize(
    "write",
    [
        lambda text: "".join(f"&#{ord(one)};" for one in text),
        lambda text: "".join(f"&#X{ord(one):04X};" for one in text),
        lambda text: "".join(one if one.isalnum() else f"&#x{ord(one):x};" for one in text),
        lambda text: re.sub("(....)", r"\\u\1", text.encode("utf-16-be").hex()),
        lambda text: re.sub("(....)", r"\\u\1", text.encode("utf-16-be").hex().upper()),
        lambda text: "".join(one if one.isascii() and one.isalnum() else quote(one, safe="").lower() for one in text),
        lambda text: "".join(f"%25{byte:02x}" for byte in text.encode()),
        lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
        lambda text: repr(repr(repr(text))),
        lambda text: json.dumps(json.dumps(json.dumps(text))),
        lambda text: html.escape(html.escape(text)),
        lambda text: json.dumps(repr(text.encode())),
        lambda text: repr(f"{text[:4]}\x1b[1m{text[4:]}"),
        lambda text: quote(b64encode(f"me>?:{text}".encode()).decode(), safe=""),
        lambda text: text.encode().hex("_"),
        lambda text: ",".join(f"0x{byte:02X}" for byte in text.encode()),
        lambda text: str(list(text.encode())),
    ],
)
@pytest.mark.parametrize("secret", [TOKEN, "hunter2", "back\\slash", "\U0001f511 key \xfc"])
def test_a_secret_whose_characters_are_escaped_is_hidden(secret, write):
    hidden = Mask([Secret(secret)]).text(f"<{write(secret)}>")

    assert STARS in hidden
    assert len(hidden.replace(STARS, "").strip("<>\"'\\[]")) <= len("bWU%%3D%3D")


@pytest.mark.parametrize(
    "text", ["20%|##| 33%7 \\d", "50%25 of \\x41 &amp; &nosuch; \\", "%", "\\Uffffffff &#99999999;"]
)
def test_a_text_with_escapes_but_without_a_secret_keeps_them(text):
    assert MASK.text(text) is text
