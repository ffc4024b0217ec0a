"""Follows the log of a dyno in a daemon thread and passes its lines to a callback.

Heroku ends a stream after about 15 minutes, sometimes without closing it. A stream is therefore
reopened when it closes, breaks, stops sending heartbeats, grows old or sends no line for long, and
after the computer slept. Each session starts with the backlog; lines seen before are dropped.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import requests
import urllib3

from heroku_magic.api.client import BACKLOG, HerokuClient
from heroku_magic.api.host import LOOPBACK
from heroku_magic.api.log_lines import PIECE, LineDecoder, LogLine
from heroku_magic.errors import ApiError, HerokuMagicError, LogStreamError, Unreachable
from heroku_magic.text.notifier import keeps_notifications, notify

if TYPE_CHECKING:
    from heroku_magic.api.resources import LogSession

Sink: TypeAlias = Callable[["list[LogLine] | LogStreamError"], None]
Clocks: TypeAlias = Callable[[], tuple[float, float]]

# Streams go stale after about 15 minutes, sometimes while they still send heartbeats.
LONGEST_AGE = 14 * 60
# The interval between heartbeats is shorter than this.
SILENCE = 30
# A stream may send only heartbeats because the task prints nothing, or because the stream went stale.
# Reopening it costs one of the 4,500 API requests per hour, so the wait doubles each time.
QUIET = 60
WATCH_INTERVAL = 1
# If a check is this late, the computer slept.
SLEEP_THRESHOLD = 60
# By then a backlog has arrived, if there is one.
BACKLOG_TIMEOUT = 5
MAX_ATTEMPTS = 6
# After a computer wakes up, its network may take this long to return.
OFFLINE = 120
# Bytes per read. The objects parsed from a larger chunk no longer fit into the processor's cache.
CHUNK = 128 * 1024
_BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    AttributeError,
    ValueError,
)


def clocks() -> tuple[float, float]:
    """Return the times of the wall clock and of the monotonic clock."""
    return time.time(), time.monotonic()


class Stopwatch:
    """Measures time by the clock that advanced more: one stops during sleep, the other may be set back."""

    def __init__(self, now: Clocks) -> None:
        self._now = now
        self.restart()

    def restart(self) -> None:
        """Restart at 0."""
        self._since = self._now()

    @property
    def seconds(self) -> float:
        """Seconds since the last restart."""
        (wall, monotonic), since = self._now(), self._since
        return max(wall - since[0], monotonic - since[1])


class LogStream:
    """Follows the log of one dyno, or of one type of dynos, and passes lists of lines to a sink until `close()`.

    Every line is passed on once, however often the stream is reopened. After `MAX_ATTEMPTS` sessions
    in a row without a line, the sink receives a LogStreamError, and the thread ends.
    """

    def __init__(
        self,
        client: HerokuClient,
        app: str,
        dyno: str,
        sink: Sink,
        *,
        longest_age: float = LONGEST_AGE,
        now: Clocks = clocks,
    ) -> None:
        self._client = client
        self._app = app
        self._dyno = dyno
        self._sink = sink
        self._longest_age = longest_age
        self._now = now
        self._closed, self._opened = threading.Event(), threading.Event()
        self._session: _Session | None = None
        self._history = _History()
        self._patience: float = QUIET
        self._news = Stopwatch(now)
        self._checked = Stopwatch(now)
        self._online = Stopwatch(now)
        follow, watch = keeps_notifications(self._follow), keeps_notifications(self._keep_watch)
        self._thread = threading.Thread(target=follow, name=f"heroku-log-{dyno}", daemon=True)
        self._watch = threading.Thread(target=watch, name=f"heroku-log-watch-{dyno}", daemon=True)

    @property
    def gaps(self) -> int:
        """How often lines may be lost, because the backlog of a new session did not reach back to lines seen before.

        The number may decrease by one while the backlog of a session is still arriving.
        """
        return self._history.gaps

    def backlog(self) -> list[LogLine]:
        """Return the backlog of the app."""
        return backlog(self._client, self._app, "")

    def start(self) -> LogStream:
        """Start following the log. Raises HerokuMagicError if no thread can be started, as while Python exits."""
        try:
            self._watch.start()
            self._thread.start()
        except RuntimeError as error:
            self.close()
            raise HerokuMagicError(f"The log of {self._dyno} cannot be followed: {error}.") from None
        return self

    def wait_until_open(self, timeout: float) -> bool:
        """Wait for the first session, and return whether it is open."""
        return self._opened.wait(timeout)

    def close(self) -> None:
        """Stop following the log without waiting for a blocked read."""
        self._closed.set()
        if self._session is not None:
            self._session.end()

    # -- in the reader thread ----------------------------------------------------------------------

    def _follow(self) -> None:
        problem = self._read_sessions()
        if problem and not self._closed.is_set():
            self._sink(LogStreamError(f"The log could not be followed: {problem}"))
        self._closed.set()

    def _read_sessions(self) -> str:
        """Read session after session; return why reading cannot continue."""
        failures, problem = 0, ""
        while failures < MAX_ATTEMPTS and not self._closed.is_set():
            try:
                failures = 0 if self._read_session() else failures + 1
                problem = "its stream keeps closing."
            except ApiError as error:
                failures, problem = self._failures(failures, error), str(error)
            self._closed.wait(_pause(failures) if failures else 0)
        return problem

    def _failures(self, before: int, error: ApiError) -> int:
        """Count a failure. Without a network the last attempt is delayed for a while, except on loopback."""
        if not isinstance(error, Unreachable):
            return before + 1
        if urlsplit(self._client.base_url).hostname in LOOPBACK:
            return before + 1 if error.sent else MAX_ATTEMPTS
        return min(before + 1, MAX_ATTEMPTS - 1) if self._online.seconds < OFFLINE else before + 1

    def _read_session(self) -> bool:
        """Read one session to its end; return whether it was useful: it sent a new line, or lasted."""
        opened = self._client.create_log_session(self._app, dyno=self._dyno)
        session = self._session = _Session(self._client.open_log(opened), self._now)
        self._opened.set()
        self._online.restart()
        self._history.begin()
        news = self._read_lines(session)
        self._history.end()
        self._extend_patience(session)
        self._online.restart()
        return news or session.is_ended or session.opened.seconds > QUIET

    def _read_lines(self, session: _Session) -> bool:
        """Read until the stream ends or is due to end; return whether it sent a new line."""
        news = False
        if self._closed.is_set():
            session.end()
        for lines in session.chunks():
            news = self._take(session, lines) or news
            if self._closed.is_set() or self._is_over(session):
                session.end()
                break
        return news

    def _take(self, session: _Session, lines: list[LogLine]) -> bool:
        """Pass on the new lines; return whether there were any."""
        fresh = self._history.unseen(lines)
        if not lines and session.opened.seconds > BACKLOG_TIMEOUT:
            self._history.mark_empty()
        if fresh:
            self._patience = self._bounded(2 * self._news.seconds)
            self._news.restart()
            session.quiet.restart()
            self._sink(fresh)
        return bool(fresh)

    def _extend_patience(self, session: _Session) -> None:
        """Wait longer before the next reopening, after one that found no new line."""
        if session.quiet.seconds > self._patience:
            self._patience = self._bounded(2 * self._patience)

    def _bounded(self, patience: float) -> float:
        """Limit the wait for a new line to at least a minute and at most the age of a stream."""
        return min(max(patience, QUIET), self._longest_age)

    # -- in the watch thread, because a blocked read cannot check a clock --------------------------

    def _keep_watch(self) -> None:
        while not self._closed.wait(WATCH_INTERVAL):
            self._check()

    def _check(self) -> None:
        """End a session that is due to end, so that the reader opens the next one."""
        slept = self._checked.seconds
        self._checked.restart()
        session = self._session
        if session is not None and not session.is_ended and (slept > SLEEP_THRESHOLD or self._is_over(session)):
            session.end()
        if slept > SLEEP_THRESHOLD:
            notify(f"The computer slept for {slept / 60:.0f} min; the log continues with the lines that Heroku kept")

    def _is_over(self, session: _Session) -> bool:
        """Whether the session is silent or old, or may be stale because it sent no line for long."""
        return (
            session.heard.seconds > SILENCE
            or session.quiet.seconds > self._patience
            or session.opened.seconds > self._longest_age
        )


class _Session:
    """One stream, with the times since it was opened, since its last byte and since its last new line."""

    def __init__(self, response: requests.Response, now: Clocks) -> None:
        self._response = response
        self.opened = Stopwatch(now)
        self.heard = Stopwatch(now)
        self.quiet = Stopwatch(now)
        self.is_ended = False

    def chunks(self) -> Iterator[list[LogLine]]:
        """Yield the lines of each chunk until the stream ends or breaks."""
        decoder = LineDecoder(self._response.headers.get("Content-Type", ""))
        try:
            for chunk in self._response.iter_content(chunk_size=CHUNK):
                self.heard.restart()
                yield decoder.feed(chunk)
        except _BROKEN:
            return
        finally:
            self._response.close()
        # The decoder is not flushed: a cut line arrives complete in the backlog of the next session.

    def end(self) -> None:
        """End a read that another thread is blocked in; merely closing would wait for the next heartbeat."""
        self.is_ended = True
        with suppress(ValueError, RuntimeError, OSError):  # it has already ended by itself
            self._response.raw.shutdown()


class _History:
    """Remembers the lines seen, to drop repeated ones and to detect gaps between sessions.

    A session begins with the last 1,500 lines of the app, oldest first, which Heroku filters only
    after cutting. If one of them was seen before, nothing after it is missing. Otherwise the lines
    seen last have left the buffer, and later ones may have left it unseen: a gap, even if the session
    sends no line at all. After such an empty session the next one decides again; once a session has
    sent new lines, the gap before them is final.
    """

    def __init__(self) -> None:
        self._seen: deque[LogLine] = deque(maxlen=2 * BACKLOG)
        self._known: Counter[LogLine] = Counter()
        self._newest = ""
        self._settled = 0
        self._is_first = self._has_joined = self._has_news = self._is_apart = False

    @property
    def gaps(self) -> int:
        """How many sessions did not continue the lines seen before, including the current one."""
        return self._settled + self._is_apart

    def begin(self) -> None:
        """Begin a session, which may repeat all lines seen so far."""
        self._known = Counter(self._seen)
        self._newest = max((line.timestamp for line in self._known), default="")
        self._has_joined, self._has_news, self._is_first = not self._seen, False, True

    def end(self) -> None:
        """End the session."""
        if self._is_apart and self._has_news:
            self._settled += 1
            self._is_apart = False

    def mark_empty(self) -> None:
        """Note that the session is alive but its backlog is empty."""
        self._is_apart = not self._has_joined

    def unseen(self, lines: list[LogLine]) -> list[LogLine]:
        """Return the lines that no earlier session sent, and remember them."""
        if self._is_first and lines:
            self._is_first, lines = False, lines[self._is_rest(lines[0]) :]
        fresh = lines if self._are_newer(lines) else [line for line in lines if not self._is_known(line)]
        self._seen.extend(fresh[-2 * BACKLOG :])
        self._has_news = self._has_news or bool(fresh)
        self._is_apart = (self._is_apart or bool(fresh)) and not self._has_joined
        return fresh

    def _are_newer(self, lines: list[LogLine]) -> bool:
        """Whether all are newer than the lines seen, a fast check that holds after the backlog."""
        return not self._known or min((line.timestamp for line in lines), default="") > self._newest

    def _is_known(self, line: LogLine) -> bool:
        """Whether an earlier session sent it, with the same text and microsecond, at least as often; counts it off."""
        if self._known[line] <= 0:
            return False
        self._known[line] -= 1
        self._has_joined = True
        return True

    def _is_rest(self, line: LogLine) -> bool:
        """Whether the backlog starts within a long line that was seen in full, without its first pieces."""
        rest = line.message.lstrip("\ufffd")  # a character may be cut, too
        long = (one for one in self._known if len(one.message) >= PIECE // 4 and one.message != line.message)
        is_rest = any(_origin(one) == _origin(line) and one.message.endswith(rest) for one in long)
        self._has_joined = self._has_joined or is_rest
        return is_rest


def _origin(line: LogLine) -> tuple[str, str, str]:
    return line.timestamp, line.source, line.dyno


def backlog(client: HerokuClient, app: str, dyno: str) -> list[LogLine]:
    """Return the lines of a dyno among the last 1,500 lines of the app, which Logplex keeps.

    dyno: empty for all dynos and Logplex itself. If a session fails, another one is opened, up to
    `MAX_ATTEMPTS` in total.
    """
    for tries in range(MAX_ATTEMPTS):
        if tries:
            time.sleep(_pause(tries))
        lines = _read_to_end(client, client.create_log_session(app, dyno=dyno, tail=False))
        if lines is not None:
            return lines
    raise LogStreamError("Reading the log history failed repeatedly. Try again later.")


def _read_to_end(client: HerokuClient, session: LogSession) -> list[LogLine] | None:
    """Return all lines of a session without a tail; None if it was rejected or broke."""
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
    """Return the seconds to wait before the next session after so many failures."""
    return min(0.2 * float(2**failures), 5.0)
