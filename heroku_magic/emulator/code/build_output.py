"""The output of a build or a release command, which grows while any number of readers follow it."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

# https://devcenter.heroku.com/articles/limits#build-output: cut from the front, half at a time
LARGEST = 300_000_000


class BuildOutput:
    """Bytes with one writer and any number of readers. token: the secret in its URL."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self.is_over = False
        self._bytes = bytearray()
        self._start = 0
        self._changed = asyncio.Event()

    @property
    def end(self) -> int:
        """How many bytes have been written."""
        return self._start + len(self._bytes)

    def line(self, text: str) -> None:
        """Write one line of the platform itself."""
        self.write(text.encode("utf-8", "replace") + b"\n")

    def indent(self, line: bytes) -> None:
        """Write one line of a program, indented as in Heroku's build output."""
        self.write(b"       %b\n" % line)

    def write(self, text: bytes) -> None:
        """Append bytes."""
        self._bytes += text
        if len(self._bytes) > LARGEST:
            self._start += LARGEST // 2
            del self._bytes[: LARGEST // 2]
        self._notify()

    def close(self) -> None:
        """End the output."""
        self.is_over = True
        self._notify()

    async def after(self, offset: int, patience: float) -> bytes | None:
        """Return what follows an offset; b"" if nothing does within `patience` seconds, None at the end."""
        if self.end <= offset and not self.is_over:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), patience)
        if self.end > offset:
            return bytes(self._bytes[max(offset - self._start, 0) :])
        return None if self.is_over else b""

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
