"""What can happen in a run, as values: `Event = StateChange | LogLine | Record`; it makes none of them happen.

A run *is* a list of events. The DataFrame, the text view and the HTML view are loops over them, so
that a recorded list replays into each without a network.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from heroku_magic.api.log_lines import LogLine
from heroku_magic.protocol.records import Record


class StateChange(msgspec.Struct, frozen=True):
    """The run's state from now on, with the facts that came with the change (None: as before).

    state: `requested`, `starting`, `up`, `stopping`, then one of `done`, `failed`, `cancelled`.
    at: seconds since 1970. app: the app's name or "embedded". ends_at: when the dyno's time_to_live
    is over, seconds since 1970. exit_status: None is unknown. seconds: from create to end.
    rows: None is "no table". note: a sentence for the user. error: the whole text of a failure.
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
    error: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the run is over."""
        return self.state in FINAL


FINAL = frozenset({"done", "failed", "cancelled"})

Event: TypeAlias = StateChange | LogLine | Record
