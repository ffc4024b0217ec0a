"""One entry of the ledger: what was requested, how it ended, and what it returned."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.errors import HerokuMagicError
from heroku_magic.protocol.call_value import decode_row
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import Table
from heroku_magic.runs.request import RunRequest  # noqa: TC001 - msgspec reads it
from heroku_magic.sweeps.axis_record import AxisRecord  # noqa: TC001 - msgspec reads it
from heroku_magic.sweeps.journal import encode_value
from heroku_magic.text.redact import NO_MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 3  # of compression: fast enough for large tables
_BINARY, _TEXT = b"m", b"j"


class DamagedEntry(HerokuMagicError):
    """An entry of the ledger cannot be read."""


class Entry(msgspec.Struct, kw_only=True):
    """A row of the ledger. Its fields are the columns of the table `entries`; a new one needs a script in `MIGRATIONS`.

    run: the id of the run or the sweep. sweep, place: of a sweep's own runs, the sweep and the combination. cached: the
    id of the run that answered. key: what a cached answer is found by; empty if it must not be one. program: the hash
    of a function's program. details: the compressed `Details`.
    """

    run: str
    sweep: str = ""
    place: int = -1
    task: str = ""
    app: str = ""
    started: float = 0.0
    seconds: float | None = None
    dollars: float | None = None
    exit_status: int | None = None
    state: str = "done"
    rows: int | None = None
    error: str | None = None
    cached: str = ""
    key: str = ""
    parameters: str = "{}"
    program: str = ""
    details: bytes = b""

    @property
    def identity(self) -> tuple[str, str, int]:
        """What no other entry has: the run, its sweep and its combination there."""
        return self.run, self.sweep, self.place


class Details(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What else an entry knows.

    facts: as in `df.attrs["heroku"]`. host: the API's base URL. versions: of this package, of Python here and on the
    dyno. metrics: of a sweep's run. axes, in_step, indices: of a sweep, its grid and which combinations ran. lost_axes:
    names of parameters whose values in the grid are only shown. lost: names of what was too large to keep, or has no
    exact form. source: of an answered call, the run, sweep and combination that answered. cached: how a cell says so.
    """

    request: RunRequest
    facts: dict[str, Any]
    host: str = ""
    release: int | None = None
    slug: str = ""
    size: str | None = None
    dyno: str | None = None
    attempts: int = 1
    versions: dict[str, str] = {}
    metrics: dict[str, float] = {}
    axes: list[AxisRecord] = []
    in_step: bool = False
    indices: list[int] | None = None
    sweep_options: dict[str, Any] = {}
    lost_axes: list[str] = []
    notes: list[str] = []
    lost: list[str] = []
    error_type: str = ""
    was_evicted: bool = False
    source: tuple[str, str, int] | None = None
    cached: str = ""


class Payload(msgspec.Struct, kw_only=True):
    """What makes an entry large: compressed rows, events with the log, and files, which go first, and a program."""

    rows: bytes = b""
    log: bytes = b""
    files: bytes = b""
    program: str = ""

    @property
    def size(self) -> int:
        """Bytes of what goes first."""
        return len(self.rows) + len(self.log) + len(self.files)


def pack(value: Any) -> bytes:
    """Return a value compressed."""
    return zlib.compress(serialized(value), LEVEL)


def serialized(value: Any) -> bytes:
    """Return a value as MessagePack, or as JSON where it has lone surrogates or integers above 64 bits."""
    try:
        return _BINARY + msgspec.msgpack.encode(value)
    except (OverflowError, ValueError):
        return _TEXT + json.dumps(msgspec.to_builtins(value)).encode("ascii")


def unpack(data: bytes, kind: Any = Any) -> Any:
    """Return the value that was packed. Raises DamagedEntry."""
    try:
        data = zlib.decompress(data)
        if data[:1] == _BINARY:
            return msgspec.msgpack.decode(data[1:], type=kind)
        return msgspec.convert(json.loads(data[1:]), kind)
    except (zlib.error, msgspec.MsgspecError, ValueError):
        raise DamagedEntry("This entry of the history is damaged: %heroku history --forget RUN removes it.") from None


def write_parts(parts: Sequence[Rows | Table]) -> bytes:
    """Return rows and tables as bytes. Raises TypeError for a value that has no exact form."""
    return serialized([_form(part) for part in parts])


def _form(part: Rows | Table) -> tuple[str, Any, bool]:
    if isinstance(part, Table):
        return ("table", part, True)
    if part.typed:
        return ("typed", [encode_value(row["value"]) for row in part.rows], part.verified)
    return ("rows", part.rows, part.verified)


def read_parts(data: bytes) -> list[Rows | Table] | None:
    """Return the rows and tables of compressed bytes; None if there are none."""
    return [_part(*form) for form in unpack(data)] if data else None


def read_files(data: bytes) -> dict[str, bytes]:
    """Return the files of compressed bytes, by name."""
    return unpack(data, dict[str, bytes]) if data else {}


def _part(kind: str, form: Any, verified: bool) -> Rows | Table:
    if kind == "table":
        return msgspec.convert(form, Table)
    if kind == "typed":
        return Rows([decode_row(row, NO_MASK, allow_pickle=False) for row in form], verified, typed=True)
    return Rows(form, verified)
