"""A TLS connection with a client, and the readiness of descriptors; nothing here blocks the event loop."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

CHUNK = 65_536
RECORD = 16_384  # bytes of the longest TLS record
# Seconds in which a client has to read the end and to close its own side.
FAREWELL = 5.0
# Only Linux reports that the other side has closed while its data is still unread.
_GONE: int = getattr(select, "POLLRDHUP", select.POLLHUP)


class Inlet:
    """Calls a function when a descriptor can be read, in the event loop's own callback: a task would come a turn later.

    It stays registered with the loop from one read to the next, unless data comes faster than it is taken.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._read: Callable[[], object] = bool
        self._result: asyncio.Future[Any] | None = None
        self._is_registered = False

    async def read(self, read: Callable[[], Result], *, is_behind: bool = False) -> Result:
        """Return the result of this function once it need not wait for data. is_behind: there may be data already."""
        if is_behind:
            await asyncio.sleep(0)  # a flood must not keep others from their turn
            with suppress(BlockingIOError, ssl.SSLWantReadError):
                return read()
        self._read, self._result = read, self._loop.create_future()
        if not self._is_registered:
            self._is_registered = True
            self._loop.add_reader(self._descriptor, self._on_ready)
        try:
            result: Result = await self._result
        finally:
            self._result = None
        return result

    def close(self) -> None:
        """Forget the descriptor, which may be closed from now on."""
        if self._is_registered:
            self._is_registered = False
            self._loop.remove_reader(self._descriptor)

    def _on_ready(self) -> None:
        if self._result is None or self._result.done():
            self.close()
            return
        try:
            self._result.set_result(self._read())
        except (BlockingIOError, ssl.SSLWantReadError):
            return  # there was less than it seemed
        except OSError as error:
            self._result.set_exception(error)


async def writable(descriptor: int) -> None:
    """Return when a descriptor takes data or nobody reads it any more."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


class TlsConnection:
    """A TLS connection. It uses OpenSSL on the socket itself: asyncio's own TLS copies each byte twice more."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._inlet = Inlet(self._socket.fileno())
        self._is_behind = True
        self._unread = b""

    async def shake_hands(self) -> None:
        """Agree on keys, or raise OSError."""
        await self._inlet.read(self._socket.do_handshake)

    async def receive_into(self, target: memoryview) -> int:
        """Fill the target with what has arrived and return its size, 0 at the end."""
        if self._unread:
            size = min(len(self._unread), len(target))
            target[:size], self._unread = self._unread[:size], self._unread[size:]
            return size
        size = await self._inlet.read(lambda: self._fill(target), is_behind=self._is_behind)
        self._is_behind = size == len(target)
        return size

    def put_back(self, data: bytes) -> None:
        """Let the next call of `receive_into` return this data."""
        self._unread = data + self._unread

    async def send(self, data: bytes | memoryview) -> None:
        """Send data in as few TLS records as possible, or raise OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[await self._when_writable(lambda: self._socket.send(rest)) :]  # noqa: B023 - called at once

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
        self._inlet.close()
        self._socket.close()

    def _fill(self, target: memoryview) -> int:
        more = size = self._socket.recv_into(target)
        with suppress(OSError):  # no more for now
            while more == RECORD and size < len(target):
                more = self._socket.recv_into(target[size:])
                size += more
        return size

    async def _say_goodbye(self) -> None:
        with suppress(ssl.SSLError):  # the client's own end of TLS has not arrived
            await self._when_writable(self._socket.unwrap)
        socket.socket.shutdown(self._socket, socket.SHUT_WR)
        while await self._inlet.read(lambda: socket.socket.recv(self._socket, CHUNK)):
            pass

    async def _when_writable(self, step: Callable[[], Result]) -> Result:
        while True:
            try:
                return step()
            except ssl.SSLWantWriteError:  # noqa: PERF203 - each attempt may fail
                await writable(self._socket.fileno())


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
