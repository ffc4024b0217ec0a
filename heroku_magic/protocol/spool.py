"""Collects the values that travel over a call's connection, on disk beyond the first megabyte."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MEMORY = 1_000_000  # bytes that are kept in memory
COPY_BYTES = 1 << 20
LARGE = 1_000_000  # bytes beyond which calls share a value
HELD = 64_000_000  # bytes of a value that are kept in memory until it is complete
MOST_SHARED = 32  # values of one call, each of which is an open file on the dyno


class Section:
    """A section of a spool. digest: the SHA-256 of a value that calls may share; empty for all other bytes."""

    def __init__(self) -> None:
        self.digest = ""
        self._start, self._size = bytearray(), 0
        self._file: int | None = None

    def __len__(self) -> int:
        return self._size

    def add(self, view: memoryview) -> None:
        """Add bytes. Raises OSError where the disk is full."""
        self._size += len(view)
        if self._file is None and self._size <= MEMORY:
            self._start += view
        else:
            self._write(view)

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


class _Value:
    """A value while it is encoded, in memory: if another call has sent the same one, it is not written to the disk."""

    digest = ""  # until it is complete

    def __init__(self) -> None:
        self._section, self._size, self._hash = Section(), 0, sha256()
        self._held: list[memoryview] = []

    def __len__(self) -> int:
        return self._size

    def add(self, view: memoryview) -> None:
        """Add bytes. Raises OSError where the disk is full."""
        self._size += len(view)
        self._hash.update(view)
        self._held.append(view)
        if self._size - len(self._section) > HELD:
            self.section()

    def section(self) -> Section:
        """Write what is held, and return the section with the whole value."""
        for view in self._held:
            self._section.add(view)
        self._held.clear()
        return self._section

    def shared_section(self) -> Section:
        """Return the section of all calls that have this value."""
        digest = self._hash.hexdigest()
        if (known := _LARGE_VALUES.get(digest)) is not None:
            return known
        self.section().digest = digest
        return _LARGE_VALUES.setdefault(digest, self._section)


_LARGE_VALUES: weakref.WeakValueDictionary[str, Section] = weakref.WeakValueDictionary()  # of all spools, by digest


class Spool:
    """Collects bytes with `+=`, and remembers in `values` where those of each value are.

    sections: have the bytes, in order. hidden: texts that must not travel, such as the API token. Raises OSError where
    the disk is full.

    >>> spool = Spool()
    >>> spool.add("data", "bytes", b"abc")
    >>> len(spool), spool.values, b"".join(spool.read(0, 2))
    (3, {'data': {'kind': 'bytes', 'at': 0, 'size': 3}}, b'ab')
    """

    def __init__(self, hidden: Iterable[str] = ()) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.holds_hidden = False
        self.sections: list[Any] = [Section()]
        texts = {one for text in hidden if text for one in (text, json.dumps(text, ensure_ascii=False)[1:-1])}
        self._hidden = [text.encode() for text in texts]

    def __len__(self) -> int:
        return sum(map(len, self.sections))

    def __bytes__(self) -> bytes:
        return b"".join(self.read(0, len(self)))

    def __iadd__(self, data: Any) -> Any:
        self.holds_hidden |= any(text in data for text in self._hidden)
        self.sections[-1].add(memoryview(data).cast("B") if len(data) else memoryview(b""))
        return self

    @property
    def shared(self) -> list[tuple[int, int, str]]:
        """The offset, the size and the digest of each value that calls share."""
        found, at = [], 0
        for section in self.sections:
            if section.digest:
                found.append((at, len(section), section.digest))
            at += len(section)
        return found

    @contextmanager
    def one_value(self) -> Iterator[None]:
        """Make one value of what is added inside the `with`. Calls share a large one; a failure leaves nothing."""
        value = _Value()
        self.sections.append(value)
        try:
            yield
        finally:
            self.sections.remove(value)
        if len(value) > LARGE and len(self.shared) < MOST_SHARED:
            self.sections += [value.shared_section(), Section()]
        else:
            for data in value.section().read(0, len(value)):
                self.sections[-1].add(memoryview(data))

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
        for section in self.sections:
            yield from section.read(min(max(start, 0), len(section)), min(max(end, 0), len(section)))
            start, end = start - len(section), end - len(section)
