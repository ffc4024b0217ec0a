"""Runs that the ledger remembers, with everything that a run has after its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.api.client import HerokuClient
from heroku_magic.errors import HerokuMagicError, ResultIncomplete, RunCancelled, TaskFailed
from heroku_magic.ledger.database import KEPT_BYTES, KEPT_DAYS
from heroku_magic.ledger.entry import Payload, read_files, read_parts
from heroku_magic.ledger.records import read_events
from heroku_magic.protocol.records import End, File
from heroku_magic.runs.events import StateChange
from heroku_magic.runs.run import KILLED, Run
from heroku_magic.runs.spec import RunSpec
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from heroku_magic.ledger.entry import Details, Entry
    from heroku_magic.protocol.records import Rows
    from heroku_magic.protocol.tables import Table
    from heroku_magic.runs.events import Event


class RecordedRun(Run):
    """A run that has ended, possibly in another process."""

    def __init__(self, entry: Entry, details: Details, payload: Payload | None) -> None:
        spec = RunSpec(
            entry.app,
            entry.app,
            entry.task,
            entry.task,
            {},
            size=details.size,
            takes_rows=entry.rows is not None,
            request=details.request,
        )
        super().__init__(HerokuClient(details.host, Secret("")), spec)
        self._details, self._dollars = details, entry.dollars
        kept = payload or Payload()
        self._parts, self._files = read_parts(kept.rows), read_files(kept.files)
        events = read_events(kept.log) or [_summary(entry, details)]
        if details.cached:
            events = [_without_start(event) for event in events]
            if isinstance(first := events[0], StateChange):
                events[0] = msgspec.structs.replace(first, cached=details.cached)
        self._events.add(*events, *(File(*file) for file in self._files.items()))
        if note := _missing(entry, details, payload):
            self._events.add(StateChange(entry.state, entry.started + (entry.seconds or 0), note=note))
        self._events.close()
        self.id, self.state = entry.run, entry.state
        self.dyno, self.size, self.release = details.dyno, details.size, details.release
        self.started_at, self.seconds, self.exit_status = entry.started, entry.seconds, entry.exit_status
        changes = (event for event in events if isinstance(event, StateChange))
        self.ends_at = next((change.ends_at for change in changes if change.ends_at), None)
        self._runner.error = _error(entry, details, self, is_whole=self._parts is not None or entry.rows is None)

    @property
    def parts(self) -> list[Rows | Table] | None:
        """The rows and tables; None without a table, or if they are no longer kept."""
        return self._parts

    @property
    def files(self) -> dict[str, bytes]:
        """The files by name."""
        return self._files

    @property
    def died_mid_task(self) -> bool:
        """Whether the process is known to have ended before the worker's helper reported an end."""
        has_end = any(isinstance(event, End) for event in self._events.others)
        return self.exit_status is not None and (self.exit_status in KILLED or not has_end)

    @property
    def was_evicted(self) -> bool:
        """Whether Heroku ended the dyno, other than for its time limit, its memory or its user's request."""
        return self._details.was_evicted

    @property
    def dollars(self) -> float | None:
        """Cost in dollars at list price; None if the price is unknown."""
        return self._dollars

    def facts(self) -> dict[str, Any]:
        """Return small plain values such as the dyno and the price."""
        return {**self._details.facts}


def _error(entry: Entry, details: Details, run: Run, *, is_whole: bool) -> HerokuMagicError | None:
    if entry.error is None:
        return None if is_whole else ResultIncomplete(f"The rows of {entry.run} are not kept in the history.", run)
    known = {"TaskFailed": TaskFailed, "RunCancelled": RunCancelled, "ResultIncomplete": ResultIncomplete}
    kind = known.get(details.error_type)
    return kind(entry.error, run) if kind else HerokuMagicError(entry.error)


def _without_start(event: Event) -> Event:
    """Return an event of an answer without the note about the start of a dyno: for an answer none is started."""
    if isinstance(event, StateChange) and event.state == "requested":
        return msgspec.structs.replace(event, note=None, withdraws=None)
    return event


def _summary(entry: Entry, details: Details) -> StateChange:
    """Return the end of a run whose events are no longer kept."""
    return StateChange(
        entry.state,
        entry.started + (entry.seconds or 0.0),
        task=entry.task,
        app=entry.app,
        dyno=details.dyno,
        size=details.size,
        release=details.release,
        exit_status=entry.exit_status,
        seconds=entry.seconds,
        rows=entry.rows,
        verified=details.facts.get("verified"),
        error=entry.error,
    )


def _missing(entry: Entry, details: Details, payload: Payload | None) -> str:
    """Return a sentence about what the ledger does not keep of a run; empty if it has everything."""
    if details.lost:
        return f"Not kept in the history, because of size, type or a secret: {', '.join(details.lost)}."
    if payload is None and entry.rows:
        limits = f"after {KEPT_DAYS} days, or beyond {KEPT_BYTES // 1_000_000} MB"
        return f"The rows and the log are no longer kept: the history drops them {limits}."
    return ""
