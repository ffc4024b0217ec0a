"""Decides which combinations of a sweep run next, together or once more, and records how they end."""

from __future__ import annotations

from collections import deque
from operator import methodcaller
from typing import TYPE_CHECKING

from heroku_magic.errors import (
    EmulatorError,
    Forbidden,
    InstallFailed,
    InvalidParameters,
    LogStreamError,
    NotFound,
    RunCancelled,
    TaskFailed,
    Unauthorized,
    Unreachable,
)
from heroku_magic.platform_facts.dyno_sizes import precise_money
from heroku_magic.runs.failures import NOT_INSTALLED
from heroku_magic.sweeps.cost import CostMeter
from heroku_magic.sweeps.launcher import Job, JobSource
from heroku_magic.sweeps.outcomes import CANCELLED, RETRIED, Outcome
from heroku_magic.sweeps.queue import WorkQueue
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from heroku_magic.errors import HerokuMagicError
    from heroku_magic.runs.options import SweepOptions
    from heroku_magic.sweeps.journal import Journal
    from heroku_magic.sweeps.outcomes import SweepState
    from heroku_magic.sweeps.plan import Plan

FEW = 5  # runs in a row that may end without an answer, or be refused, before the sweep stops


class Scheduler(JobSource):
    """The jobs of one sweep, and the only writer of its state.

    live: jobs whose dynos another process started. idle_dollars: what the budget has to pay for a warm dyno that stays
    afterwards. changed: condition, notified after every change. when_finished: called after all runs have ended.
    """

    def __init__(
        self,
        plan: Plan,
        options: SweepOptions,
        state: SweepState,
        *,
        live: Sequence[Job],
        journal: Journal | None,
        idle_dollars: float,
        changed: threading.Condition,
        when_finished: Callable[[], None],
    ) -> None:
        super().__init__()
        self.plan, self.options, self.state = plan, options, state
        self.cost = CostMeter(plan.first)
        self.stop_reason = ""
        self._idle_dollars = idle_dollars
        self._journal, self._changed, self._when_finished = journal, changed, when_finished
        self._unanswered = self._refused = 0  # runs in a row
        self._jobs: deque[Job] = deque(live)
        known = {*state.outcomes, *(index for job in live for index in job.indices)}
        fresh = (index for index in range(len(plan)) if index not in known)
        self._queue = WorkQueue(fresh, len(plan) - len(known), options.chunk_size)
        self._attempts_ended = 0  # combinations of the dynos that ended, once for each attempt

    # -- what the launcher calls --------------------------------------------------------------------

    def most_at_once(self, size: str | None) -> int:
        """Return the largest number of concurrent runs for a dyno size."""
        return self.options.jobs or self.plan.most_at_once(size or self.plan.first.size)

    def remaining(self) -> int:
        """Return how many runs are still to be started, as far as it is known."""
        return len(self._jobs) + self._queue.dynos

    def is_finished(self) -> bool:
        """Return whether there will be no more jobs."""
        return self.is_stopping or not self.remaining()

    def next_job(self) -> Job | None:
        """Return the next job, for one combination or a chunk; None if there is none or the budget allows none."""
        while not self.is_stopping and self.remaining() and self._can_pay():
            if self._jobs:
                return self._jobs.popleft()
            if job := self._make_job(self._queue.take(self.most_at_once(self.size))):
                return job
        return None

    def on_start(self, job: Job) -> None:
        """Record that the run of a job was started."""
        with self._changed:
            super().on_start(job)
            self.state.begin(self._unsettled(job.indices))
            self._changed.notify_all()
        self._write(methodcaller("record_start", job.indices, job.run.id))

    def on_refusal(self, job: Job) -> None:
        """Queue a job again that Heroku refused because of a limit."""
        with self._changed:
            self.running.remove(job)
            self.cost.watch(job.run.guard)
            self.state.withdraw(self._unsettled(job.indices))
            self._jobs.append(Job(job.spec, job.indices, job.makes_calls, job.detached))
            self._changed.notify_all()

    def on_end(self, job: Job) -> None:
        """Record how a run ended, and its combinations with it."""
        self._read_calls(job)
        if job.makes_calls and job.calls_read == len(job.indices):
            self._queue.measure(job.run.seconds or 0.0, [call.returned.seconds for call in job.run.calls])
        left = job.indices[job.calls_read :]
        error = job.run.exception()
        if len(left) > 1 and job.run.died_mid_task and not (self.is_stopping or self._lacks_packages(error)):
            # Output is delayed, so it is unknown which call killed the dyno. Halving the rest isolates it.
            self._requeue(self._unsettled(left), self._queue.split)
            left = ()
        for index in self._unsettled(left):
            outcome = self._new_outcome(index)
            outcome.take_run(job)
            self._settle(outcome)
        with self._changed:
            self.running.remove(job)
            self.cost.add(job.run)
            self._attempts_ended += len(job.indices)
            self._changed.notify_all()
        if not self._may_go_on_unseen(error):
            job.run.forget()
        self._stop_without_answers(error)

    def poll(self) -> None:
        """Record the calls that ended meanwhile, and stop at the cost limit."""
        for job in self.running:
            if job.makes_calls:
                self._read_calls(job)
        limit = self.options.max_cost
        if limit is None or self.is_stopping:
            return
        if (self.cost.so_far(self.runs()) or 0) + self._idle_dollars >= limit:
            self.stop(f"It has cost {precise_money(limit)}, the limit set by --max-cost")

    def on_finish(self) -> None:
        """Mark the combinations without an outcome, whatever became of them."""
        with self._changed:
            self.state.mark(self._unsettled(range(len(self.plan))), CANCELLED)
        self._when_finished()

    # -- what the sweep reads -----------------------------------------------------------------------

    def at_work(self) -> list[int]:
        """Return the combinations that run right now; of a chunk only one does."""
        up = [job for job in [*self.running] if job.run.up_at]
        return [index for job in up for index in job.indices[job.calls_read : job.calls_read + 1]]

    def seconds_to_come(self) -> float | None:
        """Return the expected dyno seconds of what is left; None before any dyno has ended."""
        if not self._attempts_ended:
            return None
        ended = len(self.state.finished) - sum(job.calls_read for job in [*self.running])
        return self.cost.seconds / self._attempts_ended * (len(self.plan) - ended)

    @property
    def size(self) -> str | None:
        """The dyno size, once it is known."""
        done = (outcome.facts.get("size") for outcome in self.state.finished[:1])
        return next((size for size in (*done, *(run.size for run in self.runs())) if size), self.plan.first.size)

    def stop(self, reason: str = "") -> None:
        """Start no more runs, and cancel what runs."""
        self.stop_reason = self.stop_reason or reason
        super().stop(reason)

    # -- which combinations are next ----------------------------------------------------------------

    def _can_pay(self) -> bool:
        """Return whether the budget allows one more dyno of average cost besides the running ones."""
        limit = self.options.max_cost
        if limit is None or (dollars := self.cost.dollars) is None or not (dynos := len(self.cost.spans)):
            return True
        total = self._idle_dollars + dollars + dollars / dynos * (len(self.running) + 1)
        if total > limit and not self.running:
            more = f"{precise_money(total)}, more than the {precise_money(limit)} of --max-cost"
            self.stop(f"One more dyno would raise the cost to {more}")
        return total <= limit

    def _make_job(self, indices: list[int]) -> Job | None:
        """Return a job for these combinations; None if they do not fit into one dyno's environment."""
        makes_calls = self.options.chunk_size != 1
        try:
            spec = self.plan.make_spec([self.plan[index] for index in indices], makes_calls)
        except InvalidParameters as error:
            if len(indices) > 1:
                self._queue.shrink(indices)
            else:
                self._settle(Outcome(indices[0], self.plan[indices[0]], "failed", 0, {}, error))
            return None
        return Job(spec, tuple(indices), makes_calls)

    def _requeue(self, indices: Sequence[int], put: Callable[[Sequence[int]], None]) -> None:
        with self._changed:
            self.state.mark(indices, RETRIED)
            put(indices)
            self._changed.notify_all()

    # -- how they ended -----------------------------------------------------------------------------

    def _read_calls(self, job: Job) -> None:
        for index, call in [*zip(job.indices, job.run.calls, strict=False)][job.calls_read :]:
            job.calls_read += 1
            if index not in self.state.outcomes:
                outcome = self._new_outcome(index)
                outcome.take_call(job, call)
                self._settle(outcome)

    def _new_outcome(self, index: int) -> Outcome:
        return Outcome(index, self.plan[index], "done", self.state.attempts(index), {})

    def _unsettled(self, indices: Sequence[int]) -> list[int]:
        """Return those without an outcome; some in a run of another process may have one."""
        return [index for index in indices if index not in self.state.outcomes]

    def _settle(self, outcome: Outcome) -> None:
        """Record how a combination ended, or queue it again."""
        if self._may_retry(outcome):
            self._requeue([outcome.place], self._queue.repeat)
            return
        if outcome.error is not None:
            outcome.state = "cancelled" if isinstance(outcome.error, RunCancelled) else "failed"
        with self._changed:
            self.state.settle(outcome)
            self._changed.notify_all()
        if not self._may_go_on_unseen(outcome.error):
            self._write(methodcaller("record_outcome", outcome))
        if len(releases := self.state.own_releases) > 1:
            versions = " and ".join(f"v{release}" for release in sorted(releases))
            notify(f"The app was deployed during the sweep: its rows come from releases {versions}.")
        if outcome.state == "failed" and self.options.fail_fast:
            self.stop("It stopped at the first failure (--fail-fast)")
        elif self._lacks_packages(outcome.error) or (outcome.attempts and isinstance(outcome.error, InvalidParameters)):
            self.stop("It stopped because the other runs would fail in the same way")

    def _may_retry(self, outcome: Outcome) -> bool:
        if self.is_stopping or self.state.new_attempts(outcome.place) > self.options.retries:
            return False
        if isinstance(outcome.error, TaskFailed):
            lacks_packages = self._lacks_packages(outcome.error)
            return self.options.retry_tasks or outcome.error.run.was_evicted or lacks_packages
        return not isinstance(outcome.error, RunCancelled | InvalidParameters | None)

    def _lacks_packages(self, error: HerokuMagicError | None) -> bool:
        """Return whether a dyno could not install the packages of the sweep."""
        if not isinstance(error, TaskFailed):
            return isinstance(error, InstallFailed)
        return bool(self.plan.first.packages) and error.run.exit_status == NOT_INSTALLED

    def _may_go_on_unseen(self, error: HerokuMagicError | None) -> bool:
        """Return whether a detached run may still run, so that attaching the sweep can take it up."""
        return self.plan.first.is_detached and isinstance(error, LogStreamError)

    def _stop_without_answers(self, error: HerokuMagicError | None) -> None:
        """Stop after more unanswered runs in a row than run at once, since Heroku is unreachable.

        If it refuses them (the token, the account or the app is gone), what runs may still end well: its log is open.
        """
        is_unanswered = isinstance(error, Unreachable | LogStreamError | EmulatorError)
        self._unanswered = self._unanswered + 1 if is_unanswered else 0
        self._refused = self._refused + 1 if isinstance(error, Unauthorized | Forbidden | NotFound) else 0
        if self._unanswered > max(self.most_at_once(self.size), FEW):
            self.stop("It stopped because Heroku does not answer")
        elif self._refused > FEW:
            self.stop_reason = self.stop_reason or "It stopped because Heroku refuses its runs"
            self.is_stopping = True

    def _write(self, write: Callable[[Journal], object]) -> None:
        """Write to the journal; if that fails, the sweep continues without it."""
        if self._journal is None:
            return
        try:
            write(self._journal)
        except OSError as error:
            notify(f"{self._journal.path} cannot be written ({error.strerror}). Further results are not saved.")
            self._journal = None
