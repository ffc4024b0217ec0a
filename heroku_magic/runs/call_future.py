"""The future of a call on a dyno, whose done-callbacks never delay another call."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.runs.background import wait_for
from heroku_magic.runs.callbacks import call_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class CallFuture(Future[Any]):
    """A `concurrent.futures.Future` that can be cancelled while the call runs, and that can be awaited.

    Cancelling the await cancels the call.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ending = threading.RLock()
        self._stop: Callable[[], object] | None = None  # while the call is on its way or runs
        self._callbacks: list[Callable[[], object]] | None = []
        super().add_done_callback(self._call_back)

    def __await__(self) -> Generator[Any, None, Any]:
        from heroku_magic.runs.event_loop import wait_for_future

        return wait_for_future(self).__await__()

    def result(self, timeout: float | None = None) -> Any:
        """Return the call's value once it has ended; Ctrl-C arrives meanwhile."""
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the call's error, or None, once it has ended; Ctrl-C arrives meanwhile."""
        self._wait(timeout)
        return super().exception(0)

    def _wait(self, timeout: float | None) -> None:
        with self._condition:
            wait_for(self._condition, self.done, timeout)

    def running(self) -> bool:
        """Return whether the call is on a dyno and has not ended."""
        return self._stop is not None and not self.done()

    def sent(self, stop: Callable[[], object]) -> None:
        """Take note that the call is on its way to a dyno. stop: stops it."""
        self._stop = stop
        if self.cancelled():
            stop()

    def cancel(self) -> bool:
        """Cancel the call, and stop it if it runs. Return False if it has ended."""
        with self._ending:
            was_cancelled = self.cancelled()
            if not super().cancel():
                return False
            if not was_cancelled:
                self.set_running_or_notify_cancel()
        if (stop := self._stop) is not None:
            stop()
        return True

    def finish(self, result: Callable[[], Any]) -> None:
        """End with what a function returns or raises, unless the call was cancelled."""
        with self._ending:
            if self.done():
                return
            self.set_running_or_notify_cancel()
        self._stop = None
        try:
            self.set_result(result())
        except Exception as failure:  # noqa: BLE001 - any error is the result of the call
            self.set_exception(failure.with_traceback(None))

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call a function when the call has ended, in a thread of its own, or at once if it already has."""
        with self._condition:
            if self._callbacks is not None:
                self._callbacks.append(partial(fn, self))
                return
        super().add_done_callback(fn)

    def _call_back(self, _: Future[Any]) -> None:
        with self._condition:
            callbacks, self._callbacks = self._callbacks or [], None
        call_in_turn(callbacks)
