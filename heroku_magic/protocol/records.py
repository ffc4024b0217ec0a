"""The record types of the result protocol, and the key that signs a run's records.

`worker/README.md` specifies the format.
"""

from __future__ import annotations

import hmac
import re
from functools import cached_property
from typing import Annotated, Any, TypeAlias

import msgspec

from heroku_magic.protocol.tables import Table
from heroku_magic.text.redact import Mask
from heroku_magic.text.secret import Secret

LONGEST_SOURCE_LINE = 300  # characters; the helper cuts longer ones
MOST_ITEMS = 2**63  # that a progress bar counts


class Declaration(msgspec.Struct, frozen=True):
    """A task's name and parameters.

    parameters: JSON Schema; None accepts anything. python: the dyno's Python version, if reported. typed: the rows hold
    a function's value as typed JSON. cloudpickle: whether the app has that package, if reported.
    """

    task: str
    parameters: dict[str, Any] | None = None
    python: str = ""
    typed: bool = False
    cloudpickle: bool = False


class Rows(msgspec.Struct, frozen=True):
    """Rows of the result, in order. An empty list means that the result is an empty table.

    verified: False for rows read from plain JSON lines, which are neither signed nor counted. typed: each row holds
    the value that a function returned.
    """

    rows: list[dict[str, Any]]
    verified: bool = True
    typed: bool = False


class Progress(msgspec.Struct, frozen=True):
    """The task's progress: `done` of `total` (None: unknown), and a text describing the current step."""

    done: int
    total: int | None = None
    text: str | None = None

    @classmethod
    def read(cls, record: dict[str, Any]) -> Progress:
        """Return what a record says. It decides no result: a total that is no count is unknown, and a label is text."""
        total, text = record.get("total"), record.get("text")
        count = int(total) if isinstance(total, int | float) and 0 <= total < MOST_ITEMS else None
        return msgspec.convert({**record, "total": count, "text": None if text is None else str(text)}, cls)


class SourceFrame(msgspec.Struct, frozen=True):
    """A traceback frame in the task's own code, with the surrounding lines as [number, text].

    columns: start and end of the failing expression in its line, if known.
    """

    file: str
    line: int
    function: str
    source: list[tuple[int, str]] = []
    columns: tuple[int, int] | None = None


def _without_secrets(source: list[tuple[int, str]], mask: Mask) -> list[tuple[int, str]]:
    return [(number, mask.text(line, ends=len(line) < LONGEST_SOURCE_LINE)) for number, line in source]


class Metric(msgspec.Struct, frozen=True):
    """A number to watch while the task runs. step: the task's step at which it was measured."""

    name: str
    value: float
    step: int | None = None


class File(msgspec.Struct, frozen=True):
    """A file sent by the task. Its name is valid in any folder."""

    name: str
    content: bytes

    def __repr__(self) -> str:
        return f"File({self.name!r}, {len(self.content):,} bytes)"


class Return(msgspec.Struct, frozen=True):
    """How one of several calls ended: exit status, number of rows (None: no table), duration in seconds."""

    call: int
    status: int
    rows: int | None
    seconds: float


class Returns(msgspec.Struct, frozen=True):
    """Calls of one run that have ended, in order."""

    returns: list[Return]


class Failure(msgspec.Struct, frozen=True):
    """The exception that ended the task. missing: the package that could not be imported, if any."""

    type: str
    message: str
    frames: list[SourceFrame] = []
    missing: str | None = None
    traceback: str = ""

    def redacted(self, mask: Mask) -> Failure:
        """Return the failure with its secrets hidden, even where the helper cut a text within a secret."""
        if not mask:
            return self
        message, traceback = mask.clipped(self.message), mask.clipped(self.traceback)
        frames = [msgspec.structs.replace(one, source=_without_secrets(one.source, mask)) for one in self.frames]
        return msgspec.structs.replace(self, message=message, traceback=traceback, frames=frames)


class End(msgspec.Struct, frozen=True):
    """The last record: the exit status of the process and the number of rows it sent.

    checksum: the first 24 hex digits of the SHA-256 of all previous records' MACs.
    """

    status: int
    rows: int
    checksum: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$")]


class Call(msgspec.Struct, frozen=True):
    """One of several calls made by a run, and its results."""

    returned: Return
    parts: list[Rows | Table] | None
    files: dict[str, bytes]
    failure: Failure | None


Record: TypeAlias = Declaration | Rows | Table | Progress | Metric | File | Failure | Returns | End

RUN_ID = r"hm-[0-9a-f]{8}"  # pattern of a run's public id
_RUN_KEY = re.compile(rf"({RUN_ID}):[0-9a-f]{{64}}", re.IGNORECASE)


def hide_keys(text: str) -> str:
    """Return the text with the keys of all runs masked."""
    return _RUN_KEY.sub(r"\1:***", text) if ":" in text else text


class RunKey:
    """A run's public id and secret key, which the dyno receives as RUN_KEY. The repr omits the key."""

    def __init__(self, run: str, key: bytes) -> None:
        self.run = run
        self.secret = Secret(key.hex())

    @classmethod
    def new(cls) -> RunKey:
        """Generate a public id (`hm-` and 8 hex digits) and a secret key."""
        from secrets import token_bytes, token_hex

        return cls(f"hm-{token_hex(4)}", token_bytes(32))

    @classmethod
    def read(cls, text: str) -> RunKey:
        """Parse the value of RUN_KEY."""
        run, _, key = text.partition(":")
        return cls(run, bytes.fromhex(key))

    def __repr__(self) -> str:
        return f"RunKey({self.run!r})"

    @cached_property
    def mask(self) -> Mask:
        """The mask that hides the key."""
        return Mask([self.secret])

    def env(self) -> str:
        """Return the value of the dyno's environment variable RUN_KEY."""
        return f"{self.run}:{self.secret.reveal()}"

    def signs(self, nonce: str, number: str, kind: str, mac: str, payload: str) -> bool:
        """Whether the MAC was computed with this key."""
        return hmac.compare_digest(self.mac(f"{self.run} {nonce} {number} {kind} {payload}".encode()), mac)

    def mac(self, signed: bytes) -> str:
        """Return the MAC of a line: the first 24 hex digits of its HMAC-SHA256."""
        state = self._keyed.copy()
        state.update(signed)
        return state.hexdigest()[:24]

    @cached_property
    def _keyed(self) -> hmac.HMAC:
        """What all MACs begin with, so that the key is hashed once."""
        return hmac.new(bytes.fromhex(self.secret.reveal()), digestmod="sha256")
