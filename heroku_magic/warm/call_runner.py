"""Drives a run that is a call on a warm dyno."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import AttachFailed, HerokuMagicError, LogStreamError, RunCancelled
from heroku_magic.runs import registry
from heroku_magic.runs.create_dyno import Stopped
from heroku_magic.runs.runner import Runner
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from heroku_magic.api.resources import Dyno
    from heroku_magic.runs.handle import DynoStream
    from heroku_magic.warm.warm_call import WarmCall
    from heroku_magic.warm.warm_dyno import WarmDyno
    from heroku_magic.warm.warm_dynos import WarmDynos


class CallRunner(Runner):
    """The thread behind a call: what differs from a run on a dyno of its own."""

    late = 0.0  # nothing arrives after the end
    place = "rows and log: %heroku last"

    def __init__(self, *args: Any, dynos: WarmDynos, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dynos = dynos
        self._dyno: WarmDyno | None = None
        self._call: WarmCall | None = None

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
        self._run.started_at = time.time()
        self._clock.start()
        try:
            dyno = self._dyno = self._dynos.acquire(self.spec, self._must_not_start)
            if self._must_not_start():
                dyno.release()
                raise Stopped("before it was called.")  # noqa: TRY301 - it is worded below
        except Stopped as stopped:
            raise RunCancelled(f"{self.spec.task} was stopped {stopped}", self._run) from None
        self._clock.start()  # the time limit is the call's, without the boot
        self._use(dyno.info, time.time())
        self.log.life.skip_late_lines()  # nothing arrives after the end
        self._dyno_id = ""  # the dyno is not this run's to stop
        return dyno.info

    def _must_not_start(self) -> bool:
        return self.cancel_requested.is_set() or registry.is_ending()

    def _open_log(self, dyno: Dyno) -> DynoStream:
        if self._dyno is None:
            return super()._open_log(dyno)
        self._call = self._dyno.call(self.spec, self.key, self._inbox.put)
        return self._call

    def _stop_if_cancelled(self) -> None:
        if self._dyno is None:
            super()._stop_if_cancelled()
        elif self.cancel_requested.is_set() and self._run.state != "stopping" and self._call is not None:
            self._change("stopping")
            self._call.stop()

    def _look_up(self, heard_at: float) -> None:
        if self._dyno is None:  # otherwise the connection reports the end of the dyno
            super()._look_up(heard_at)

    def _lost_log(self, error: LogStreamError) -> HerokuMagicError:
        if self._dyno is None:
            return super()._lost_log(error)
        return LogStreamError(f"{error} {self.spec.task} has no result.")
