"""History: a run's events in order, any number in little memory: old log lines lie in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections import deque
from typing import IO, TYPE_CHECKING

import msgspec

from heroku_magic.api.log_lines import LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heroku_magic.runs.events import Event

BLOCK = 5_000  # events that are written, and read back, at once
LATEST = 200  # log lines that are always at hand


class History:
    """An append-only list of events, for one writer at a time and any number of readers, who hold one lock.

    Everything but log lines stays in memory: records are the result anyway.
    """

    def __init__(self) -> None:
        self.others: list[Event] = []
        self.latest: deque[LogLine] = deque(maxlen=LATEST)
        self._blocks: list[_Block] = []
        self._open: list[Event] = []
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._open)

    def extend(self, events: Iterable[Event]) -> None:
        """Add events; every full block's lines go to the file."""
        added = [*events]
        lines = _lines(added)
        self.latest.extend(lines[-LATEST:])
        self.others.extend(_others(added, lines).values())
        while added:
            room = BLOCK - len(self._open)
            self._open += added[:room]
            added = added[room:]
            if len(self._open) == BLOCK:
                self._put_away()

    def since(self, position: int) -> list[Event]:
        """Return events from a position on: some of them, and at least one if there is one."""
        number, place = divmod(position, BLOCK)
        if self._file is not None and number < len(self._blocks):
            return self._blocks[number].events(self._file)[place:]
        return self._open[place:]

    def lines(self) -> Iterator[LogLine]:
        """Yield all log lines so far."""
        position = 0
        while events := self.since(position):
            position += len(events)
            yield from (event for event in events if isinstance(event, LogLine))

    def _put_away(self) -> None:
        lines = _lines(self._open)
        data = msgspec.msgpack.encode(lines)
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the run
            weakref.finalize(self, self._file.close)
        at = self._file.seek(0, 2)
        self._file.write(data)
        self._blocks.append(_Block(at, len(data), _others(self._open, lines)))
        self._open = []


class _Block(msgspec.Struct):
    """A block of events: its lines lie in a file from `at` on, in order, the others by their place here."""

    at: int
    size: int
    others: dict[int, Event]

    def events(self, file: IO[bytes]) -> list[Event]:
        """Return the block as it was."""
        file.seek(self.at)
        events: list[Event] = [*msgspec.msgpack.decode(file.read(self.size), type=list[LogLine])]
        for place, event in self.others.items():  # in order, so that each finds those before it in their places
            events.insert(place, event)
        return events


def _lines(events: list[Event]) -> list[LogLine]:
    return [event for event in events if type(event) is LogLine]


def _others(events: list[Event], lines: list[LogLine]) -> dict[int, Event]:
    """What is no line, by its place; of a flood of lines quick to tell that there is nothing."""
    if len(lines) == len(events):
        return {}
    return {place: event for place, event in enumerate(events) if type(event) is not LogLine}
