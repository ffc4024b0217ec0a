"""An attached dyno's bytes: between its process and its client, both ways, whole and unchanged; it ends no process.

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
# What a client sends when its input ends; for a terminal it is the terminal's own sign for that.
END_OF_INPUT = b"\x04"
# Seconds that a connection stays open after the end for a client whose input has not ended: the
# official CLI fails if it can no longer write that sign.
LINGER = 0.7
# U+FFFF begins the line with the exit status; the CLI finds it in one TLS record or not at all.
MARK = b"\xef\xbf\xbf"
RECORD = 16_000


class Attached:
    """The way between one process and one client.

    left: called once, if the client leaves before the end or is silent too long; read: once all
    output has been sent.
    """

    def __init__(self, client: Client, *, idle: float, left: Callable[[], None], read: Callable[[], None]) -> None:
        self.is_read = False
        self._client = client
        self._idle = idle
        self._left = left
        self._read = read
        self._has_left = False
        self._is_over = False
        self._input_ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._used_at = self._loop.time()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, output: int, input_: int, *, is_terminal: bool) -> None:
        """Move bytes from now on. The descriptors are ours to close."""
        self._tasks = [
            asyncio.ensure_future(self._send(output)),
            asyncio.ensure_future(self._take(input_, is_terminal=is_terminal)),
            asyncio.ensure_future(self._watch()),
        ]

    def end_within(self, seconds: float) -> None:
        """Nobody of the dyno writes any more: what is not closed by then is cut off."""
        self._loop.call_later(seconds, self._tasks[0].cancel)

    def close(self) -> None:
        """The dyno is over: end the connection, once the client needs it no more."""
        if not self._is_over:
            self._is_over = True
            self._tasks.append(asyncio.ensure_future(self._close()))

    async def _send(self, descriptor: int) -> None:
        """Send the output to its end, to nobody once the client has left."""
        output, transport = await _reader(descriptor)
        line = _WholeLine()
        try:
            while chunk := await _chunk(output):
                await self._write(line.feed(chunk))
            await self._write(line.flush())
        finally:
            transport.close()
            self.is_read = True
            self._read()

    async def _write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._used_at = self._loop.time()
            try:
                self._client.writer.write(piece)
                await self._client.writer.drain()
            except (ConnectionError, RuntimeError):
                self._leave()

    async def _take(self, descriptor: int, *, is_terminal: bool) -> None:
        """Take the client's input until it ends, then wait until the client leaves."""
        target = await _writer(descriptor)
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

    async def _watch(self) -> None:
        """Break the connection when neither side has said anything for too long."""
        while (rest := self._used_at + self._idle - self._loop.time()) > 0:  # noqa: ASYNC110 - for silence, not for an event
            await asyncio.sleep(rest)
        self._leave()
        self._client.writer.close()

    def _leave(self) -> None:
        if not (self._has_left or self._is_over):
            self._has_left = True
            self._left()

    async def _close(self) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._input_ended.wait(), LINGER)
        for task in self._tasks[:3]:
            task.cancel()
        with suppress(ConnectionError, RuntimeError):
            self._client.writer.close()


class _WholeLine:
    """Keeps a line that begins with the mark in one piece of less than a TLS record."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return what can be sent now, piece by piece."""
        data, self._held = self._held + chunk, b""
        at = data.rfind(MARK)
        if at < 0:
            at = len(data) - _begun(data)
            self._held = data[at:]
            return _pieces(data[:at])
        end = data.find(b"\n", at) + 1
        if end:
            return [*_pieces(data[:at]), data[at:end], *_pieces(data[end:])]
        if len(data) - at >= RECORD:
            return _pieces(data)
        self._held = data[at:]
        return _pieces(data[:at])

    def flush(self) -> list[bytes]:
        """Return what was held back for an end that did not come."""
        return _pieces(self._held)


def _begun(data: bytes) -> int:
    """How many bytes at the end may begin a mark."""
    return next((length for length in (2, 1) if data.endswith(MARK[:length])), 0)


def _pieces(data: bytes) -> list[bytes]:
    return [data] if data else []


async def _chunk(output: asyncio.StreamReader) -> bytes:
    try:
        return await output.read(CHUNK)
    except OSError:
        return b""  # so a terminal tells that nobody holds its other end


async def _pass_on(target: asyncio.StreamWriter, data: bytes) -> None:
    """Write input; a process that takes none any more is no error."""
    with suppress(ConnectionError, RuntimeError, OSError):
        if data and not target.is_closing():
            target.write(data)
            await target.drain()


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    file = os.fdopen(descriptor, "rb", 0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader, transport


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    file = os.fdopen(descriptor, "wb", 0)
    unread = asyncio.StreamReader()
    transport, protocol = await loop.connect_write_pipe(lambda: asyncio.StreamReaderProtocol(unread), file)
    return asyncio.StreamWriter(transport, protocol, None, loop)
