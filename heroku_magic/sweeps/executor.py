"""Executor: `concurrent.futures` with dynos for workers, for libraries that take an executor; it knows no task.

with heroku.executor("simulate", jobs=20) as executor:
    frames = list(executor.map(executor.task, range(50)))
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from heroku_magic.sweeps.launcher import Job, Launcher
from heroku_magic.text.notifier import keeps_notifications

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec

    Specs = Callable[[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], RunSpec]
    Values = Callable[[Run], Any]


class DynoExecutor(Executor):
    """Calls run on dynos, over one log session; made by `heroku.executor()`.

    task: what to give to `submit` and `map`, where the executor is of one task. orders: a function and its
    arguments -> what is to be run. values: a run that went well -> the call's value.
    """

    def __init__(
        self,
        client: HerokuClient,
        orders: Specs,
        values: Values,
        *,
        task: Callable[..., Any] | None,
        most_at_once: Callable[[str | None], int],
    ) -> None:
        self.task = task
        self._orders = keeps_notifications(orders)
        self._desk = _Queue(values, most_at_once)
        self._launcher = Launcher(client, self._desk)
        self._start = keeps_notifications(self._launcher.start)
        self._is_started = False
        self._starting = threading.Lock()  # several threads may submit

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call on a dyno. Raises InvalidParameters before one is started; RuntimeError after `shutdown`."""
        future: Future[Any] = Future()
        self._desk.add(Job(self._orders(fn, args, kwargs)), future)
        with self._starting:
            if not self._is_started:
                self._is_started = True
                self._start("heroku-executor")
        self._launcher.nudge()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. wait: until those taken are over. cancel_futures: those that wait are not run."""
        self._desk.close(cancel_waiting=cancel_futures)
        self._launcher.nudge()
        if wait and self._is_started:
            self._desk.is_over.wait()

    def cancel(self) -> None:
        """Stop all dynos, and run no more calls."""
        self._desk.stop()
        self._launcher.nudge()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):  # Ctrl-C: nothing goes on that nobody waits for
            self.cancel()
        self.shutdown(wait=True)


class _Queue:
    """The desk of an executor: calls in the order in which they were submitted."""

    def __init__(self, values: Values, most_at_once: Callable[[str | None], int]) -> None:
        self.running: list[Job] = []
        self.is_over = threading.Event()
        self.most_at_once = most_at_once
        self._values = values
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._futures: dict[Job, Future[Any]] = {}
        self._is_closed = self._is_stopping = False

    def add(self, job: Job, future: Future[Any]) -> None:
        """Take one more call."""
        with self._lock:
            if self._is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._futures[job] = future
            self._waiting.append(job)

    def close(self, *, cancel_waiting: bool) -> None:
        """Take no more calls."""
        with self._lock:
            self._is_closed = True
            waiting = [self._futures[job] for job in self._waiting] if cancel_waiting else []
        for future in waiting:
            future.cancel()

    def stop(self, reason: str = "") -> None:  # noqa: ARG002 - each call is told by its run
        """Take no more calls, run none that waits, and stop those that run."""
        self._is_stopping = True
        self.close(cancel_waiting=True)
        for job in [*self.running]:
            if job.run is not None:
                job.run.cancel()

    def left(self) -> int:
        """Return how many calls wait."""
        return len(self._waiting)

    def is_finished(self) -> bool:
        """Tell whether there will be no more."""
        with self._lock:
            return self._is_closed and not self._waiting

    def take(self) -> Job | None:
        """Return the next call that nobody cancelled."""
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                job = self._waiting.popleft()
            if self._futures[job].running() or self._futures[job].set_running_or_notify_cancel():
                return job
            del self._futures[job]

    def began(self, job: Job) -> None:
        """Its run was started."""
        self.running.append(job)
        if self._is_stopping and job.run is not None:  # since it was taken; whoever stopped did not see it yet
            job.run.cancel()

    def put_back(self, job: Job) -> None:
        """There was no room for it."""
        self.running.remove(job)
        with self._lock:
            self._waiting.appendleft(job)

    def ended(self, job: Job) -> None:
        """Give the call's value, or what it failed with, to who waits for it."""
        self.running.remove(job)
        future = self._futures.pop(job)
        try:
            future.set_result(self._value(job))
        except Exception as failure:  # noqa: BLE001 - whatever it is, somebody waits for the future
            future.set_exception(failure)

    def _value(self, job: Job) -> Any:
        if job.run is None:
            raise RuntimeError("a call ended without a run")
        if error := job.run.exception():
            raise error
        return self._values(job.run)

    def look(self) -> None:
        """Nothing is to be looked at meanwhile."""

    def over(self) -> None:
        """All calls are over; for one that is not, after a fault, or that comes later, nobody may wait for ever."""
        self.close(cancel_waiting=False)
        for future in self._futures.values():
            if future.running() or future.set_running_or_notify_cancel():
                future.set_exception(RuntimeError("the executor ended before this call did"))
        self.is_over.set()
