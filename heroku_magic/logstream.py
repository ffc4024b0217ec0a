"""LogStream: follows one log session in a daemon thread and hands over LogLines; it knows nothing of runs.

Heroku ends a stream after about 15 minutes, sometimes without closing it. So a stream is opened
again when it closes, breaks, falls silent or grows old, with the whole backlog, and lines that were
handed over before are dropped.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import requests
import urllib3

from heroku_magic.client import BACKLOG, HerokuClient
from heroku_magic.errors import ApiError, LogStreamError
from heroku_magic.loglines import LineDecoder, LogLine

if TYPE_CHECKING:
    from heroku_magic.resources import LogSession

Sink: TypeAlias = Callable[["list[LogLine] | LogStreamError"], None]

# Streams end after about 15 minutes, at times while they still send heartbeats.
LONGEST_AGE = 14 * 60
TRIES = 6
_BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    AttributeError,
    ValueError,
)


class LogStream:
    """The log of one dyno (or of one type of dynos), as lists of lines to a sink, until `close()`.

    Every line comes once, though the stream may be opened many times. After `TRIES` openings in a
    row without a line the sink gets a LogStreamError, and the thread ends.
    """

    def __init__(
        self, client: HerokuClient, app: str, dyno: str, sink: Sink, *, longest_age: float = LONGEST_AGE
    ) -> None:
        self._client = client
        self._app = app
        self._dyno = dyno
        self._sink = sink
        self._longest_age = longest_age
        self._closed = threading.Event()
        self._response: requests.Response | None = None
        self._seen: deque[LogLine] = deque(maxlen=2 * BACKLOG)
        self._known: Counter[LogLine] = Counter()
        self._thread = threading.Thread(target=self._follow, name=f"heroku-log-{dyno}", daemon=True)

    def start(self) -> LogStream:
        """Begin to follow."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop following; a blocked read is ended, not waited for."""
        self._closed.set()
        _hang_up(self._response)

    def _follow(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                failures = 0 if self._read_session() else failures + 1
            except ApiError as error:
                failures += 1
                if failures >= TRIES:
                    self._sink(LogStreamError(f"The log could not be followed: {error}"))
                    return
            self._closed.wait(_pause(failures) if failures else 0)
            if failures >= TRIES:
                self._sink(LogStreamError("The log could not be followed: its stream closes again and again."))
                return

    def _read_session(self) -> bool:
        """Read one session to its end; tell whether it brought a new line."""
        session = self._client.create_log_session(self._app, dyno=self._dyno)
        self._response = self._client.open_log(session)
        self._known = Counter(self._seen)
        news = False
        for lines in self._chunks(self._response):
            fresh = self._unseen(lines) if self._known else lines
            if fresh:
                news = True
                self._seen.extend(fresh[-self._seen.maxlen :] if self._seen.maxlen else fresh)
                self._sink(fresh)
        return news

    def _chunks(self, response: requests.Response) -> Iterator[list[LogLine]]:
        """The lines of each chunk, until the stream ends, breaks, falls silent or grows old."""
        decoder = LineDecoder(response.headers.get("Content-Type", ""))
        opened = time.monotonic()
        try:
            for chunk in response.iter_content(chunk_size=None):
                yield decoder.feed(chunk)
                if self._closed.is_set() or time.monotonic() - opened > self._longest_age:
                    return
        except _BROKEN:
            return  # the next session's backlog repairs what was cut
        finally:
            response.close()
        yield decoder.flush()

    def _unseen(self, lines: list[LogLine]) -> list[LogLine]:
        """Drop lines that an earlier session brought: the same text with the same microsecond."""
        fresh = []
        for line in lines:
            if self._known[line] > 0:
                self._known[line] -= 1
            else:
                fresh.append(line)
        return fresh


def backlog(client: HerokuClient, app: str, dyno: str) -> list[LogLine]:
    """Return what Logplex still holds of a dyno's log: at most the last 1,500 lines of the whole app.

    An empty text: of all dynos, and of Logplex itself. A session that is refused, or breaks off, is
    followed by another one, `TRIES` in all.
    """
    for tries in range(TRIES):
        if tries:
            time.sleep(_pause(tries))
        lines = _whole(client, client.create_log_session(app, dyno=dyno, tail=False))
        if lines is not None:
            return lines
    raise LogStreamError("The log's backlog was refused or broke off again and again: try later.")


def _whole(client: HerokuClient, session: LogSession) -> list[LogLine] | None:
    """All lines of a session without a tail; None if it was refused or broke off."""
    try:
        response = client.open_log(session)
    except ApiError:
        return None
    decoder = LineDecoder(response.headers.get("Content-Type", ""))
    lines: list[LogLine] = []
    try:
        for chunk in response.iter_content(chunk_size=None):
            lines += decoder.feed(chunk)
    except _BROKEN:
        return None
    finally:
        response.close()
    return lines + decoder.flush()


def _pause(failures: int) -> float:
    """Seconds before the next session, after so many that failed."""
    return min(0.2 * float(2**failures), 5.0)


def _hang_up(response: requests.Response | None) -> None:
    """End a read that another thread is blocked in; closing alone would wait for the next heartbeat."""
    if response is not None:
        try:
            response.raw.shutdown()
        except (ValueError, RuntimeError, OSError):
            return  # it has ended by itself meanwhile
