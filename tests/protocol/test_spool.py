"""The values of a call are kept on disk beyond the first megabyte, and read in pieces."""

from __future__ import annotations

import json
import os
import tempfile
from hashlib import sha256

import pytest

from heroku_magic.protocol.spool import LARGE, MEMORY, MOST_SHARED, Spool
from heroku_magic.protocol.typed_json import Encoder


@pytest.mark.parametrize("sizes", [[], [0, 5, 0], [MEMORY, 1], [400_000] * 9, [3 * MEMORY + 7]])
def test_all_bytes_can_be_read_in_any_range(sizes):
    spool, expected = Spool(), b""
    for size in sizes:
        data = os.urandom(size)
        spool += data
        expected += data
    assert len(spool) == len(expected)
    assert bytes(spool) == expected
    assert b"".join(spool.read(3, len(expected) - 3)) == expected[3:-3]


def test_each_value_is_recorded_with_its_offset_and_size(tmp_path):
    (tmp_path / "a b.txt").write_bytes(b"content")
    spool = Spool()
    spool.add("one", "bytes", b"12345")
    spool.add_file("two", tmp_path / "a b.txt")
    assert spool.values == {
        "one": {"kind": "bytes", "at": 0, "size": 5},
        "two": {"kind": "file", "at": 5, "size": 7, "name": "a b.txt"},
    }


def test_a_secret_is_found_also_across_two_writes():
    spool = Spool(["hunter2"])
    spool += b"some hunter"
    assert not spool.holds_hidden
    spool += b"a hunter2 b"
    assert spool.holds_hidden


def test_large_values_with_the_same_content_are_one_section_of_all_spools():
    data = os.urandom(LARGE + 1)

    def filled():
        spool = Spool()
        spool += b"own"
        for value in (b"small", data, bytes(data), b"last"):
            with spool.one_value():
                spool += value[:1000]
                spool += value[1000:]
        return spool

    one, two = filled(), filled()
    digest = sha256(data).hexdigest()
    assert one.shared == two.shared == [(8, LARGE + 1, digest), (LARGE + 9, LARGE + 1, digest)]
    assert one.sections[1] is two.sections[1] is two.sections[3]
    assert bytes(one) == b"ownsmall" + data + data + b"last"
    assert b"".join(one.read(5, 12)) == b"all" + data[:4]
    assert b"".join(one.read(LARGE + 8, LARGE + 11)) == data[-1:] + data[:2]


def test_a_large_value_is_written_to_the_disk_once_for_all_spools(monkeypatch):
    files, data = [], os.urandom(LARGE + 1)
    make = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", lambda **options: files.append(make(**options)) or files[-1])

    def filled():
        spool = Spool()
        with spool.one_value():
            spool += data
        return spool

    spools = [filled() for _ in range(3)]
    assert len(files) == 1
    assert {bytes(spool) for spool in spools} == {data}


def test_a_value_of_many_parts_is_kept_in_memory_only_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("heroku_magic.protocol.spool.HELD", LARGE)
    parts, spool = [os.urandom(LARGE // 2) for _ in range(9)], Spool()
    with spool.one_value():
        for number, part in enumerate(parts, 1):
            spool += part
            assert sum(map(len, spool.sections[-1]._held)) <= LARGE
            assert len(spool) == number * len(part)
    assert bytes(spool) == b"".join(parts)


def test_a_value_that_fails_leaves_nothing_behind():
    spool = Spool()
    spool += b"own"
    with pytest.raises(TypeError), spool.one_value():
        Encoder(list, spool).encode([b"x" * LARGE, object()], "a value")
    assert bytes(spool) == b"own"
    assert len(spool.sections) == 1


def test_values_beyond_the_number_that_a_call_may_share_are_its_own():
    spool = Spool()
    for number in range(MOST_SHARED + 1):
        with spool.one_value():
            spool += bytes([number]) * (LARGE + 1)
    assert len(spool.shared) == MOST_SHARED
    assert len(spool) == (MOST_SHARED + 1) * (LARGE + 1)
    assert b"".join(spool.read(len(spool) - 2, len(spool))) == bytes([MOST_SHARED]) * 2


def test_a_hidden_text_is_found_as_it_stands_in_json():
    spool = Spool(['p"ä\n'])
    spool += b'["p"]'
    assert not spool.holds_hidden
    spool += json.dumps(["x", 'p"ä\n'], ensure_ascii=False).encode()
    assert spool.holds_hidden
