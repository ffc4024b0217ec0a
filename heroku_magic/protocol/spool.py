"""Collects the values that travel over a call's connection, on disk beyond the first megabyte."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MEMORY = 1_000_000  # bytes that are kept in memory
COPY_BYTES = 1 << 20


class Spool:
    """Collects bytes with `+=`, and remembers in `values` where those of each value are.

    hidden: texts that must not travel, such as the API token. Raises OSError where the disk is full.

    >>> spool = Spool()
    >>> spool.add("data", "bytes", b"abc")
    >>> len(spool), spool.values, b"".join(spool.read(0, 2))
    (3, {'data': {'kind': 'bytes', 'at': 0, 'size': 3}}, b'ab')
    """

    def __init__(self, hidden: Iterable[str] = ()) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.holds_hidden = False
        self._hidden = [text.encode() for text in hidden if text]
        self._start, self._size = bytearray(), 0
        self._file: int | None = None

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.read(0, self._size))

    def __iadd__(self, data: Any) -> Any:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        self.holds_hidden |= any(text in data for text in self._hidden)
        self._size += len(view)
        if self._file is None and self._size <= MEMORY:
            self._start += view
        else:
            self._write(view)
        return self

    def add(self, name: str, kind: str, data: bytes, **more: Any) -> None:
        """Add a value that is complete. kind: how the dyno reads it."""
        at = len(self)
        self += data
        self.values[name] = {"kind": kind, "at": at, "size": len(data), **more}

    def add_file(self, name: str, path: Path) -> None:
        """Add the content of a file. Raises OSError."""
        at = len(self)
        with path.open("rb") as file:
            while data := file.read(COPY_BYTES):
                self += data
        self.values[name] = {"kind": "file", "at": at, "size": len(self) - at, "name": clean_line(path.name)}

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a range, in pieces of at most 1 MB."""
        for at in range(start, end, COPY_BYTES):
            size = min(COPY_BYTES, end - at)
            yield bytes(self._start[at : at + size]) if self._file is None else os.pread(self._file, size, at)

    def _write(self, view: memoryview) -> None:
        if self._file is None:
            self._file, path = tempfile.mkstemp(prefix="heroku-magic-")
            Path(path).unlink()
            weakref.finalize(self, os.close, self._file)
            start, self._start = self._start, bytearray()
            self._write(memoryview(start))
        while view:
            view = view[os.write(self._file, view) :]
