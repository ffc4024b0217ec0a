"""What the notebook and a warm dyno send each other is signed, numbered and in order."""

from __future__ import annotations

from random import Random

import pytest

from heroku_magic.protocol.channel import BrokenChannel, ChannelReader, ChannelWriter, compresses, parts
from heroku_magic.protocol.records import RunKey

KEY = RunKey("hm-0123abcd", bytes(range(32)))


def lines(writer, kind, message):
    return writer.lines(kind, message).decode().splitlines()


@pytest.mark.parametrize("size", [0, 10, 3900, 5_000, 200_000])
def test_a_message_of_any_size_arrives(size):
    message = {"text": "".join(chr(32 + (7 * at * at) % 90) for at in range(size)), "ü": [1, None]}
    sent = lines(ChannelWriter(KEY), "call", message)
    reader = ChannelReader(KEY)

    assert all(len(line.encode()) < 4000 and line.isascii() and line.isprintable() for line in sent)
    assert all(reader.is_own(line) for line in sent)
    assert [record for line in sent if (record := reader.read(line))] == [("call", message)]


def test_a_line_that_is_lost_changed_repeated_or_signed_by_another_key_breaks_the_channel():
    writer = ChannelWriter(KEY)
    sent = [lines(writer, "ping", {"n": n})[0] for n in range(3)]
    other = ChannelWriter(RunKey("hm-0123abcd", bytes(32))).lines("ping", {"n": 0}).decode().strip()
    for wrong in ([sent[0], sent[2]], [sent[0], sent[0]], [sent[0].replace("0}", "9}")], ["@hm1 x"], [other]):
        with pytest.raises(BrokenChannel):
            [*map(ChannelReader(KEY).read, wrong)]


def test_lines_of_other_processes_are_not_read():
    reader = ChannelReader(KEY)
    (own,) = lines(ChannelWriter(KEY), "begin", {"call": 1})
    (other,) = lines(ChannelWriter(KEY), "rows", {})
    assert reader.is_own(own)
    assert not reader.is_own(other)
    assert not reader.is_own("text")


def test_a_record_that_would_fill_the_memory_is_refused():
    sent = lines(ChannelWriter(KEY), "text", {"text": "a" * 5_000_000})
    with pytest.raises(BrokenChannel, match="too large"):
        [*map(ChannelReader(KEY).read, sent)]


def test_only_what_shrinks_well_is_compressed():
    noise = bytes((7919 * at * at + at // 3) % 256 for at in range(1000)) * 300
    random = random_bytes(300_000)
    sizes = [sum(len(part) for _, part in parts("data", {"call": 1}, body)) for body in (bytes(300_000), random)]
    assert sizes[0] < 10_000
    assert 400_000 <= sizes[1] <= 401_000
    assert compresses(noise)
    assert not compresses(random)


def random_bytes(size):
    return Random(1).randbytes(size)
