"""Drives a run that is a call on a warm dyno."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import HerokuMagicError, LogStreamError, RunCancelled
from heroku_magic.runs import registry
from heroku_magic.runs.create_dyno import Stopped
from heroku_magic.runs.runner import Runner

if TYPE_CHECKING:
    from heroku_magic.api.resources import Dyno
    from heroku_magic.warm.warm_dyno import WarmCall, WarmDyno
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
        self._dyno_id = ""  # the dyno is not this run's to stop
        return dyno.info

    def _must_not_start(self) -> bool:
        return self.cancel_requested.is_set() or registry.is_ending()

    def _open_log(self, dyno: Dyno) -> WarmCall:
        if self._dyno is None:
            raise LogStreamError(f"{dyno.name} is not connected.")
        self._call = self._dyno.call(self.spec, self.key, self._inbox.put)
        return self._call

    def _stop_if_cancelled(self) -> None:
        if self.cancel_requested.is_set() and self._run.state != "stopping" and self._call is not None:
            self._change("stopping")
            self.log.life.skip_late_lines()
            self._call.stop()

    def _look_up(self, heard_at: float) -> None:
        """Do nothing: the connection reports the end of the dyno."""

    def _lost_log(self, error: LogStreamError) -> HerokuMagicError:
        return LogStreamError(f"{error} {self.spec.task} has no result.")
