"""An attached dyno: moves bytes between its process and its client in both directions, unchanged.

https://devcenter.heroku.com/articles/one-off-dynos
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.emulator.dynos.rendezvous import Client

CHUNK = 65_536
# What a client sends when its input ends; a terminal understands it itself.
END_OF_INPUT = b"\x04"
# Seconds that a connection stays open after the end for a client whose input has not ended: the
# official CLI fails if it can no longer write that byte.
LINGER = 0.7
# U+FFFF begins the line with the exit status; the CLI finds it only within one TLS record.
MARK = b"\xef\xbf\xbf"
RECORD = 16_000


class Attached:
    """The connection between one process and one client.

    on_left: called once if the client leaves before the end or is silent too long.
    on_read: called when all output has been sent.
    """

    def __init__(
        self, client: Client, *, idle: float, on_left: Callable[[], None], on_read: Callable[[], None]
    ) -> None:
        self.is_read = False
        self._client = client
        self._idle = idle
        self._on_left = on_left
        self._on_read = on_read
        self._has_left = False
        self._is_over = False
        self._input_ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._used_at = self._loop.time()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, output: int, input_: int, *, is_terminal: bool) -> None:
        """Start to move bytes. Takes ownership of the file descriptors."""
        self._tasks = [
            asyncio.ensure_future(self._send(output)),
            asyncio.ensure_future(self._receive(input_, is_terminal=is_terminal)),
            asyncio.ensure_future(self._watch_silence()),
        ]

    def end_within(self, seconds: float) -> None:
        """The dyno has ended: cut off after this time what another process keeps open."""
        self._loop.call_later(seconds, self._tasks[0].cancel)

    def close(self) -> None:
        """The dyno is over: end the connection once the client no longer needs it."""
        if not self._is_over:
            self._is_over = True
            self._tasks.append(asyncio.ensure_future(self._close()))

    async def _send(self, descriptor: int) -> None:
        """Send the output to its end; discard it once the client has left."""
        output = asyncio.StreamReader()
        transport, _ = await self._loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(descriptor, "rb", 0)
        )
        line = _WholeLine()
        try:
            with suppress(OSError):  # a terminal whose other end is closed
                while chunk := await output.read(CHUNK):
                    await self._write(line.feed(chunk))
            await self._write([line.held])
        finally:
            transport.close()
            self.is_read = True
            self._on_read()

    async def _write(self, pieces: list[bytes]) -> None:
        for piece in filter(None, pieces):
            self._used_at = self._loop.time()
            try:
                self._client.writer.write(piece)
                await self._client.writer.drain()
            except (ConnectionError, RuntimeError):
                self._leave()

    async def _receive(self, descriptor: int, *, is_terminal: bool) -> None:
        """Pass the client's input on until it ends, then wait until the client leaves."""
        transport, protocol = await self._loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(descriptor, "wb", 0)
        )
        target = asyncio.StreamWriter(transport, protocol, None, self._loop)
        try:
            while data := await self._input():
                is_last = data.endswith(END_OF_INPUT)
                await _pass_on(target, data.removesuffix(END_OF_INPUT) if is_last and not is_terminal else data)
                if is_last:
                    self._input_ended.set()
                if is_last and not is_terminal:
                    target.close()
        finally:
            target.close()
        self._input_ended.set()
        self._leave()

    async def _input(self) -> bytes:
        try:
            data = await self._client.reader.read(CHUNK)
        except OSError:
            return b""
        self._used_at = self._loop.time()
        return data

    async def _watch_silence(self) -> None:
        """Break the connection when neither side has sent anything for too long."""
        while (rest := self._used_at + self._idle - self._loop.time()) > 0:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(rest)
        self._leave()
        self._client.writer.close()

    def _leave(self) -> None:
        if not (self._has_left or self._is_over):
            self._has_left = True
            self._on_left()

    async def _close(self) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._input_ended.wait(), LINGER)
        for task in self._tasks[:3]:
            task.cancel()
        with suppress(ConnectionError, RuntimeError):
            self._client.writer.close()


class _WholeLine:
    """Keeps a line that begins with the mark in one piece of less than a TLS record. held: not yet to be sent."""

    def __init__(self) -> None:
        self.held = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return what can be sent now, piece by piece."""
        data, self.held = self.held + chunk, b""
        start = data.rfind(MARK)
        if start < 0:
            # The last bytes may begin a mark.
            start = len(data) - next((length for length in (2, 1) if data.endswith(MARK[:length])), 0)
            self.held = data[start:]
            return [data[:start]]
        end = data.find(b"\n", start) + 1
        if end:
            return [data[:start], data[start:end], data[end:]]
        if len(data) - start >= RECORD:
            return [data]
        self.held = data[start:]
        return [data[:start]]


async def _pass_on(target: asyncio.StreamWriter, data: bytes) -> None:
    """Write input; a process that reads no more is not an error."""
    with suppress(ConnectionError, RuntimeError, OSError):
        if data and not target.is_closing():
            target.write(data)
            await target.drain()
