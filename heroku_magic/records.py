"""LogLine -> Record: reads the result protocol that the worker helper writes; it never evaluates what it reads.

One record is one line of text, `@hm1 NONCE NUMBER KIND MAC PAYLOAD`: numbered without gaps by each
process, authenticated with the run's key, counted by an end mark. A line without a valid MAC is only
log, whatever it claims to be. The format is written down in the worker's README.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
_RECORD = re.compile(r"@hm(\d+) (?:([0-9a-f]{8}) (\d{1,12}) ([a-z]{1,16}\+?) ([0-9a-f]{24}) (.*))?", re.DOTALL)


class Declaration(msgspec.Struct, frozen=True):
    """The task's name and its parameters as JSON Schema; null takes anything."""

    task: str
    parameters: dict[str, Any] | None = None


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
    """One of the task's own places in a traceback, with the lines around it as [number, text]."""

    file: str
    line: int
    function: str
    source: list[tuple[int, str]] = []


class Failure(msgspec.Struct, frozen=True):
    """What went wrong in the task; `missing` names a package that could not be imported."""

    type: str
    message: str
    frames: list[SourceFrame] = []
    missing: str | None = None
    traceback: str = ""


class End(msgspec.Struct, frozen=True):
    """The last record: the exit status the process is about to have, and how many rows it sent."""

    status: int
    rows: int


Record: TypeAlias = Declaration | Rows | Progress | Failure | End

_KINDS: dict[str, type[Declaration | Progress | Failure | End]] = {
    "task": Declaration,
    "progress": Progress,
    "failure": Failure,
    "end": End,
}


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

    def signs(self, nonce: str, number: str, kind: str, payload: str, mac: str) -> bool:
        """Tell whether this key made the MAC."""
        signed = f"{self.run} {nonce} {number} {kind} {payload}".encode()
        return hmac.compare_digest(hmac.digest(self._key, signed, "sha256").hex()[:24], mac)


class RecordDecoder:
    """Read one run's records out of its log lines: in order, each once, whatever order they came in.

    Lines may come late, twice or not at all; `missing()` names the gaps. A dyno that the platform
    started twice is noticed by its nonce: one process is chosen whole, never a mixture.
    """

    def __init__(self, key: RunKey) -> None:
        self._key = key
        self._processes: dict[str, _Process] = {}
        self._plain: list[Rows] = []
        self._is_closed = False
        self.newer_version: int | None = None

    def feed(self, message: str) -> tuple[str | None, list[Record]]:
        """Take one message of the dyno; return its text for the log, if any, and the records now in order."""
        match = _RECORD.search(message) if "@hm" in message else None
        if match is None:
            return message, self._plain_row(message)
        nonce, number, kind, mac, payload = match.group(2, 3, 4, 5, 6)
        if nonce is None or int(match[1]) != VERSION or not self._key.signs(nonce, number, kind, payload, mac):
            self._note_version(int(match[1]))
            return message, []
        process = self._processes.setdefault(nonce, _Process())
        records = process.take(int(number), kind, payload)
        is_first = process is next(iter(self._processes.values()))
        return message[: match.start()] or None, records if is_first else []

    def read_again(self, messages: Iterable[str]) -> None:
        """Take the plain rows from these messages instead: they are all that the task printed, once and in order."""
        self._plain = []
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
    def ended(self) -> bool:
        """Whether an end mark came, gaps or not."""
        return any(process.last is not None for process in self._processes.values())

    @property
    def failure(self) -> Failure | None:
        """What the chosen process said went wrong."""
        chosen = self._chosen()
        return chosen.failure if chosen else None

    def missing(self) -> list[tuple[int, int]]:
        """The numbers that are missing, as (first, last); without an end mark the tail is unknown."""
        chosen = self._chosen()
        return chosen.missing() if chosen else []

    def rows(self) -> tuple[list[dict[str, Any]] | None, bool]:
        """The chosen process's rows (None: there is no table), and whether they are verified."""
        chosen = self._chosen()
        if chosen is None:
            return _joined(self._plain), False
        return _joined(chosen.rows), chosen.end is not None and not chosen.missing()

    def count_agrees(self) -> bool:
        """Whether the end mark counts as many rows as are here."""
        rows, _ = self.rows()
        return self.end is None or self.end.rows == len(rows or ())

    def _chosen(self) -> _Process | None:
        whole = [process for process in self._processes.values() if process.end and not process.missing()]
        return next(iter(whole or self._processes.values()), None)

    def _plain_row(self, message: str) -> list[Record]:
        """A printed line that is a JSON object is a row, until a keyed record appears."""
        text = message.strip()
        if self._is_closed or self._processes or not (text.startswith("{") and text.endswith("}")):
            return []
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            return []
        self._plain.append(Rows([row], verified=False))
        return [self._plain[-1]]

    def _note_version(self, version: int) -> None:
        if version > VERSION:
            self.newer_version = version


class _Process:
    """The records of one process of the task, put in order by their numbers."""

    def __init__(self) -> None:
        self._next = 0
        self._held: dict[int, tuple[str, str]] = {}
        self._parts: list[str] = []
        self.last: int | None = None
        self.rows: list[Rows] = []
        self.failure: Failure | None = None
        self.end: End | None = None

    def take(self, number: int, kind: str, payload: str) -> list[Record]:
        """Keep a numbered record; return those that are now in order."""
        if kind == "end":
            self.last = number
        if number >= self._next:
            self._held.setdefault(number, (kind, payload))
        ready: list[Record] = []
        while self._next in self._held:
            ready += self._complete(*self._held.pop(self._next))
            self._next += 1
        return ready

    def missing(self) -> list[tuple[int, int]]:
        """Return the gaps below the highest number known."""
        numbers = sorted(self._held) + ([self.last + 1] if self.last is not None else [])
        gaps, expected = [], self._next
        for number in numbers:
            if number > expected:
                gaps.append((expected, number - 1))
            expected = max(expected, number + 1)
        return gaps

    def _complete(self, kind: str, payload: str) -> list[Record]:
        """Join a record's parts; return the record once its last part is here."""
        self._parts.append(payload)
        if kind.endswith("+"):
            return []
        whole, self._parts = "".join(self._parts), []
        record = _record(kind, whole)
        if isinstance(record, Rows):
            self.rows.append(record)
        elif isinstance(record, Failure):
            self.failure = record
        elif isinstance(record, End):
            self.end = record
        return [record] if record is not None else []


def _record(kind: str, payload: str) -> Record | None:
    """Decode a payload by its kind; one that does not fit is left out, and the end mark's count tells."""
    try:
        # The standard library's decoder: rows may hold NaN and Infinity, which strict JSON has not.
        data = json.loads(payload)
        if kind == "rows":
            return msgspec.convert({"rows": data}, Rows)
        return msgspec.convert(data, _KINDS[kind]) if kind in _KINDS else None
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _joined(batches: list[Rows]) -> list[dict[str, Any]] | None:
    return [row for batch in batches for row in batch.rows] if batches else None
