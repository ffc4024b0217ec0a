"""The HTTP server on the loopback interface, from start to stop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.httputil import ParseBodyConfig, ParseMultipartConfig, set_parse_body_config
from tornado.netutil import bind_sockets
from tornado.web import Application

from heroku_magic.emulator.descriptors import ListeningSocket, PlainSocket
from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.web import absent
from heroku_magic.emulator.web.git import LARGEST as LARGEST_PUSH
from heroku_magic.emulator.web.git import GitNotFoundHandler
from heroku_magic.emulator.web.handlers import NotFoundHandler
from heroku_magic.emulator.web.routes import GIT_TABLE, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tornado.iostream import IOStream

    from heroku_magic.emulator.platform import Platform

LARGEST_PORT = 65_535
LARGEST_BODY = 4 * 1024 * 1024
SEND_BUFFER = 64 * 1024
# Seconds that dynos get to end when the emulator itself stops.
END_PATIENCE = 2.0
# Seconds in which log readers may fetch the last lines.
LAST_LINES_PATIENCE = 0.5
# Connections that may be without a token at once, and the seconds for the first requests of those that came together.
MOST_STRANGERS = 100
GRACE = 3.0


class BoundedServer(HTTPServer):
    """Keeps a bounded number of connections that have not shown a token, and closes the oldest of them."""

    def initialize(self, *args: Any, **options: Any) -> None:
        """Set the server up, as tornado does instead of a constructor."""
        super().initialize(*args, **options)
        self._strangers: dict[IOStream, None] = {}

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Serve a new connection."""
        self._strangers[stream] = None
        if len(self._strangers) > MOST_STRANGERS:
            asyncio.get_running_loop().call_later(GRACE, self._close_oldest)
        super().handle_stream(stream, address)

    def _close_oldest(self) -> None:
        while len(self._strangers) > MOST_STRANGERS:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.close()

    def trust(self, stream: IOStream) -> None:
        """Keep a connection: a request on it had a token."""
        self._strangers.pop(stream, None)

    def on_close(self, server_conn: Any) -> None:
        """Forget a connection."""
        self._strangers.pop(server_conn.stream, None)
        super().on_close(server_conn)


class Server:
    """Serves a platform at two URLs: its API, also to web pages of these origins, and its git repositories by TLS."""

    def __init__(self, platform: Platform, origins: Iterable[str] = ()) -> None:
        self.url = self.git_url = ""
        self._platform = platform
        self._origins = frozenset(origins)
        self._readers: set[asyncio.Task[Any]] = set()
        self._serving: list[BoundedServer] = []

    def start(self, port: int, git_port: int = 0) -> None:
        """Listen, then open the platform's apps."""
        listening, git = _bound(port), _bound(git_port)
        self._platform.open()
        # No endpoint takes a form, and a parser that does not run cannot be attacked.
        set_parse_body_config(ParseBodyConfig(multipart=ParseMultipartConfig(enabled=False)))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.git_url = f"https://127.0.0.1:{git.getsockname()[1]}"
        api = self._application([*TABLE.items(), *absent.ROUTES, (".*", NotFoundHandler)], self.url, self._origins)
        self._serve(PlainSocket(listening), api, max_body_size=LARGEST_BODY)
        self._begin_at_first_connection(git)

    async def stop(self) -> None:
        """Stop accepting requests, end the dynos, clean up."""
        for server in self._serving:
            server.stop()
        await self._platform.close(END_PATIENCE)
        if self._readers:
            await asyncio.wait(self._readers, timeout=LAST_LINES_PATIENCE)
        for server in self._serving:
            await server.close_all_connections()
        self._platform.clean_up()

    def _begin_at_first_connection(self, git: socket.socket) -> None:
        """Serve git as soon as somebody connects: making the certificate would slow down every start."""
        loop = asyncio.get_running_loop()

        def begin() -> None:
            loop.remove_reader(git)
            application = self._application([*GIT_TABLE.items(), (".*", GitNotFoundHandler)], self.git_url)
            tls = self._platform.context.certificate.context
            self._serve(
                ListeningSocket(git), application, ssl_options=tls, decompress_request=True, max_body_size=LARGEST_PUSH
            )

        loop.add_reader(git, begin)

    def _application(self, rules: Iterable[Any], url: str, origins: frozenset[str] = frozenset()) -> Application:
        port = url.rpartition(":")[2]
        return Application(
            [*rules],
            log_function=lambda _: None,  # a log of requests would hold the tokens in their paths
            platform=self._platform,
            url=self.url,
            git_url=self.git_url,
            hosts={f"127.0.0.1:{port}", f"localhost:{port}"},
            origins=origins,
            readers=self._readers,
            table=TABLE,
        )

    def _serve(self, listening: ListeningSocket, application: Application, **options: Any) -> None:
        # Accepted connections inherit it; without it a log line may wait for the next one.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What overfills the buffer of a slow reader is sent again after up to a second, which then counts as silence.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        timeout = self._platform.timings.request
        server = BoundedServer(
            application, max_buffer_size=LARGEST_BODY, idle_connection_timeout=timeout, body_timeout=timeout, **options
        )
        application.settings["trust"] = server.trust
        server.add_socket(listening)
        self._serving.append(server)


def _bound(port: int) -> socket.socket:
    if not 0 <= port <= LARGEST_PORT:
        raise StartError(f"Port {port} is not valid. Choose one from 0 to {LARGEST_PORT}.")
    try:
        return bind_sockets(port, "127.0.0.1", family=socket.AF_INET)[0]
    except OSError as error:
        raise StartError(f"Port {port} on 127.0.0.1 cannot be used: {error.strerror}") from None
