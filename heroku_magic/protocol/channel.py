"""The two directions of the connection to an attached dyno: signed records, in order, without loss.

They have the form of the records in a log (`worker/README.md`), but a lossless connection carries them, so that a
missing record is the end of the connection.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from binascii import a2b_base64, b2a_base64
from secrets import token_hex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.protocol.records import RunKey

MAX_PART = 3900  # characters of a payload in one line, which has at most 4,000 bytes
SMALL = 100_000  # bytes that are compressed in any case
SAMPLE, WORTH = 2_000, 0.75  # bytes at a time that are compressed on trial, and the share of them that may remain
MAX_MESSAGE_BYTES = 4_000_000  # unpacked, of one record of the dyno's server


class BrokenChannel(ValueError):
    """The other side sent something that cannot follow what came before."""


class ChannelWriter:
    """Signs and numbers what is sent to the dyno."""

    def __init__(self, key: RunKey) -> None:
        self._key, self._run = key, key.run.encode()
        self._nonce = token_hex(4).encode()
        self._number = 0
        self._macs = hashlib.sha256()

    @property
    def checksum(self) -> str:
        """The first 24 hex digits of the SHA-256 of the MACs of all lines of values so far."""
        return self._macs.hexdigest()[:24]

    def lines(self, kind: str, message: Mapping[str, Any]) -> bytes:
        """Return the lines of one record."""
        return b"".join(self.line(*part) for part in parts(kind, message))

    def line(self, kind: str, part: bytes) -> bytes:
        """Return the line of one part of a record; the parts of one kind must follow each other."""
        number, self._number = self._number, self._number + 1
        signed = b"%s %s %d %s %s" % (self._run, self._nonce, number, kind.encode(), part)
        mac = self._key.mac(signed).encode()
        if kind.startswith("data"):
            self._macs.update(mac)
        return b"@hm1 %s %d %s %s %s\n" % (self._nonce, number, kind.encode(), mac, part)


def parts(kind: str, message: Mapping[str, Any], body: bytes = b"") -> list[tuple[str, bytes]]:
    """Return the kind and the payload of each line of a record; a body is compressed only where that pays."""
    text = json.dumps(message, separators=(",", ":")).encode()
    if body or len(text) > MAX_PART:
        data = b"\n".join([text, body]) if body else text
        text = b2a_base64(zlib.compress(data, 1 if compresses(data) else 0), newline=False)
    pieces = [text[at : at + MAX_PART] for at in range(0, len(text), MAX_PART)]
    return [*((f"{kind}+", piece) for piece in pieces[:-1]), (kind, pieces[-1])]


def compresses(data: bytes) -> bool:
    """Return whether compression pays: it takes longer than a fast network, unless the data shrinks well."""
    sample = b"".join(data[at : at + SAMPLE] for at in range(0, len(data), max(len(data) // 8, SAMPLE)))
    return len(data) < SMALL or len(zlib.compress(sample, 1)) < WORTH * len(sample)


class ChannelReader:
    """Checks and joins the records of the dyno's server; lines of the calls' own processes are read elsewhere."""

    def __init__(self, key: RunKey) -> None:
        self._key = key
        self._nonce = ""
        self._next = 0
        self._parts: list[str] = []

    def is_own(self, line: str) -> bool:
        """Return whether a line is one of the server, which sends the first one."""
        if not self._nonce and line.startswith("@hm1 "):
            self._nonce = line[5:13]
        return bool(self._nonce) and line.startswith(f"@hm1 {self._nonce} ")

    def read(self, line: str) -> tuple[str, dict[str, Any]] | None:
        """Return the kind and the content of the record that a line completes, if any. Raises BrokenChannel."""
        fields = line.split(" ", 5)[1:]
        if len(fields) != 5 or fields[1] != str(self._next) or not self._key.signs(*fields):
            raise BrokenChannel("a record of the dyno is damaged or missing")
        self._next += 1
        kind, text = fields[2], fields[4]
        self._parts.append(text)
        if kind.endswith("+"):
            return None
        joined, self._parts = "".join(self._parts), []
        message = json.loads(joined if joined.startswith("{") else _unpack(joined))
        if not isinstance(message, dict):
            raise BrokenChannel(f"a record of the kind {kind} has no fields")
        return kind, message


def _unpack(text: str) -> bytes:
    unzip = zlib.decompressobj()
    data = unzip.decompress(a2b_base64(text), MAX_MESSAGE_BYTES)
    if not unzip.eof:
        raise BrokenChannel("a record of the dyno is too large")
    return data
