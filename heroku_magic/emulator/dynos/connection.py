"""A TLS connection with a client, and the readiness of descriptors; nothing here blocks the event loop."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

CHUNK = 65_536
RECORD = 16_384  # bytes of the longest TLS record
# Seconds in which a client has to read the end and to close its own side.
FAREWELL = 5.0
# Only Linux reports that the other side has closed while its data is still unread.
_GONE: int = getattr(select, "POLLRDHUP", select.POLLHUP)


async def readable(descriptor: int) -> None:
    """Return when a descriptor has data or has ended."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(descriptor, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def writable(descriptor: int) -> None:
    """Return when a descriptor takes data or nobody reads it any more."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


async def read(descriptor: int) -> bytes:
    """Return what a process has written, or nothing at its end."""
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:  # noqa: PERF203 - each attempt may fail
            await readable(descriptor)
        except OSError:  # a terminal whose other end is closed
            return b""


class Connection:
    """A TLS connection. It uses OpenSSL on the socket itself: asyncio's own TLS copies each byte twice more."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._unread = b""

    async def shake_hands(self) -> None:
        """Agree on keys, or raise OSError."""
        await self._complete(self._socket.do_handshake)

    async def receive_into(self, target: memoryview) -> int:
        """Fill the target with what has arrived and return its size, 0 at the end."""
        if self._unread:
            size = min(len(self._unread), len(target))
            target[:size], self._unread = self._unread[:size], self._unread[size:]
            return size
        size = await self._complete(lambda: self._socket.recv_into(target))
        more = size
        with suppress(OSError):  # no more for now
            while more == RECORD and size < len(target):
                more = self._socket.recv_into(target[size:])
                size += more
        return size

    def put_back(self, data: bytes) -> None:
        """Let the next call of `receive_into` return this data."""
        self._unread = data + self._unread

    async def send(self, data: bytes | memoryview) -> None:
        """Send data in as few TLS records as possible, or raise OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[await self._complete(lambda: self._socket.send(rest)) :]  # noqa: B023 - called at once

    def has_hung_up(self) -> bool:
        """Whether the client has closed its side, perhaps behind data that is not yet read."""
        poll = select.poll()
        poll.register(self._socket, _GONE)
        return bool(poll.poll(0))

    async def wait_for_end(self) -> None:
        """Discard what arrives until the client closes its side."""
        target = memoryview(bytearray(CHUNK))
        with suppress(OSError):
            while await self.receive_into(target):
                pass

    def cut(self) -> None:
        """Break the connection without TLS's own end; the descriptor stays valid for those that wait for it."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    async def finish(self) -> None:
        """Close the connection once the client has read everything: a close with unread input would lose it."""
        try:
            with suppress(asyncio.TimeoutError, OSError):
                await asyncio.wait_for(self._say_goodbye(), FAREWELL)
        finally:
            self.close()

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()

    async def _say_goodbye(self) -> None:
        with suppress(ssl.SSLError):  # the client's own end of TLS has not arrived
            await self._complete(self._socket.unwrap, reads=False)
        socket.socket.shutdown(self._socket, socket.SHUT_WR)
        while await self._complete(lambda: socket.socket.recv(self._socket, CHUNK)):
            pass

    async def _complete(self, step: Callable[[], Result], *, reads: bool = True) -> Result:
        """Repeat a step until it need not wait. reads: whether it may wait for the client's data."""
        while True:
            try:
                return step()
            except ssl.SSLWantWriteError:  # noqa: PERF203 - each attempt may fail
                await writable(self._socket.fileno())
            except (ssl.SSLWantReadError, BlockingIOError):
                if not reads:
                    raise
                await readable(self._socket.fileno())


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
