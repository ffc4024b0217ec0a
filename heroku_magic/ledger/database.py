"""The SQLite file of the ledger: several processes write it at once, and a crash or a full disk leaves it intact."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.errors import HerokuMagicError
from heroku_magic.ledger.entry import Entry, Payload
from heroku_magic.ledger.location import is_network
from heroku_magic.platform_facts.folders import make_private
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

PATIENCE = 30.0  # seconds to wait for another process that writes
CLOCK_SKEW = 60.0  # seconds that another computer's time may be ahead
KEPT_DAYS = 90  # after which rows, logs and files go
KEPT_BYTES = 200_000_000  # of rows, logs and files; the oldest ones go first
# In messages of SQLite. https://www.sqlite.org/rescode.html
DAMAGE = ("malformed", "not a database", "disk image", "file format", "no such table", "no such column", "not decode")

# With the condition of its index, because SQLite otherwise reads all entries: https://www.sqlite.org/partialindex.html
OF_SWEEP = "sweep = ? AND sweep != ''"
COLUMNS = Entry.__struct_fields__
_CREATE = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, sweep TEXT NOT NULL, place INTEGER NOT NULL, task TEXT, app TEXT,
    started REAL, seconds REAL, dollars REAL, exit_status INTEGER, state TEXT, rows INTEGER, error TEXT, cached TEXT,
    key TEXT, parameters TEXT, details BLOB, UNIQUE (run, sweep, place)
);
CREATE INDEX by_start ON entries (started);
CREATE INDEX by_sweep ON entries (sweep) WHERE sweep != '';
CREATE INDEX by_key ON entries (key) WHERE key != '';
CREATE TABLE payloads (
    id INTEGER PRIMARY KEY REFERENCES entries ON DELETE CASCADE, at REAL NOT NULL, size INTEGER NOT NULL,
    rows BLOB, log BLOB, files BLOB
);
CREATE INDEX by_age ON payloads (at, size);
"""
_FIND_PLACES = """
DROP INDEX IF EXISTS by_sweep;
CREATE INDEX IF NOT EXISTS by_place ON entries (sweep, place) WHERE sweep != '';
"""
# The programs of functions, each once: thousands of calls may have the same one.
_KEEP_PROGRAMS = """
CREATE TABLE programs (hash TEXT PRIMARY KEY, text TEXT NOT NULL);
ALTER TABLE entries ADD COLUMN program TEXT NOT NULL DEFAULT '';
"""
_FORGET_PROGRAMS = "DELETE FROM programs WHERE hash NOT IN (SELECT program FROM entries)"
# Each script leads from one version of the schema to the next; `PRAGMA user_version` counts the scripts that have run.
MIGRATIONS = (_CREATE, _FIND_PLACES, _KEEP_PROGRAMS)


class UnreadableLedger(HerokuMagicError):
    """The file cannot be read; the message names it and the reason."""


class NewerLedger(UnreadableLedger):
    """The file was written by a newer version of this package."""


class Database:
    """The file. Every method opens it again, so that other processes and forks cause no trouble."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def hold_open(self) -> sqlite3.Connection:
        """Return an idle connection: while one is open, others that close need not merge the write-ahead log."""
        import sqlite3

        connection = sqlite3.connect(self.path, check_same_thread=False)
        connection.execute("PRAGMA user_version").fetchone()
        return connection

    def create(self) -> bool:
        """Create the file unless it exists; return whether it was created. Raises OSError."""
        make_private(self.path.parent)
        try:
            self.path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True

    def write(self, entries: Iterable[tuple[Entry, Payload]]) -> None:
        """Write entries in one transaction, each in place of one of the same run. Raises sqlite3.Error, OSError."""
        written = [*entries]
        self.create()
        self._call(lambda connection: _write(connection, written))

    def select(self, where: str = "1", values: Sequence[Any] = (), limit: int = -1) -> list[Entry]:
        """Return the entries that match a condition, the newest first."""
        columns = ", ".join(COLUMNS)
        query = f"SELECT {columns} FROM entries WHERE {where} ORDER BY started DESC, id DESC LIMIT ?"  # noqa: S608
        rows = self._read(query, (*values, limit))
        return [Entry(**dict(zip(COLUMNS, row, strict=True))) for row in rows]

    def payload(self, identity: tuple[str, str, int]) -> Payload | None:
        """Return what an entry returned and logged; None if it is no longer kept."""
        return self.payloads([identity]).get(identity)

    def payloads(self, identities: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str, int], Payload]:
        """Return what these entries returned and logged, as far as it is still kept."""
        columns, where = "run, sweep, place, payloads.rows, log, files", "run = ? AND sweep = ? AND place = ?"
        query = f"SELECT {columns} FROM payloads JOIN entries USING (id) WHERE {where}"  # noqa: S608
        return {
            (run, sweep, place): Payload(rows=rows, log=log, files=files)
            for run, sweep, place, rows, log, files in self._read(query, *identities)
        }

    def program(self, digest: str) -> str:
        """Return the program of a function by its hash; empty if there is none."""
        found = self._read("SELECT text FROM programs WHERE hash = ?", (digest,)) if digest else []
        return str(found[0][0]) if found else ""

    def cost_since(self, moment: float) -> tuple[int, float]:
        """Return the number of runs and sweeps that started since then, and what they cost as far as it is known."""
        query = "SELECT count(*), coalesce(sum(dollars), 0.0) FROM entries WHERE started >= ? AND sweep = ''"
        found = self._read(query, (moment,))
        return found[0] if found else (0, 0.0)

    def forget(self, runs: Sequence[str] | None) -> int:
        """Delete entries, with the runs of sweeps, or all; return how many runs and sweeps. Nothing of them is left."""

        def delete(connection: sqlite3.Connection) -> int:
            marks = ", ".join("?" * len(runs or ()))
            where = f"run IN ({marks}) OR sweep IN ({marks})" if runs is not None else "1"
            values = [*(runs or ()), *(runs or ())]
            with _transaction(connection):
                count = connection.execute(
                    f"SELECT count(*) FROM entries WHERE sweep = '' AND ({where})",  # noqa: S608 - question marks only
                    values,
                ).fetchone()[0]
                deleted = connection.execute(f"DELETE FROM entries WHERE {where}", values).rowcount  # noqa: S608
                connection.execute(_FORGET_PROGRAMS)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return int(count or deleted)

        with self._naming_errors("changed"):
            count = int(self._call(delete)) if self.path.exists() else 0
            if runs is None:  # also the file that was found to be damaged just now
                for kept in self.path.parent.glob(f"{self.path.name}.damaged-*"):
                    kept.unlink(missing_ok=True)
        return count

    def prune(self) -> None:
        """Delete rows, logs and files that are too old, and the oldest ones while there are too many bytes."""
        self._call(_prune)

    def _read(self, query: str, *values: Sequence[Any]) -> list[Any]:
        """Return the rows that a query finds for each of these values."""
        if not self.path.exists():
            return []
        with self._naming_errors("read"), suppress(FileNotFoundError):  # it may be deleted just now
            return list(
                self._call(lambda connection: [row for one in values for row in connection.execute(query, one)])
            )
        return []

    @contextmanager
    def _naming_errors(self, done: str) -> Iterator[None]:
        """Raise UnreadableLedger for what prevents that the file is read or changed."""
        import sqlite3

        try:
            yield
        except (sqlite3.Error, OSError) as error:
            remedy = "Try again, or move the file away to begin a new history."
            raise UnreadableLedger(f"The history in {self.path} cannot be {done}: {error}. {remedy}") from None

    def _call(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do something with the file; a damaged one is set aside first, and a new one begun."""
        import sqlite3

        inode = self.path.stat().st_ino
        try:
            with self._open() as connection:
                return work(connection)
        except UnicodeDecodeError:  # in a message about a damaged schema
            pass
        except sqlite3.DatabaseError as error:
            if not any(sign in str(error) for sign in DAMAGE):
                raise
        self._set_aside(inode)
        with self._open() as connection:
            return work(connection)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        import sqlite3

        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")  # what is forgotten leaves the file
            _migrate(connection, self.path)
            yield connection
        finally:
            connection.close()

    def _set_aside(self, inode: int) -> None:
        """Rename a damaged file, unless another process has done so."""
        with suppress(FileNotFoundError):
            if self.path.stat().st_ino == inode:
                kept = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
                self.path.rename(kept)
                for suffix in ("-wal", "-shm", "-journal"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
                notify(f"{self.path} is damaged. It was renamed to {kept.name}, and a new history begins.")
        self.create()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    with connection:  # commits, or rolls back after an exception
        yield


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version of the schema. Raises NewerLedger."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise NewerLedger(f"{path} was written by a newer version of heroku_magic: upgrade this one.")
    if version == len(MIGRATIONS):
        return
    if not version:
        connection.execute("PRAGMA auto_vacuum = FULL")
        _choose_journal(connection, path)
    with _transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for script in MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")


def _choose_journal(connection: sqlite3.Connection, path: Path) -> None:
    import sqlite3

    if is_network(path.parent):
        return
    with suppress(sqlite3.OperationalError):  # the file system has no shared memory: the rollback journal stays
        connection.execute("PRAGMA journal_mode = WAL")


def _write(connection: sqlite3.Connection, entries: Sequence[tuple[Entry, Payload]]) -> None:
    names, marks = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
    insert = f"INSERT OR REPLACE INTO entries ({names}) VALUES ({marks})"  # noqa: S608 - texts of this package
    with _transaction(connection):
        for entry, payload in entries:
            if entry.key:  # a later answer replaces an earlier one, even if that is written again with late lines
                # One from the future is replaced, too: the computer's time was wrong then.
                connection.execute(
                    "UPDATE entries SET key = '' WHERE key = ? AND key != '' AND (started <= ? OR started > ?)",
                    (entry.key, entry.started, time.time() + CLOCK_SKEW),
                )
            if entry.sweep:  # a resumed sweep has another run for a combination that failed
                connection.execute(f"DELETE FROM entries WHERE {OF_SWEEP} AND place = ?", (entry.sweep, entry.place))  # noqa: S608
            if payload.program:
                connection.execute("INSERT OR IGNORE INTO programs VALUES (?, ?)", (entry.program, payload.program))
            row = connection.execute(insert, msgspec.structs.astuple(entry)).lastrowid
            if payload.size:
                connection.execute(
                    "INSERT INTO payloads VALUES (?, ?, ?, ?, ?, ?)",
                    (row, entry.started, payload.size, payload.rows, payload.log, payload.files),
                )


def _prune(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        connection.execute("DELETE FROM payloads WHERE at < ?", (time.time() - KEPT_DAYS * 86400,))
        excess = connection.execute("SELECT coalesce(sum(size), 0) FROM payloads").fetchone()[0] - KEPT_BYTES
        for row, size in connection.execute("SELECT id, size FROM payloads ORDER BY at, id").fetchall():
            if excess <= 0:
                break
            connection.execute("DELETE FROM payloads WHERE id = ?", (row,))
            excess -= size
        connection.execute(_FORGET_PROGRAMS)  # those of entries that were replaced
        # Without rows and files, an entry answers no call.
        connection.execute("UPDATE entries SET key = '' WHERE key != '' AND id NOT IN (SELECT id FROM payloads)")
