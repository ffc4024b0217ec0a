"""The file descriptors of this process: how many it may have, and how many are left."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import suppress
from errno import ECONNRESET, EMFILE, ENFILE
from typing import Any

# macOS has no hard limit that it would accept as a soft one.
_WANTED = (65_536, 10_240, 4_096)
_UNKNOWN = 1_000_000
# The type of the first TLS record: https://www.rfc-editor.org/rfc/rfc8446#section-5.1
_TLS_HANDSHAKE = 22


def raise_limit() -> None:
    """Raise the soft limit as far as the hard one allows, as 256 on macOS are used up by 50 dynos."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in _WANTED:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and limit > soft:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                return


def left() -> int:
    """Return how many more this process may open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        return _UNKNOWN if soft == resource.RLIM_INFINITY else soft - sum(1 for _ in os.scandir("/dev/fd"))
    except OSError:
        return _UNKNOWN


class ListeningSocket(socket.socket):
    """A socket that closes new connections while no descriptor is left for them; they would stay in its queue."""

    def __init__(self, bound: socket.socket) -> None:
        super().__init__(bound.family, bound.type, bound.proto, bound.detach())
        self._spare = os.open(os.devnull, os.O_RDONLY)

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection. Raises BlockingIOError if there is none, or if it had to be closed."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in {EMFILE, ENFILE}:
                raise
        os.close(self._spare)
        try:
            super().accept()[0].close()
        finally:
            self._spare = os.open(os.devnull, os.O_RDONLY)
        raise BlockingIOError


class PlainSocket(ListeningSocket):
    """A listening socket without TLS, whose connections break at a TLS handshake: it has no end of line to wait for."""

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection."""
        accepted, address = super().accept()
        return _PlainConnection(accepted.family, accepted.type, accepted.proto, accepted.detach()), address


class _PlainConnection(socket.socket):
    _is_fresh = True

    def recv_into(self, buffer: Any, *sizes: int) -> int:
        """Receive; the first byte of a TLS handshake ends the connection."""
        size = super().recv_into(buffer, *sizes)
        if self._is_fresh and size:
            self._is_fresh = False
            if buffer[0] == _TLS_HANDSHAKE:
                raise ConnectionResetError(ECONNRESET, os.strerror(ECONNRESET))  # tornado looks at the number
        return size
