"""Sweeps that the ledger remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from heroku_magic.api.client import HerokuClient
from heroku_magic.api.log_lines import LogLine
from heroku_magic.errors import HerokuMagicError, InvalidOptions, SweepFailed
from heroku_magic.ledger.entry import Details, Payload, read_files, read_parts
from heroku_magic.ledger.records import read_events
from heroku_magic.runs.options import SweepOptions
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.axis_record import read_axis
from heroku_magic.sweeps.grid import Grid
from heroku_magic.sweeps.outcomes import CANCELLED, Outcome
from heroku_magic.sweeps.plan import Plan
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heroku_magic.ledger.entry import Entry


class RecordedSweep(Sweep):
    """A sweep that has ended, possibly in another process.

    lost: the number of runs whose rows are not kept.
    """

    def __init__(self, entry: Entry, details: Details, plan: Plan, outcomes: Sequence[Outcome], lost: int) -> None:
        client, options = HerokuClient(details.host, Secret("")), SweepOptions(**details.sweep_options)
        super().__init__(client, plan, options, id=entry.run)
        self._details, self._dollars, self._lost = details, entry.dollars, lost
        for outcome in outcomes:
            self._state.begin([outcome.place] * outcome.attempts)
            self._state.settle(outcome)
        cancelled = [place for place, state in enumerate(self._state.states) if not state]
        self._state.mark(cancelled, CANCELLED)
        self.notes += details.notes
        self.started_at, self.seconds = entry.started, entry.seconds or 0.0

    @property
    def size(self) -> str | None:
        """The dyno size."""
        return self._details.size

    @property
    def dollars(self) -> float | None:
        """Cost in dollars at list price; None if the price is unknown."""
        return self._dollars

    def facts(self) -> dict[str, Any]:
        """Return facts about the sweep as small plain values."""
        return {**self._details.facts}

    def _failure(self) -> SweepFailed | None:
        lost = SweepFailed(f"The rows of {self._lost} of {len(self)} runs are not kept in the history.", self)
        return super()._failure() or (lost if self._lost else None)

    def start(self) -> NoReturn:
        """Refuse: the sweep has ended."""
        raise InvalidOptions(f"{self.id} has ended: %heroku rerun {self.id} runs it again.")


def recorded_outcome(entry: Entry, details: Details, payload: Payload | None, parameters: Mapping[str, Any]) -> Outcome:
    """Return how a combination of a sweep ended."""
    kept = payload or Payload()
    return Outcome(
        entry.place,
        parameters,
        entry.state,
        details.attempts,
        details.facts,
        HerokuMagicError(entry.error) if entry.error else None,
        read_parts(kept.rows) if entry.state == "done" else None,
        read_files(kept.files),
        [event.message for event in read_events(kept.log) if isinstance(event, LogLine) and event.source == "app"],
        details.metrics,
    )


def recorded_plan(entry: Entry, details: Details) -> Plan:
    """Return the plan of a sweep, which can be shown but not run."""
    grid = Grid(tuple(map(read_axis, details.axes)), details.in_step)
    spec = RunSpec(entry.app, entry.app, entry.task, entry.task, {}, size=details.size, request=details.request)
    return ended_plan(spec, grid, range(len(grid)) if details.indices is None else details.indices)


def ended_plan(spec: RunSpec, grid: Grid, indices: Sequence[int]) -> Plan:
    """Return a plan of which nothing is left to run."""

    def refuse(*_: Any) -> NoReturn:
        raise InvalidOptions(f"All runs of this sweep of {spec.task} have ended.")

    return Plan(spec, grid, indices, refuse, lambda _: 1)
