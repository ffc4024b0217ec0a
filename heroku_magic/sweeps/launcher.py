"""Starts runs within Heroku's limits, all over one log session, in a thread of its own."""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from heroku_magic.api.shared_log import SharedLog
from heroku_magic.errors import RateLimited, Refused
from heroku_magic.runs.background import start_thread
from heroku_magic.runs.create_dyno import LONGEST_WAIT
from heroku_magic.runs.registry import is_ending
from heroku_magic.runs.run import Run
from heroku_magic.runs.runner import Runner
from heroku_magic.sweeps.throttle import REFILL, RESERVE, ConcurrencyLimit, RateLimiter
from heroku_magic.text.notifier import keeps_notifications, notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.detached import Detached
    from heroku_magic.runs.spec import RunSpec

TICK = 0.2  # seconds between two polls of the job source while no run ends


@dataclass(eq=False)
class Job:
    """A run of a sweep or an executor, before and after its start.

    indices: the combinations it is for. makes_calls: it runs several of them, each in a call of its own.
    detached: the record of a run that another process started. run: set before it starts. calls_read: calls whose
    results were recorded.
    """

    spec: RunSpec = field(repr=False)
    indices: tuple[int, ...] = ()
    makes_calls: bool = False
    detached: Detached | None = field(default=None, repr=False)
    run: Run = field(init=False, repr=False)
    calls_read: int = 0


class JobSource(ABC):
    """Supplies a launcher with jobs. All methods run in the launcher's thread, `stop` and `runs` in any."""

    def __init__(self) -> None:
        self.running: list[Job] = []  # jobs whose runs have not ended
        self.is_stopping = False

    @abstractmethod
    def most_at_once(self, size: str | None) -> int:
        """Return the largest number of concurrent runs. size: of the first dyno, None before there is one."""

    @abstractmethod
    def next_job(self) -> Job | None:
        """Return the next job; None if there is none now."""

    @abstractmethod
    def remaining(self) -> int:
        """Return how many jobs are still to come, as far as it is known."""

    @abstractmethod
    def is_finished(self) -> bool:
        """Return whether there will be no more jobs."""

    def on_start(self, job: Job) -> None:
        """Take note that the run of a job was started."""
        self.running.append(job)
        if self.is_stopping:  # stopped since the job was taken, so `stop` missed it
            job.run.cancel()

    @abstractmethod
    def on_refusal(self, job: Job) -> None:
        """Take a job back whose run Heroku refused because of a limit."""

    @abstractmethod
    def on_end(self, job: Job) -> None:
        """Take note that the run of a job ended."""

    def poll(self) -> None:  # noqa: B027 - optional
        """Check what has changed; called several times per second."""

    @abstractmethod
    def on_finish(self) -> None:
        """Clean up; no job is left, or the launcher failed."""

    def runs(self) -> list[Run]:
        """Return the runs that have not ended."""
        return [job.run for job in [*self.running]]

    def stop(self, reason: str = "") -> None:  # noqa: ARG002 - for subclasses
        """Supply no more jobs, and cancel what runs."""
        self.is_stopping = True
        for run in self.runs():
            run.cancel()


class Launcher:
    """Starts the jobs of one source until it is finished.

    attached_runner: what drives runs on attached dynos, warm ones too. are_warm: all runs are calls on warm dynos.
    """

    def __init__(
        self,
        client: HerokuClient,
        jobs: JobSource,
        attached_runner: Callable[..., Runner] = Runner,
        *,
        are_warm: bool = False,
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._attached_runner, self._are_warm = attached_runner, are_warm
        self._limit, self._rate = ConcurrencyLimit(), RateLimiter()
        self._log: SharedLog | None = None
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._size: str | None = None
        self._is_slowed = False

    def start(self, name: str) -> None:
        """Start the thread and return."""
        start_thread(keeps_notifications(self._live), name, self._not_started)

    def wake(self) -> None:
        """Check at once whether there is more to do."""
        self._inbox.put(None)

    def _live(self) -> None:
        try:
            while self._jobs.running or not self._jobs.is_finished():
                self._launch()
                with suppress(queue.Empty):
                    self._settle(self._inbox.get(timeout=TICK))
                self._jobs.poll()
        except Exception as error:  # noqa: BLE001 - after any error no dyno may continue, and no caller may wait forever
            self._give_up(error)
        finally:
            if self._log is not None:
                self._log.close()
            self._jobs.on_finish()

    def _give_up(self, error: BaseException) -> None:
        """Stop all runs and wait for them: their log must stay open until their ends are seen."""
        self._jobs.stop("An internal error of heroku_magic ended it")
        notify(f"Internal error in heroku_magic: {type(error).__name__}. All dynos are being stopped.")
        for job in [*self._jobs.running]:
            job.run.wait()
            with suppress(Exception):  # the same error again
                self._jobs.on_end(job)

    def _not_started(self, error: BaseException) -> None:
        self._jobs.stop(f"It could not be started: {error or type(error).__name__}")
        self._jobs.on_finish()

    def _launch(self) -> None:
        """Start runs up to the limits."""
        while self._has_capacity():
            if self._delay() or (job := self._jobs.next_job()) is None:
                return
            run = job.run = self._make_run(job)
            self._jobs.on_start(job)
            run.start().call_when_done(partial(self._ended, job))

    def _make_run(self, job: Job) -> Run:
        if job.spec.is_warm:
            return Run(self._client, job.spec, on_exit=self.wake, runner=self._attached_runner)
        log = self._log = self._log or SharedLog(self._client, job.spec.app).start()
        return Run(self._client, job.spec, job.detached, log=log, on_exit=self.wake)

    def _ended(self, job: Job, _: Run) -> None:
        self._inbox.put(job)

    def _has_capacity(self) -> bool:
        if is_ending() or not self._jobs.remaining():
            return False
        if self._size is None:  # what Heroku chose, not what was requested
            self._size = next((run.size for run in self._jobs.runs() if run.size), None)
        return len(self._occupying()) < self._limit.current(self._jobs.most_at_once(self._size))

    def _occupying(self) -> list[Run]:
        """Return the runs that have a dyno, request one, or whose request failed; others still read their last lines.

        A failed request keeps its place until it is settled: it may stop the sweep.
        """
        return [run for run in self._jobs.runs() if run.dyno is None or not run.has_exited]

    def _delay(self) -> float:
        if self._are_warm:  # a call takes no request
            return 0.0
        left = self._client.requests_left
        if left <= RESERVE and not self._is_slowed:
            self._is_slowed = True
            notify(
                f"The account's API requests for this hour are almost used up: one run starts every "
                f"{1 / REFILL:.1f} s, the last at about {_clock(self._jobs.remaining() / REFILL)}."
            )
        return self._rate.delay(time.monotonic(), left)

    def _settle(self, job: Job | None) -> None:
        """Hand a run that ended to the source, or take its job back if a limit prevented it."""
        if job is None:
            return
        error = job.run.exception()
        if isinstance(error, RateLimited):
            seconds = error.retry_after or LONGEST_WAIT
            notify(f"The account's API requests for this hour are used up. The next try is at {_clock(seconds)}.")
            self._rate.refused(time.monotonic(), seconds)
        # A dyno that existed is billed and may have done its work, so it counts as an attempt whatever the error is.
        was_not_created = job.run.dyno is None or job.detached is not None
        if was_not_created and isinstance(error, RateLimited):
            self._jobs.on_refusal(job)
        elif isinstance(error, Refused) and error.id == "cannot_run_above_limit":
            self._jobs.on_refusal(job)
            self._lower_limit(error)
        else:
            self._limit.run_ended()
            self._rate.accepted()
            self._jobs.on_end(job)
        if self._log is not None and self._log.is_broken:  # the output of further runs would be lost
            self._jobs.stop("The log stream of its runs broke")

    def _lower_limit(self, error: Refused) -> None:
        """Continue with the dynos that run; if none is ours, wait until others' dynos end."""
        running = sum(run.dyno is not None for run in self._occupying())
        self._limit.refused(running)
        notify(f"{error.said} Continuing with {max(running, 1)} at once.")
        if not running:
            self._rate.refused(time.monotonic())


def _clock(seconds: float) -> str:
    """Return the local time in so many seconds as HH:MM."""
    return f"{datetime.now().astimezone() + timedelta(seconds=seconds):%H:%M}"
