"""The values of a call are kept on disk beyond the first megabyte, and read in pieces."""

from __future__ import annotations

import os

import pytest

from heroku_magic.protocol.spool import MEMORY, Spool


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
