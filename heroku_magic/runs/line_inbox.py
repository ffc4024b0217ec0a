"""Hands the lines of a log from the thread that reads them to the one that drives the run."""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.errors import LogStreamError

# The log's reader pauses after each batch while this many of them wait for the runner. The pause
# is so short that Heroku's log session never finds its reader asleep.
BACKLOG_MIN, BACKLOG_MAX = 25, 100
READER_PAUSE = 0.001  # seconds


class LineInbox:
    """A queue that slows down a reader who gets ahead.

    Beyond a limit it is not slowed down any more: Heroku drops lines that are not read in time.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[list[LogLine] | LogStreamError | None] = queue.SimpleQueue()

    def __len__(self) -> int:
        return self._queue.qsize()

    def put(self, item: list[LogLine] | LogStreamError) -> None:
        """Add lines, or the reason why no more arrive."""
        self.add(item)
        if BACKLOG_MIN < self._queue.qsize() < BACKLOG_MAX:
            time.sleep(READER_PAUSE)

    def add(self, item: list[LogLine] | LogStreamError) -> None:
        """Add lines, or the reason why no more arrive, for a reader that slows itself down."""
        self._queue.put(item)

    def wake(self) -> None:
        """End a wait in `next`."""
        self._queue.put(None)

    def next(self, seconds: float) -> list[LogLine] | LogStreamError | None:
        """Return the next item; None if there is none within some seconds."""
        with suppress(queue.Empty):
            return self._queue.get(timeout=max(seconds, 0.0))
        return None
