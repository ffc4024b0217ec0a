"""Sweep: many runs of one task over a grid, as one unit with one result; it draws nothing.

The result is in the grid's order, whatever order the runs end in. What is run next is the desk's
business, when a run may start the launcher's.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import SweepFailed
from heroku_magic.protocol.dataframe import grid_frame, table
from heroku_magic.protocol.values import plain
from heroku_magic.runs.future import TableFuture
from heroku_magic.sweeps.launcher import Launcher
from heroku_magic.sweeps.outcomes import RUNNING, STARTING, STATES, Board, Span, counted
from heroku_magic.sweeps.scheduler import SweepDesk
from heroku_magic.text.notifier import notifications_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.options import SweepOptions
    from heroku_magic.sweeps.journal import Journal
    from heroku_magic.sweeps.launcher import Job
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.plan import Plan

NAMED = 5  # failures that an error names
TOLD = ("run", "dyno", "state", "exit_status", "seconds", "dollars", "attempts", "error")  # of each run, as columns


class Sweep(TableFuture[SweepFailed]):
    """Runs of a task for all combinations of a grid; made by `heroku.sweep()`, with `concurrent.futures`' words.

    journal: writes down what ends. known: how combinations ended before; live: runs of some that
    another process started.
    """

    def __init__(
        self,
        client: HerokuClient,
        plan: Plan,
        options: SweepOptions,
        *,
        id: str,  # noqa: A002 - it is that
        journal: Journal | None = None,
        known: Sequence[Outcome] = (),
        live: Sequence[Job] = (),
    ) -> None:
        super().__init__(threading.Condition())
        self.id = id
        self.task = plan.first.task
        self.app = plan.first.app_name
        self.names = plan.grid.names
        self.plan = plan
        self.options = options
        self.journal = journal
        self.notes: list[str] = []
        self.started_at: float | None = None
        self.seconds: float | None = None
        self._board = Board(len(plan), known)
        self._desk = SweepDesk(
            plan,
            options,
            self._board,
            live=live,
            journal=journal,
            changed=self._changed,
            on_over=self._over,
        )
        self._launcher = Launcher(client, self._desk)

    def start(self) -> Sweep:
        """Begin, and return at once."""
        self.started_at = time.time()
        with notifications_to(self._note):
            self._launcher.start(f"heroku-{self.id}")
        return self

    # -- what a user reads ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.plan)

    def __repr__(self) -> str:
        told = ", ".join(f"{count} {state}" for state, count in self.counts().items())
        return f"<Sweep {self.id} of {self.task} over {', '.join(self.names)}: {told}>"

    @property
    def is_detached(self) -> bool:
        """Whether its dynos go on when this process ends."""
        return self.plan.first.is_detached

    def leftover_message(self) -> str:
        """Say which dynos may still run, and when they end by themselves."""
        runs = [run for run in self._desk.runs() if run.dyno and run.ends_at]
        if not runs:
            return "No dyno is left."
        at = datetime.fromtimestamp(max(run.ends_at or 0 for run in runs)).astimezone()
        names = ", ".join(run.dyno or "" for run in runs[:NAMED])
        names += f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
        return f"{names} of {self.app} may still run; all end by themselves by {at:%H:%M:%S} (`%heroku ps` lists them)."

    def parameters(self, place: int) -> Mapping[str, Any]:
        """Return the combination at a place."""
        return self.plan[place]

    @property
    def axes(self) -> list[tuple[str, int]]:
        """The grid's axes as names and lengths; none where it is walked in step, or is run in part."""
        grid = self.plan.grid
        is_whole = not grid.in_step and len(self) == len(grid)
        return [(", ".join(axis.names), len(axis.values)) for axis in grid.axes] if is_whole else []

    @property
    def states(self) -> bytes:
        """Where each combination stands, as an index into `outcomes.STATES`."""
        states = bytearray(self._board.states)
        for place in self._desk.at_work():
            if states[place] == STARTING:  # it may be over by now
                states[place] = RUNNING
        return bytes(states)

    def counts(self) -> dict[str, int]:
        """Return how many combinations are in each state."""
        return counted(self.states)

    @property
    def size(self) -> str | None:
        """The dynos' size, as soon as it is known."""
        return self._desk.size

    @property
    def dollars(self) -> float | None:
        """What it cost so far, at list price; None is unknown."""
        return self._desk.bill.so_far(self._desk.runs())

    @property
    def expected_dollars(self) -> float | None:
        """What it will cost in all, judged by the dynos that are over; None: none is, or the price is unknown."""
        seconds = self._desk.seconds_to_come()
        return None if seconds is None else self._desk.bill.expected(seconds, self.size)

    def failures(self, most: int | None = None) -> list[Outcome]:
        """Return those that failed, the first ones in the grid's order."""
        return self._board.failed[:most]

    def slowest(self) -> Outcome | None:
        """Return the one that took longest of those that went well."""
        return self._board.slowest

    def spans(self) -> list[Span]:
        """Return the life of each dyno, in the order of their requests."""
        live = [
            Span(run.started_at, run.up_at, None, run.state)
            for run in self._desk.runs()
            if run.dyno is not None and run.started_at is not None
        ]
        return sorted([*self._desk.bill.spans, *live], key=lambda span: span.requested_at)

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows of the combinations that went well so far; None when none of them has a table."""
        with self._changed:
            done = [outcome for outcome in self._board.done() if outcome.parts is not None]
        if not done:
            return None
        return grid_frame([(one.parameters, one.parts or ()) for one in done], self.names, self.facts())

    def facts(self) -> dict[str, Any]:
        """Return the sweep's facts as small plain values: what `df.attrs["heroku"]` holds."""
        bill = self._desk.bill
        return {
            "sweep": self.id,
            "task": self.task,
            "app": self.app,
            "runs": len(self),
            **self.counts(),
            "retried": self._board.retried,
            "releases": sorted(self._board.releases),
            "dynos": len(bill.spans),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "dyno_seconds": round(bill.seconds, 3),
            "dollars": bill.dollars,
            "verified": all(one.facts.get("verified") for one in self._board.finished if one.state == "done"),
        }

    def runs(self) -> pd.DataFrame:
        """Return a row a combination: parameters, run, dyno, state, exit status, seconds, dollars, attempts, error.

        A column that a parameter has the name of is called `state_` and so on.
        """
        told = {name: self._free(name) for name in TOLD}
        rows = [self._row(place, code, told) for place, code in enumerate(self.states)]
        return table(rows, [*self.names, *told.values()])

    def _free(self, name: str) -> str:
        """A column's name; where a parameter has it, with a line behind."""
        while name in self.names:
            name += "_"
        return name

    def _row(self, place: int, code: int, columns: Mapping[str, str]) -> dict[str, Any]:
        outcome = self._board.outcomes.get(place)
        facts = outcome.facts if outcome else {}
        own = {
            "state": STATES[code],
            "attempts": self._board.attempts(place),
            "error": _headline(outcome.error) if outcome else None,
        }
        told = {column: own[name] if name in own else facts.get(name) for name, column in columns.items()}
        return {**{name: plain(value) for name, value in self.plan[place].items()}, **told}

    # -- concurrent.futures' words ----------------------------------------------------------------

    def done(self) -> bool:
        """Tell whether all runs are over, well or badly."""
        return self.seconds is not None

    def _failure(self) -> SweepFailed | None:
        failed, done = self.failures(), self.counts().get("done", 0)
        missing = len(self) - done - len(failed)
        if not failed and not missing:
            return None
        stopped = f" {self._desk.stopped_for}." if self._desk.stopped_for else ""
        fates = {"failed": len(failed), "were stopped or not made": missing}
        told = [f"{count} of {len(self)} runs {fate}" for fate, count in fates.items() if count]
        lines = [f"{', '.join(told)}.{stopped}"]
        lines += self._faults(failed)
        lines += [f"{done} are kept: %heroku last has .partial, %heroku resume runs what is missing."]
        return SweepFailed("\n".join(lines), self)

    def _faults(self, failed: Sequence[Outcome]) -> list[str]:
        """What they failed with, each fault once with the first run that shows it."""
        alike: dict[str, list[Outcome]] = {}
        for one in failed:
            alike.setdefault(_headline(one.error) or "", []).append(one)
        told = [
            f"  {self.named(ones[0])}{f' and {len(ones) - 1} more' if len(ones) > 1 else ''}: {fault}"
            for fault, ones in [*alike.items()][:NAMED]
        ]
        return [*told, f"  and {len(alike) - NAMED} other faults (sweep.runs())"] if len(alike) > NAMED else told

    def as_completed(self) -> Iterator[Outcome]:
        """Yield how each combination ended when it is over, those that are first."""
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._has_more, seen))
                fresh = self._board.finished[seen:]
            if not fresh:
                return
            seen += len(fresh)
            yield from fresh

    def _has_more(self, seen: int) -> bool:
        return len(self._board.finished) > seen or self.done()

    def cancel(self) -> bool:
        """Stop all dynos of the sweep, and start no more; False when it is over already. What was done is kept."""
        if self.done():
            return False
        self._desk.stop("It was stopped")
        self._launcher.nudge()
        return True

    def known(self) -> list[Outcome]:
        """Return how combinations ended so far, for a sweep that goes on from here."""
        with self._changed:
            return [*self._board.finished]

    def named(self, outcome: Outcome) -> str:
        """Return a combination in words."""
        return ", ".join(f"{name}={outcome.parameters.get(name)!r}"[:60] for name in self.names)

    def _over(self) -> None:
        if self.journal is not None:
            self.journal.close()
        with self._changed:
            self.seconds = time.time() - (self.started_at or time.time())
        self._call_back()

    def _note(self, text: str) -> None:
        with self._changed:
            if text not in self.notes:
                self.notes.append(text)
            self._changed.notify_all()


def _headline(error: Exception | None) -> str | None:
    return str(error).partition("\n")[0] if error else None
