"""Read the records that the notebook sends: signed, numbered, and joined from their lines. Keep the values in them."""

from __future__ import annotations

import binascii
import json
import os
import zlib

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Message = dict[str, Any]


class Receiver:
    """Checks and joins the records that the notebook sends."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self._buffer = b""
        self._parts: dict[str, list[str]] = {}  # by kind: other records may come in between
        self._next = 0
        self._macs = heroku_task._sha256(b"")
        self._mac = sender._mac

    def feed(self, data: bytes) -> Iterator[tuple[str, Message, bytes]]:
        """Yield the kind, the content and the body of each record that is now complete."""
        *lines, self._buffer = (self._buffer + data).split(b"\n") if b"\n" in data else ([self._buffer + data])
        for line in lines:
            nonce, number, kind, mac, text = line.decode("ascii").split(" ", 5)[1:]
            signed = f"{self._sender._run_id} {nonce} {number} {kind} {text}"
            if int(number) != self._next or self._mac(signed) != mac:
                raise SystemExit("a record of the notebook is damaged or missing")
            self._next += 1
            if kind.startswith("data"):
                self._macs.update(mac.encode("ascii"))
                if self._mac == self._sender._mac:
                    self._mac = fast_mac(self._sender)
            self._parts.setdefault(kind.rstrip("+"), []).append(text)
            if not kind.endswith("+"):
                yield (kind, *self._join(kind))

    def _join(self, kind: str) -> tuple[Message, bytes]:
        """Return the content and the body of a record. A call has the checksum of the values that came before it."""
        text = "".join(self._parts.pop(kind))
        packed = text.encode("ascii") if text.startswith("{") else zlib.decompress(binascii.a2b_base64(text))
        header, _, body = packed.partition(b"\n")
        message, checksum = json.loads(header), self._macs.hexdigest()[:24]
        if message.pop("checksum", checksum) != checksum:
            raise SystemExit("a value of a call is damaged")
        return message, body


class ReceivedValues:
    """Keeps values in files, which need no memory: those of a call by its number, a shared one by its digest."""

    def __init__(self) -> None:
        self._files: dict[Any, _File] = {}

    def add(self, owner: Any, data: bytes) -> None:
        """Add bytes of a call or of a value that calls share."""
        if owner not in self._files:
            self._files[owner] = _File()
        self._files[owner].write(data)

    def drop(self, owners: Iterable[Any]) -> None:
        """Forget values, but not for calls that have taken them."""
        for owner in owners:
            self._files.pop(owner, None)

    def take(self, number: int, shared: list[Any]) -> list[_File]:
        """Return the file of a call and those of the values that it shares; no files if it has no values."""
        if number not in self._files and not shared:
            return []
        own = self._files.pop(number) if number in self._files else _File()
        return [own, *(self._files[digest] for _, _, digest in shared)]


class _File:
    """A file that is gone as soon as nothing refers to it. descriptor: of the file to be read, as calls get it."""

    def __init__(self) -> None:
        path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"heroku-{os.getpid()}-values")  # noqa: S108
        self._writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.descriptor = os.open(path, os.O_RDONLY)
        os.unlink(path)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._writer, view) :]

    def __del__(self) -> None:
        os.close(self._writer)
        os.close(self.descriptor)


def fast_mac(sender: Any) -> Callable[[str], str]:
    """Return what computes MACs with OpenSSL, which takes time to load but is several times as fast."""
    try:
        from _hashlib import hmac_digest
    except ImportError:
        return sender._mac  # type: ignore[no-any-return]
    key = sender._key
    return lambda text: hmac_digest(key, text.encode("ascii"), "sha256").hex()[:24]
