"""Boots a warm dyno in a thread of its own, so that a call that is cancelled need not wait for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from heroku_magic.errors import AttachFailed
from heroku_magic.runs.background import start_thread
from heroku_magic.runs.create_dyno import Stopped
from heroku_magic.text.notifier import keeps_notifications

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.warm.warm_dyno import WarmDyno


class Boot:
    """A boot that has begun. error: why it failed, once it is over; Stopped if it was cancelled.

    make: boots the dyno, which belongs to the call that started the boot until `let_go`. on_end: called at the end, and
    once any call may have the dyno.
    """

    def __init__(self, make: Callable[[Boot], WarmDyno], on_end: Callable[[], None]) -> None:
        self.dyno: WarmDyno | None = None
        self.error: BaseException | None = None
        self.is_over = self._is_cancelled = self._is_free = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._make, self._on_end = make, on_end

    def start(self) -> Boot:
        """Start the thread."""
        start_thread(keeps_notifications(self._live), "heroku-boot", self._end)
        return self

    def cancel(self) -> None:
        """Stop the dyno, whether it is there or still boots."""
        self._is_cancelled = True
        if self.dyno is not None:
            self.dyno.cancel()

    def take(self) -> WarmDyno:
        """Return the dyno; `let_go` then has none to give away."""
        if self.dyno is None:
            raise AttachFailed("The dyno has not booted.")
        dyno, self.dyno = self.dyno, None
        return dyno

    def let_go(self) -> None:
        """Let any call have the dyno, now or once it is there."""
        with self._lock:
            self._is_free = True
            dyno = self.dyno if self.is_over else None
            if dyno is not None:
                dyno.release()
        if dyno is not None:
            self._on_end()

    def join(self) -> None:
        """Wait until the thread is gone, too: a process that is forked while it ends may wait for OpenSSL for ever."""
        if self._thread is not None:
            self._thread.join()

    def _live(self) -> None:
        self._thread = threading.current_thread()
        try:
            dyno = self._make(self)
            if self._is_cancelled:
                dyno.cancel()
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            self._end(Stopped("before its dyno had booted.") if self._is_cancelled else error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            self.error, self.is_over = error, True
            if self._is_free and self.dyno is not None:
                self.dyno.release()
        self._on_end()
