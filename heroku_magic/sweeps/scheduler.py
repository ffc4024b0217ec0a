"""Desk: which combinations of a sweep are run next, together or again, until each is settled; it starts none."""

from __future__ import annotations

from collections import deque
from operator import methodcaller
from typing import TYPE_CHECKING

from heroku_magic.errors import (
    EmulatorError,
    InvalidParameters,
    LogStreamError,
    RunCancelled,
    TaskFailed,
    Unreachable,
)
from heroku_magic.sweeps.bill import Bill
from heroku_magic.sweeps.launcher import Job
from heroku_magic.sweeps.outcomes import Outcome
from heroku_magic.sweeps.queue import Waiting
from heroku_magic.sweeps.verdicts import of_call, of_run
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from heroku_magic.errors import HerokuMagicError
    from heroku_magic.runs.options import SweepOptions
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.journal import Journal
    from heroku_magic.sweeps.outcomes import Board
    from heroku_magic.sweeps.plan import Plan

FEW = 5  # runs without an answer that are no sign yet


class SweepDesk:
    """All combinations of one sweep, as the launcher asks for them; it alone writes the board.

    live: jobs whose dynos another process started. changed: is told whenever something has. on_over:
    called when all runs are over.
    """

    def __init__(
        self,
        plan: Plan,
        options: SweepOptions,
        board: Board,
        *,
        live: Sequence[Job] = (),
        journal: Journal | None = None,
        changed: threading.Condition,
        on_over: Callable[[], None],
    ) -> None:
        self.plan, self.options, self.board = plan, options, board
        self.bill = Bill(plan.first)
        self.running: list[Job] = []
        self.is_stopping = False
        self.stopped_for = ""
        self._journal, self._changed, self._on_over = journal, changed, on_over
        self._unanswered = 0
        self._put_back: deque[Job] = deque(live)
        known = {*board.outcomes, *(place for job in live for place in job.places)}
        fresh = (place for place in range(len(plan)) if place not in known)
        self._waiting = Waiting(fresh, len(plan) - len(known), options.chunk_size)
        self._tried = 0  # combinations of dynos that are over, each as often as it was tried

    # -- what the launcher asks and tells -----------------------------------------------------------

    def most_at_once(self, size: str | None) -> int:
        """Return how many runs there may be at once."""
        return self.options.jobs or self.plan.most_at_once(size or self.plan.first.size)

    def left(self) -> int:
        """Return how many runs are still to be made."""
        return len(self._put_back) + self._waiting.dynos

    def is_finished(self) -> bool:
        """Tell whether there will be no more jobs."""
        return self.is_stopping or not self.left()

    def take(self) -> Job | None:
        """Return the next job, of one combination or of a chunk of them."""
        while not self.is_stopping and self.left() and self._can_pay():
            if self._put_back:
                return self._put_back.popleft()
            if job := self._packed(self._waiting.take(self.most_at_once(self.size))):
                return job
        return None

    def began(self, job: Job) -> None:
        """Its run was started."""
        with self._changed:
            self.running.append(job)
            self.board.begin(self._open(job.places))
            self._changed.notify_all()
        if self.is_stopping and job.run is not None:  # since it was taken; whoever stopped did not see it yet
            job.run.cancel()
        if job.run is not None:
            self._write(methodcaller("began", job.places, job.run.id))

    def put_back(self, job: Job) -> None:
        """There was no room for it: it did not begin."""
        with self._changed:
            self.running.remove(job)
            self.board.give_back(self._open(job.places))
            self._put_back.append(Job(job.order, job.places, job.makes_calls, job.detached))
            self._changed.notify_all()

    def ended(self, job: Job) -> None:
        """Take note of how a run ended, and its combinations with it."""
        if job.run is None:
            return
        self._read_calls(job, job.run)
        if job.makes_calls and job.read == len(job.places):
            self._waiting.took(job.run.seconds or 0.0, [call.told.seconds for call in job.run.calls])
        left = job.places[job.read :]
        if len(left) > 1 and job.run.died_mid_task and not self.is_stopping:
            # What it was at is not known to the call: its last words wait a moment. Alone it will show.
            self._divide(self._open(left))
            left = ()
        for place in self._open(left):
            self._settle(of_run(self._blank(place), job, job.run))
        with self._changed:
            self.running.remove(job)
            self.bill.add(job.run)
            self._tried += len(job.places)
            self._changed.notify_all()
        if not self._is_out_of_sight(job.run.exception()):
            job.run.forget()
        self._heed(job.run.exception())

    def look(self) -> None:
        """Read what calls have ended meanwhile, and stop where it gets too expensive."""
        for job in self.running:
            if job.makes_calls and job.run is not None:
                self._read_calls(job, job.run)
        limit = self.options.max_cost
        if limit is not None and not self.is_stopping and (self.bill.so_far(self.runs()) or 0) >= limit:
            self.stop(f"It has cost ${limit:.4g}, the most that --max-cost lets it")

    def over(self) -> None:
        """All runs are over."""
        waiting = [place for job in self._put_back for place in job.places]
        with self._changed:
            self.board.cancel([*waiting, *self._waiting.rest()])
        self._write(methodcaller("close"))
        self._on_over()

    # -- what the sweep asks ------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """Return the runs that are not over."""
        return [job.run for job in [*self.running] if job.run is not None]

    def at_work(self) -> list[int]:
        """Return what dynos are at: of several combinations in one the others wait."""
        up = [job for job in [*self.running] if job.run is not None and job.run.up_at]
        return [place for job in up for place in job.places[job.read : job.read + 1]]

    def seconds_to_come(self) -> float | None:
        """Return the seconds of dynos that what is left will take, judged by the dynos that are over; None: none is."""
        if not self._tried:
            return None
        over = len(self.board.finished) - sum(job.read for job in [*self.running])
        return self.bill.seconds / self._tried * (len(self.plan) - over)

    @property
    def size(self) -> str | None:
        """The dynos' size, as soon as it is known."""
        done = (outcome.facts.get("size") for outcome in self.board.finished[:1])
        return next((size for size in (*done, *(run.size for run in self.runs())) if size), self.plan.first.size)

    def stop(self, reason: str = "") -> None:
        """Start no more, and stop what runs."""
        self.is_stopping, self.stopped_for = True, self.stopped_for or reason
        for run in self.runs():
            run.cancel()

    # -- which are next -----------------------------------------------------------------------------

    def _can_pay(self) -> bool:
        """Whether one more dyno like those that are over fits into the budget, beside those that run."""
        limit, dynos = self.options.max_cost, len(self.bill.spans)
        if limit is None or not dynos or self.bill.dollars is None:
            return True
        will_be = self.bill.dollars + self.bill.dollars / dynos * (len(self.running) + 1)
        if will_be > limit and not self.running:
            self.stop(f"One more dyno would make it cost ${will_be:.4g}, more than the ${limit:.4g} of --max-cost")
        return will_be <= limit

    def _packed(self, places: list[int]) -> Job | None:
        """A job of these combinations; None where they do not fit into one dyno's environment."""
        makes_calls = self.options.chunk_size != 1
        try:
            order = self.plan.of([self.plan[place] for place in places], makes_calls)
        except InvalidParameters as error:
            if len(places) > 1:
                self._waiting.halve(places)
            else:
                self._settle(Outcome(places[0], self.plan[places[0]], "failed", 0, {}, error))
            return None
        return Job(order, tuple(places), makes_calls)

    # -- how they ended -----------------------------------------------------------------------------

    def _read_calls(self, job: Job, run: Run) -> None:
        for place, call in [*zip(job.places, run.calls, strict=False)][job.read :]:
            job.read += 1
            if self._open([place]):
                self._settle(of_call(self._blank(place), job, run, call))

    def _blank(self, place: int) -> Outcome:
        """What is known of a combination before it is looked at how it ended."""
        return Outcome(place, self.plan[place], "done", self.board.attempts(place), {})

    def _open(self, places: Sequence[int]) -> list[int]:
        """Those that are not over; of a run that another process started, some may be."""
        return [place for place in places if place not in self.board.outcomes]

    def _settle(self, outcome: Outcome) -> None:
        """Take note of how a combination ended, or have it tried again."""
        again = self._may_try_again(outcome)
        if outcome.error is not None:
            outcome.state = "cancelled" if isinstance(outcome.error, RunCancelled) else "failed"
        if again:
            self._try_again([outcome.place])
            return
        with self._changed:
            self.board.settle(outcome)
            self._changed.notify_all()
        if not self._is_out_of_sight(outcome.error):
            self._write(methodcaller("ended", outcome))
        if len(releases := self.board.releases) > 1:
            named = " and ".join(f"v{release}" for release in sorted(releases))
            notify(f"The app changed in between: rows are of its releases {named}.")
        if outcome.state == "failed" and self.options.fail_fast:
            self.stop("It stops at the first failure (--fail-fast)")
        elif outcome.attempts and isinstance(outcome.error, InvalidParameters):
            self.stop("It stopped, for the other runs would say the same")

    def _divide(self, places: Sequence[int]) -> None:
        with self._changed:
            self.board.retry(places)
            self._waiting.divide(places)
            self._changed.notify_all()

    def _try_again(self, places: Sequence[int]) -> None:
        with self._changed:
            self.board.retry(places)
            self._waiting.again(places)
            self._changed.notify_all()

    def _write(self, write: Callable[[Journal], object]) -> None:
        """Write to the journal; where that fails the sweep goes on without, and says so."""
        if self._journal is None:
            return
        try:
            write(self._journal)
        except OSError as error:
            notify(f"{self._journal.path} cannot be written ({error.strerror}): what ends from now on is not saved.")
            self._journal = None

    def _is_out_of_sight(self, error: HerokuMagicError | None) -> bool:
        """Whether a detached run may go on unseen: who attaches the sweep takes it up."""
        return self.plan.first.is_detached and isinstance(error, LogStreamError)

    def _heed(self, error: HerokuMagicError | None) -> None:
        """Stop once more runs in a row had no answer than there are at once: the others would have none, too."""
        is_unanswered = isinstance(error, Unreachable | LogStreamError | EmulatorError)
        self._unanswered = self._unanswered + 1 if is_unanswered else 0
        if self._unanswered > max(self.most_at_once(self.size), FEW):
            self.stop("It stopped, for Heroku does not answer any more")

    def _may_try_again(self, outcome: Outcome) -> bool:
        if self.is_stopping or self.board.tries(outcome.place) > self.options.retries:
            return False
        if isinstance(outcome.error, TaskFailed):
            return self.options.retry_tasks or outcome.error.run.was_evicted
        return not isinstance(outcome.error, RunCancelled | InvalidParameters | None)
