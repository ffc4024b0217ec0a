"""The bytes of a stream yield the same lines wherever they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.api import log_lines
from heroku_magic.api.log_lines import PIECE, LineDecoder, LogLine

HEAD = b"2024-10-17T22:23:22.209776+00:00 app[run.1234]: "
SSE = "text/event-stream; charset=utf-8"


def decode(*chunks: bytes, content_type: str = "text/plain") -> list[LogLine]:
    decoder = LineDecoder(content_type)
    return [line for chunk in chunks for line in decoder.feed(chunk)] + decoder.flush()


def messages(*chunks: bytes, content_type: str = "text/plain") -> list[str]:
    return [line.message for line in decode(*chunks, content_type=content_type)]


def test_a_line_is_parsed_as_heroku_documents_it():
    (line,) = decode(HEAD + b"hello\n")

    assert line == LogLine("2024-10-17T22:23:22.209776+00:00", "app", "run.1234", "hello")
    assert str(line) == (HEAD + b"hello").decode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a  b ", "a  b "),
        (b"", ""),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\xfe broken", "�� broken"),
        (b'{"text":"one\xe2\x80\xa8line"}', '{"text":"one\u2028line"}'),
        (b"one\x0bline\x0c\xc2\x85still", "one\x0bline\x0c\x85still"),
        (b"10%\r20%", "10%\r20%"),
        (b": colon", ": colon"),
    ],
)
def test_only_a_newline_ends_a_line(raw, expected):
    assert messages(HEAD + raw + b"\n") == [expected]


def test_heartbeats_and_lines_of_unknown_form_are_ignored():
    assert messages(b"\0\0", HEAD + b"a\n\0", HEAD + b"b\n", b"no log line\n") == ["a", "b"]


def test_server_sent_events_have_the_line_in_their_data_field():
    body = b"retry: 0\n\n: keepalive\n\nid: 1\ndata: " + HEAD + b"a\n\nid: 2\ndata: " + HEAD + b"b\n\n"

    assert messages(body, content_type=SSE) == ["a", "b"]


def test_the_last_line_is_complete_without_a_newline_when_the_stream_ends():
    assert messages(HEAD + b"a\n", HEAD + b"b") == ["a", "b"]


def test_the_pieces_of_a_long_line_are_joined_even_in_the_middle_of_a_character():
    text = ("x" * (PIECE - 1) + "é" + "y" * PIECE).encode()
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]

    got = messages(*(HEAD + piece + b"\n" for piece in pieces), HEAD + b"next\n")

    assert got == [text.decode(), "next"]


@pytest.mark.parametrize("before", range(0, 5200, 400))
def test_pieces_of_four_byte_characters_are_detected_at_any_position(before):
    text = "\N{PARTY POPPER}" * (PIECE // 4)  # as few characters as a piece can have
    short = [HEAD + b"short\n"] * (before // 55)

    got = messages(b"".join([*short, HEAD, text.encode(), b"\n", HEAD, b"rest\n", HEAD, b"next\n"]))

    assert got == ["short"] * (before // 55) + [text + "rest", "next"]


def test_a_long_line_is_not_joined_with_a_line_of_another_time_or_dyno():
    other = HEAD.replace(b"209776", b"209777")

    assert messages(HEAD + b"x" * PIECE + b"\n", other + b"y\n") == ["x" * PIECE, "y"]


@pytest.mark.large
@given(
    st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"").replace(b"\0", b"")), max_size=8),
    st.lists(st.integers(min_value=1, max_value=60), max_size=30),
    st.booleans(),
)
def test_the_lines_are_the_same_however_the_stream_is_cut(raws, cuts, is_sse):
    body = b"".join((b"data: " if is_sse else b"") + HEAD + raw + b"\n" + (b"\n" if is_sse else b"") for raw in raws)
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(body[at : at + cut])
        at += cut
    chunks.append(body[at:])

    got = messages(*chunks, content_type=SSE if is_sse else "text/plain")

    assert got == [raw.decode("utf-8", "replace") for raw in raws]


PARTS = st.sampled_from(
    [
        *(HEAD, HEAD[:-1], HEAD.replace(b"app[run.1234]", b"heroku[run.1]"), HEAD.replace(b"209776", b"209777")),
        *(b"data: ", b"data:", b"id: 7", b": keepalive", b"\n", b"\n\n", b"\0", b"\r", b" ", b"]: ", b"x", b"\xff"),
        *("é".encode(), "\u2028".encode(), b"x" * PIECE, "é".encode() * (PIECE // 2), b"y" * (PIECE - 1)),
    ]
)
# Log lines, bits of them, and bytes of any kind, in any order.
STREAMS = st.lists(st.one_of(PARTS, st.binary(max_size=20)), max_size=40).map(b"".join)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    at = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(at)]


@pytest.mark.large
@given(STREAMS, st.lists(st.integers(min_value=0), max_size=20), st.booleans())
def test_any_bytes_yield_the_same_lines_in_one_chunk_and_in_many(body, places, is_sse):
    form = SSE if is_sse else "text/plain"

    assert decode(*cut(body, places), content_type=form) == decode(body, content_type=form)


@pytest.mark.parametrize("is_sse", [False, True])
def test_lines_of_many_dynos_and_times_keep_their_own_heads(is_sse):
    heads = [HEAD, HEAD, HEAD.replace(b"run.1234", b"run.12"), HEAD[:-1], HEAD, HEAD.replace(b"776", b"777"), HEAD]
    lines = [(b"data: " if is_sse else b"") + head + b" %d" % number for number, head in enumerate(heads)]

    got = decode(b"\n".join(lines), content_type=SSE if is_sse else "text/plain")

    assert [str(line).encode() for line in got] == [
        head.rstrip() + (b" " if head.endswith(b" ") else b"") + b" %d" % number for number, head in enumerate(heads)
    ]


def test_data_without_a_newline_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(log_lines, "MAX_UNFINISHED", 1000)
    decoder = LineDecoder()
    for _ in range(100):
        assert decoder.feed(b"x" * 100) == []
        assert len(decoder._rest) <= 1000

    assert [line.message for line in decoder.feed(b"\n" + HEAD + b"a\n")] == ["a"]


@pytest.mark.parametrize("is_sse", [False, True])
@pytest.mark.parametrize(
    "odd", [b"", b"\n", b": keepalive\n", b"id: 1\n\n\n", HEAD[:20] + b"\n", b"data: \n", b"data: x\n"]
)
def test_a_burst_of_lines_is_read_completely_whatever_line_is_among_them(is_sse, odd):
    lines = [b"id: %d\ndata: %b%d\n\n" % (i, HEAD, i) if is_sse else b"%b%d\n" % (HEAD, i) for i in range(9)]
    lines.insert(5, odd)

    assert messages(b"".join(lines), content_type=SSE if is_sse else "text/plain") == [str(i) for i in range(9)]
