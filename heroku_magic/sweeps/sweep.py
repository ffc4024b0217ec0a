"""A sweep: many runs of one task over a grid of parameters, with one result."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import SweepFailed
from heroku_magic.protocol.dataframe import table
from heroku_magic.protocol.values import python_scalar
from heroku_magic.runs.background import wait_for
from heroku_magic.runs.future import TableFuture
from heroku_magic.runs.run_clock import time_of_day
from heroku_magic.runs.runner import Runner
from heroku_magic.runs.started_by_call import record_start
from heroku_magic.sweeps.cost import DynoSpan, extra_spans
from heroku_magic.sweeps.failures import Failures, describe_failures, first_line
from heroku_magic.sweeps.launcher import Launcher
from heroku_magic.sweeps.measure import Measurer
from heroku_magic.sweeps.outcomes import RUNNING, STARTING, STATES, SweepState, count_states, describe_answers
from heroku_magic.sweeps.result_table import column_value, grid_frame
from heroku_magic.sweeps.scheduler import Scheduler
from heroku_magic.sweeps.snapshot import SweepSnapshot, portable
from heroku_magic.text.notifier import notifications_to
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.options import SweepOptions
    from heroku_magic.sweeps.journal import Journal
    from heroku_magic.sweeps.launcher import Job
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.plan import Plan

NAMED = 5  # dynos that a message names
COLUMNS = ("run", "dyno", "state", "exit_status", "seconds", "dollars", "attempts", "error")  # of `runs()`


class Sweep(TableFuture[SweepFailed]):
    """Runs of a task for all combinations of a grid; `heroku.sweep()` starts one.

    Its methods are those of `concurrent.futures.Future` where there is an equivalent.

    Attributes
    ----------
    id
        Name of the sweep, such as ``hs-1f2e3d4c``.
    task, app
        What runs, and on which app.
    names
        Parameters that differ from run to run.
    notes
        Messages for the user.
    started_at
        Start in seconds since 1970.
    seconds
        Duration of the sweep; None until it is done.

    Examples
    --------
    >>> from heroku_magic import connect
    >>> heroku = connect(say=lambda message: None)
    >>> def square(n):
    ...     return n**2
    >>> sweep = heroku.sweep(None, {"n": [1, 2, 3]}, code=square, jobs=2)
    >>> {outcome.state for outcome in sweep.as_completed()}
    {'done'}
    >>> sweep.result(timeout=60)["value"].tolist()
    [1, 4, 9]
    >>> sweep.counts()
    {'done': 3}
    """

    def __init__(
        self,
        client: HerokuClient,
        plan: Plan,
        options: SweepOptions,
        *,
        id: str,  # noqa: A002 - the public attribute has this name
        journal: Journal | None = None,
        known: Sequence[Outcome] = (),
        live: Sequence[Job] = (),
        idle_dollars: float = 0.0,
        attached_runner: Callable[..., Runner] = Runner,
    ) -> None:
        """Prepare a sweep. idle_dollars: what its budget has to pay for a warm dyno that stays after it."""
        super().__init__(threading.Condition())
        self.id = id
        self.task = plan.first.task
        self.app = plan.first.app_name
        self.host = client.base_url
        self.request = plan.first.request
        self.names = plan.grid.names
        self.plan = plan
        self.options = options
        self.journal = journal
        self.continued_by: Sweep | None = None  # the one that resumed it
        self.notes = describe_answers(known, len(plan))
        self.started_at: float | None = None
        self._began = time.monotonic()
        self.seconds: float | None = None
        self._state = SweepState(len(plan), known)
        self._scheduler = Scheduler(
            plan,
            options,
            self._state,
            live=live,
            journal=journal,
            idle_dollars=idle_dollars,
            changed=self._changed,
            when_finished=self._finish,
        )
        self._launcher = Launcher(client, self._scheduler, attached_runner, are_warm=plan.first.keeps_dyno)

    def start(self) -> Sweep:
        """Start the runs in the background and return the sweep."""
        self.started_at, self._began = time.time(), time.monotonic()
        record_start(self)
        with notifications_to(self._note):
            self._launcher.start(f"heroku-{self.id}")
        return self

    # -- what it consists of --------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.plan)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.counts().items())
        return f"<Sweep {self.id} of {self.task} over {', '.join(self.names)}: {counts}>"

    @property
    def is_detached(self) -> bool:
        """Whether its dynos continue when this process ends."""
        return self.plan.first.is_detached

    def parameters(self, index: int) -> Mapping[str, Any]:
        """Return the parameters of one combination that differ from run to run."""
        return self.plan[index]

    def named(self, outcome: Outcome) -> str:
        """Return the parameters of an outcome as text, such as ``n=1, seed=0``."""
        values = ((name, python_scalar(outcome.parameters.get(name))) for name in self.names)
        return ", ".join(clean_line(f"{name}={value!r}")[:60] for name, value in values)

    @property
    def axes(self) -> list[tuple[str, int]]:
        """Names and lengths of the grid's axes; empty if the sweep is not a complete product of them."""
        return self.plan.axes

    # -- how it stands --------------------------------------------------------------------------------

    @property
    def age(self) -> float | None:
        """Seconds since the start, which no change of the computer's time affects; None before it."""
        return None if self.started_at is None else time.monotonic() - self._began

    @property
    def states(self) -> bytes:
        """A byte per combination: the index of its state in `outcomes.STATES`."""
        states = bytearray(self._state.states)
        for index in self._scheduler.at_work():
            if states[index] == STARTING:  # it may have ended meanwhile
                states[index] = RUNNING
        return bytes(states)

    @property
    def activity(self) -> str:
        """What its first runs are waiting for, such as the installation of packages; empty if nothing."""
        return next((run.activity for run in self._scheduler.runs() if run.activity), "")

    def counts(self) -> dict[str, int]:
        """Return the number of runs in each state that occurs, such as ``{"done": 6}``."""
        return count_states(self.states)

    @property
    def size(self) -> str | None:
        """The dyno size, once it is known."""
        return self._scheduler.size

    @property
    def dollars(self) -> float | None:
        """Cost so far in dollars at list price; None if the price is unknown."""
        return self._scheduler.cost.so_far(self._scheduler.runs())

    @property
    def expected_dollars(self) -> float | None:
        """Expected total cost in dollars; None before a dyno has ended or if the price is unknown."""
        seconds = self._scheduler.seconds_to_come()
        return None if seconds is None else self._scheduler.cost.expected(seconds, self.size)

    def failures(self, most: int | None = None) -> Failures:
        """Return the outcomes of failed combinations in the grid's order, at most `most`."""
        return Failures(self._state.failed[:most], self.names, self.job_display)

    def slowest(self) -> Outcome | None:
        """Return the outcome of the successful combination that took longest."""
        return self._state.slowest

    def spans(self) -> list[DynoSpan]:
        """Return the life of each dyno, in the order of their requests; that of a warm one is not the sweep's."""
        if self.plan.first.keeps_dyno:
            return []
        live = [
            DynoSpan(run.started_at, run.up_at, None, run.state)
            for run in self._scheduler.runs()
            if run.dyno is not None and run.started_at is not None
        ]
        extras = extra_spans(run.guard for run in self._scheduler.runs())
        return sorted([*self._scheduler.cost.spans, *live, *extras], key=lambda span: span.requested_at)

    def measurer(self, y: str | None = None) -> Measurer:
        """Return what finds the number of each run. y: a column or metric; None: that of the option `plot`."""
        return Measurer(self.known, self.names, y or self.options.plot)

    def plot(self, y: str | None = None, *, agg: Any = "mean", ax: Axes | None = None) -> Axes:
        """Plot a result over the parameters with matplotlib.

        One parameter: points and a line. Two: a heatmap. More, or a sample: the highest and the lowest results.

        Parameters
        ----------
        y
            Column or metric; None: that of the option `plot`, else the first numeric column that is not a parameter.
        agg
            How several rows of a run become one number, as for `pandas.Series.agg`.
        ax
            Axes to draw in; None makes a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InvalidOptions
            There is no such number, or matplotlib is not installed.
        """
        from heroku_magic.sweeps.plot import plot_sweep

        return plot_sweep(self.plan, self.measurer(y).measure(), agg, ax)

    def leftover_message(self) -> str:
        """Return which dynos may still run, and when they end."""
        left = [(run.dyno, run.ends_at) for run in self._scheduler.runs() if run.dyno and run.ends_at]
        left += [(one.dyno.name, one.ends_at(self.plan.first.timeout)) for one in self._scheduler.cost.leftovers()]
        if not left:
            return "No dyno is left."
        latest = time_of_day(max(ends_at for _, ends_at in left))
        names = ", ".join(name for name, _ in left[:NAMED])
        more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
        return f"{names}{more} of {self.app} may still run until {latest} (`%heroku ps` lists them)."

    def outcome_message(self) -> str:
        """Return a sentence about what became of a cancelled sweep."""
        ended = "was stopped" if self.done() else "is being stopped"
        return f"{self.id} {ended}. {self.leftover_message()}"

    def facts(self) -> dict[str, Any]:
        """Return facts about the sweep as small plain values, as in ``df.attrs["heroku"]`` of its result."""
        cost = self._scheduler.cost
        return {
            "sweep": self.id,
            "task": self.task,
            "app": self.app,
            "runs": len(self),
            **self.counts(),
            **({"failed": len(self) - self.counts().get("done", 0)} if self.done() else {}),
            "retried": self._state.retried,
            "releases": sorted(self._state.releases),
            "dynos": len(cost.spans),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "dyno_seconds": round(cost.seconds, 3),
            "dollars": cost.dollars,
            "verified": all(one.facts.get("verified") for one in self._state.finished if one.state == "done"),
        }

    def snapshot(self) -> SweepSnapshot:
        """Return what is known of the sweep by now, as an object that can be pickled."""
        return SweepSnapshot(self.id, self.partial, self.facts(), list(map(portable, self.failures())), self.runs())

    def runs(self) -> pd.DataFrame:
        """Return a table with a row per combination, at any time.

        Returns
        -------
        pandas.DataFrame
            The parameters that differ, then run, dyno, state, exit_status, seconds, dollars, attempts and error.
            If a parameter has the name of such a column, the column gets a trailing underscore.
        """
        columns = {name: self._free(name) for name in COLUMNS}
        rows = []
        for index, code in enumerate(self.states):
            outcome = self._state.outcomes.get(index)
            facts = {
                **(outcome.facts if outcome else {}),
                "state": STATES[code],
                "attempts": self._state.attempts(index),
                "error": first_line(outcome.error) if outcome else None,
            }
            parameters = {name: column_value(value) for name, value in self.plan[index].items()}
            rows.append({**parameters, **{column: facts.get(name) for name, column in columns.items()}})
        return table(rows, [*self.names, *columns.values()])

    def _free(self, name: str) -> str:
        while name in self.names:
            name += "_"
        return name

    # -- the interface of concurrent.futures ----------------------------------------------------------

    def done(self) -> bool:
        """Return whether all runs have ended, successfully or not."""
        return self.seconds is not None

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows of the combinations that have succeeded so far; None if none of them has a table."""
        with self._changed:
            done = [outcome for outcome in self._state.done() if outcome.parts is not None]
        if not done:
            return None
        return grid_frame([(one.parameters, one.parts or ()) for one in done], self.names, self.facts())

    def _failure(self) -> SweepFailed | None:
        failed, done = self.failures(), self.counts().get("done", 0)
        if done == len(self):
            return None
        left = (
            f"{self.leftover_message()} They are stopped as soon as possible."
            if self._scheduler.cost.leftovers()
            else ""
        )
        text = describe_failures(failed, self.named, len(self), done, reason=self._scheduler.stop_reason, left=left)
        return SweepFailed(text, self)

    def as_completed(self) -> Iterator[Outcome]:
        """Yield the outcome of each combination as soon as it has ended."""
        seen = 0
        while True:
            with self._changed:
                wait_for(self._changed, partial(self._has_more_than, seen))
                fresh = self._state.finished[seen:]
            if not fresh:
                return
            seen += len(fresh)
            yield from fresh

    def _has_more_than(self, seen: int) -> bool:
        return len(self._state.finished) > seen or self.done()

    def cancel(self) -> bool:
        """Stop all dynos and start no more; the results so far are kept.

        Returns
        -------
        bool
            False if the sweep is already done.
        """
        if self.done():
            return False
        self._scheduler.stop("It was stopped")
        self._launcher.wake()
        return True

    def known(self) -> list[Outcome]:
        """Return the outcomes so far, from which another sweep can continue."""
        with self._changed:
            return [*self._state.finished]

    def _finish(self) -> None:
        if self.journal is not None:
            self.journal.close()
        with self._changed:
            self.seconds = time.monotonic() - self._began
        self._call_back()

    def _note(self, text: str) -> None:
        with self._changed:
            if text not in self.notes:
                self.notes.append(text)
            self._changed.notify_all()
