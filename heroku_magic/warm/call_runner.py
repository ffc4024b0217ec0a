"""Drives a run that is a call on a warm dyno. `warm_dynos.py` chooses the dyno."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import AttachFailed, HerokuMagicError, LogStreamError, RunCancelled
from heroku_magic.protocol.records import Progress
from heroku_magic.runs import registry
from heroku_magic.runs.create_dyno import Stopped, within_limit
from heroku_magic.runs.line_inbox import READER_PAUSE
from heroku_magic.runs.runner import Runner
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.resources import Dyno
    from heroku_magic.runs.run_protocol import DynoStream
    from heroku_magic.warm.warm_call import WarmCall
    from heroku_magic.warm.warm_dyno import WarmDyno
    from heroku_magic.warm.warm_dynos import WarmDynos


MOST_WAITING = 10  # batches of lines
SHOWN_EVERY = 0.1  # seconds


class CallRunner(Runner):
    """The thread behind a call: what differs from a run on a dyno of its own.

    is_patient: whether to wait while the app is at its limit; a sweep queues for capacity itself.
    """

    late = 0.0  # nothing arrives after the end
    place = "rows and log: %heroku last"

    def __init__(self, *args: Any, dynos: WarmDynos, is_patient: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.log.decoder.is_lossless = True
        self._dynos, self._is_patient = dynos, is_patient
        self._dyno: WarmDyno | None = None
        self._call: WarmCall | None = None
        self._shown_at = time.monotonic()

    def _create(self) -> Dyno:
        if self.spec.falls_back and self._dynos.has_failed:
            return self._create_cold()
        try:
            return self._acquire()
        except AttachFailed as error:
            if not self.spec.falls_back:
                raise
            self._dynos.has_failed = True
            notify(f"{error} Cells run on dynos of their own instead, through the app's log.")
            return self._create_cold()

    def _create_cold(self) -> Dyno:
        """Create a dyno for this run only, which then is as if it had never been a call."""
        self.spec, self.late, self.place = replace(self.spec, is_warm=False), Runner.late, ""
        return super()._create()

    def _acquire(self) -> Dyno:
        self._run.started_at, began = time.time(), time.monotonic()
        self._clock.start()
        try:
            self._dyno = dyno = self._find_dyno()
            if self._must_not_start():
                self._let_go()
                raise Stopped("before it was called.")  # noqa: TRY301 - it is worded below
        except Stopped as stopped:
            raise RunCancelled(f"{self.spec.task} was stopped {stopped}", self._run) from None
        self._clock.start()  # the time limit is the call's, without the boot
        self.spec = self.spec.after_boot(min(time.monotonic() - began, dyno.seconds))
        self._use(dyno.info, time.time())
        self.log.life.skip_late_lines()  # nothing arrives after the end
        self._dyno_id = ""  # the dyno is not this run's to stop
        return dyno.info

    def _find_dyno(self) -> WarmDyno:
        """Return an idle dyno, or boot one."""

        def acquire() -> WarmDyno:
            return self._dynos.acquire(self.spec, self._must_not_start)

        def pause(seconds: float) -> None:
            if self.cancel_requested.wait(seconds) or self._must_not_start():
                raise Stopped("before it was called.")

        return within_limit(acquire, self.spec.app_name, pause, is_patient=self._is_patient)

    def _work(self) -> None:
        try:
            super()._work()
        finally:
            if self.spec.is_once:
                self._let_go()

    def _let_go(self) -> None:
        """Give the dyno back, or stop one that was attached for this call alone."""
        if self._dyno is not None and self.spec.is_once:
            self._dyno.cancel()
        elif self._dyno is not None:
            self._dyno.release()

    def _must_not_start(self) -> bool:
        return self.cancel_requested.is_set() or registry.is_ending()

    @property
    def is_overdue(self) -> bool:
        """Whether the dyno has ended the call because of its time limit."""
        return super().is_overdue if self._call is None else self._call.is_overdue

    def _open_log(self, dyno: Dyno) -> DynoStream:
        if self._dyno is None:
            return super()._open_log(dyno)
        self._call = self._dyno.call(self.spec, self.key, self._put, on_sent=self._sent)
        return self._call

    def _put(self, item: list[LogLine] | LogStreamError) -> None:
        """Hand lines over, and let the dyno wait while too many of them wait for this run's thread."""
        while len(self._inbox) > MOST_WAITING and not self._run.done():
            time.sleep(READER_PAUSE)
        self._inbox.add(item)

    def _sent(self, sent: int, size: int) -> bool:
        """Show how much of the values was sent; return whether to continue."""
        if sent == size or time.monotonic() - self._shown_at > SHOWN_EVERY:
            self._shown_at = time.monotonic()
            self.events.add(Progress(sent, size, "bytes sent"))
        return not self.cancel_requested.is_set()

    def _stop_if_cancelled(self) -> None:
        if self._dyno is None:
            super()._stop_if_cancelled()
        elif self.cancel_requested.is_set() and self._run.state != "stopping" and self._call is not None:
            self._change("stopping")
            self._call.stop()

    def stop_warm_dyno(self) -> bool:
        """Stop the dyno, and the call with it."""
        return self._dyno is not None and self._dyno.cancel()

    def _look_up(self, heard_at: float) -> None:
        if self._dyno is None:  # otherwise the connection reports the end of the dyno
            super()._look_up(heard_at)

    def _lost_log(self, error: LogStreamError) -> HerokuMagicError:
        if self._dyno is None:
            return super()._lost_log(error)
        if self.cancel_requested.is_set():
            return RunCancelled(f"{self.spec.task} was stopped, and its warm dyno {self._run.dyno} with it.", self._run)
        return LogStreamError(f"{error} {self.spec.task} has no result.")
