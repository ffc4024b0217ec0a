"""A few short lines cannot fill the memory: a result beyond a limit is refused, with the limit and how to raise it."""

from __future__ import annotations

import json
import zlib
from binascii import b2a_base64

import pytest
from signed_records import KEY, end_of, record

from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.records import Rows

FAILURE = {"type": "ValueError", "message": "as it should"}
REFUSED = (
    "it needs more memory than 10 MB, the limit for the result of one run. Send fewer rows, or set the environment "
    "variable HEROKU_MAGIC_RESULT_MB to a larger number"
)


def packed(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return b2a_base64(zlib.compress(text + b"\n" + body, 9), newline=False).decode()


def table(rows, *names, numbers="int8"):
    columns = [{"name": name, "coding": "numbers", "numbers": numbers} for name in names]
    return "table", packed({"rows": rows, "columns": columns, "sizes": [rows] * len(names)}, bytes(rows * len(names)))


def rows(text):
    return "rows", packed(text)


LISTS = b"[" + b",".join([b"[]"] * 200_000) + b"]"
JSON_COLUMN = {"rows": 200_000, "columns": [{"name": "a", "coding": "json"}], "sizes": [len(LISTS)]}
BOMBS = {
    "a column of lists": [("table", packed(JSON_COLUMN, LISTS))],
    "rows without columns": [table(10**12)],
    "many rows without columns": [table(300_000)] * 5,
    "zeros": [table(3_000_000, "a")] * 5,
    "a record that unpacks to more than the limit": [("rows", packed(b"[" + b" " * 11_000_000 + b"]"))],
    "small dicts": [rows(b"[" + b",".join([b"{}"] * 100_000) + b"]")],
    "nested lists": [rows(b'[{"a":[' + b",".join([b"[]"] * 200_000) + b"]}]")],
    "many records": [rows(b"[" + b",".join([b'{"a":0}'] * 4_000) + b"]")] * 20,
    "rows with different columns": [("rows", [{f"{row}-{at}": 1 for at in range(40)} for row in range(200)])],
    "tables with different columns": [table(50, *(f"{chunk}-{at}" for at in range(100))) for chunk in range(20)],
    "wide rows": [("rows", [{str(at): 1 for at in range(3_000)}])] * 500,
}


@pytest.fixture
def decoder(monkeypatch):
    monkeypatch.setenv("HEROKU_MAGIC_RESULT_MB", "10")
    return RecordDecoder(KEY)


@pytest.mark.large
@pytest.mark.parametrize("name", BOMBS)
def test_a_result_beyond_the_limit_is_refused_and_the_task_s_own_error_is_kept(decoder, name):
    lines = [record(number, kind, data) for number, (kind, data) in enumerate(BOMBS[name])]
    lines.append(record(len(lines), "failure", FAILURE))
    for line in [*lines, end_of(lines, status=1, rows=10**12)]:
        decoder.feed(line)

    assert decoder.problem() == REFUSED
    assert not decoder.is_verified
    assert (decoder.status, decoder.failure.message) == (1, "as it should")


def test_a_larger_limit_admits_the_same_result(monkeypatch):
    monkeypatch.setenv("HEROKU_MAGIC_RESULT_MB", "100")
    decoder = RecordDecoder(KEY)
    lines = [record(number, kind, data) for number, (kind, data) in enumerate(BOMBS["zeros"])]
    for line in [*lines, end_of(lines, rows=15_000_000)]:
        decoder.feed(line)
    assert decoder.problem() == REFUSED.replace("10 MB", "100 MB")  # 15,000,000 cells of up to 8 bytes

    monkeypatch.setenv("HEROKU_MAGIC_RESULT_MB", "200")
    decoder = RecordDecoder(KEY)
    for line in [*lines, end_of(lines, rows=15_000_000)]:
        decoder.feed(line)
    assert decoder.is_verified


@pytest.mark.parametrize("text", ["", "none", "-5", "0x10", "9" * 30, "٣"])
def test_a_limit_that_is_not_a_number_leaves_the_usual_one(monkeypatch, text):
    monkeypatch.setenv("HEROKU_MAGIC_RESULT_MB", text)
    decoder = RecordDecoder(KEY)
    decoder.feed(record(0, *table(10**12)))
    decoder.feed(end_of([record(0, *table(10**12))], rows=10**12))
    assert "more memory than 1,000 MB" in decoder.problem()


def test_printed_rows_beyond_the_limit_are_refused(decoder):
    line = json.dumps({"a": [{}] * 500})
    for _ in range(200):
        decoder.feed(line)
    assert decoder.problem() == REFUSED
    assert len(decoder.parts) < 200


@pytest.mark.parametrize(
    "text",
    [
        '{"i": ' + "9" * 5000 + "}",
        '{"i": -' + "9" * 4301 + "}",
        '{"i": ' + "[" * 3000 + "]" * 3000 + "}",
        '{"i": ' * 2000 + "1" + "}" * 2000,
        '{"a": 1, "i": [' + "9" * 5000 + "]}",
    ],
)
def test_a_printed_row_that_python_cannot_read_is_reported(text):
    decoder = RecordDecoder(KEY)
    for line in ['{"i": 1}', text, '{"i": 3}']:
        decoder.feed(line)
    assert decoder.parts == [Rows([{"i": 1}], verified=False), Rows([{"i": 3}], verified=False)]
    assert decoder.problem() == "1 of its printed rows have too many digits in a number or too many levels"


@pytest.mark.parametrize("text", ['{"i": 1e999}', '{"i": ' + "9" * 4000 + "}", '{"i": ' + "[" * 100 + "]" * 100 + "}"])
def test_a_printed_row_with_large_numbers_or_some_levels_is_a_row(text):
    decoder = RecordDecoder(KEY)
    decoder.feed(text)
    assert decoder.parts == [Rows([json.loads(text)], verified=False)]
    assert decoder.problem() is None


def test_text_that_is_not_json_is_only_log():
    decoder = RecordDecoder(KEY)
    for text in ["{'i': 13}", '{"i": 10} trailing', '{"i": 1', "{"]:
        decoder.feed(text)
    assert (decoder.parts, decoder.problem()) == (None, None)
