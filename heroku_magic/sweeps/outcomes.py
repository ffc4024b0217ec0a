"""The state of each combination of a sweep, and the outcomes so far."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidParameters, ResultIncomplete, TaskFailed
from heroku_magic.platform_facts.dyno_sizes import precise_money
from heroku_magic.protocol.dataframe import fault, frame
from heroku_magic.runs.failures import describe_failure
from heroku_magic.runs.tracebacks import FIRST_LINE
from heroku_magic.sweeps.result_table import contradiction
from heroku_magic.text.plural import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from heroku_magic.errors import HerokuMagicError
    from heroku_magic.protocol.records import Call, Rows
    from heroku_magic.protocol.tables import Table
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.launcher import Job

STATES = ("queued", "starting", "running", "retried", "done", "failed", "cancelled")
QUEUED, STARTING, RUNNING, RETRIED, DONE, FAILED, CANCELLED = range(len(STATES))
LOG_LINES, LOG_LINE_LENGTH = 20, 500  # of a run that are kept
MOST_LOGS = 1_000  # of successful runs that are kept


@dataclass(slots=True)
class Outcome:
    """How one combination of a sweep ended.

    Attributes
    ----------
    place
        Index of the combination in the sweep.
    parameters
        The parameters that differ from run to run.
    state
        ``done``, ``failed`` or ``cancelled``.
    attempts
        Number of runs that tried the combination.
    facts
        Small plain values about its run, as in ``df.attrs["heroku"]`` of a single run.
    error
        What the combination failed with.
    files
        The content of the files that its task emitted, by name.
    log
        The last lines of its log; of a failed run those before its traceback.
    metrics
        The last value of each metric, by name.
    source
        The run of the ledger that answered, if one did: its id, its sweep and its place there.
    """

    place: int
    parameters: Mapping[str, Any]
    state: str
    attempts: int
    facts: Mapping[str, Any]
    error: HerokuMagicError | None = None
    parts: Sequence[Rows | Table] | None = field(default=None, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    log: Sequence[str] = field(default=(), repr=False)
    metrics: Mapping[str, float] = field(default_factory=dict, repr=False)
    source: tuple[str, str, int] | None = field(default=None, repr=False)

    @property
    def dyno(self) -> str | None:
        """The dyno that ran the combination last."""
        return self.facts.get("dyno")

    @property
    def seconds(self) -> float | None:
        """Duration in seconds; in a shared dyno, that of this combination alone."""
        return self.facts.get("seconds")

    def exception(self) -> HerokuMagicError | None:
        """Return what the combination failed with, or None."""
        return self.error

    def result(self) -> pd.DataFrame | None:
        """Return the rows of the combination.

        Returns
        -------
        pandas.DataFrame or None
            None if the task has no table.

        Raises
        ------
        HerokuMagicError
            What the combination failed with.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        return None if self.parts is None else frame(self.parts, self.facts)

    def take_call(self, job: Job, call: Call) -> None:
        """Fill in the result of one call in a shared dyno, which is complete whatever happens to the other calls."""
        run, ended = job.run, call.returned
        price = job.spec.price(run.size, ended.seconds)
        own = {"exit_status": ended.status, "seconds": ended.seconds, "dollars": price, "verified": True}
        self.facts, self.parts, self.files = {**run.facts(), **own}, call.parts, call.files
        if ended.status:
            text = describe_failure(job.spec, ended.status, call.failure, [], time_limit=None, dyno=run.dyno or "")
            self.error = TaskFailed(text, run)
        elif call.parts and (problem := fault(call.parts)):
            self.error = ResultIncomplete(f"{run.task} succeeded, but its result is incomplete: {problem}.", run)
        else:
            self.error = self._contradiction()

    def take_run(self, job: Job) -> None:
        """Fill in the result of a run that ended."""
        run = job.run
        self.facts, self.parts, self.files = run.facts(), None if job.makes_calls else run.parts, run.files
        self.metrics = run.latest_metrics
        self.error = run.exception()
        self.log = _last_lines(run)
        if self.error is None and job.makes_calls:
            self.error = ResultIncomplete(f"{run.task} ended without a result for this combination.", run)
        elif self.error is None:
            self.error = self._contradiction()

    def _contradiction(self) -> InvalidParameters | None:
        found = contradiction(self.parts or (), self.parameters)
        return InvalidParameters([found]) if found else None


class SweepState:
    """The state of all combinations by their index; it has one writer and many readers.

    Attributes
    ----------
    states
        A byte per combination, an index into `STATES`.
    outcomes
        By index, of the combinations that ended.
    finished
        The same, in the order in which they ended.
    failed
        Outcomes of failed combinations in the grid's order.
    slowest
        The outcome of the successful combination that took longest.
    releases
        Versions of the app that ran successful combinations.
    own_releases
        The same, without those of combinations that earlier runs have answered.
    """

    def __init__(self, count: int, known: Iterable[Outcome] = ()) -> None:
        self.states = bytearray(count)
        self.outcomes: dict[int, Outcome] = {}
        self.finished: list[Outcome] = []
        self.failed: list[Outcome] = []
        self.slowest: Outcome | None = None
        self.releases: set[int] = set()
        self.own_releases: set[int] = set()
        self._attempts, self._before = Counter[int](), dict[int, int]()
        for outcome in known:
            self._attempts[outcome.place] = self._before[outcome.place] = outcome.attempts
            if outcome.state == "done":
                self.settle(outcome)

    def begin(self, indices: Iterable[int]) -> None:
        """Count one more attempt."""
        for index in indices:
            self._attempts[index] += 1
            self.states[index] = STARTING

    def withdraw(self, indices: Iterable[int]) -> None:
        """Take back an attempt that did not start."""
        for index in indices:
            self._attempts[index] -= 1
            self.states[index] = RETRIED if self._attempts[index] else QUEUED

    def attempts(self, index: int) -> int:
        """Return the number of attempts, those of a resumed sweep included."""
        return self._attempts[index]

    def new_attempts(self, index: int) -> int:
        """Return the number of attempts in this sweep alone."""
        return self._attempts[index] - self._before.get(index, 0)

    def mark(self, indices: Iterable[int], state: int) -> None:
        """Set the state of combinations that wait again (RETRIED) or never run (CANCELLED)."""
        for index in indices:
            self.states[index] = state

    def settle(self, outcome: Outcome) -> None:
        """Record the final outcome of a combination."""
        self.outcomes[outcome.place] = outcome
        self.finished.append(outcome)
        self.states[outcome.place] = STATES.index(outcome.state)
        if outcome.state == "failed":
            insort(self.failed, outcome, key=attrgetter("place"))
        elif outcome.state == "done":
            if len(self.finished) > MOST_LOGS:
                outcome.log = ()
            if (outcome.seconds or 0) > ((self.slowest and self.slowest.seconds) or 0):
                self.slowest = outcome
            if release := outcome.facts.get("release"):
                self.releases.add(release)
                if "cached" not in outcome.facts:
                    self.own_releases.add(release)

    def done(self) -> list[Outcome]:
        """Return the successful outcomes in the grid's order."""
        return [self.outcomes[index] for index in sorted(self.outcomes) if self.outcomes[index].state == "done"]

    @property
    def retried(self) -> int:
        """Number of combinations that were tried more than once."""
        # A copy is made in one step, so that the writer can continue meanwhile.
        return sum(count > 1 for count in [*self._attempts.values()])


def count_states(states: bytes | bytearray) -> dict[str, int]:
    """Return the number of combinations in each state that occurs."""
    counts = {name: states.count(code) for code, name in enumerate(STATES)}
    return {name: count for name, count in counts.items() if count}


def _last_lines(run: Run) -> list[str]:
    """Return what a task printed last, before a traceback, which the error shows."""
    printed = [line.message[:LOG_LINE_LENGTH] for line in [*run.latest_lines] if line.source == "app"]
    begins = next((at for at, text in enumerate(printed) if text.startswith(FIRST_LINE)), None)
    return printed[:begins][-LOG_LINES:]


def describe_answers(known: Iterable[Outcome], count: int) -> list[str]:
    """Return how many of a sweep's runs were answered by earlier ones, as a note; nothing if none was."""
    answered = [outcome for outcome in known if outcome.source is not None]
    seconds = sum(outcome.seconds or 0.0 for outcome in answered)
    dollars = sum(outcome.facts.get("dollars") or 0.0 for outcome in answered)
    note = f"cached {len(answered):,} of {quantity(count, 'run')} · saved {seconds:.1f} s, {precise_money(dollars)}"
    return [note] if answered else []
