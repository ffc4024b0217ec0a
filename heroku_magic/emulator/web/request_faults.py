"""The faults that strike a request: refused, answered by another server, or its connection broken."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from heroku_magic.emulator import errors

if TYPE_CHECKING:
    from tornado.web import RequestHandler

    from heroku_magic.emulator.faults import Faults

# What Heroku's routers send when the API does not respond: https://github.com/heroku/cli/issues/1737
_PAGE = b"<!DOCTYPE html><html><head><title>Application Error</title></head><body>Application Error</body></html>"
# Longer than a client waits before it sends a lost request again.
LATE = 6.0  # seconds
# Close with RST instead of FIN, so that the client sees a broken connection and not an end.
_NO_LINGER = struct.pack("ii", 1, 0)


def strike(handler: RequestHandler, faults: Faults) -> None:
    """Apply the faults that can strike any request."""
    if faults.strikes("rate-limit"):
        raise errors.rate_limited()
    if faults.strikes("json-500"):
        raise errors.internal()
    if faults.strikes("html-503"):
        handler.set_status(503)
        handler.set_header("Content-Type", "text/html")
        handler.finish(_PAGE)


def reset(handler: RequestHandler) -> None:
    """Break the connection without a response."""
    stream = handler.detach()
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    stream.close()
