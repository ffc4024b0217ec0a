"""An attached dyno: moves bytes between its process and its client in both directions, unchanged.

Neither side is read faster than the other one reads, so that memory is bounded.
https://devcenter.heroku.com/articles/one-off-dynos
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.emulator.dynos.connection import CHUNK, RECORD, Inlet, writable
from heroku_magic.emulator.dynos.link import MOST_UNANSWERED, TAIL_IN_FLIGHT, Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from heroku_magic.emulator.dynos.connection import TlsConnection
    from heroku_magic.emulator.dynos.link import AttachFaults
    from heroku_magic.emulator.timings import Timings

GREETING = b"rendezvous\r\n"
# What a client sends when its input ends; a terminal understands it itself.
_END_OF_INPUT = re.compile(rb"\x04")
# Seconds that a connection stays open after the end for a client whose input has not ended: the
# official CLI fails if it can no longer write that byte.
LINGER = 0.7
# Seconds in which a client has to read the last output of a dyno that has ended.
LAST_OUTPUT = 10.0
# Seconds between two looks at a client whose input the process does not read.
LOOK = 0.5
# U+FFFF begins the line with the exit status; the CLI finds it only within one TLS record.
MARK = b"\xef\xbf\xbf"


@dataclass(eq=False)
class Attached:
    """The connection between one process and one client.

    on_left: called once if the client leaves before the end or is silent too long. on_read: called when all output
    has been sent.
    """

    client: TlsConnection
    faults: AttachFaults
    timings: Timings
    on_left: Callable[[], None]
    on_read: Callable[[], None]

    def __post_init__(self) -> None:
        self.is_read = False
        self._has_left = False
        self._is_over = False
        self._is_stalled = False
        self._is_sending = False
        self._unanswered = 0
        self._loop = asyncio.get_running_loop()
        self._used_at = self._loop.time()
        self._last_output: asyncio.TimerHandle | None = None

    def begin(self, output: int, input_: int, *, is_terminal: bool) -> None:
        """Greet the client and start to move bytes. Takes ownership of the file descriptors."""
        for descriptor in (output, input_):
            os.set_blocking(descriptor, False)
        self._input = ProcessInput(input_, is_terminal=is_terminal)
        delay = self.timings.round_trip / 2
        self._links = [Link(self._transmit, self.faults, delay), Link(self._input.write, self.faults, delay)]
        self._tasks = [asyncio.ensure_future(each) for each in (self._send(output), self._receive(), self._watch())]
        if self.faults.cut:
            self._loop.call_later(self.faults.cut, self._cut)
        if self.faults.silence:
            self._loop.call_later(self.faults.silence, self._fall_silent)

    def end_within(self, seconds: float) -> None:
        """The dyno has ended: cut off after this time what another process keeps open."""
        if self._last_output is None:
            end = self._loop.time() + LAST_OUTPUT
            self._last_output = self._loop.call_later(seconds, self._end_output, seconds, end)

    def close(self) -> None:
        """The dyno is over: end the connection once the client no longer needs it."""
        if not self._is_over:
            self._is_over = True
            self._closing = asyncio.ensure_future(self._close())

    async def _send(self, descriptor: int) -> None:
        """Send the output to its end; discard it once the client has left."""
        link, line, output = self._links[0], _WholeLine(), ProcessOutput(descriptor)
        try:
            await link.write(GREETING)
            async for chunk in self._arriving(output):
                self._is_sending = True
                for piece in filter(None, line.feed(chunk)):
                    await link.write(piece)
                self._is_sending = False
            self._is_sending = True
            await link.write(line.held)
            await link.drain()
        finally:
            output.close()
            self.is_read = True
            self.on_read()

    async def _arriving(self, output: ProcessOutput) -> AsyncIterator[bytes]:
        """Yield the output; bytes of its tail that are still under way at the end are lost (a fault)."""
        held = b""
        while True:
            try:
                chunk = await (asyncio.wait_for(output.read(), TAIL_IN_FLIGHT) if held else output.read())
            except asyncio.TimeoutError:
                yield held
                held = b""
                continue
            if not chunk:
                return
            if not self.faults.empty:
                data = held + chunk
                sent = max(0, len(data) - self.faults.tail)
                held = data[sent:]
                yield data[:sent]
            self._unanswered = 0

    async def _transmit(self, data: bytes | memoryview) -> None:
        self._used_at = self._loop.time()
        try:
            await self.client.send(data)
        except OSError:
            self._leave()
        self._used_at = self._loop.time()

    async def _receive(self) -> None:
        """Pass the client's input on until the client leaves."""
        link, target = self._links[1], memoryview(bytearray(CHUNK))
        try:
            with suppress(OSError):
                while size := await self.client.receive_into(target[: await self._room()]):
                    self._used_at = self._loop.time()
                    self._unanswered += size
                    await link.write(target[:size])
            await link.drain()
        finally:
            self._input.close()
        self._leave()

    async def _room(self) -> int:
        """Return how much to read; a stalled connection reads nothing ever again (a fault)."""
        room = MOST_UNANSWERED - self._unanswered if self.faults.stall else CHUNK
        if room <= 0:
            self._is_stalled = True
            await asyncio.Event().wait()
        return min(room, CHUNK)

    async def _watch(self) -> None:
        """Break the connection when neither side has sent anything for too long, or the client left unread input."""
        while (rest := self._used_at + self.timings.attach_idle - self._loop.time()) > 0:
            await asyncio.sleep(min(rest, LOOK))
            if (self._is_stalled or self._input.is_blocked) and self.client.has_hung_up():
                self._leave()
        self._leave()
        self.client.cut()

    def _cut(self) -> None:
        if not self._is_over:
            self.client.cut()

    def _fall_silent(self) -> None:
        for link in self._links:
            link.is_silent = True

    def _leave(self) -> None:
        # A dyno does not learn that a client has left which it can no longer hear.
        if not (self._has_left or self._is_over or self._links[1].is_silent):
            self._has_left = True
            self.on_left()

    def _end_output(self, seconds: float, end: float) -> None:
        if self._is_sending and self._loop.time() < end:
            self._last_output = self._loop.call_later(seconds, self._end_output, seconds, end)
        else:
            self._tasks[0].cancel()

    async def _close(self) -> None:
        try:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._input.ended.wait(), LINGER + self.timings.round_trip)
            for task in self._tasks:
                task.cancel()
            for link in self._links:
                link.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._links[0].is_silent:
                await self.client.wait_for_end()
        finally:
            await self.client.finish()


class ProcessOutput:
    """The output of a process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._inlet = Inlet(descriptor)
        self._is_behind = True

    async def read(self) -> bytes:
        """Return what the process has written, or nothing at its end."""
        try:
            chunk = await self._inlet.read(lambda: os.read(self._descriptor, CHUNK), is_behind=self._is_behind)
        except OSError:  # a terminal whose other end is closed
            return b""
        self._is_behind = len(chunk) == CHUNK
        return chunk

    def close(self) -> None:
        """Read no more."""
        self._inlet.close()
        os.close(self._descriptor)


class ProcessInput:
    """The input of a process. ended: it has been closed, or the client has sent its end."""

    def __init__(self, descriptor: int, *, is_terminal: bool) -> None:
        self.ended = asyncio.Event()
        self.is_blocked = False
        self._descriptor: int | None = descriptor
        self._is_terminal = is_terminal

    async def write(self, data: bytes | memoryview) -> None:
        """Pass input on, up to its end; a process that reads no more is not an error."""
        end = _END_OF_INPUT.search(data)
        rest = memoryview(data)[: end.start() if end and not self._is_terminal else None]
        while rest and self._descriptor is not None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # noqa: PERF203 - each attempt may fail
                await self._wait(self._descriptor)
            except OSError:
                self.close()
        if end:
            self.ended.set()
        if end and not self._is_terminal:
            self.close()

    def close(self) -> None:
        """End the input."""
        self.ended.set()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _wait(self, descriptor: int) -> None:
        self.is_blocked = True
        try:
            await writable(descriptor)
        finally:
            self.is_blocked = False


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
