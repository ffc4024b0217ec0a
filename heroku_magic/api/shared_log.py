"""Follows all one-off dynos of an app in one log session and passes each dyno's lines to its run."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from heroku_magic.api.error_codes import LOSS_REPORTERS, is_loss_report
from heroku_magic.api.log_stream import LogStream, backlog
from heroku_magic.api.loss_stream import LossStream
from heroku_magic.api.resources import ONE_OFF
from heroku_magic.errors import LogStreamError

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.log_stream import Sink

BACKLOG_INTERVAL = 1.0  # seconds between two requests for the backlog
# Lines of dynos not followed yet, because the response to a create may arrive after the dyno's first lines.
MAX_HELD_LINES = 20_000
MAX_LOSSES = 1_000  # reports of lost lines that are kept for dynos not followed yet


class SharedLog:
    """Follows the dynos of the type `run` until `close()`; the output of web dynos is not included."""

    def __init__(self, client: HerokuClient, app: str) -> None:
        self._stream = LogStream(client, app, ONE_OFF, self._take)
        self._client, self._app = client, app
        self._backlog: list[LogLine] = []
        self._backlog_at = float("-inf")
        self._lock, self._backlog_lock = threading.Lock(), threading.Lock()
        self._followers: dict[str, list[DynoLog]] = {}  # by name; two dynos share one while the first one's end is read
        self._losses: deque[LogLine] = deque(maxlen=MAX_LOSSES)
        self._loss_stream: LossStream | None = None
        self._held: deque[LogLine] = deque(maxlen=MAX_HELD_LINES)
        self._error: LogStreamError | None = None

    def start(self) -> SharedLog:
        """Start reading."""
        self._stream.start()
        return self

    def close(self) -> None:
        """Stop reading."""
        self._stream.close()
        if self._loss_stream is not None:
            self._loss_stream.close()

    @property
    def is_broken(self) -> bool:
        """Whether the log could not be reopened, so that no more lines arrive."""
        return self._error is not None

    @property
    def gaps(self) -> int:
        """How often lines of any dyno may have been lost."""
        return self._stream.gaps

    def follow(self, dyno: str, sink: Sink) -> DynoLog:
        """Pass the lines of a dyno's name to a sink, including earlier ones, and reports of lost lines."""
        follower = DynoLog(self, dyno, sink)
        with self._lock:
            self._followers.setdefault(dyno, []).append(follower)
            lines = [*self._losses, *(line for line in self._held if line.dyno == dyno)]
            if lines:
                sink(lines)
            if self._error is not None:
                sink(self._error)
        return follower

    def watch_losses(self) -> LossStream:
        """Follow the reports of lines that were lost before they reached the log, too."""
        with self._lock:
            if self._loss_stream is None:
                self._loss_stream = LossStream(self._client, self._app, self._take_losses).start()
            return self._loss_stream

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

    def unfollow(self, follower: DynoLog) -> None:
        """Stop passing lines on to a follower; another dyno of its name keeps its own."""
        with self._lock:
            left = [one for one in self._followers.pop(follower.dyno, []) if one is not follower]
            if left:
                self._followers[follower.dyno] = left

    def _take(self, item: list[LogLine] | LogStreamError) -> None:
        if isinstance(item, LogStreamError):
            with self._lock:
                self._error = item
                for follower in self._all():
                    follower.sink(item)
            return
        by_dyno: dict[str, list[LogLine]] = {}
        for line in item:
            by_dyno.setdefault(line.dyno, []).append(line)
        self._take_losses([line for name in LOSS_REPORTERS for line in by_dyno.pop(name, ())])
        with self._lock:
            for dyno, lines in by_dyno.items():
                for follower in self._followers.get(dyno, ()):
                    follower.sink(lines)
                if dyno not in self._followers:
                    self._held.extend(lines)

    def _take_losses(self, lines: list[LogLine]) -> None:
        """Pass reports of lost lines on to every dyno, as they do not name the one that printed them."""
        losses = [line for line in lines if is_loss_report(line)]
        with self._lock:
            self._losses.extend(losses)
            for follower in self._all() if losses else ():
                follower.sink(losses)

    def _all(self) -> list[DynoLog]:
        return [follower for followers in self._followers.values() for follower in followers]


class DynoLog:
    """The part of a shared log that belongs to one dyno, with the interface of a LogStream."""

    def __init__(self, log: SharedLog, dyno: str, sink: Sink) -> None:
        self.dyno = dyno
        self.sink = sink
        self._log = log
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
        self._log.unfollow(self)
