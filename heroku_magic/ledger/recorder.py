"""Writes runs and sweeps to the ledger as they end, in a thread of its own."""

from __future__ import annotations

import os
import queue
import threading
import time
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.ledger.database import OF_SWEEP, Database, NewerLedger, UnreadableLedger
from heroku_magic.ledger.entry import Payload
from heroku_magic.ledger.location import ledger_path
from heroku_magic.ledger.pool_record import pool_record
from heroku_magic.ledger.records import run_record, sweep_record, sweep_run_record
from heroku_magic.platform_facts.folders import shown_path
from heroku_magic.runs.exit_hooks import Step, at_end
from heroku_magic.runs.run import Run
from heroku_magic.text.notifier import keeps_notifications, notify
from heroku_magic.text.redact import Mask

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from heroku_magic.ledger.entry import Entry
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.text.secret import Secret
    from heroku_magic.warm.pool_usage import PoolUsage

LATE = 1.2  # seconds after the end of a run in which its last lines arrive
PATIENCE = 10.0  # seconds that a reader waits for runs that have ended
BATCH = 100  # entries of one transaction
COLLECTING = 0.05  # seconds in which entries join a transaction, which takes longer than a call on a warm dyno
PRUNED_AFTER = 20_000_000  # bytes that are written between two looks at the size of the file


class Followed(NamedTuple):
    """A run or sweep that will be written. report: sends a message to where it was started."""

    path: Path
    mask: Callable[[], Mask]
    report: Callable[[str], None]


class Item(NamedTuple):
    """What is to be written, and where."""

    followed: Followed
    record: Callable[[Mask], tuple[Entry, Payload]]
    written: Callable[[], object] = lambda: None


class Recorder:
    """The runs of this process on their way to the ledger."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._late: list[tuple[float, Run, int, Followed]] = []
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        self._pending: dict[str, Run | Sweep] = {}
        self._awaited = 0
        self._pools: list[PoolUsage] = []
        self._thread: threading.Thread | None = None
        self._failed: set[Path] = set()
        self._unpruned: dict[Path, int] = {}
        self._held_open: dict[Path, sqlite3.Connection] = {}

    def begin_anew(self) -> None:
        """Forget the parent's runs and locks after a fork."""
        inherited = self._held_open  # https://www.sqlite.org/howtocorrupt.html: a child may not close them
        vars(self).update(vars(Recorder()), _inherited=inherited)

    def follow(self, job: Run | Sweep, hidden: Iterable[Secret]) -> None:
        """Write a run or a sweep when it ends. hidden: texts that must not get into the file."""
        followed = self._begin_following(hidden) if job.request.is_kept else None
        if followed is None:
            return
        if job.id in self._pending:  # a sweep that is resumed adds to what its entry says
            self.flush()
        self._pending[job.id] = job
        if isinstance(job, Run):
            job.call_when_done(lambda run: self._put(self._item(followed, run)))
        else:
            known = {outcome.place for outcome in job.known()}
            threading.Thread(target=self._follow_sweep, args=(followed, job, known), daemon=True).start()

    def follow_pool(self, usage: PoolUsage, hidden: Callable[[], Iterable[Secret]]) -> None:
        """Write what the calls of a pool took when it reports that, at the latest at the end of this process."""
        self._pools.append(usage)
        usage.on_report = lambda report: self._put_at_once(hidden(), partial(pool_record, report))

    def _begin_following(self, hidden: Iterable[Secret]) -> Followed | None:
        """Return where and how to write; None if nothing is to be written, or nothing can be."""
        path = ledger_path()
        if path is None:
            return None
        followed = Followed(path, partial(_mask, frozenset(hidden)), keeps_notifications(notify))
        try:
            if path not in self._held_open and Database(path).create():
                notify(_notice(path))
        except OSError as error:
            self._report_failure(followed, error)
            return None
        return followed

    def add(self, entry: Entry) -> None:
        """Write an entry of a call that was answered from the ledger."""
        self._put_at_once((), lambda _: (entry, Payload()))

    def _put_at_once(self, hidden: Iterable[Secret], record: Callable[[Mask], tuple[Entry, Payload]]) -> None:
        """Write an entry that readers wait for."""
        if (followed := self._begin_following(hidden)) is not None:
            with self._changed:
                self._awaited += 1
            self._put(Item(followed, record, self._was_written))

    def _was_written(self) -> None:
        self._awaited -= 1

    def flush(self, timeout: float = PATIENCE) -> None:
        """Wait until everything that has ended is written, and every answer."""
        with self._changed:
            self._changed.wait_for(self._is_written, timeout)

    def _is_written(self) -> bool:
        return not self._awaited and not any(job.done() for job in [*self._pending.values()])

    def finish(self) -> None:
        """Write what is left at the end of the process."""
        for usage in self._pools:
            usage.report()
        self.flush()
        late, self._late = self._late, []
        for _, run, count, followed in late:
            if run.event_count > count:
                self._write([self._item(followed, run)])
        while self._held_open:
            self._held_open.popitem()[1].close()

    # -- what ends ------------------------------------------------------------------------------------

    def _item(self, followed: Followed, run: Run) -> Item:
        return Item(followed, partial(run_record, run), partial(self._run_written, followed, run))

    def _run_written(self, followed: Followed, run: Run) -> None:
        if self._pending.pop(run.id, None) is not None:
            self._late.append((time.monotonic() + LATE, run, run.event_count, followed))

    def _follow_sweep(self, followed: Followed, sweep: Sweep, known: set[int]) -> None:
        """Write each run of a sweep as it ends, below an entry for the sweep. known: places that ended before it."""
        recorded = _runs_written(followed.path, sweep.id) if known else ()
        whole = Item(followed, partial(sweep_record, sweep, spent=_dollars_spent(followed.path, sweep.id)))
        for number, outcome in enumerate(sweep.as_completed()):
            if not number:
                self._put(whole)
            if (outcome.facts.get("run"), outcome.place) not in recorded:
                is_new = outcome.place not in known
                self._put(Item(followed, partial(sweep_run_record, sweep, outcome, is_new=is_new)))
        self._put(whole._replace(written=partial(self._pending.pop, sweep.id, None)))

    # -- the thread -----------------------------------------------------------------------------------

    def _put(self, item: Item) -> None:
        self._items.put(item)
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._live, name="heroku_magic history", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is exiting
                self._write(self._take())

    def _live(self) -> None:
        while True:
            self._write(self._take())
            self._check_late()

    def _take(self) -> list[Item]:
        """Wait for items, or until a run may have late lines."""
        timeout = max(0.0, min(due for due, *_ in self._late) - time.monotonic()) if self._late else None
        items: list[Item] = []
        with suppress(queue.Empty):
            items.append(self._items.get(timeout=timeout))
            until = time.monotonic() + COLLECTING
            while len(items) < BATCH:
                items.append(self._items.get(timeout=max(until - time.monotonic(), 0.0)))
        return items

    def _check_late(self) -> None:
        now = time.monotonic()
        due, self._late = [one for one in self._late if one[0] <= now], [one for one in self._late if one[0] > now]
        self._write([self._item(followed, run) for _, run, count, followed in due if run.event_count > count])

    def _write(self, items: list[Item]) -> None:
        for path in dict.fromkeys(item.followed.path for item in items):
            ours = [item for item in items if item.followed.path == path]
            try:
                self._write_to(path, ours)
            except Exception as error:  # noqa: BLE001 - whatever prevents it, the runs continue
                self._report_failure(ours[0].followed, error)
        with self._changed:
            for item in items:
                item.written()
            self._changed.notify_all()

    def _write_to(self, path: Path, items: list[Item]) -> None:
        database, records = Database(path), []
        for item in items:
            if (record := self._record(item)) is not None:
                records.append(record)
            time.sleep(0)  # or a call that runs meanwhile waits for all of them
        database.write(records)
        self._failed.discard(path)
        if path not in self._held_open:
            self._held_open[path] = database.hold_open()
        unpruned = self._unpruned.get(path, PRUNED_AFTER) + sum(payload.size for _, payload in records)
        self._unpruned[path] = unpruned if unpruned < PRUNED_AFTER else 0
        if unpruned >= PRUNED_AFTER:
            database.prune()

    def _record(self, item: Item) -> tuple[Entry, Payload] | None:
        """Return what is to be written; None for a run that cannot be, which leaves the others unaffected."""
        try:
            return item.record(item.followed.mask())
        except Exception as error:  # noqa: BLE001 - it is reported
            self._report_failure(item.followed, error)
            return None

    def _report_failure(self, followed: Followed, error: Exception) -> None:
        """Report once that the ledger of a folder cannot be written."""
        if followed.path in self._failed:
            return
        import sqlite3

        self._failed.add(followed.path)
        known = isinstance(error, OSError | sqlite3.Error | NewerLedger)
        reason = (
            getattr(error, "strerror", None) or str(error).rstrip(".")
            if known
            else f"internal error, {type(error).__name__}"
        )
        followed.report(f"The history cannot be written to {followed.path}: {reason}. Runs are not affected.")


@lru_cache(maxsize=8)  # most runs of a process have the same secrets
def _mask(hidden: frozenset[Secret]) -> Mask:
    return Mask(hidden)


def _dollars_spent(path: Path, sweep: str) -> float:
    """Return what a sweep cost until it ended early; if its end was not written, what its runs cost at least."""
    with suppress(UnreadableLedger):
        ledger = Database(path)
        found = ledger.select("run = ? AND sweep = ''", (sweep,))
        runs = ledger.select(OF_SWEEP, (sweep,)) if any(entry.state == "running" for entry in found) else []
        return max(sum(entry.dollars or 0.0 for entry in entries) for entries in (found, runs))
    return 0.0


def _runs_written(path: Path, sweep: str) -> set[tuple[str, int]]:
    """Return the runs of a sweep that has been resumed, and their places."""
    with suppress(UnreadableLedger):
        return {(entry.run, entry.place) for entry in Database(path).select(OF_SWEEP, (sweep,))}
    return set()


def _notice(path: Path) -> str:
    return (
        f"Runs are kept in {shown_path(path)} from now on: parameters, code, rows, log and files, but no secrets. "
        "`%heroku history` lists them; `%config HerokuMagics.history = False` (in Python: history=False) stops this."
    )


recorder = Recorder()
at_end(Step.LEDGER, recorder.finish)
os.register_at_fork(after_in_child=recorder.begin_anew)
