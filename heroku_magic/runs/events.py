"""The events of a run: `Event = StateChange | LogLine | Record`.

A run is a list of events. The DataFrame, the text view and the HTML view are loops over them, so a
recorded list can be replayed into each of them without a network.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from heroku_magic.api.log_lines import LogLine
from heroku_magic.protocol.records import Record


class StateChange(msgspec.Struct, frozen=True):
    """A change of the run's state, with the facts that became known (None: no change).

    Attributes
    ----------
    state
        `requested`, `starting`, `up`, `stopping`, then one of `done`, `failed`, `cancelled`.
    at
        When it happened, in seconds since 1970.
    app
        The app's name, or "embedded".
    ends_at
        When the dyno's time limit ends it, in seconds since 1970.
    exit_status
        None if unknown.
    seconds
        The time from the request to the end.
    rows
        The number of rows; None without a table.
    note
        A message to the user.
    withdraws
        An earlier note, which is not shown any more.
    activity
        What is being done before there is a dyno; replaces what was reported before.
    error
        The full text of a failure.
    cached
        Of an answer from the ledger, where it comes from.
    """

    state: str
    at: float
    task: str | None = None
    app: str | None = None
    dyno: str | None = None
    size: str | None = None
    release: int | None = None
    ends_at: float | None = None
    exit_status: int | None = None
    seconds: float | None = None
    rows: int | None = None
    verified: bool | None = None
    note: str | None = None
    withdraws: str | None = None
    activity: str | None = None
    error: str | None = None
    cached: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.state in FINAL


FINAL = frozenset({"done", "failed", "cancelled"})

Event: TypeAlias = StateChange | LogLine | Record
