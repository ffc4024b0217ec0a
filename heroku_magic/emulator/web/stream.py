"""The handlers of log sessions and their streams; which lines there are is the log's to say."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import READ
from heroku_magic.emulator.logs.logplex import Tail
from heroku_magic.emulator.web import answers, bodies, mishaps
from heroku_magic.emulator.web.api import ApiHandler, LocalHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.logs.logplex import Session

_EVENTS = "text/event-stream"
_NUMBER = re.compile(r"[0-9]{1,18}")
# A stream that is to break, or to go stale, does so within about its first so many bytes, or writes.
FIRST_BYTES = 3000
FIRST_WRITES = 3


class LogSessions(ApiHandler):
    """An app's log sessions. A token that may read may open one."""

    writes = READ

    def post(self, app: str) -> None:
        """`POST /apps/{app}/log-sessions`."""
        session = bodies.log_session(self.body())
        self.served(app).logplex.open_session(session)
        self.answer(answers.log_session(session, f"{self.emulator.url}/stream?token={session.token}"), 201)


class Stream(LocalHandler):
    """The stream of a log session: its URL is the secret, no token is asked for."""

    _tail: Tail | None = None

    async def get(self) -> None:
        """Send the backlog, and for a tail what follows, as events or as plain text."""
        token = self.get_query_argument("token", "")
        for served in self.emulator.account.apps:
            session = served.logplex.session(token)
            if session is not None and not self.emulator.faults.strikes("expired-session"):
                events = _EVENTS in self.request.headers.get("Accept", "")
                self._tail = Tail(served.logplex, session, events=events, after=self._after())
                sending = asyncio.ensure_future(self._send(session, self._tail, events=events))
                self.emulator.readers.add(sending)
                sending.add_done_callback(self.emulator.readers.discard)
                await sending
                return
        raise errors.ApiError(404, "not_found", "Not found")

    def on_connection_close(self) -> None:
        """Forget a reader that has left."""
        if self._tail is not None:
            self._tail.close()

    async def _send(self, session: Session, tail: Tail, *, events: bool) -> None:
        session.readers += 1
        try:
            await self._write_all(session, tail, events=events)
        except StreamClosedError:
            return
        finally:
            tail.close()
            session.readers -= 1
            session.used_at = self.emulator.clock()

    async def _write_all(self, session: Session, tail: Tail, *, events: bool) -> None:
        self.set_header("Content-Type", _EVENTS if events else "text/plain; charset=utf-8")
        if events and not session.tail:
            self.write(b"retry: 0\n\n")  # the official CLI waits this long before it believes the end
        await self.flush()
        heartbeat = b": keepalive\n\n" if events else b"\0"
        end = _End(self, is_tail=session.tail)
        while (text := await tail.take(self.emulator.times.heartbeat)) is not None:
            if text and end.is_stale():
                continue  # it goes on to show that it lives: the nastiest thing that Heroku's streams do
            if end.is_within(text):
                await self._break_off(text)
                return
            self.write(text or heartbeat)
            await self.flush()

    async def _break_off(self, text: bytes) -> None:
        """Send half of it, and no end."""
        self.write(text[: len(text) // 2])
        await self.flush()
        mishaps.reset(self)

    def _after(self) -> int | None:
        """The last line that this reader got before its connection broke."""
        last = self.request.headers.get("Last-Event-ID", "")
        return int(last) if _NUMBER.fullmatch(last) else None


class _End:
    """When a tail goes silent, or breaks off: by its age, or by a fault."""

    def __init__(self, handler: Stream, *, is_tail: bool) -> None:
        faults, self._clock = handler.emulator.faults, handler.emulator.clock
        self._stale_at = self._clock() + handler.emulator.times.stream if is_tail else float("inf")
        self._writes = self._bytes = float("inf")
        number = handler.emulator.opened_streams
        handler.emulator.opened_streams += 1
        if is_tail and faults.strikes("stale-stream", number):
            self._writes = faults.share("stale-stream place", number) * FIRST_WRITES
        if is_tail and faults.strikes("cut-stream", number):
            self._bytes = faults.share("cut-stream place", number) * FIRST_BYTES

    def is_stale(self) -> bool:
        """Whether no further line is to be sent; asked once a write."""
        self._writes -= 1
        return self._writes < 0 or self._clock() >= self._stale_at

    def is_within(self, text: bytes) -> bool:
        """Whether the stream breaks while this is sent."""
        self._bytes -= len(text)
        return bool(text) and self._bytes < 0
