"""Journal: a sweep in a file, a line for each combination that ended, for another kernel to go on from; it runs none.

The first line says what the sweep is of, each other one how a combination ended, or which run of it
was started. Lines are JSON; a table's typed columns go as msgpack in Base64. Secrets are not written.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from binascii import a2b_base64, b2a_base64
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from heroku_magic.errors import HerokuMagicError, InvalidOptions
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import Table
from heroku_magic.sweeps.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDER = Path(".heroku", "sweeps")
FORMAT = 1


class WrittenAxis(msgspec.Struct, frozen=True):
    """An axis of the grid, its values as JSON has them. typed: where text stands that is read as it was typed."""

    names: list[str]
    values: list[Any]
    are_rows: bool
    typed: list[tuple[int, str]] = []


class Written(msgspec.Struct, frozen=True):
    """The first line: what a sweep is of.

    places: which combinations of it; None: all.
    env: the parameters that are the same in every run, as text. secrets: the names of those that are secret.
    """

    sweep: str
    host: str
    app: str
    task: str
    axes: list[WrittenAxis]
    in_step: bool
    places: list[int] | None
    env: dict[str, str]
    secrets: list[str]
    size: str | None
    timeout: int
    takes_rows: bool
    outlives: bool
    terms: dict[str, Any]
    format: int = FORMAT


class Journal:
    """The file of one sweep, that its lines are added to; while it is open no other sweep has it."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()  # the notebook may go to another folder meanwhile
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def open(self, written: Written) -> Journal:
        """Begin the file. Raises InvalidOptions for one that is there already, or that cannot be written."""
        line = msgspec.to_builtins(written)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise InvalidOptions(f"{self.path} {self._obstacle(error)}") from None
        self._hold(os.fdopen(descriptor, "rb+"))
        self._add(line)
        return self

    def _obstacle(self, error: OSError) -> str:
        if self.path.is_file():
            return f"is there already: %heroku resume {self.path} goes on with a sweep in it; else choose another name."
        return f"cannot be written: {error.strerror or error}."

    def reopen(self) -> Read:
        """Go on with a file and return what it says; a last line that was cut is taken away.

        Raises InvalidOptions for one in use, and for one that is no sweep's, which stays as it is.
        """
        try:
            file = self.path.open("rb+")
        except OSError as error:
            raise InvalidOptions(f"{self.path} cannot be read: {error}") from None
        self._hold(file)
        try:
            told = read(self.path)
        except InvalidOptions:
            self.close()
            raise
        file.truncate(file.read().rfind(b"\n") + 1)
        return told

    def close(self) -> None:
        """Nothing more is written; another kernel may go on."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _hold(self, file: IO[bytes]) -> None:
        """Keep others from writing to it, until this one closes it or its process ends."""
        weakref.finalize(self, file.close)
        self._file = file
        with suppress(ImportError):  # on Windows
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()
                raise InvalidOptions(f"{self.path} is in use: the sweep that writes it is not over.") from None
            except OSError:  # a file system that knows no locks
                return

    def began(self, places: Sequence[int], run: str) -> None:
        """A run of some combinations was started."""
        self._add({"run": run, "places": list(places)})

    def ended(self, outcome: Outcome) -> None:
        """A combination is over."""
        told = {"place": outcome.place, "state": outcome.state, "attempts": outcome.attempts, "facts": outcome.facts}
        error = {"error": str(outcome.error)} if outcome.error else {}
        files = {name: _packed(content) for name, content in outcome.files.items()}
        self._add({**told, **error, **_parts(outcome.parts), **({"files": files} if files else {})})

    def _add(self, line: dict[str, Any]) -> None:
        # The standard library's encoder: rows may hold NaN and Infinity, which strict JSON has not; and as ASCII,
        # for texts may hold halves of characters, which UTF-8 has not.
        text = json.dumps(line, separators=(",", ":"))
        with self._lock:
            if self._file is not None:
                self._file.seek(0, os.SEEK_END)
                self._file.write(f"{text}\n".encode("ascii"))
                self._file.flush()


class Ended(msgspec.Struct, frozen=True):
    """A line: how a combination ended. rows, or parts with tables among them; files by name."""

    place: Annotated[int, msgspec.Meta(ge=0)]
    state: Literal["done", "failed", "cancelled"]
    attempts: int
    facts: dict[str, Any]
    error: str | None = None
    rows: list[dict[str, Any]] | None = None
    parts: list[str | list[dict[str, Any]]] | None = None
    files: dict[str, str] = {}


class Read(msgspec.Struct):
    """What a journal says: the sweep, how combinations ended, and the runs that were started by their places."""

    written: Written
    ended: dict[int, Ended] = {}
    began: dict[str, list[int]] = {}

    def outcomes(self, parameters: Callable[[int], dict[str, Any]]) -> list[Outcome]:
        """Return how combinations ended. parameters: gives the combination at a place."""
        return [_outcome(line, parameters(place)) for place, line in self.ended.items()]


def read(path: Path) -> Read:
    """Return what a journal says; a last line that was cut when its kernel died is none. Raises InvalidOptions."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOptions(f"{path} cannot be read: {error}") from None
    told: Read | None = None
    for number, line in enumerate(lines[:-1], 1):
        try:
            told = _taken(told, json.loads(line))
        except (ValueError, TypeError, KeyError, msgspec.MsgspecError):  # noqa: PERF203 - the line that is wrong is named
            raise InvalidOptions(
                f"{path}, line {number}: this is not the file of a sweep, or it was changed."
            ) from None
    if told is None:
        raise InvalidOptions(f"{path} holds no sweep.")
    return told


def detached_path(sweep: str) -> Path:
    """Return where the journal of a detached sweep lies, in the notebook's folder; git ignores it."""
    return (FOLDER / f"{sweep}.jsonl").absolute()


def _taken(told: Read | None, line: dict[str, Any]) -> Read:
    """What is told with one more line."""
    if told is None:
        written = msgspec.convert(line, Written)
        if written.format != FORMAT:
            raise ValueError("another format")
        return Read(written)
    if "run" in line:
        told.began[line["run"]] = [int(place) for place in line["places"]]
    else:
        ended = msgspec.convert(line, Ended)
        told.ended[ended.place] = ended
    return told


def _parts(parts: Sequence[Rows | Table] | None) -> dict[str, Any]:
    """The rows as they are, or with tables among them packed."""
    if parts is None:
        return {}
    if all(isinstance(part, Rows) for part in parts):
        return {"rows": [row for part in parts if isinstance(part, Rows) for row in part.rows]}
    return {"parts": [_as_table(part) if isinstance(part, Table) else part.rows for part in parts]}


def _as_table(part: Table) -> str:
    return _packed(msgspec.msgpack.encode(part))


def _packed(content: bytes) -> str:
    return b2a_base64(content, newline=False).decode("ascii")


def _outcome(line: Ended, parameters: dict[str, Any]) -> Outcome:
    parts: list[Rows | Table] | None = None if line.rows is None else [Rows(line.rows)]
    if line.parts is not None:
        parts = [
            msgspec.msgpack.decode(a2b_base64(part), type=Table) if isinstance(part, str) else Rows(part)
            for part in line.parts
        ]
    error = None if line.error is None else HerokuMagicError(line.error)
    files = {name: a2b_base64(content) for name, content in line.files.items()}
    return Outcome(line.place, parameters, line.state, line.attempts, line.facts, error, parts, files)
