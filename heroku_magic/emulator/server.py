"""The HTTP server on the loopback interface, from start to stop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from tornado.httputil import ParseBodyConfig, ParseMultipartConfig, set_parse_body_config
from tornado.netutil import bind_sockets
from tornado.web import Application

from heroku_magic.emulator.descriptors import ListeningSocket
from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.web.connections import BoundedServer
from heroku_magic.emulator.web.handlers import NotFoundHandler
from heroku_magic.emulator.web.routes import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tornado.iostream import IOStream

    from heroku_magic.emulator.platform import Platform

LARGEST_PORT = 65_535
LARGEST_BODY = 4 * 1024 * 1024
# Seconds that dynos get to end when the emulator itself stops.
END_PATIENCE = 2.0
# Seconds in which log readers may fetch the last lines.
LAST_LINES_PATIENCE = 0.5


class Server:
    """Serves a platform at a URL, also to web pages of these origins."""

    def __init__(self, platform: Platform, origins: Iterable[str] = ()) -> None:
        self.url = ""
        self._platform = platform
        self._origins = frozenset(origins)
        self._readers: set[asyncio.Task[Any]] = set()
        self._http: BoundedServer | None = None

    def start(self, port: int) -> None:
        """Listen, then open the platform's apps."""
        if not 0 <= port <= LARGEST_PORT:
            raise StartError(f"Port {port} is not valid. Choose one from 0 to {LARGEST_PORT}.")
        try:
            listening = bind_sockets(port, "127.0.0.1", family=socket.AF_INET)
        except OSError as error:
            raise StartError(f"Port {port} on 127.0.0.1 cannot be used: {error.strerror}") from None
        self._platform.open()
        self._serve(listening)

    async def stop(self) -> None:
        """Stop accepting requests, end the dynos, clean up."""
        if self._http is not None:
            self._http.stop()
        await self._platform.close(END_PATIENCE)
        if self._readers:
            await asyncio.wait(self._readers, timeout=LAST_LINES_PATIENCE)
        self._platform.clean_up()

    def _trust(self, stream: IOStream) -> None:
        if self._http is not None:
            self._http.trust(stream)

    def _serve(self, listening: list[socket.socket]) -> None:
        # No endpoint takes a form, and a parser that does not run cannot be attacked.
        set_parse_body_config(ParseBodyConfig(multipart=ParseMultipartConfig(enabled=False)))
        port = listening[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        application = Application(
            list(TABLE.items()),
            default_handler_class=NotFoundHandler,
            log_function=lambda _: None,  # a log of requests would hold the tokens in their paths
            platform=self._platform,
            url=self.url,
            hosts={f"127.0.0.1:{port}", f"localhost:{port}"},
            origins=self._origins,
            readers=self._readers,
            trust=self._trust,
            table=TABLE,
        )
        for each in listening:
            # Accepted connections inherit it; without it a log line may wait for the next one.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        timeout = self._platform.timings.request
        self._http = BoundedServer(
            application,
            max_body_size=LARGEST_BODY,
            max_buffer_size=LARGEST_BODY,
            idle_connection_timeout=timeout,
            body_timeout=timeout,
        )
        self._http.add_sockets(map(ListeningSocket, listening))
