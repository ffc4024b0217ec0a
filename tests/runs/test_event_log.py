"""Every event is there for every reader, in order and in little memory."""

from __future__ import annotations

import errno
import tracemalloc

import pytest

from heroku_magic.api.log_lines import LogLine
from heroku_magic.protocol.records import Progress
from heroku_magic.runs.event_log import BLOCK, LATEST, EventLog


def line(number):
    return LogLine("2026-01-01T00:00:00.000000+00:00", "app", "run.1", f"line {number} é\u2028\0")


def read(log, position=0):
    events = []
    while fresh := log.since(position):
        events += fresh
        position += len(fresh)
    return events


def test_events_are_read_in_order_from_memory_and_disk():
    events = [Progress(i) if i % 7 == 0 else line(i) for i in range(2 * BLOCK + 10)]
    log = EventLog()
    for at in range(0, len(events), 999):
        log.add(*events[at : at + 999])

    assert len(log) == len(events)
    assert read(log) == events
    assert read(log, BLOCK + 3) == events[BLOCK + 3 :]
    assert [*log.lines()] == [event for event in events if isinstance(event, LogLine)]
    assert [*log.latest] == [event for event in events if isinstance(event, LogLine)][-LATEST:]
    assert log.others == [event for event in events if isinstance(event, Progress)]


@pytest.mark.parametrize("written", [0, 3 * BLOCK])
def test_a_full_disk_is_an_error_once_and_no_event_is_lost(monkeypatch, written):
    events = [Progress(i) if i % 7 == 0 else line(i) for i in range(written + 2 * BLOCK + 10)]
    log = EventLog()
    log.add(*events[:written])
    if written:
        monkeypatch.setattr(log, "_file", FullFile())
    else:
        monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(OSError, match="No space left"):
        log.add(*events[written:-10])
    log.add(*events[-10:])

    assert len(log) == len(events)
    assert read(log, written) == events[written:]
    assert read(log, written + BLOCK + 3) == events[written + BLOCK + 3 :]


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


class FullFile:
    """A file on a full disk: it takes a part of what is written and no more."""

    left = 100

    def seek(self, *_):
        return 0

    def write(self, data):
        if not self.left:
            full()
        taken, self.left = min(self.left, len(data)), 0
        return taken


@pytest.mark.large
def test_a_million_lines_stay_complete_in_little_memory():
    tracemalloc.start()
    log = EventLog()
    for at in range(0, 1_000_000, 1000):
        log.add(*map(line, range(at, at + 1000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20_000_000
    assert sum(1 for _ in log.lines()) == 1_000_000
