"""LogStream: follows one log session in a daemon thread and hands over LogLines; it knows nothing of runs.

Heroku ends a stream after about 15 minutes, sometimes without closing it. So a stream is opened
again when it closes, breaks, falls silent, grows old, brings no line for long, or when the computer
slept; with the whole backlog, and lines that were handed over before are dropped.
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
from heroku_magic.errors import ApiError, LogStreamError, Unreachable
from heroku_magic.text.notifier import keeps_notifications, notify

if TYPE_CHECKING:
    from heroku_magic.api.resources import LogSession

Sink: TypeAlias = Callable[["list[LogLine] | LogStreamError"], None]
Clocks: TypeAlias = Callable[[], tuple[float, float]]

# Streams end after about 15 minutes, at times while they still send heartbeats.
LONGEST_AGE = 14 * 60
# Heartbeats are nearer to each other than this.
SILENCE = 30
# A stream may send heartbeats alone because the task prints nothing, or because it went stale. Each
# look costs an API request of 4,500 an hour, so the second is twice as late, and so on; a task that
# prints every five minutes is looked after by that.
QUIET = 60
# The watch looks this often; one that is so much later was asleep with its computer.
LOOK = 1
ASLEEP = 60
# A backlog has come in by then, if there is one.
BACKLOG_IS_IN = 5
TRIES = 6
# A computer that wakes up has its network back later.
OFFLINE = 120
# Bytes that are read at once, at most: what is made of more falls out of the processor's cache.
CHUNK = 128 * 1024
_BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    AttributeError,
    ValueError,
)


def clocks() -> tuple[float, float]:
    """The wall clock and the monotonic one."""
    return time.time(), time.monotonic()


class Stopwatch:
    """Seconds by the clock that went farther: one stops while the computer sleeps, the other may be set back."""

    def __init__(self, now: Clocks) -> None:
        self._now = now
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._since = self._now()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        (wall, monotonic), since = self._now(), self._since
        return max(wall - since[0], monotonic - since[1])


class LogStream:
    """The log of one dyno (or of one type of dynos), as lists of lines to a sink, until `close()`.

    Every line comes once, though the stream may be opened many times. After `TRIES` openings in a
    row without a line the sink gets a LogStreamError, and the thread ends.
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
        self._closed = threading.Event()
        self._session: _Session | None = None
        self._history = _History()
        self._patience: float = QUIET
        self._news = Stopwatch(now)
        self._looked = Stopwatch(now)
        self._online = Stopwatch(now)
        follow, watch = keeps_notifications(self._follow), keeps_notifications(self._keep_watch)
        self._thread = threading.Thread(target=follow, name=f"heroku-log-{dyno}", daemon=True)
        self._watch = threading.Thread(target=watch, name=f"heroku-log-watch-{dyno}", daemon=True)

    @property
    def gaps(self) -> int:
        """How often the stream was opened again and its backlog did not reach back to lines seen before.

        Lines may be lost there. It can go down by one while a session's backlog is still coming in.
        """
        return self._history.gaps

    def backlog(self) -> list[LogLine]:
        """Return the backlog of the whole app."""
        return backlog(self._client, self._app, "")

    def start(self) -> LogStream:
        """Begin to follow."""
        self._thread.start()
        self._watch.start()
        return self

    def close(self) -> None:
        """Stop following; a blocked read is ended, not waited for."""
        self._closed.set()
        if self._session is not None:
            self._session.end()

    # -- the reader's thread ----------------------------------------------------------------------

    def _follow(self) -> None:
        problem = self._read_sessions()
        if problem and not self._closed.is_set():
            self._sink(LogStreamError(f"The log could not be followed: {problem}"))
        self._closed.set()

    def _read_sessions(self) -> str:
        """Read session after session; return why it cannot go on."""
        failures, problem = 0, ""
        while failures < TRIES and not self._closed.is_set():
            try:
                failures = 0 if self._read_session() else failures + 1
                problem = "its stream closes again and again."
            except ApiError as error:
                failures, problem = self._failures(failures, error), str(error)
            self._closed.wait(_pause(failures) if failures else 0)
        return problem

    def _failures(self, before: int, error: ApiError) -> int:
        """Count a failure; without a network the last one is put off for a while, but loopback is always there."""
        if not isinstance(error, Unreachable):
            return before + 1
        if urlsplit(self._client.base_url).hostname in LOOPBACK:
            return before + 1 if error.sent else TRIES
        return min(before + 1, TRIES - 1) if self._online.seconds < OFFLINE else before + 1

    def _read_session(self) -> bool:
        """Read one session to its end; tell whether it was of use: it brought a new line, or lasted."""
        opened = self._client.create_log_session(self._app, dyno=self._dyno)
        session = self._session = _Session(self._client.open_log(opened), self._now)
        self._online.restart()
        self._history.begin()
        news = self._read_lines(session)
        self._history.end()
        self._lose_patience(session)
        self._online.restart()
        return news or session.is_ended or session.opened.seconds > QUIET

    def _read_lines(self, session: _Session) -> bool:
        """Read until the stream ends or has to end; tell whether it brought a new line."""
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
        """Hand on what is new; tell whether anything was."""
        fresh = self._history.unseen(lines)
        if not lines and session.opened.seconds > BACKLOG_IS_IN:
            self._history.nothing_came()
        if fresh:
            self._patience = self._bounded(2 * self._news.seconds)
            self._news.restart()
            session.quiet.restart()
            self._sink(fresh)
        return bool(fresh)

    def _lose_patience(self, session: _Session) -> None:
        """Wait longer before the next look, after one that showed nothing."""
        if session.quiet.seconds > self._patience:
            self._patience = self._bounded(2 * self._patience)

    def _bounded(self, patience: float) -> float:
        """Patience with a stream that brings no line: a minute at least, a stream's age at most."""
        return min(max(patience, QUIET), self._longest_age)

    # -- the watch's thread: a blocked read sees no clock -----------------------------------------

    def _keep_watch(self) -> None:
        while not self._closed.wait(LOOK):
            self._look()

    def _look(self) -> None:
        """End a session that is over, so that the reader opens the next one."""
        slept = self._looked.seconds
        self._looked.restart()
        session = self._session
        if session is not None and not session.is_ended and (slept > ASLEEP or self._is_over(session)):
            session.end()
        if slept > ASLEEP:
            notify(f"The computer slept for {slept / 60:.0f} min; the log goes on from what Heroku kept")

    def _is_over(self, session: _Session) -> bool:
        """Whether the session is silent, old, or without a line for so long that it may be stale."""
        return (
            session.heard.seconds > SILENCE
            or session.quiet.seconds > self._patience
            or session.opened.seconds > self._longest_age
        )


class _Session:
    """One stream, and since when it is open, without a byte, and without a new line."""

    def __init__(self, response: requests.Response, now: Clocks) -> None:
        self._response = response
        self.opened = Stopwatch(now)
        self.heard = Stopwatch(now)
        self.quiet = Stopwatch(now)
        self.is_ended = False

    def chunks(self) -> Iterator[list[LogLine]]:
        """The lines of each chunk, until the stream ends or breaks."""
        decoder = LineDecoder(self._response.headers.get("Content-Type", ""))
        try:
            for chunk in self._response.iter_content(chunk_size=CHUNK):
                self.heard.restart()
                yield decoder.feed(chunk)
        except _BROKEN:
            return
        finally:
            self._response.close()
        # What was cut is not flushed: half a line is none, and the next session's backlog has it whole.

    def end(self) -> None:
        """End a read that another thread is blocked in; closing alone would wait for the next heartbeat."""
        self.is_ended = True
        with suppress(ValueError, RuntimeError, OSError):  # it has ended by itself meanwhile
            self._response.raw.shutdown()


class _History:
    """Which lines came before, so that each is handed on once, and whether a session joins on to them.

    A session begins with the app's last 1,500 lines, oldest first, cut before they are filtered: one
    line among them that was seen before says that nothing after it is missing. Where none is, the
    last lines seen have left the buffer, and what left it after them was perhaps never seen: a gap,
    also if the session brings no line at all. If it brought none, the next session decides anew; if
    it brought new lines, the gap before them stays.
    """

    def __init__(self) -> None:
        self._seen: deque[LogLine] = deque(maxlen=2 * BACKLOG)
        self._known: Counter[LogLine] = Counter()
        self._newest = ""
        self._settled = 0
        self._is_first = self._has_joined = self._has_news = self._is_apart = False

    @property
    def gaps(self) -> int:
        """How many sessions did not join on, the present one included."""
        return self._settled + self._is_apart

    def begin(self) -> None:
        """A session begins: all that was seen may come again."""
        self._known = Counter(self._seen)
        self._newest = max((line.timestamp for line in self._known), default="")
        self._has_joined, self._has_news, self._is_first = not self._seen, False, True

    def end(self) -> None:
        """A session has ended."""
        if self._is_apart and self._has_news:
            self._settled += 1
            self._is_apart = False

    def nothing_came(self) -> None:
        """The session shows that it lives, but its backlog held no line."""
        self._is_apart = not self._has_joined

    def unseen(self, lines: list[LogLine]) -> list[LogLine]:
        """Return the lines that came in no earlier session; from now on they are seen."""
        if self._is_first and lines:
            self._is_first, lines = False, lines[self._is_rest(lines[0]) :]
        fresh = lines if self._are_newer(lines) else [line for line in lines if not self._is_known(line)]
        self._seen.extend(fresh[-2 * BACKLOG :])
        self._has_news = self._has_news or bool(fresh)
        self._is_apart = (self._is_apart or bool(fresh)) and not self._has_joined
        return fresh

    def _are_newer(self, lines: list[LogLine]) -> bool:
        """Whether all are newer than what was seen, as they are once the backlog has come in; quick to tell."""
        return not self._known or min((line.timestamp for line in lines), default="") > self._newest

    def _is_known(self, line: LogLine) -> bool:
        """Whether an earlier session brought it: the same text, with the same microsecond, as often."""
        if self._known[line] <= 0:
            return False
        self._known[line] -= 1
        self._has_joined = True
        return True

    def _is_rest(self, line: LogLine) -> bool:
        """Whether the backlog began in the midst of a long line that was seen whole: its first pieces are cut off."""
        rest = line.message.lstrip("\ufffd")  # a character that was cut, too
        long = (one for one in self._known if len(one.message) >= PIECE // 4 and one.message != line.message)
        is_rest = any(_origin(one) == _origin(line) and one.message.endswith(rest) for one in long)
        self._has_joined = self._has_joined or is_rest
        return is_rest


def _origin(line: LogLine) -> tuple[str, str, str]:
    return line.timestamp, line.source, line.dyno


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
