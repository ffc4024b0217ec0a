"""Waits for work in another thread, with the methods of `concurrent.futures.Future`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, overload

from heroku_magic.errors import HerokuMagicError, InvalidOptions
from heroku_magic.runs.background import wait_for
from heroku_magic.runs.callbacks import call_in_turn
from heroku_magic.text.notifier import notifications_to, notify

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator

    import pandas as pd
    import polars as pl
    from typing_extensions import Self

Error = TypeVar("Error", bound=HerokuMagicError)


class JobDisplay(Protocol):
    """What shows a run or a sweep that is the value of a cell."""

    def bundle(self, job: Any, /) -> dict[str, str]:
        """Return the job as it is now, by media type."""

    def failures_bundle(self, failures: Any, /) -> dict[str, str]:
        """Return the failed runs of a sweep, by media type."""

    def follow(self, job: Any, /) -> bool:
        """Show the job in the current cell until it ends; return False if `bundle` can show all of it."""


class TableFuture(ABC, Generic[Error]):
    """The waiting half of a run or a sweep, whose result is a DataFrame.

    job_display: what shows it as the value of a cell.
    """

    id: str
    job_display: JobDisplay | None = None

    def __init__(self, changed: threading.Condition) -> None:
        """Wait on `changed`, which the working thread notifies after every change."""
        self._changed = changed
        self._internal_callbacks: list[Callable[[], None]] = []
        self._callbacks: list[Callable[[], None]] = []

    @abstractmethod
    def done(self) -> bool:
        """Return whether the work has ended, successfully or not."""

    @property
    @abstractmethod
    def is_detached(self) -> bool:
        """Whether the work continues when this process ends."""

    @abstractmethod
    def outcome_message(self) -> str:
        """Return a sentence about what became of cancelled work."""

    @property
    @abstractmethod
    def partial(self) -> pd.DataFrame | None:
        """The rows received so far as a DataFrame; None without a table."""

    @abstractmethod
    def _failure(self) -> Error | None:
        """Return the error of work that has ended, or None."""

    def _ipython_display_(self) -> None:
        if self.job_display is None or not self.job_display.follow(self):
            raise NotImplementedError  # IPython then shows `_repr_mimebundle_`

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002
        return self.job_display.bundle(self) if self.job_display else {"text/plain": repr(self)}

    def _result_was_read(self) -> None:
        """Clean up what was kept only until somebody has the result."""

    def __await__(self) -> Generator[Any, None, pd.DataFrame | None]:
        """Wait for `result()` in an event loop. Cancelling that cancels the work; `asyncio.shield` prevents it."""
        return self._result_in_loop().__await__()

    async def _result_in_loop(self) -> pd.DataFrame | None:
        import asyncio

        from heroku_magic.runs.event_loop import wait_until_done

        await wait_until_done(self)
        return await asyncio.to_thread(self.result)  # a large table takes a while

    @abstractmethod
    def cancel(self) -> bool:
        """Request the end of the work; return False if it has ended."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the work has ended.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None waits as long as it takes.

        Returns
        -------
        bool
            Whether the work has ended.
        """
        with self._changed:
            return wait_for(self._changed, self.done, timeout)

    def exception(self, timeout: float | None = None) -> Error | None:
        """Wait until the work has ended, and return its error.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None waits as long as it takes.

        Returns
        -------
        HerokuMagicError or None
            What `result()` would raise, or None after a success.

        Raises
        ------
        TimeoutError
            The work has not ended in time. It continues.
        """
        try:
            has_ended = self.wait(timeout)
        except KeyboardInterrupt:
            notify(f"{self.id} continues. Call cancel() to stop it.")
            raise
        if not has_ended:
            message = f"{self.id} has not ended after {timeout} s and continues. Call cancel() to stop it."
            raise TimeoutError(message)
        return self._failure()

    @overload
    def result(self, timeout: float | None = None, as_: Literal["pandas"] = "pandas") -> pd.DataFrame | None: ...

    @overload
    def result(self, timeout: float | None = None, *, as_: Literal["polars"]) -> pl.DataFrame | None: ...

    def result(
        self, timeout: float | None = None, as_: Literal["pandas", "polars"] = "pandas"
    ) -> pd.DataFrame | pl.DataFrame | None:
        """Wait until the work has ended, and return its rows.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None waits as long as it takes. It does not limit the dynos' life.
        as_
            The library of the DataFrame: `"pandas"`, or `"polars"` if it is installed.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame or None
            One row per row that the task emitted or returned; None without a table.

        Raises
        ------
        TimeoutError
            The work has not ended in time. It continues.
        TaskFailed, RunCancelled, ResultIncomplete, SweepFailed
            The work failed. The error's `partial` holds the rows received before.
        ApiError, LogStreamError, EmulatorError
            Heroku rejected a request, or the connection was lost.
        InvalidOptions
            polars is not installed, or has no exact type for a column.
        """
        from heroku_magic.protocol.polars_frame import check_library, converted

        try:
            check_library(as_)
        except ValueError as problem:
            raise InvalidOptions(f"as_ is {as_!r}: {problem}.") from None
        error = self.exception(timeout)
        table = None if error else converted(self.partial, as_)
        self._result_was_read()
        if error:
            raise error.with_traceback(None)
        return table

    def add_done_callback(self, callback: Callable[[Self], None]) -> None:
        """Call a function when the work has ended, or at once if it already has.

        Parameters
        ----------
        callback
            Called with this object, in a thread of its own: it may wait for other runs. Callbacks are called in the
            order in which they were added; one that takes long does not hold up the next.
        """
        self._register(self._callbacks, partial(callback, self))

    def call_when_done(self, callback: Callable[[Self], None]) -> None:
        """Call a quick function of this package in the thread that does the work, or at once if it has ended."""
        self._register(self._internal_callbacks, partial(callback, self))

    def _register(self, callbacks: list[Callable[[], None]], callback: Callable[[], None]) -> None:
        with self._changed:
            if not self.done():
                callbacks.append(callback)
                return
        callback()

    def _call_back(self) -> None:
        """Call every registered callback once; the work has just ended."""
        with self._changed:
            internal, foreign = self._internal_callbacks, self._callbacks
            self._internal_callbacks, self._callbacks = [], []
            self._changed.notify_all()
        if not (internal or foreign):  # as for the calls of a pool
            return
        with notifications_to(None), ExitStack() as stack:  # what callbacks do is not part of this work
            stack.callback(call_in_turn, foreign)  # whatever one raises, all are called
            for callback in reversed(internal):
                stack.callback(callback)
