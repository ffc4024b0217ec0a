"""A pool of warm dynos as a `concurrent.futures.Executor`."""

from __future__ import annotations

import math
import time
from collections import deque
from concurrent.futures import Executor
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

from heroku_magic.warm.dispatcher import Dispatcher
from heroku_magic.warm.pool_functions import for_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.warm.pool_call import PoolFuture
    from heroku_magic.warm.pool_usage import PoolUsage
    from heroku_magic.warm.warm_dynos import WarmDynos


LOOKAHEAD = 4  # calls per dyno that `map` reads from an iterator before their results are wanted


class CallPlanner(Protocol):
    """Turns functions and arguments into runs, and runs into values."""

    def encoder_for(self, fn: Callable[..., Any]) -> Callable[[tuple[Any, ...], Mapping[str, Any]], RunSpec]:
        """Return a function of the arguments of a call. Raises InvalidParameters if the function cannot be sent."""

    def value_of(self, run: Run) -> Any:
        """Return the value of a call that has succeeded."""

    def task(self, pool: Executor, name: str | None) -> Callable[..., Any]:
        """Return a task as a function that a pool can run."""


class WarmPool(Executor):
    """Runs calls on warm dynos, each in a process of its own; `heroku.pool()` creates it.

    Parameters
    ----------
    client, dynos
        The connection to the Platform API, and the warm dynos of the app.
    planner
        Turns functions and arguments into runs, and runs into values.
    jobs
        Most dynos at the same time.
    idle
        Seconds without a call after which a dyno ends.
    usage
        Counts the calls.

    Examples
    --------
    >>> from heroku_magic import connect
    >>> heroku = connect(local=True, say=lambda message: None)
    >>> with heroku.pool(jobs=2) as pool:
    ...     list(pool.map(pow, [1, 2, 3], [2, 2, 2]))
    [1, 4, 9]
    """

    def __init__(
        self, client: HerokuClient, dynos: WarmDynos, planner: CallPlanner, *, jobs: int, idle: float, usage: PoolUsage
    ) -> None:
        self.usage = usage
        self._planner, self._max_workers = planner, jobs
        self.dispatcher = Dispatcher(client, dynos, jobs=jobs, idle=idle, usage=usage, value_of=planner.value_of)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> PoolFuture:
        """Run a call on a dyno.

        Returns
        -------
        concurrent.futures.Future
            Its result is the value of the call. Its `cancel()` also stops a call that runs.

        Raises
        ------
        InvalidParameters, TypeError
            The function or its arguments cannot be sent, or do not fit.
        RuntimeError
            The pool was shut down.
        """
        self.dispatcher.check()
        return self.dispatcher.add(self._planner.encoder_for(fn)(args, kwargs))

    def task(self, name: str | None = None) -> Callable[..., Any]:
        """Return a task of the app as a function for `submit` and `map`, whose value is the task's DataFrame.

        Parameters
        ----------
        name
            The task's name; None selects `task` or the only candidate.
        """
        return self._planner.task(self, name)

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Any]:
        """Run the function for each item, like the built-in `map`, and yield the values in order.

        Parameters
        ----------
        fn
            The function, which is sent as it is now.
        *iterables
            The arguments of each call. An iterable without a length, such as a generator, is read as results are taken.
        timeout
            Seconds from now after which waiting for a value raises TimeoutError.
        chunksize
            Items of one call, which share a process. Each call of a task has one of its own.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        chunksize = 1 if hasattr(fn, "heroku_task") else chunksize
        self.dispatcher.check()
        deadline = None if timeout is None else time.monotonic() + timeout
        items: Iterator[Any] = zip(*iterables, strict=False)
        if chunksize > 1:
            fn, items = for_each(fn), _chunks(items, chunksize)
        encode = self._planner.encoder_for(fn)
        futures: deque[PoolFuture] = deque()
        has_length = all(hasattr(one, "__len__") for one in iterables)

        def read_ahead() -> None:
            most = math.inf if has_length else LOOKAHEAD * self._max_workers
            while len(futures) < most and (item := next(items, None)) is not None:
                futures.append(self.dispatcher.add(encode(item, {})))

        read_ahead()
        values = _values(futures, deadline, read_ahead)
        return chain.from_iterable(values) if chunksize > 1 else values

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and stop the dynos that were booted for the pool once the calls have ended.

        Parameters
        ----------
        wait
            Return only after that.
        cancel_futures
            Cancel the calls that have not started.
        """
        self.dispatcher.close(wait=wait, cancels=cancel_futures)

    def cancel(self) -> None:
        """Cancel all calls, running ones too."""
        self.dispatcher.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):  # Ctrl-C: nobody waits for the results any more
            self.cancel()
        self.shutdown(wait=True)

    def __repr__(self) -> str:
        return f"<WarmPool of {self._max_workers}, {self.dispatcher.busy} busy>"


def _chunks(items: Iterator[Any], size: int) -> Iterator[tuple[list[Any]]]:
    """Yield the arguments of calls with some items each."""
    while chunk := [*islice(items, size)]:
        yield (chunk,)


def _values(futures: deque[PoolFuture], deadline: float | None, read_ahead: Callable[[], None]) -> Iterator[Any]:
    """Yield the values of calls in order, without keeping them. Calls whose values are not wanted are cancelled."""
    try:
        while futures:
            yield _next_value(futures, deadline)
            read_ahead()
    finally:
        for future in futures:
            future.cancel()


def _next_value(futures: deque[PoolFuture], deadline: float | None) -> Any:
    future = futures.popleft()
    try:
        return future.result(None if deadline is None else deadline - time.monotonic())
    finally:
        future.cancel()
        del future
