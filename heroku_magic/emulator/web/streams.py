"""The streams of logs, and of the output of builds and release commands, with the faults that end one early.

Their URLs are secrets, and no token is needed.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import READ
from heroku_magic.emulator.logs.logplex import Tail
from heroku_magic.emulator.web import requests, responses
from heroku_magic.emulator.web.api import ApiHandler, LocalHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.code.build_output import BuildOutput
    from heroku_magic.emulator.logs.logplex import LogplexSession
    from heroku_magic.emulator.platform import Platform

_EVENTS = "text/event-stream"
_RANGE = re.compile(r"bytes=([0-9]{1,18})-")
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
    """The stream of a log session."""

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
                self.reset()
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


class OutputStreamHandler(LocalHandler):
    """The output of a build or a release command, as text or events, from any offset."""

    async def get(self, token: str) -> None:
        """Send the output to its end, starting where `Range` or `Last-Event-ID` says."""
        output = self.platform.context.outputs.get(token)
        if output is None:
            raise errors.unknown_url()
        self.trust()
        try:
            if _EVENTS in self.request.headers.get("Accept", ""):
                await self._send_events(output)
            else:
                await self._send_text(output)
        except StreamClosedError:
            return

    async def _send_text(self, output: BuildOutput) -> None:
        match = _RANGE.fullmatch(self.request.headers.get("Range", ""))
        offset = int(match[1]) if match else 0
        if match:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {offset}-*/*")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        await self.flush()
        while (text := await output.after(offset, self.platform.timings.heartbeat)) is not None:
            offset = max(offset, output.end)  # a start that is no longer kept is left out
            is_cut = len(text) > 1 and self.platform.faults.takes("cut-output", output.token)
            self.write((text[: len(text) // 2] if is_cut else text) or b"\0")
            await self.flush()
            if is_cut:
                self.detach().close()
                return

    async def _send_events(self, output: BuildOutput) -> None:
        offset = self.last_event_id or 0
        if output.is_over and offset >= output.end:
            self.set_status(204)  # tells an EventSource not to reconnect
            return
        self.set_header("Content-Type", _EVENTS)
        await self.flush()
        while (text := await output.after(offset, self.platform.timings.heartbeat)) is not None:
            offset = max(offset, output.end) - len(text)  # a start that is no longer kept is left out
            for line in text.splitlines(keepends=True):
                offset += len(line)
                self.write(b"id: %d\ndata: %b\n\n" % (offset, line.rstrip(b"\r\n")))
            if not text:
                self.write(b":keepalive\n\n")
            await self.flush()
