"""The network between a client and its attached dyno, one object per direction: its delay, and what it damages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from heroku_magic.emulator.faults import Faults

# Chunks under way at once, of at most 64 kB each: 32 MB last for 600 MB/s at a round trip of 100 ms.
IN_FLIGHT = 512
_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
# The connection falls silent within this many seconds of its greeting.
LATEST_SILENCE = 2.0
# Bytes of input that may come without output in between, before the platform reads no more.
MOST_UNANSWERED = 30_000
# Seconds for which the end of the output is under way.
TAIL_IN_FLIGHT = 0.1


@dataclass(frozen=True)
class AttachFaults:
    """What goes wrong with a connection after its greeting.

    cut, silence: seconds after the greeting, 0 for never. tail: bytes that are lost at the dyno's end.
    """

    cut: float = 0
    silence: float = 0
    tail: int = 0
    empty: bool = False
    stall: bool = False
    chop: bool = False
    seven_bit: bool = False

    @classmethod
    def of(cls, faults: Faults, number: int) -> AttachFaults:
        """Return what strikes the attach with this number."""

        def strikes(name: str) -> bool:
            return faults.strikes(f"attach-{name}", number)

        moment = 1 - faults.share("attach-silent moment", number)
        return cls(
            cut=faults["attach-cut"],
            silence=LATEST_SILENCE * moment if strikes("silent") else 0,
            tail=int(faults["attach-tail"]),
            empty=strikes("empty"),
            stall=strikes("stall"),
            chop=strikes("chop"),
            seven_bit=strikes("7bit"),
        )


@dataclass(eq=False)
class Link:
    """Carries data to its far end. far_end: takes it, and may make its sender wait; delay: in seconds."""

    far_end: Callable[[bytes | memoryview], Awaitable[None]]
    faults: AttachFaults
    delay: float

    def __post_init__(self) -> None:
        self.is_silent = False
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        self._carrier = asyncio.ensure_future(self._carry()) if self.delay else None

    async def write(self, data: bytes | memoryview) -> None:
        """Send data; with a delay it arrives later, and what follows need not wait for it."""
        if self._carrier:
            await self._queue.put((self._loop.time() + self.delay, bytes(data)))
        else:
            await self._deliver(data)

    async def drain(self) -> None:
        """Return when everything has arrived."""
        await self._queue.join()

    def cancel(self) -> None:
        """Lose what is under way."""
        if self._carrier:
            self._carrier.cancel()

    async def _carry(self) -> None:
        while True:
            due, data = await self._queue.get()
            if (rest := due - self._loop.time()) > 0:
                await asyncio.sleep(rest)
            await self._deliver(data)
            self._queue.task_done()

    async def _deliver(self, data: bytes | memoryview) -> None:
        if self.faults.seven_bit:
            data = bytes(data).translate(_SEVEN_BITS)
        width = 1 if self.faults.chop else len(data)
        for start in range(0, len(data), width or 1):
            if not self.is_silent:
                await self.far_end(data[start : start + width])
