"""A log session's URL -> its lines: plain or as server-sent events, the backlog and then what comes.

The URL is the right to read: no token is asked for, and none is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from heroku_magic.emulator.handlers import LocalHandler
from heroku_magic.emulator.state import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.emulator.logplex import Line, Logplex, Session, Tail

HEARTBEAT = 15.0  # seconds
_SSE = "text/event-stream"


class StreamHandler(LocalHandler):
    """GET /stream?token=…"""

    _tail: Tail | None = None

    async def get(self) -> None:
        """Send what the session shows, to its end or until the reader goes."""
        token = self.get_query_argument("token", "")
        logplex = self.server.sessions.get(token)
        session = logplex.find(token) if logplex else None
        if logplex is None or session is None:
            self.server.sessions.pop(token, None)
            raise Refusal(404, "not_found", "Not found")
        self.request.connection.stream.set_nodelay(True)  # type: ignore[attr-defined]  # HTTP1Connection has a stream
        self._is_sse = _SSE in self.request.headers.get("Accept", "")
        self.set_header("Content-Type", f"{_SSE}; charset=utf-8" if self._is_sse else "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        try:
            await self._send(logplex, session)
        except StreamClosedError:
            return  # the reader has gone

    async def _send(self, logplex: Logplex, session: Session) -> None:
        backlog = logplex.backlog(session, self._seen())
        if session.tail:
            self._tail = logplex.open_tail(session)
        elif self._is_sse:
            # Without it the official CLI sits out its reconnect timer after the end.
            self.write(b"retry: 0\n\n")
        self._write(backlog)
        await self.flush()
        if self._tail is not None:
            try:
                await self._follow(self._tail)
            finally:
                logplex.close_tail(self._tail)

    async def _follow(self, tail: Tail) -> None:
        while not tail.is_closed:
            lines = await tail.take(HEARTBEAT)
            if lines is None:
                self.write(b": keepalive\n\n" if self._is_sse else b"\0")
            else:
                self._write(lines)
            await self.flush()

    def on_connection_close(self) -> None:
        """Wake a tail that waits for lines: nobody reads them."""
        if self._tail is not None:
            self._tail.close()

    def _seen(self) -> int:
        """The last line that a reader had before it came again."""
        text = self.request.headers.get("Last-Event-ID", "")
        return int(text) if text.isdecimal() else 0

    def _write(self, lines: Iterable[Line]) -> None:
        if self._is_sse:
            body = b"".join(b"id: %d\ndata: %b\n\n" % (line.number, line.text) for line in lines)
        else:
            body = b"".join(line.text + b"\n" for line in lines)
        if body:
            self.write(body)
