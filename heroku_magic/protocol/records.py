"""LogLine -> Record: reads the result protocol that the worker helper writes; it never evaluates what it reads.

One record is one line of text, `@hm1 NONCE NUMBER KIND MAC PAYLOAD`: numbered without gaps by each
process, authenticated with the run's key, counted by an end mark. A line without a valid MAC is only
log, whatever it claims to be. The format is written down in the worker's README.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import zlib
from binascii import a2b_base64
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from heroku_magic.protocol.tables import Table, table
from heroku_magic.text.redact import NO_MASK, Mask

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = 64_000_000  # bytes that one record may have, unpacked: no few lines shall fill the memory
FILES = 5_000_000  # bytes that a run's files may have
CUT = 10_000  # bytes at which Logplex cuts a line: https://devcenter.heroku.com/articles/limits#dynos
_RECORD = re.compile(r"@hm1 ([0-9a-f]{8}) ([0-9]{1,12}) ([a-z]{1,16}\+?) ([0-9a-f]{24}) (.*)", re.DOTALL)
_NEWER = re.compile(r"@hm([2-9]|[1-9][0-9]{1,3}) [0-9a-f]{8} [0-9]{1,12} ")


class Declaration(msgspec.Struct, frozen=True):
    """The task's name and its parameters as JSON Schema; null takes anything. python: the dyno's, where it is told."""

    task: str
    parameters: dict[str, Any] | None = None
    python: str = ""


class Rows(msgspec.Struct, frozen=True):
    """Rows of the result, in order. An empty list says that there is a table, though an empty one.

    verified: False for rows that were read from plain JSON lines, which nobody counted.
    """

    rows: list[dict[str, Any]]
    verified: bool = True


class Progress(msgspec.Struct, frozen=True):
    """How far the task is: `done` of `total` (null: unknown), and what it says it is doing."""

    done: int
    total: int | None = None
    text: str | None = None


class SourceFrame(msgspec.Struct, frozen=True):
    """One of the task's own places in a traceback, with the lines around it as [number, text].

    columns: the characters of the failing line from which and up to which it failed, where that is known.
    """

    file: str
    line: int
    function: str
    source: list[tuple[int, str]] = []
    columns: tuple[int, int] | None = None


class Metric(msgspec.Struct, frozen=True):
    """A number to watch while the task runs; step: where the task was."""

    name: str
    value: float
    step: int | None = None


class File(msgspec.Struct, frozen=True):
    """A file that the task sent; the name is one that any folder takes."""

    name: str
    content: bytes

    def __repr__(self) -> str:
        return f"File({self.name!r}, {len(self.content):,} bytes)"


class Return(msgspec.Struct, frozen=True):
    """How one of several calls ended: its exit status, how many rows it sent (null: no table), its seconds."""

    call: int
    status: int
    rows: int | None
    seconds: float


class Returns(msgspec.Struct, frozen=True):
    """Calls of one run that have ended, in order."""

    returns: list[Return]


class Failure(msgspec.Struct, frozen=True):
    """What went wrong in the task; `missing` names a package that could not be imported."""

    type: str
    message: str
    frames: list[SourceFrame] = []
    missing: str | None = None
    traceback: str = ""


class End(msgspec.Struct, frozen=True):
    """The last record: the exit status the process is about to have, and how many rows it sent.

    checksum: of the MACs of all records before it, as 24 hex digits of their SHA-256.
    """

    status: int
    rows: int
    checksum: str


Record: TypeAlias = Declaration | Rows | Table | Progress | Metric | File | Failure | Returns | End

_KINDS: dict[str, type[Declaration | Progress | Metric | Failure | End]] = {
    "task": Declaration,
    "progress": Progress,
    "metric": Metric,
    "failure": Failure,
    "end": End,
}


RUN_ID = r"hm-[0-9a-f]{8}"  # pattern of a run's public id


class RunKey:
    """The name and the key of a run, and what travels as RUN_KEY; the key shows in no repr."""

    def __init__(self, run: str, key: bytes) -> None:
        self.run = run
        self._key = key

    @classmethod
    def new(cls) -> RunKey:
        """Draw a public id for a run (`hm-` and 8 hex digits) and a secret key."""
        from secrets import token_bytes, token_hex

        return cls(f"hm-{token_hex(4)}", token_bytes(32))

    @classmethod
    def read(cls, text: str) -> RunKey:
        """Return what `env()` wrote."""
        run, _, key = text.partition(":")
        return cls(run, bytes.fromhex(key))

    def __repr__(self) -> str:
        return f"RunKey({self.run!r})"

    def env(self) -> str:
        """Return what the dyno's environment carries as RUN_KEY."""
        return f"{self.run}:{self._key.hex()}"

    def hide(self, text: str) -> str:
        """Return the text without the key, for a task can print its process's first environment."""
        secret = self._key.hex()
        return text.replace(secret, "***") if secret in text else text

    def signs(self, nonce: str, number: str, kind: str, mac: str, payload: str) -> bool:
        """Tell whether this key made the MAC."""
        signed = f"{self.run} {nonce} {number} {kind} {payload}".encode()
        return hmac.compare_digest(hmac.digest(self._key, signed, "sha256").hex()[:24], mac)


class RecordDecoder:
    """Read one run's records out of its log lines: in order, each once, whatever order they came in.

    Lines may come late, twice or not at all; `missing()` names the gaps. A dyno that the platform
    started twice is noticed by its nonce: one process is chosen whole, never a mixture.
    """

    def __init__(self, key: RunKey, mask: Mask = NO_MASK) -> None:
        self._key = key
        self._mask = mask
        self._processes: dict[str, _Process] = {}
        self._plain: list[Rows] = []
        self._cut_lines = 0
        self._is_closed = False
        self._newer_version: int | None = None

    def feed(self, message: str) -> tuple[str | None, list[Record]]:
        """Take one message of the dyno; return its text for the log, if any, and the records now in order."""
        if "@hm" not in message:
            return message, self._plain_row(message)
        # Any text may stand before a record, even one that looks like its beginning.
        for mark in re.finditer("@hm1 ", message):
            match = _RECORD.match(message, mark.start())
            if match is not None and self._key.signs(*match.groups()):
                return message[: mark.start()] or None, self._take(*match.groups())
        self._note_version(message)
        return message, self._plain_row(message)

    def _take(self, nonce: str, number: str, kind: str, mac: str, payload: str) -> list[Record]:
        process = self._processes.setdefault(nonce, _Process(self._mask))
        records = process.take(int(number), kind, mac, payload)
        return records if process is next(iter(self._processes.values())) else []

    def read_again(self, messages: Iterable[str]) -> None:
        """Take the plain rows from these messages instead: they are all that the task printed, once and in order."""
        self._plain, self._cut_lines = [], 0
        for message in messages:
            self._plain_row(message)

    def close(self) -> None:
        """The result is complete: plain lines that come late are only log."""
        self._is_closed = True

    @property
    def keyed(self) -> bool:
        """Whether the task speaks the protocol at all."""
        return bool(self._processes)

    @property
    def started_twice(self) -> bool:
        """Whether two processes answered for this one run."""
        return len(self._processes) > 1

    @property
    def end(self) -> End | None:
        """The end mark of the chosen process, once all that it counts is here."""
        chosen = self._chosen()
        return chosen.end if chosen and not chosen.missing() else None

    @property
    def failure(self) -> Failure | None:
        """What the chosen process said went wrong."""
        chosen = self._chosen()
        return chosen.failure if chosen else None

    @property
    def calls(self) -> list[Call]:
        """The calls that have ended, of a run that makes several: all of each is here."""
        chosen = self._chosen()
        return chosen.calls if chosen else []

    @property
    def files(self) -> dict[str, bytes]:
        """The files that came whole, by name."""
        chosen = self._chosen()
        return dict(chosen.files) if chosen else {}

    @property
    def parts(self) -> list[Rows | Table] | None:
        """The result so far, in order; None: there is no table."""
        chosen = self._chosen()
        return (chosen.parts if chosen else [*self._plain]) or None

    @property
    def row_count(self) -> int | None:
        """How many rows there are so far; None: there is no table."""
        return None if self.parts is None else sum(map(_length, self.parts))

    @property
    def verified(self) -> bool:
        """Whether every row is known to be here, as it was sent."""
        return self.end is not None and self.problem() is None

    def missing(self) -> list[tuple[int, int]]:
        """The numbers that are missing, as (first, last); without an end mark the tail is unknown."""
        chosen = self._chosen()
        return chosen.missing() if chosen else []

    def problem(self) -> str | None:
        """Say what is known to be wrong with the result of a task that is over, or None."""
        chosen = self._chosen()
        if chosen is None and self._newer_version:
            return f"its helper speaks version {self._newer_version} of the protocol: upgrade heroku-magic"
        if chosen is None:
            cut = f"{self._cut_lines} of its rows were cut, for a line has room for {CUT:,} bytes"
            return cut if self._cut_lines else None
        return chosen.problem()

    def _chosen(self) -> _Process | None:
        whole = [process for process in self._processes.values() if process.end and not process.missing()]
        return next(iter(whole or self._processes.values()), None)

    def _plain_row(self, message: str) -> list[Record]:
        """A printed line that is a JSON object is a row, until a keyed record appears."""
        text = message.strip()
        if self._is_closed or self._processes or not text.startswith("{"):
            return []
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            self._cut_lines += len(text.encode("utf-8", "replace")) >= CUT
            return []
        self._plain.append(Rows([self._mask.value(row)], verified=False))
        return [self._plain[-1]]

    def _note_version(self, message: str) -> None:
        if match := _NEWER.search(message):
            self._newer_version = int(match[1])


class Call(msgspec.Struct, frozen=True):
    """One of several calls that a run made, with what it sent."""

    told: Return
    parts: list[Rows | Table] | None
    files: dict[str, bytes]
    failure: Failure | None


class _Process:
    """The records of one process of the task, put in order by their numbers."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._next = 0
        self._held: dict[int, tuple[str, str, str]] = {}
        self._payloads: list[str] = []
        self._macs = hashlib.sha256()
        self._file = bytearray()
        self._file_bytes = 0
        self._last: int | None = None
        self._since: deque[Record] = deque()
        self.parts: list[Rows | Table] = []
        self.files: dict[str, bytes] = {}
        self.calls: list[Call] = []
        self.damaged: list[int] = []
        self.failure: Failure | None = None
        self.end: End | None = None
        self.checksum = ""

    def take(self, number: int, kind: str, mac: str, payload: str) -> list[Record]:
        """Keep a numbered record; return those that are now in order."""
        if kind == "end":
            self._last = number
        if number >= self._next:
            self._held.setdefault(number, (kind, mac, payload))
        ready: list[Record] = []
        while self._next in self._held:
            ready += self._complete(*self._held.pop(self._next))
            self._next += 1
        return ready

    def missing(self) -> list[tuple[int, int]]:
        """Return the gaps below the highest number known."""
        numbers = sorted(self._held) + ([self._last + 1] if self._last is not None else [])
        gaps, expected = [], self._next
        for number in numbers:
            if number > expected:
                gaps.append((expected, number - 1))
            expected = max(expected, number + 1)
        return gaps

    def problem(self) -> str | None:
        """Say what is known to be wrong with what came, or None."""
        if gaps := self.missing():
            return f"records {_ranges(gaps)} never came, and the log's backlog does not hold them"
        if self.end is None:
            return "the end mark never came, so it is unknown whether all rows are here"
        if self.damaged:
            return f"records {_ranges([(number, number) for number in self.damaged])} cannot be read"
        if self.end.rows != sum(map(_length, self.parts)) or self.end.checksum != self.checksum:
            return "the end mark counts other rows than came"
        return None

    def _complete(self, kind: str, mac: str, payload: str) -> list[Record]:
        """Join a record's payloads; return the record once its last one is here."""
        if kind == "end":
            self.checksum = self._macs.hexdigest()[:24]
        self._macs.update(mac.encode())
        self._payloads.append(payload)
        if kind.endswith("+"):
            return []
        whole, self._payloads = "".join(self._payloads), []
        try:
            record = self._read(kind, whole)
        except (ValueError, RecursionError, zlib.error, msgspec.MsgspecError):
            self.damaged.append(self._next)
            return []
        self._keep(record)
        return [record] if record is not None else []

    def _read(self, kind: str, payload: str) -> Record | None:
        """Return a record by its kind; a kind that nobody knows is no part of the result."""
        header, body = _unpacked(payload)
        header = self._mask.value(header)
        if kind == "rows":
            return msgspec.convert({"rows": header}, Rows)
        if kind == "table":
            return table(header, body).redacted(self._mask)
        if kind == "file":
            return self._add_file(msgspec.convert(header, _FilePart), body)
        if kind == "return":
            return self._in_order(msgspec.convert({"returns": header}, Returns))
        return msgspec.convert(header, _KINDS[kind]) if kind in _KINDS else None

    def _in_order(self, told: Returns) -> Returns:
        expected = range(len(self.calls), len(self.calls) + len(told.returns))
        if [one.call for one in told.returns] != [*expected]:
            raise ValueError("calls that were not made in order")
        return told

    def _add_file(self, told: _FilePart, body: bytes) -> File | None:
        self._file_bytes += len(body)
        self._file = self._file + body if told.part else bytearray(body)
        if self._file_bytes > FILES or (told.part + 1 == told.parts and len(self._file) != told.size):
            raise ValueError("a file is larger than a run's may be, or not as large as it says")
        return File(_file_name(told.name), bytes(self._file)) if told.part + 1 == told.parts else None

    def _keep(self, record: Record | None) -> None:
        if isinstance(record, (Rows, Table)):
            self.parts.append(record)
        elif isinstance(record, File):
            self.files[record.name] = record.content
        elif isinstance(record, Failure):
            self.failure = record
        elif isinstance(record, End):
            self.end = record
        if isinstance(record, Returns):
            for told in record.returns:
                self.calls.append(self._returned(told))
        elif isinstance(record, (Table, File, Failure)) or (isinstance(record, Rows) and record.rows):
            self._since.append(record)

    def _returned(self, told: Return) -> Call:
        """Take what a call sent out of what came since the one before it: as many rows as it counts."""
        parts: list[Rows | Table] = []
        files: dict[str, bytes] = {}
        failure, left = None, told.rows or 0
        # Rows of several calls may come in one record, everything else comes after the return of the call before.
        while self._since and (left or not isinstance(self._since[0], Rows)):
            record = self._since.popleft()
            if isinstance(record, Rows):
                own, rest = record.rows[:left], record.rows[left:]
                parts.append(Rows(own))
                left -= len(own)
                if rest:
                    self._since.appendleft(Rows(rest))
            elif isinstance(record, Table):
                parts.append(record)
                left -= record.length
            elif isinstance(record, File):
                files[record.name] = record.content
            elif isinstance(record, Failure):
                failure = record
        if failure is self.failure:
            self.failure = None  # it was this call's, and says nothing of how the run ends
        if left:
            self.damaged.append(self._next)
        return Call(told, None if told.rows is None else parts or [Rows([])], files, failure)


class _FilePart(msgspec.Struct, frozen=True):
    """The header of a part of a file, which is `size` bytes long in all."""

    name: str
    part: int
    parts: int
    size: int


def _unpacked(payload: str) -> tuple[Any, bytes]:
    """Return a payload's JSON and the bytes that follow it, if it is packed."""
    # The standard library's decoder: rows may hold NaN and Infinity, which strict JSON has not.
    if payload.startswith(("[", "{")):
        return json.loads(payload), b""
    unzip = zlib.decompressobj()
    data = unzip.decompress(a2b_base64(payload), LARGEST)
    if not unzip.eof:
        raise ValueError("more than a record may have")
    header, _, body = data.partition(b"\n")
    return json.loads(header), body


def _file_name(name: str) -> str:
    """The last part of a path, of characters that every folder takes."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.+ -]", "_", last)[:100].strip(". ") or "file"


def _length(part: Rows | Table) -> int:
    return part.length if isinstance(part, Table) else len(part.rows)


def _ranges(gaps: list[tuple[int, int]]) -> str:
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in gaps[:20]]
    return ", ".join(shown) + (f" and {len(gaps) - 20} more" if len(gaps) > 20 else "")
