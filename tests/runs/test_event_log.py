"""history: every event in its order for any reader, in little memory."""

from __future__ import annotations

import tracemalloc

from heroku_magic.api.log_lines import LogLine
from heroku_magic.protocol.records import Progress
from heroku_magic.runs.event_log import BLOCK, LATEST, History


def line(number):
    return LogLine("2026-01-01T00:00:00.000000+00:00", "app", "run.1", f"line {number} é\u2028\0")


def read(history, position=0):
    events = []
    while fresh := history.since(position):
        events += fresh
        position += len(fresh)
    return events


def test_events_come_back_in_their_order_from_memory_and_from_the_file():
    events = [Progress(i) if i % 7 == 0 else line(i) for i in range(2 * BLOCK + 10)]
    history = History()
    for at in range(0, len(events), 999):
        history.extend(events[at : at + 999])

    assert len(history) == len(events)
    assert read(history) == events
    assert read(history, BLOCK + 3) == events[BLOCK + 3 :]
    assert [*history.lines()] == [event for event in events if isinstance(event, LogLine)]
    assert [*history.latest] == [event for event in events if isinstance(event, LogLine)][-LATEST:]
    assert history.others == [event for event in events if isinstance(event, Progress)]


def test_a_million_lines_take_little_memory_and_are_all_there():
    tracemalloc.start()
    history = History()
    for at in range(0, 1_000_000, 1000):
        history.extend(line(i) for i in range(at, at + 1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20_000_000
    assert sum(1 for _ in history.lines()) == 1_000_000
