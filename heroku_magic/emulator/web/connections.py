"""An HTTP server that keeps a bounded number of connections that have not shown a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

if TYPE_CHECKING:
    from tornado.iostream import IOStream

MOST_STRANGERS = 100
GRACE = 3.0  # seconds for the first request of clients that connect at the same moment


class BoundedServer(HTTPServer):
    """Closes the oldest connections without a token when there are too many."""

    def initialize(self, *args: Any, **options: Any) -> None:
        """Set the server up, as tornado does instead of a constructor."""
        super().initialize(*args, **options)
        self._strangers: dict[IOStream, None] = {}

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Serve a new connection."""
        self._strangers[stream] = None
        if len(self._strangers) > MOST_STRANGERS:
            IOLoop.current().call_later(GRACE, self._close_oldest)
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
