"""The handlers of log sessions and of their streams, with the faults that end a stream early."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import READ
from heroku_magic.emulator.logs.logplex import Tail
from heroku_magic.emulator.web import request_faults, requests, responses
from heroku_magic.emulator.web.api import ApiHandler, LocalHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.logs.logplex import LogplexSession
    from heroku_magic.emulator.platform import Platform

_EVENTS = "text/event-stream"
# A stream that is to break or to go stale does so within about its first bytes or writes, this many.
FIRST_BYTES = 3000
FIRST_WRITES = 3


class LogSessionsHandler(ApiHandler):
    """An app's log sessions. A token with a read scope may create one."""

    writes = READ

    def post(self, app: str) -> None:
        """`POST /apps/{app}/log-sessions`."""
        session = requests.log_session(self.body())
        self.find_app(app).logplex.open_session(session)
        self.respond(responses.log_session(session, f"{self.url}/stream?token={session.token}"), 201)


class LogStreamHandler(LocalHandler):
    """The stream of a log session: its URL is the secret, no token is needed."""

    _tail: Tail | None = None

    async def get(self) -> None:
        """Send the backlog, and for a tail what follows, as events or as plain text."""
        token = self.get_query_argument("token", "")
        for runtime in self.platform.apps:
            session = runtime.logplex.session(token)
            if session is not None and not self.platform.faults.strikes("expired-session"):
                self.trust()
                events = _EVENTS in self.request.headers.get("Accept", "")
                self._tail = Tail(runtime.logplex, session, events=events, after=self.last_event_id)
                sending = asyncio.ensure_future(self._send(session, self._tail, events=events))
                self.settings["readers"].add(sending)
                sending.add_done_callback(self.settings["readers"].discard)
                await sending
                return
        raise errors.unknown_url()

    def on_connection_close(self) -> None:
        """Forget a reader that has left."""
        if self._tail is not None:
            self._tail.close()

    async def _send(self, session: LogplexSession, tail: Tail, *, events: bool) -> None:
        session.readers += 1
        try:
            await self._write_all(session, tail, events=events)
        except StreamClosedError:
            return
        finally:
            tail.close()
            session.readers -= 1
            session.used_at = asyncio.get_running_loop().time()

    async def _write_all(self, session: LogplexSession, tail: Tail, *, events: bool) -> None:
        self.set_header("Content-Type", _EVENTS if events else "text/plain; charset=utf-8")
        if events and not session.tail:
            self.write(b"retry: 0\n\n")  # the official CLI waits this long before it accepts the end
        await self.flush()
        heartbeat = b": keepalive\n\n" if events else b"\0"
        end = _EarlyEnd(self.platform, is_tail=session.tail)
        while (text := await tail.take(self.platform.timings.heartbeat)) is not None:
            if text and end.is_stale():
                text = b""  # heartbeats without lines: the worst that Heroku's streams do
            if end.is_within(text):
                self.write(text[: len(text) // 2])
                await self.flush()
                request_faults.reset(self)
                return
            self.write(text or heartbeat)
            await self.flush()


class _EarlyEnd:
    """When a tail goes silent or breaks off, because of its age or a fault."""

    def __init__(self, platform: Platform, *, is_tail: bool) -> None:
        faults, number = platform.faults, next(platform.stream_numbers)
        self._clock = asyncio.get_running_loop().time
        self._stale_at = self._clock() + platform.timings.stream if is_tail else float("inf")
        self._writes = self._bytes = float("inf")
        if is_tail and faults.strikes("stale-stream", number):
            self._writes = faults.share("stale-stream place", number) * FIRST_WRITES
        if is_tail and faults.strikes("cut-stream", number):
            self._bytes = faults.share("cut-stream place", number) * FIRST_BYTES

    def is_stale(self) -> bool:
        """Whether no further line may be sent; called once per write."""
        self._writes -= 1
        return self._writes < 0 or self._clock() >= self._stale_at

    def is_within(self, text: bytes) -> bool:
        """Whether the stream breaks within this text."""
        self._bytes -= len(text)
        return bool(text) and self._bytes < 0
