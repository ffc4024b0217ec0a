"""The faults that hit a request: refused, answered by another server, or its connection broken; lines are not its."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from heroku_magic.emulator import errors

if TYPE_CHECKING:
    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.web.api import LocalHandler

# What Heroku's routers answer in the API's place: https://github.com/heroku/cli/issues/1737
_PAGE = b"<!DOCTYPE html><html><head><title>Application Error</title></head><body>Application Error</body></html>"
# Close with RST instead of FIN, so that the client sees a broken connection and no end.
_NO_LINGER = struct.pack("ii", 1, 0)


def strike(handler: LocalHandler, faults: Faults) -> None:
    """Let the faults of any request strike."""
    if faults.strikes("rate-limit"):
        raise errors.rate_limited()
    if faults.strikes("html-503"):
        handler.set_status(503)
        handler.set_header("Content-Type", "text/html")
        handler.finish(_PAGE)


def reset(handler: LocalHandler) -> None:
    """Break the connection without an answer."""
    stream = handler.detach()
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    stream.close()
