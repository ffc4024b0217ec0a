"""The output of a build or a release command: it grows, and any number of readers follow it from any place."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

# https://devcenter.heroku.com/articles/limits#build-output: cut from the front, half at a time
LARGEST = 300_000_000


class Output:
    """Bytes that somebody writes and others follow. token: the secret of its URL."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self.is_over = False
        self._bytes = bytearray()
        self._start = 0
        self._news = asyncio.Event()

    @property
    def end(self) -> int:
        """How many bytes have been written."""
        return self._start + len(self._bytes)

    def line(self, text: str) -> None:
        """Write one line of the platform's own."""
        self.write(text.encode("utf-8", "replace") + b"\n")

    def lines(self, lines: list[bytes]) -> None:
        """Write a program's lines, set in as a build's are."""
        self.write(b"".join(b"       %b\n" % line for line in lines))

    def write(self, text: bytes) -> None:
        """Take the next bytes."""
        self._bytes += text
        if len(self._bytes) > LARGEST:
            self._start += LARGEST // 2
            del self._bytes[: LARGEST // 2]
        self._ring()

    def close(self) -> None:
        """Nothing follows."""
        self.is_over = True
        self._ring()

    async def after(self, offset: int, patience: float) -> bytes | None:
        """Return what follows a place; b"" after a silence of so many seconds, None at the end."""
        if self.end <= offset and not self.is_over:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), patience)
        if self.end > offset:
            return bytes(self._bytes[max(offset - self._start, 0) :])
        return None if self.is_over else b""

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
