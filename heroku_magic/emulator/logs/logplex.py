"""Logplex: an app's last 1,500 lines, its log sessions and their tails.

Lines are handled in batches (what one read of a pipe returned), so that a flood costs little per line. Dynos wait
for a tail that is behind; one that reads nothing for a second loses lines and gets a message about it (L11).
https://devcenter.heroku.com/articles/log-runtime-metrics
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from heroku_magic.emulator.faults import Faults
from heroku_magic.emulator.logs.batch import OVERFLOW, Batch
from heroku_magic.emulator.logs.splitter import cut
from heroku_magic.emulator.logs.tail_faults import TailFaults
from heroku_magic.emulator.state import Resource, now
from heroku_magic.emulator.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Callable


BUFFER = 1500
# Bytes that may wait for one tail, and that one write sends at most.
PENDING = 1_000_000
WRITE = 256_000
# Messages that a tail keeps once dynos no longer wait for it.
TAIL_BUFFER = 1024


@dataclass(frozen=True)
class Filter:
    """Which lines a session gets. dyno: a full name or a type. None: all."""

    dyno: str | None = None
    source: str | None = None

    def accepts(self, source: str, dyno: str) -> bool:
        """Whether lines of this origin pass."""
        is_dyno = self.dyno is None or dyno == self.dyno or dyno.startswith(f"{self.dyno}.")
        return is_dyno and self.source in {None, source}


@dataclass
class LogplexSession(Resource):
    """A log session. token: 128 random bits, the only protection of its URL."""

    filter: Filter
    lines: int = 100
    tail: bool = False
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    used_at: float = 0.0
    readers: int = 0


class Logplex:
    """The log of one app."""

    def __init__(self, timings: Timings | None = None, faults: Faults | None = None) -> None:
        self.timings = timings or Timings()
        self.faults = faults or Faults()
        self._buffer: deque[Batch] = deque()
        self._count = 0
        self._next = 1
        self._newest = b""
        self._sessions: dict[str, LogplexSession] = {}
        self._tails: list[Tail] = []
        self.waiting: set[Callable[[], None]] = set()
        self.copies: dict[str, Callable[[bytes], None]] = {}

    @property
    def total(self) -> int:
        """How many lines have been logged so far."""
        return self._next - 1

    def timestamp(self) -> bytes:
        """Return the current time as log lines write it, never before an earlier one."""
        clock = now() + timedelta(seconds=self.faults["log-skew"])
        self._newest = max(self._newest, clock.isoformat(timespec="microseconds").encode())
        return self._newest

    def publish(self, source: str, dyno: str, lines: list[bytes], when: bytes | None = None) -> None:
        """Add lines to the buffer and pass them to the tails that accept them."""
        if self.faults["lose-lines"] and source == "app" and "." in dyno:
            lines = self._lose(lines)
            if not lines:
                return
        batch = Batch(self._next, when or self.timestamp(), source, dyno, lines)
        self._next += len(lines)
        self._count += len(lines)
        self._buffer.append(batch)
        while self._count - len(self._buffer[0].lines) >= BUFFER:
            self._count -= len(self._buffer.popleft().lines)
        for tail in self._tails:
            tail.put(batch)
        if source == "app" and (copy := self.copies.get(dyno)):
            copy(b"".join(b"%b\n" % line for line in lines))

    def _lose(self, lines: list[bytes]) -> list[bytes]:
        """Lose lines before they reach the buffer, as a dyno's overloaded shipper does: nothing can restore them."""
        kept = [line for line in lines if not self.faults.strikes("lose-lines")]
        if lost := len(lines) - len(kept):
            since = self.timestamp().decode()
            self.log("app", "log-shuttle", f"Error L12: {lost} messages dropped since {since}.")
        return kept

    def log(self, source: str, dyno: str, message: str) -> None:
        """Log one message of the platform itself; a command with newlines in it stays one line."""
        text = message.replace("\r", " ").replace("\n", " ")
        self.publish(source, dyno, cut(text.encode("utf-8", "replace")))

    def open_session(self, session: LogplexSession) -> None:
        """Add a session, and forget expired ones."""
        session.used_at = clock = asyncio.get_running_loop().time()
        self._sessions = {old.token: old for old in self._sessions.values() if not self._is_expired(old, clock)}
        self._sessions[session.token] = session

    def session(self, token: str) -> LogplexSession | None:
        """Return the session of a URL, unless it has expired."""
        session = self._sessions.get(token)
        return None if session is None or self._is_expired(session, asyncio.get_running_loop().time()) else session

    def backlog(self, session: LogplexSession, after: int | None = None) -> list[Batch]:
        """Return what a session gets first: its last lines, cut before they are filtered, or those after an id."""
        count = min(session.lines, BUFFER) if after is None else min(max(self.total - after, 0), BUFFER)
        found: list[Batch] = []
        for batch in reversed(self._buffer):
            if count <= 0:
                break
            if session.filter.accepts(batch.source, batch.dyno):
                found.append(batch.last(count))
            count -= len(batch.lines)
        return found[::-1]

    def attach(self, tail: Tail) -> None:
        """Pass all further lines to a tail; dynos that waited for a reader may go on."""
        self._tails.append(tail)
        self.wake()

    def detach(self, tail: Tail) -> None:
        """Forget a tail."""
        if tail in self._tails:
            self._tails.remove(tail)
            self.wake()

    def is_watched(self, dyno: str) -> bool:
        """Whether a tail reads this dyno's lines."""
        return any(tail.session.filter.accepts("app", dyno) for tail in self._tails)

    def has_room(self, dyno: str) -> bool:
        """Whether each tail that reads this dyno's lines can take more of them."""
        return not any(tail.is_full and tail.session.filter.accepts("app", dyno) for tail in self._tails)

    def wake(self) -> None:
        """Let the waiting dynos check again whether they may go on."""
        for resume in tuple(self.waiting):
            resume()

    def close(self) -> None:
        """End all tails."""
        for tail in tuple(self._tails):
            tail.close()

    def _is_expired(self, session: LogplexSession, clock: float) -> bool:
        return not session.readers and clock - session.used_at > self.timings.session


class Tail:
    """One reader of a session, with the lines that wait to be written."""

    def __init__(self, logplex: Logplex, session: LogplexSession, *, events: bool, after: int | None = None) -> None:
        self.session = session
        self._logplex = logplex
        self._events = events
        self._pending: deque[Batch] = deque()
        self._size = 0
        self._accept = TailFaults(logplex.faults, self._queue).put if session.tail else self._queue
        self._dropped = 0
        self._dropped_since = b""
        self._is_dropping = False
        self._is_open = session.tail
        self._waiter: asyncio.Future[None] | None = None
        self._overflow: asyncio.TimerHandle | None = None
        for batch in logplex.backlog(session, after):
            self._accept(batch)
        if self._is_open:
            logplex.attach(self)  # in one step with the backlog: no gap, nothing twice

    @property
    def is_full(self) -> bool:
        """Whether dynos have to wait for it."""
        return self._size >= PENDING and not self._is_dropping

    def put(self, batch: Batch) -> None:
        """Add a batch, if the session accepts it."""
        if self.session.filter.accepts(batch.source, batch.dyno):
            self._accept(batch)

    async def take(self, patience: float) -> bytes | None:
        """Return what waits, about one write's worth at most; b"" after a silence; None at the end."""
        if not self._pending and not self._is_dropping and self._is_open:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(patience, self._notify)
            try:
                await self._waiter
            finally:
                timer.cancel()
        if not self._pending and not self._is_dropping:
            return b"" if self._is_open else None
        return self._write()

    def close(self) -> None:
        """End it: what waits is still delivered, nothing new is added."""
        self._is_open = False
        self._logplex.detach(self)
        self._stop_overflow()
        self._notify()

    def _queue(self, batch: Batch) -> None:
        self._pending.append(batch)
        self._size += batch.size
        if self._is_dropping:
            self._drop_oldest()
        self._start_overflow()
        self._notify()

    def _drop_oldest(self) -> None:
        """Keep the newest messages only."""
        excess = sum(len(batch.lines) for batch in self._pending) - TAIL_BUFFER
        self._dropped += max(excess, 0)
        while excess > 0:
            oldest = self._pending.popleft()
            rest = oldest.last(len(oldest.lines) - excess) if len(oldest.lines) > excess else None
            self._size -= oldest.size - (rest.size if rest else 0)
            excess -= len(oldest.lines)
            if rest:
                self._pending.appendleft(rest)

    def _write(self) -> bytes:
        was_full = self.is_full
        self._stop_overflow()
        text, size = [self._loss_message()] if self._is_dropping else [], 0
        while self._pending and size < WRITE:
            batch = self._pending.popleft()
            size += batch.size
            text.append(batch.events() if self._events else batch.plain())
        self._size -= size
        self._start_overflow()
        if was_full and not self.is_full:
            self._logplex.wake()
        return b"".join(text)

    def _loss_message(self) -> bytes:
        dropped, self._dropped, self._is_dropping = self._dropped, 0, False
        if not dropped:
            return b""
        # Without an id: a reader that reconnects requests what follows the last line that it did get.
        text = b"%b heroku[logplex]: %b" % (self._logplex.timestamp(), OVERFLOW % (dropped, self._dropped_since))
        return b"data: " + text + b"\n\n" if self._events else text + b"\n"

    def _start_overflow(self) -> None:
        """Dynos wait for this reader from now on, but not forever."""
        if self.is_full and self._is_open and self._overflow is None:
            self._overflow = asyncio.get_running_loop().call_later(self._logplex.timings.patience, self._start_dropping)

    def _stop_overflow(self) -> None:
        if self._overflow is not None:
            self._overflow.cancel()
            self._overflow = None

    def _start_dropping(self) -> None:
        """The reader read nothing for too long: the dynos go on without it."""
        self._overflow = None
        self._is_dropping = True
        self._dropped_since = self._logplex.timestamp()
        self._drop_oldest()
        self._logplex.wake()

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
