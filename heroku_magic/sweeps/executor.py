"""`concurrent.futures` with dynos as workers, for libraries that accept an executor."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.runs.background import SIGNAL_INTERVAL, refuse_after_fork
from heroku_magic.runs.call_future import CallFuture
from heroku_magic.sweeps.launcher import Job, JobSource, Launcher
from heroku_magic.text.notifier import keeps_notifications

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from types import TracebackType

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.runner import Runner
    from heroku_magic.runs.spec import RunSpec

    SpecFactory = Callable[[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], RunSpec]


class DynoExecutor(Executor):
    """An executor whose calls run on dynos; `heroku.executor()` creates it.

    Parameters
    ----------
    client
        The connection to the Platform API.
    make_spec
        Turns a function and its arguments into the run of a call.
    value_of
        Turns a successful run into the value of its call.
    task
        What to pass to `submit` and `map` if the executor runs one task.
    most_at_once
        The largest number of concurrent dynos by dyno size.
    on_start
        Called with each run before it starts.
    attached_runner
        What drives runs on attached dynos.

    Examples
    --------
    >>> from heroku_magic import connect
    >>> heroku = connect(say=lambda message: None)
    >>> def square(n):
    ...     return n**2
    >>> with heroku.executor(jobs=2) as executor:
    ...     list(executor.map(square, range(3)))
    [0, 1, 4]
    """

    def __init__(
        self,
        client: HerokuClient,
        make_spec: SpecFactory,
        value_of: Callable[[Run], Any],
        *,
        task: Callable[..., Any] | None,
        most_at_once: Callable[[str | None], int],
        on_start: Callable[[Run], None],
        attached_runner: Callable[..., Runner],
    ) -> None:
        self.task = task
        self._make_spec = keeps_notifications(make_spec)
        self._calls = _Calls(value_of, most_at_once, on_start)
        self._launcher = Launcher(client, self._calls, attached_runner)
        self._start = keeps_notifications(self._launcher.start)
        self._is_started = False
        self._starting = threading.Lock()  # several threads may submit

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call on a dyno.

        Returns
        -------
        concurrent.futures.Future
            Its result is the value of the call. Its `cancel()` also stops a call that runs.

        Raises
        ------
        InvalidParameters
            The arguments do not fit the function; no dyno was started.
        RuntimeError
            The executor was shut down.
        """
        future = CallFuture()
        self._calls.add(Job(self._make_spec(fn, args, kwargs)), future)
        with self._starting:
            if not self._is_started:
                self._is_started = True
                self._start("heroku-executor")
        self._launcher.wake()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls.

        Parameters
        ----------
        wait
            Return only after the accepted calls have ended.
        cancel_futures
            Cancel the calls that have not started.
        """
        self._calls.close(cancel_waiting=cancel_futures)
        self._launcher.wake()
        if wait and self._is_started:
            while not self._calls.is_over.wait(SIGNAL_INTERVAL):
                continue

    def cancel(self) -> None:
        """Stop all dynos, and cancel the calls that have not started."""
        self._calls.stop()
        self._launcher.wake()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):  # Ctrl-C: nobody waits for the results any more
            self.cancel()
        self.shutdown(wait=True)


class _Calls(JobSource):
    """The calls of an executor in the order in which they were submitted."""

    def __init__(
        self,
        value_of: Callable[[Run], Any],
        most_at_once: Callable[[str | None], int],
        on_start: Callable[[Run], None],
    ) -> None:
        super().__init__()
        self._on_start = on_start
        self.is_over = threading.Event()
        self._value_of, self._most_at_once = value_of, most_at_once
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._futures: dict[Job, CallFuture] = {}
        self._is_closed, self._pid = False, os.getpid()

    def add(self, job: Job, future: CallFuture) -> None:
        refuse_after_fork(self._pid)
        with self._lock:
            if self._is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._futures[job] = future
            self._waiting.append(job)

    def close(self, *, cancel_waiting: bool) -> None:
        with self._lock:
            self._is_closed = True
            waiting = [self._futures[job] for job in self._waiting] if cancel_waiting else []
        for future in waiting:
            future.cancel()

    def stop(self, reason: str = "") -> None:
        self.close(cancel_waiting=True)
        super().stop(reason)

    def most_at_once(self, size: str | None) -> int:
        return self._most_at_once(size)

    def remaining(self) -> int:
        return len(self._waiting)

    def is_finished(self) -> bool:
        with self._lock:
            return self._is_closed and not self._waiting

    def next_job(self) -> Job | None:
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                job = self._waiting.popleft()
            if not self._futures[job].done():
                return job
            del self._futures[job]

    def on_start(self, job: Job) -> None:
        super().on_start(job)
        self._futures[job].sent(job.run.cancel)
        self._on_start(job.run)

    def on_refusal(self, job: Job) -> None:
        self.running.remove(job)
        with self._lock:
            self._waiting.appendleft(job)

    def on_end(self, job: Job) -> None:
        self.running.remove(job)
        self._futures.pop(job).finish(partial(self._result, job))

    def _result(self, job: Job) -> Any:
        if error := job.run.exception():
            raise error
        return self._value_of(job.run)

    def on_finish(self) -> None:
        self.close(cancel_waiting=False)
        # After an internal error, calls may be left that nothing else would end.
        for future in self._futures.values():
            future.finish(_never_ended)
        self.is_over.set()


def _never_ended() -> None:
    raise RuntimeError("the executor ended before this call did")
