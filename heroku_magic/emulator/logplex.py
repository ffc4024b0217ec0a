"""Logplex: an app's log buffer, its sessions and tails; it knows lines, not processes and not HTTP.

Bytes are kept as they came: nothing is decoded here. https://devcenter.heroku.com/articles/logplex
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

BUFFER = 1500  # lines an app: https://devcenter.heroku.com/articles/logging#log-history-limits
LONGEST = 10_000  # bytes of a message: https://devcenter.heroku.com/articles/limits#dynos
TAIL_BUFFER = 1024  # messages a tail may be behind
SLOW_READER = 1.0  # seconds that a tail may take nothing before it loses messages
SESSION_LIFE = 300.0  # seconds until an unopened session's URL is gone
YOUNG = 1.0  # seconds
_NO_ROOM = BUFFER - 500


@dataclass(frozen=True)
class Line:
    """One line: `number` counts the app's lines, `text` is the line as it is read, without newline."""

    number: int
    source: str
    dyno: str
    text: bytes


@dataclass(frozen=True)
class Filter:
    """What a session shows. dyno: a dyno's name or a process type; source: `app` or `heroku`; None: all."""

    dyno: str | None = None
    source: str | None = None

    def takes(self, line: Line) -> bool:
        """Tell whether a line is shown."""
        if self.source is not None and line.source != self.source:
            return False
        return self.dyno is None or line.dyno == self.dyno or line.dyno.startswith(f"{self.dyno}.")


@dataclass
class Session:
    """A log session: who knows its token can read; nothing else is asked."""

    filter: Filter
    lines: int
    tail: bool
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    created_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    expires: float = field(default_factory=lambda: time.monotonic() + SESSION_LIFE)


class Tail:
    """One reader that stays: lines wait here until it takes them."""

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        self.is_closed = False
        self._waiting: deque[Line] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def is_behind(self) -> bool:
        """Whether as many lines wait as may wait."""
        return len(self._waiting) >= TAIL_BUFFER and not self.is_closed

    def put(self, lines: Iterable[Line]) -> None:
        """Let lines wait."""
        self._waiting.extend(line for line in lines if self.filter.takes(line))
        if self._waiting:
            self._arrived.set()

    async def take(self, seconds: float) -> list[Line] | None:
        """Return the lines that wait, as soon as there are some; None after `seconds` without, or at the end."""
        try:
            await asyncio.wait_for(self._arrived.wait(), seconds)
        except asyncio.TimeoutError:
            return None
        lines = list(self._waiting)
        self._waiting.clear()
        self._arrived.clear()
        self._taken.set()
        return lines

    async def room(self) -> bool:
        """Wait until this tail is no longer behind; False when it took nothing for too long."""
        self._taken.clear()
        try:
            await asyncio.wait_for(self._taken.wait(), SLOW_READER)
        except asyncio.TimeoutError:
            return not self.is_behind
        return True

    def overflow(self, report: Line) -> None:
        """Lose what waits, and say so."""
        self._waiting.clear()
        self._waiting.append(report)
        self._arrived.set()

    @property
    def waiting(self) -> int:
        """How many lines wait."""
        return len(self._waiting)

    def close(self) -> None:
        """The reader has gone."""
        self.is_closed = True
        self._taken.set()
        self._arrived.set()


class Logplex:
    """The log of one app."""

    def __init__(self) -> None:
        self._buffer: deque[Line] = deque(maxlen=BUFFER)
        self._sessions: dict[str, Session] = {}
        self._tails: set[Tail] = set()
        self._number = 0
        self._stamped = 0
        self._opened = asyncio.Event()

    def session(self, wanted: Filter, *, lines: int, tail: bool) -> Session:
        """Make a session."""
        session = Session(wanted, lines, tail)
        self._sessions = {token: old for token, old in self._sessions.items() if old.expires > time.monotonic()}
        self._sessions[session.token] = session
        return session

    def find(self, token: str) -> Session | None:
        """Return the session of a token, if its time is not over."""
        session = self._sessions.get(token)
        return session if session and session.expires > time.monotonic() else None

    def backlog(self, session: Session, after: int = 0) -> list[Line]:
        """Return what a session shows of the past: `lines` is cut before filtering, as Logplex does."""
        recent = list(self._buffer)[-session.lines :] if session.lines else []
        return [line for line in recent if line.number > after and session.filter.takes(line)]

    def open_tail(self, session: Session) -> Tail:
        """Begin to follow; called in the same moment as `backlog`, so that no line comes twice or never."""
        tail = Tail(session.filter)
        self._tails.add(tail)
        self._opened.set()
        return tail

    def close_tail(self, tail: Tail) -> None:
        """End a tail."""
        tail.close()
        self._tails.discard(tail)

    def write(self, source: str, dyno: str, messages: Iterable[bytes]) -> None:
        """Add lines, each message cut as Heroku cuts long ones, all pieces with one timestamp."""
        lines: list[Line] = []
        head = f" {source}[{dyno}]: ".encode()
        for message in messages:
            stamp = self._stamp()
            for piece in pieces(message):
                self._number += 1
                lines.append(Line(self._number, source, dyno, b"".join((stamp, head, piece))))
        self._buffer.extend(lines)
        for tail in self._tails:
            tail.put(lines)

    async def room(self, dyno_age: float, dyno_lines: int) -> None:
        """Wait until a dyno may write more: no faster than the tails take lines.

        A young dyno waits for its first reader, too. A real one takes seconds to boot, in which its
        client opens the log; here it could fill the whole buffer before anybody can look.
        """
        if not self._tails and dyno_lines > _NO_ROOM and dyno_age < YOUNG:
            self._opened.clear()
            try:
                await asyncio.wait_for(self._opened.wait(), YOUNG - dyno_age)
            except asyncio.TimeoutError:
                pass
        for tail in [tail for tail in self._tails if tail.is_behind]:
            while tail.is_behind:
                if not await tail.room():
                    self._overflow(tail)

    def _overflow(self, tail: Tail) -> None:
        """Say in the tail alone that it lost messages: https://devcenter.heroku.com/articles/error-codes#l11."""
        since = self._stamp().decode()
        report = f"Error L11 (Tail buffer overflow) -> This tail session dropped {tail.waiting} messages since {since}."
        text = f"{since} heroku[logplex]: {report}".encode()
        tail.overflow(Line(self._number, "heroku", "logplex", text))

    def _stamp(self) -> bytes:
        """The time with microseconds; each line's own, so that no two lines look the same."""
        self._stamped = max(self._stamped + 1, time.time_ns() // 1000)
        seconds, micros = divmod(self._stamped, 1_000_000)
        return b"%s.%06d+00:00" % (_second(seconds), micros)


def pieces(message: bytes) -> list[bytes]:
    """Cut a message on raw bytes as Logplex does, its newline counted.

    >>> [len(piece) for piece in pieces(b"x" * 10_000)]
    [10000, 0]
    """
    if len(message) < LONGEST:
        return [message]
    return [message[at : at + LONGEST] for at in range(0, len(message) + 1, LONGEST)]


_formatted: tuple[int, bytes] = (0, b"")


def _second(seconds: int) -> bytes:
    """Format a second, once for all the lines in it."""
    global _formatted  # noqa: PLW0603 - one value, replaced each second
    if _formatted[0] != seconds:
        text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        _formatted = (seconds, text.encode())
    return _formatted[1]
