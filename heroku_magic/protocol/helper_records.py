"""The records of one process of the worker's helper: in order, each once, counted and checked by its end record."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from binascii import a2b_base64
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.protocol.call_value import decode_row, redacted
from heroku_magic.protocol.records import (
    Call,
    Declaration,
    End,
    Failure,
    File,
    Metric,
    Progress,
    Record,
    Return,
    Returns,
    Rows,
    RunKey,
)
from heroku_magic.protocol.tables import Table, read_table
from heroku_magic.text.redact import NO_MASK
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from heroku_magic.protocol.result_limit import MemoryBudget
    from heroku_magic.text.redact import Mask

MAX_RECORD_BYTES = 64_000_000  # unpacked, so that a few short lines cannot fill the memory
MAX_SMALL_BYTES = 2_000_000  # of a record that is read even after the limit of the result was exceeded
MAX_FILE_BYTES = 5_000_000  # of all files of a run, in a log
RECEIVED = "bytes received"
_SMALL = frozenset({"task", "failure", "end"})
_JSON_COLUMN = re.compile(rb'"coding"\s*:\s*"json"')  # in the header of a table
_KINDS: dict[str, type[Record]] = {"task": Declaration, "metric": Metric, "failure": Failure, "end": End}


class RecordSecrets:
    """What has to be hidden in records: the secret parameters, and the key, which a task's environment holds."""

    def __init__(self, key: RunKey, mask: Mask) -> None:
        self._mask, self._key = mask, key
        self.mask = key.mask | mask

    def mask_for(self, data: bytes) -> Mask:
        """Return the mask of a record; that of the key only if the record holds it, as most records are large."""
        return self.mask if self._key.mask.occurs_in(data) else self._mask


class HelperProcess:
    """The records of one process of the task, ordered by number."""

    def __init__(self, secrets: RecordSecrets, memory: MemoryBudget, *, allow_pickle: bool, is_lossless: bool) -> None:
        self._secrets = secrets
        self._memory = memory
        self._allow_pickle = allow_pickle
        self._is_lossless = is_lossless
        self._is_typed = False
        self._undecodable = ""
        self._next = self._file_bytes = 0
        self._held: dict[int, tuple[str, str, str]] = {}
        self._payloads: list[str] = []
        self._macs = hashlib.sha256()
        self._file, self._body = bytearray(), bytearray()
        self._file_names: dict[str, str] = {}  # as the task sent them, and valid ones
        self._last: int | None = None
        self._unassigned: deque[Record] = deque()
        self.parts: list[Rows | Table] = []
        self.files: dict[str, bytes] = {}
        self.calls: list[Call] = []
        self.damaged: list[int] = []
        self.failure: Failure | None = None
        self.end: End | None = None
        self.checksum = ""
        self.began_at = self.last_at = ""

    def note_time(self, timestamp: str) -> None:
        """Take note of when the log says that a record was written."""
        self.began_at = min(self.began_at or timestamp, timestamp)
        self.last_at = max(self.last_at, timestamp)

    def take(self, number: int, kind: str, mac: str, payload: str) -> list[Record]:
        """Store a numbered record; return the records that are now in order."""
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
        """Return the gaps below the highest known number."""
        numbers = sorted(self._held) + ([self._last + 1] if self._last is not None else [])
        gaps, expected = [], self._next
        for number in numbers:
            if number > expected:
                gaps.append((expected, number - 1))
            expected = max(expected, number + 1)
        return gaps

    def problem(self) -> str | None:
        """Return what is wrong with the received records, or None."""
        if gaps := self.missing():
            return f"records {_ranges(gaps)} are missing, and Heroku's log history does not contain them"
        if self.end is None:
            lost = "" if self._is_lossless else ", or the log has lost it"
            return f"the end record is missing, so some rows may be missing (os._exit() leaves it out{lost})"
        if self._memory.problem or self._undecodable:
            return self._memory.problem or f"the value of the function cannot be read: {self._undecodable}"
        if self.damaged:
            return f"records {_ranges([(number, number) for number in self.damaged])} cannot be read"
        if self.end.rows != sum(map(length, self.parts)) or self.end.checksum != self.checksum:
            return "the rows do not match the count and checksum of the end record"
        return None

    def _complete(self, kind: str, mac: str, payload: str) -> list[Record]:
        """Join the payloads of a record; return the record once its last part has arrived."""
        if kind == "end":
            self.checksum = self._macs.hexdigest()[:24]
        self._macs.update(mac.encode())
        self._payloads.append(payload)
        if kind.endswith("+"):
            return []
        joined, self._payloads = "".join(self._payloads), []
        try:
            record = self._read(kind, joined)
        except Exception:  # noqa: BLE001 - whatever pandas raises for a value; one bad record fails its own run only
            self.damaged.append(self._next)
            return []
        self._store(record)
        return [record] if record is not None else []

    def _read(self, kind: str, payload: str) -> Record | None:  # noqa: PLR0911 - one per kind
        """Parse a record by its kind; unknown kinds are not part of the result."""
        data = self._unpacked(kind, payload)
        text, _, body = data.partition(b"\n")
        if kind not in _SMALL:
            self._memory.charge_json(text)
        is_binary = kind in {"file", "body"} or (kind == "table" and not _JSON_COLUMN.search(text))
        mask = NO_MASK if kind == "end" else self._secrets.mask_for(text if is_binary else data)  # it has only numbers
        if kind == "rows" and self._is_typed:
            return self._decode_values(json.loads(text), mask)
        if kind == "table":
            return self._read_table(json.loads(text), body, mask)
        header = mask.value(json.loads(text))
        if kind == "task":
            self._is_typed = header.get("typed") is True
        if kind == "rows":
            rows = msgspec.convert({"rows": header}, Rows)
            self._memory.charge_rows(rows.rows)
            return rows
        if kind == "file":
            return self._add_file(msgspec.convert(header, _FilePart), body)
        if kind == "body":
            return self._add_to_body(header["at"], body)
        if kind == "return":
            return self._check_order(msgspec.convert({"returns": header}, Returns))
        if kind == "progress":
            return Progress.read(header)
        record = msgspec.convert(header, _KINDS[kind]) if kind in _KINDS else None
        return record.redacted(mask) if isinstance(record, Failure) else record

    def _read_table(self, header: dict[str, Any], body: bytes, mask: Mask) -> Table:
        call = header.pop("call", None)
        header = mask.value(header)
        self._charge_table(header, body)
        if call:
            if not call.get("body"):
                call["body"], self._body = self._body, bytearray()
            header["call"] = redacted(call, mask)
        return read_table(header, body).redacted(mask)

    def _charge_table(self, header: dict[str, Any], body: bytes) -> None:
        columns = header["columns"]
        if sum(header["sizes"]) != len(body):
            return  # it is damaged, as `read_table` reports
        self._memory.charge_table(len(body), header["rows"], (column["name"] for column in columns))
        if any("json" in {column["coding"], column.get("of", column)["coding"]} for column in columns):
            self._memory.charge_json(body)

    def _unpacked(self, kind: str, payload: str) -> bytes:
        """Return the JSON of a payload and, if it is packed, a newline and the bytes after it.

        Rows may contain NaN and Infinity, which only the standard library's decoder accepts.
        """
        if payload.startswith(("[", "{")):
            return payload.encode("utf-8", "replace")
        left = self._memory.left + 1
        most = MAX_SMALL_BYTES if kind in _SMALL else left if self._is_lossless else min(MAX_RECORD_BYTES, left)
        unzip = zlib.decompressobj()
        data = unzip.decompress(a2b_base64(payload), most)
        if not unzip.eof:
            if most == left and kind not in _SMALL:
                self._memory.exceed()
            raise ValueError("the record is too large")
        return data

    def _add_to_body(self, at: int, data: bytes) -> Progress:
        """Add bytes to those of the value that a later row holds; the first ones begin another value."""
        if at == 0:
            self._body = bytearray()
        if at != len(self._body):
            raise ValueError("bytes of a value are missing")
        self._memory.charge(len(data))
        self._body += data
        return Progress(len(self._body), None, RECEIVED)

    def _decode_values(self, rows: list[Any], mask: Mask) -> Rows:
        body, self._body = self._body, bytearray()
        try:
            return Rows([decode_row(row, mask, body, allow_pickle=self._allow_pickle) for row in rows], typed=True)
        except ValueError as error:
            self._undecodable = clean_line(str(error)[:500])
            raise

    def _check_order(self, returns: Returns) -> Returns:
        expected = range(len(self.calls), len(self.calls) + len(returns.returns))
        if [one.call for one in returns.returns] != [*expected]:
            raise ValueError("the calls are out of order")
        return returns

    def _add_file(self, head: _FilePart, body: bytes) -> File | Progress:
        self._file_bytes += len(body)
        if self._is_lossless:
            self._memory.charge(len(body))
        if head.part == 0:
            self._file = bytearray()
        self._file += body
        if head.part + 1 < head.parts:
            return Progress(len(self._file), head.size, RECEIVED)
        if (self._file_bytes > MAX_FILE_BYTES and not self._is_lossless) or len(self._file) != head.size:
            raise ValueError("the files are too large, or a file does not have its declared size")
        content, self._file = self._file, bytearray()
        return File(self._name_file(head.name), bytes(content))

    def _name_file(self, sent: str) -> str:
        """Return a valid name, which belongs to one sent name only: of `a/x.png` and `b/x.png` none is lost."""
        stem, dot, suffix = (name := _file_name(sent)).partition(".")
        number = 1
        while name in self._file_names.values() and sent not in self._file_names:
            number += 1
            name = f"{stem}-{number}{dot}{suffix}"
        return self._file_names.setdefault(sent, name)

    def _store(self, record: Record | None) -> None:
        if isinstance(record, (Rows, Table)):
            self.parts.append(record)
        elif isinstance(record, File):
            self.files[record.name] = record.content
        elif isinstance(record, Failure):
            self.failure = record
        elif isinstance(record, End):
            self.end = record
        if isinstance(record, Returns):
            for one in record.returns:
                self.calls.append(self._finish_call(one))
        elif isinstance(record, (Table, File, Failure)) or (isinstance(record, Rows) and record.rows):
            self._unassigned.append(record)

    def _finish_call(self, returned: Return) -> Call:
        """Assign to a call the records since the previous call: as many rows as the call counts."""
        parts: list[Rows | Table] = []
        files: dict[str, bytes] = {}
        failure, left = None, returned.rows or 0
        # One record may hold the rows of several calls; everything else follows the return of the previous call.
        while self._unassigned and (left or not isinstance(self._unassigned[0], Rows)):
            record = self._unassigned.popleft()
            if isinstance(record, Rows):
                own, rest = record.rows[:left], record.rows[left:]
                parts.append(msgspec.structs.replace(record, rows=own))
                left -= len(own)
                if rest:
                    self._unassigned.appendleft(msgspec.structs.replace(record, rows=rest))
            elif isinstance(record, Table):
                parts.append(record)
                left -= record.length
            elif isinstance(record, File):
                files[record.name] = record.content
            elif isinstance(record, Failure):
                failure = record
        if failure is self.failure:
            self.failure = None  # this call's failure does not mean that the run failed
        if left:
            self.damaged.append(self._next)
        return Call(returned, None if returned.rows is None else parts or [Rows([])], files, failure)


class _FilePart(msgspec.Struct, frozen=True):
    """The header of one part of a file of `size` bytes."""

    name: str
    part: int
    parts: int
    size: int


def _file_name(name: str) -> str:
    """Return the last part of a path, with only characters that are valid in every file system."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.+ -]", "_", last)[:100].strip(". ") or "file"


def length(part: Rows | Table) -> int:
    """Return the number of rows of a part of a result."""
    return part.length if isinstance(part, Table) else len(part.rows)


def _ranges(gaps: list[tuple[int, int]]) -> str:
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in gaps[:20]]
    return ", ".join(shown) + (f" and {len(gaps) - 20} more" if len(gaps) > 20 else "")
