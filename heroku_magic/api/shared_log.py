"""SharedLog: one log session of an app's one-off dynos, handed out by dyno to the runs that follow them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from heroku_magic.api.log_stream import LogStream, backlog
from heroku_magic.errors import LogStreamError

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.log_stream import Sink

EVERY = 1.0  # seconds between two requests for the backlog
HELD = 20_000  # lines of dynos that nobody follows yet: a create's answer may come after the dyno's first lines


class SharedLog:
    """The log of all dynos of the type `run`, until `close()`; a busy web app does not flood it."""

    def __init__(self, client: HerokuClient, app: str) -> None:
        self._stream = LogStream(client, app, "run", self._take)
        self._client, self._app = client, app
        self._backlog: list[LogLine] = []
        self._backlog_at = float("-inf")
        self._lock, self._backlog_lock = threading.Lock(), threading.Lock()
        self._sinks: dict[str, Sink] = {}
        self._held: deque[LogLine] = deque(maxlen=HELD)
        self._error: LogStreamError | None = None

    def start(self) -> SharedLog:
        """Begin to read."""
        self._stream.start()
        return self

    def close(self) -> None:
        """Stop reading."""
        self._stream.close()

    @property
    def is_broken(self) -> bool:
        """Whether it could not be opened again, so that nobody who follows hears more."""
        return self._error is not None

    @property
    def gaps(self) -> int:
        """How often lines may have been lost, for all who follow."""
        return self._stream.gaps

    def follow(self, dyno: str, sink: Sink) -> Followed:
        """Give a dyno's lines to a sink from now on, and those that came before."""
        with self._lock:
            self._sinks[dyno] = sink
            lines = [line for line in self._held if line.dyno == dyno]
            self._held = deque((line for line in self._held if line.dyno != dyno), maxlen=HELD)
            if lines:
                sink(lines)
            if self._error is not None:
                sink(self._error)
        return Followed(self, dyno)

    def backlog(self) -> list[LogLine]:
        """Return the backlog of the whole app, as it was at some time after this was asked.

        Many runs may ask; one request answers all that came while it was waited for. Raises as logstream's does.
        """
        moment = time.monotonic()
        with self._backlog_lock:
            if self._backlog_at < moment:
                time.sleep(max(self._backlog_at + EVERY - time.monotonic(), 0))
                asked_at = time.monotonic()
                self._backlog = backlog(self._client, self._app, "")
                self._backlog_at = asked_at  # one that was refused answers nobody
            return self._backlog

    def leave(self, dyno: str) -> None:
        """Nobody follows the dyno any more; its name may be used again."""
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


class Followed:
    """One dyno's part of a shared log, as a run knows a log stream of its own."""

    def __init__(self, log: SharedLog, dyno: str) -> None:
        self._log = log
        self._dyno = dyno
        self._gaps = log.gaps

    @property
    def gaps(self) -> int:
        """How often lines may have been lost since it is followed."""
        return max(self._log.gaps - self._gaps, 0)  # a gap may turn out to be none

    def backlog(self) -> list[LogLine]:
        """Return the backlog of the whole app."""
        return self._log.backlog()

    def close(self) -> None:
        """Follow it no longer."""
        self._log.leave(self._dyno)
