"""Follows all one-off dynos of an app in one log session and passes each dyno's lines to its run."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from heroku_magic.api.log_stream import LogStream, backlog
from heroku_magic.api.resources import ONE_OFF
from heroku_magic.errors import LogStreamError

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.log_stream import Sink

BACKLOG_INTERVAL = 1.0  # seconds between two requests for the backlog
# Lines of dynos not followed yet, because the response to a create may arrive after the dyno's first lines.
MAX_HELD_LINES = 20_000


class SharedLog:
    """Follows the dynos of the type `run` until `close()`; the output of web dynos is not included."""

    def __init__(self, client: HerokuClient, app: str) -> None:
        self._stream = LogStream(client, app, ONE_OFF, self._take)
        self._client, self._app = client, app
        self._backlog: list[LogLine] = []
        self._backlog_at = float("-inf")
        self._lock, self._backlog_lock = threading.Lock(), threading.Lock()
        self._sinks: dict[str, Sink] = {}
        self._held: deque[LogLine] = deque(maxlen=MAX_HELD_LINES)
        self._error: LogStreamError | None = None

    def start(self) -> SharedLog:
        """Start reading."""
        self._stream.start()
        return self

    def close(self) -> None:
        """Stop reading."""
        self._stream.close()

    @property
    def is_broken(self) -> bool:
        """Whether the log could not be reopened, so that no more lines arrive."""
        return self._error is not None

    @property
    def gaps(self) -> int:
        """How often lines of any dyno may have been lost."""
        return self._stream.gaps

    def follow(self, dyno: str, sink: Sink) -> DynoLog:
        """Pass the lines of a dyno to a sink, including those that arrived before."""
        with self._lock:
            self._sinks[dyno] = sink
            lines = [line for line in self._held if line.dyno == dyno]
            self._held = deque((line for line in self._held if line.dyno != dyno), maxlen=MAX_HELD_LINES)
            if lines:
                sink(lines)
            if self._error is not None:
                sink(self._error)
        return DynoLog(self, dyno)

    def backlog(self) -> list[LogLine]:
        """Return the backlog of the app, no older than this call.

        One request serves all runs that waited for it. Raises LogStreamError.
        """
        called_at = time.monotonic()
        with self._backlog_lock:
            if self._backlog_at < called_at:
                time.sleep(max(self._backlog_at + BACKLOG_INTERVAL - time.monotonic(), 0))
                requested_at = time.monotonic()
                self._backlog = backlog(self._client, self._app, "")
                self._backlog_at = requested_at  # only after success: a failed request serves no other run
            return self._backlog

    def unfollow(self, dyno: str) -> None:
        """Stop passing on the lines of the dyno; its name may be used again."""
        with self._lock:
            self._sinks.pop(dyno, None)

    def _take(self, item: list[LogLine] | LogStreamError) -> None:
        with self._lock:
            if isinstance(item, LogStreamError):
                self._error = item
                for sink in self._sinks.values():
                    sink(item)
                return
            by_dyno: dict[str, list[LogLine]] = {}
            for line in item:
                by_dyno.setdefault(line.dyno, []).append(line)
            for dyno, lines in by_dyno.items():
                if dyno in self._sinks:
                    self._sinks[dyno](lines)
                else:
                    self._held.extend(lines)


class DynoLog:
    """The part of a shared log that belongs to one dyno, with the interface of a LogStream."""

    def __init__(self, log: SharedLog, dyno: str) -> None:
        self._log = log
        self._dyno = dyno
        self._gaps = log.gaps

    @property
    def gaps(self) -> int:
        """How often lines may have been lost since the dyno was first followed."""
        return max(self._log.gaps - self._gaps, 0)  # the number of gaps may decrease

    def backlog(self) -> list[LogLine]:
        """Return the backlog of the app."""
        return self._log.backlog()

    def close(self) -> None:
        """Stop following the dyno."""
        self._log.unfollow(self._dyno)
