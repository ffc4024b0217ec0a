"""The events of a run, for one writer and any number of readers; old log lines are kept on disk."""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections import deque
from functools import partial
from typing import IO, TYPE_CHECKING

import msgspec

from heroku_magic.api.log_lines import LogLine
from heroku_magic.runs.background import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.runs.events import Event

BLOCK = 5_000  # events that are written to disk, and read back, at once
LATEST = 200  # log lines that stay in memory


class EventLog:
    """An append-only list of events.

    Log lines go to a temporary file; other events stay in memory, as they are the result anyway. If the file cannot
    be written, `add` raises OSError once, and lines stay in memory from then on.
    others: all events but log lines. latest: the last log lines. changed: condition, notified after every change.
    """

    def __init__(self) -> None:
        self.others: list[Event] = []
        self.latest: deque[LogLine] = deque(maxlen=LATEST)
        self.changed = threading.Condition()
        self._blocks: list[_Block] = []
        self._open_block: list[Event] = []
        self._file: IO[bytes] | None = None
        self._is_writable = True
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._open_block)

    def add(self, *events: Event) -> None:
        """Append events."""
        if not events:
            return
        added = [*events]
        with self.changed:
            lines = _lines(added)
            self.latest.extend(lines[-LATEST:])
            self.others.extend(_others(added, lines).values())
            self._open_block += added
            self.changed.notify_all()
            while self._is_writable and len(self._open_block) >= BLOCK:
                self._write_block()

    def close(self) -> None:
        """End the log: readers stop after the last event."""
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()

    def events(self, timeout: float | None = None) -> Iterator[Event | None]:
        """Yield every event from the first one on, and None after every `timeout` seconds without one."""
        position = 0
        while True:
            with self.changed:
                wait_for(self.changed, partial(self._has_more, position), timeout)
                fresh, is_closed = self.since(position), self._is_closed
            position += len(fresh)
            if not fresh and is_closed:
                return
            yield from fresh
            if not fresh:
                yield None

    def since(self, position: int) -> list[Event]:
        """Return some of the events from a position on, at least one if there is one."""
        block, offset = divmod(position, BLOCK)
        if self._file is not None and block < len(self._blocks):
            return self._blocks[block].read(self._file)[offset:]
        return self._open_block[position - len(self._blocks) * BLOCK :]

    def lines(self) -> Iterator[LogLine]:
        """Yield all log lines so far."""
        position = 0
        while events := self.since(position):
            position += len(events)
            yield from _lines(events)

    def _has_more(self, position: int) -> bool:
        return len(self) > position or self._is_closed

    def _write_block(self) -> None:
        events = self._open_block[:BLOCK]
        lines = _lines(events)
        data = msgspec.msgpack.encode(lines)
        self._is_writable = False
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as the run exists
            weakref.finalize(self, self._file.close)
        start = self._file.seek(0, 2)
        unwritten = memoryview(data)
        while unwritten:
            unwritten = unwritten[self._file.write(unwritten) :]
        self._is_writable = True
        self._blocks.append(_Block(start, len(data), _others(events, lines)))
        del self._open_block[:BLOCK]


class _Block(msgspec.Struct):
    """A full block: its lines are in the file, its other events here, by their position in the block."""

    start: int
    size: int
    others: dict[int, Event]

    def read(self, file: IO[bytes]) -> list[Event]:
        """Return all events of the block in order."""
        file.seek(self.start)
        events: list[Event] = [*msgspec.msgpack.decode(file.read(self.size), type=list[LogLine])]
        for position, event in self.others.items():  # ascending, so each finds its predecessors inserted
            events.insert(position, event)
        return events


def _lines(events: list[Event]) -> list[LogLine]:
    return [event for event in events if type(event) is LogLine]


def _others(events: list[Event], lines: list[LogLine]) -> dict[int, Event]:
    """Return the events that are not lines, by position; the usual case of lines only is fast."""
    if len(lines) == len(events):
        return {}
    return {position: event for position, event in enumerate(events) if type(event) is not LogLine}
