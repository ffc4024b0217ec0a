"""The file of a sweep, from which another process can resume it.

The first line describes the sweep. Each other line records how a combination ended, or which run was started.
Lines are JSON; the bytes of a table are Base64. Secrets are not written. Some names on disk are those of format 1:
`place` for an index, `terms` for options, `outlives` for detached.
"""

from __future__ import annotations

import json
import os
import re
import threading
import weakref
from binascii import a2b_base64, b2a_base64
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from heroku_magic.api.forks import begins_anew_after_fork
from heroku_magic.bundle.payload import table_chunks
from heroku_magic.errors import HerokuMagicError, InvalidOptions
from heroku_magic.platform_facts.folders import expanded, make_private
from heroku_magic.protocol.call_value import decode_row
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import Table
from heroku_magic.protocol.typed_json import Encoder
from heroku_magic.runs.request import RunRequest
from heroku_magic.sweeps.axis_record import AxisRecord  # noqa: TC001 - msgspec reads it
from heroku_magic.sweeps.outcomes import Outcome
from heroku_magic.text.redact import NO_MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ID = re.compile(r"hs-[0-9a-f]{8}")  # of a sweep
FOLDER = Path(".heroku", "sweeps")
FORMAT = 1


class JournalHeader(msgspec.Struct, frozen=True):
    """The first line: what the sweep runs.

    indices: combinations of the grid that run; None for all. env: parameters that all runs share, as text.
    secrets: names of secret parameters. packages: exact versions. request: what the ledger keeps.
    """

    sweep: str
    host: str
    app: str
    task: str
    axes: list[AxisRecord]
    in_step: bool
    indices: list[int] | None = msgspec.field(name="places")
    env: dict[str, str]
    secrets: list[str]
    size: str | None
    timeout: int
    takes_rows: bool
    is_detached: bool = msgspec.field(name="outlives")
    options: dict[str, Any] = msgspec.field(name="terms")
    format: int = FORMAT
    packages: list[str] = []
    warm: bool = False
    isolate: bool = True
    allow_pickle: bool = False
    request: RunRequest = RunRequest()


class OutcomeRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line: how a combination ended. It has rows, or parts with tables among them; files are in Base64.

    typed: each row holds the value of a function as typed JSON.
    """

    index: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="place")
    state: Literal["done", "failed", "cancelled"]
    attempts: int
    facts: dict[str, Any]
    error: str | None = None
    rows: list[dict[str, Any]] | None = None
    parts: list[str | dict[str, Any] | list[dict[str, Any]]] | None = None
    files: dict[str, str] = {}
    typed: bool = False
    metrics: dict[str, float] = {}

    def outcome(self, parameters: dict[str, Any]) -> Outcome:
        """Return the outcome that was recorded."""
        rows = self.rows
        if self.typed:
            rows = [decode_row(row, NO_MASK, allow_pickle=False) for row in rows or ()]
        parts: list[Rows | Table] | None = None if rows is None else [Rows(rows, typed=self.typed)]
        if self.parts is not None:
            parts = [Rows(part) if isinstance(part, list) else _table(part) for part in self.parts]
        error = None if self.error is None else HerokuMagicError(self.error)
        files = {name: a2b_base64(content) for name, content in self.files.items()}
        return Outcome(
            self.index, parameters, self.state, self.attempts, self.facts, error, parts, files, metrics=self.metrics
        )


def _table(part: str | dict[str, Any]) -> Table:
    """Read a table. Earlier versions wrote MessagePack, which has no lone surrogates and no integers above 64 bits."""
    if isinstance(part, str):
        return msgspec.msgpack.decode(a2b_base64(part), type=Table)
    return msgspec.convert(part, Table)


class JournalContents(msgspec.Struct):
    """What a journal holds. ended: records by combination. runs: the combinations of each run that was started."""

    header: JournalHeader
    ended: dict[int, OutcomeRecord] = {}
    runs: dict[str, list[int]] = {}

    def add(self, line: dict[str, Any]) -> None:
        """Take in one line."""
        if "run" in line:
            self.runs[line["run"]] = [int(index) for index in line["places"]]
        else:
            record = msgspec.convert(line, OutcomeRecord)
            self.ended[record.index] = record

    def outcomes(self, parameters: Callable[[int], dict[str, Any]]) -> list[Outcome]:
        """Return how combinations ended. parameters: returns those of an index."""
        return [record.outcome(parameters(index)) for index, record in self.ended.items()]


class Journal:
    """The file of one sweep; while it is open, no other sweep can write it."""

    def __init__(self, path: Path) -> None:
        self.path = expanded(path).absolute()  # the notebook may change its folder meanwhile
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._is_new = False
        begins_anew_after_fork(self)

    def create(self, header: JournalHeader, known: Iterable[Outcome] = ()) -> Journal:
        """Create the file. known: combinations that have ended.

        Raises InvalidOptions if it exists or cannot be written.
        """
        try:
            if self.path.parent == FOLDER.absolute():
                make_private(self.path.parent)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except (OSError, ValueError) as error:
            resume = f"already exists. Resume its sweep with %heroku resume {self.path}, or use another name."
            is_there = isinstance(error, FileExistsError) and self.path.is_file()
            raise InvalidOptions(f"{self.path} {resume if is_there else _not_written(error)}") from None
        self._is_new = True
        self._hold(os.fdopen(descriptor, "rb+"))
        try:
            self._write(msgspec.to_builtins(header))
            for outcome in known:
                self.record_outcome(outcome)
        except OSError as error:
            self.discard()
            raise InvalidOptions(f"{self.path} {_not_written(error)}") from None
        return self

    def reopen(self) -> JournalContents:
        """Open an existing file for further lines, drop an incomplete last line, and return the contents.

        Raises InvalidOptions if the file is in use or not a journal; it stays unchanged then.
        """
        try:
            file = self.path.open("rb+")
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from None
        self._hold(file)
        try:
            contents = read(self.path)
        except InvalidOptions:
            self.close()
            raise
        file.truncate(file.read().rfind(b"\n") + 1)
        self._is_new = False
        return contents

    def close(self) -> None:
        """Close the file, so that another process can resume the sweep."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                with suppress(OSError):  # each line was written at once, and failures were reported
                    file.close()

    def discard(self) -> None:
        """Close the file of a sweep that does not start, and remove it if it is new."""
        self.close()
        if self._is_new:
            self.path.unlink(missing_ok=True)

    def begin_anew(self) -> None:
        """Let go of the parent's file after a fork, or its lock would last as long as this process."""
        if self._file is not None:
            with Path(os.devnull).open("rb") as nothing:
                os.dup2(nothing.fileno(), self._file.fileno())

    def _hold(self, file: IO[bytes]) -> None:
        """Lock the file until it is closed or the process ends."""
        weakref.finalize(self, file.close)
        self._file = file
        with suppress(ImportError):  # on Windows
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()
                raise InvalidOptions(f"{self.path} is in use: its sweep is still running.") from None
            except OSError:  # a file system without locks
                return

    def record_start(self, indices: Sequence[int], run: str) -> None:
        """Write that a run of some combinations was started."""
        self._write({"run": run, "places": list(indices)})

    def record_outcome(self, outcome: Outcome) -> None:
        """Write how a combination ended, unless its value has no exact form: then a resumed sweep runs it again."""
        parts = outcome.parts or ()
        rows = [row for part in parts if isinstance(part, Rows) for row in part.rows]
        is_typed = any(isinstance(part, Rows) and part.typed for part in parts)
        if is_typed:
            try:
                rows = [encode_value(row["value"]) for row in rows]
            except TypeError:
                return
        packed = [msgspec.to_builtins(part) if isinstance(part, Table) else part.rows for part in parts]
        has_tables = any(isinstance(part, Table) for part in parts)
        record = OutcomeRecord(
            outcome.place,
            outcome.state,  # type: ignore[arg-type]
            outcome.attempts,
            dict(outcome.facts),
            error=str(outcome.error) if outcome.error else None,
            rows=None if has_tables or outcome.parts is None else rows,
            parts=packed if has_tables else None,
            files={name: _base64(content) for name, content in outcome.files.items()},
            typed=is_typed,
            metrics=dict(outcome.metrics),
        )
        self._write(msgspec.to_builtins(record))

    def _write(self, line: dict[str, Any]) -> None:
        # The encoder of the standard library: rows may hold NaN and Infinity, which strict JSON lacks.
        # ASCII: texts may hold lone surrogates, which UTF-8 lacks.
        text = json.dumps(line, separators=(",", ":"))
        with self._lock:
            if self._file is not None:
                self._file.seek(0, os.SEEK_END)
                self._file.write(f"{text}\n".encode("ascii"))
                self._file.flush()


def _not_written(error: OSError | ValueError) -> str:
    return f"cannot be written: {getattr(error, 'strerror', None) or error}."


def _unreadable(path: Path, error: OSError | ValueError) -> InvalidOptions:
    reason = "it is not text" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
    return InvalidOptions(f"{path} cannot be read ({reason}). Expected the file of --save.")


def read(path: Path) -> JournalContents:
    """Return the contents of a journal without an incomplete last line. Raises InvalidOptions if it is not one."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    contents: JournalContents | None = None
    for number, line in enumerate(lines[:-1], 1):
        try:
            if contents is None:
                contents = JournalContents(_header(json.loads(line)))
            else:
                contents.add(json.loads(line))
        except (ValueError, TypeError, KeyError, msgspec.MsgspecError):  # noqa: PERF203 - the message names the line
            message = f"{path}, line {number}: this is not the file of a sweep, or it was changed."
            raise InvalidOptions(message) from None
    if contents is None:
        raise InvalidOptions(f"{path} does not contain a sweep.")
    return contents


def new_id() -> str:
    """Return an id for a new sweep."""
    return f"hs-{token_hex(4)}"


def detached_path(sweep: str) -> Path:
    """Return the path of a detached sweep's journal, in the notebook's folder; git ignores it."""
    return (FOLDER / f"{sweep}.jsonl").absolute()


def _header(line: dict[str, Any]) -> JournalHeader:
    header = msgspec.convert(line, JournalHeader)
    if header.format != FORMAT:
        raise ValueError("unknown format")
    return header


def encode_value(value: Any) -> dict[str, Any]:
    """Return a function's value as typed JSON. Raises TypeError for a value that has no exact form."""
    encoder = Encoder(table_chunks)
    form = encoder.encode(value, "the value")
    return {"value": form, "body": _base64(bytes(encoder.body))}


def _base64(content: bytes) -> str:
    return b2a_base64(content, newline=False).decode("ascii")
