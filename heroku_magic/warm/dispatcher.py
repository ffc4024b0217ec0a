"""Sends the calls of a pool to warm dynos: which dyno takes a call, which boots, and which is given back."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import LogStreamError, Refused
from heroku_magic.runs import registry
from heroku_magic.runs.background import refuse_after_fork, start_thread, wait_for
from heroku_magic.runs.create_dyno import Stopped, within_limit
from heroku_magic.text.notifier import keeps_notifications, notify
from heroku_magic.warm.lane import Lane
from heroku_magic.warm.pool_call import PoolFuture, PoolRun
from heroku_magic.warm.pool_functions import INITIALIZER_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.warm.pool_usage import PoolUsage
    from heroku_magic.warm.warm_dyno import WarmDyno
    from heroku_magic.warm.warm_dynos import WarmDynos

TICK = 0.1  # seconds between two looks at dynos that have calls waiting


class Dispatcher:
    """Runs calls on warm dynos, from a thread that lives while there are calls.

    jobs: most dynos at the same time. idle: seconds without a call after which one of them ends. usage: counts the
    calls. value_of: returns the value of a call that has succeeded. check_dyno: raises an error for a dyno that must
    not run calls; they fail with this error.
    """

    def __init__(
        self,
        client: HerokuClient,
        dynos: WarmDynos,
        *,
        jobs: int,
        idle: float,
        usage: PoolUsage,
        value_of: Callable[[Run], Any],
    ) -> None:
        self._client, self._dynos, self._usage, self._value_of = client, dynos, usage, value_of
        self._jobs = self._most = jobs
        self._idle, self._pid = idle, os.getpid()
        self._broken = ""
        self._changed = threading.Condition()
        self._waiting: deque[tuple[PoolFuture, RunSpec]] = deque()
        self._lanes: list[Lane] = []
        self._booting = 0
        self._is_at_limit = False  # one boot waits until the app may have another dyno
        self._is_closed = self._is_live = False
        self._wake = threading.Event()
        self.check_dyno: Callable[[WarmDyno], object] = lambda _: None
        self._live_notifying = keeps_notifications(self._live)

    @property
    def busy(self) -> int:
        """The number of dynos that have calls."""
        return len(self._lanes)

    def check(self) -> None:
        """Raise BrokenExecutor or RuntimeError if no calls are accepted."""
        refuse_after_fork(self._pid)
        if self._broken:
            raise BrokenExecutor(self._broken)
        if self._is_closed:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def add(self, spec: RunSpec) -> PoolFuture:
        """Run a call as soon as a dyno has room for it."""
        future = PoolFuture()
        with self._changed:
            self.check()
            self._waiting.append((future, spec))
            is_live, self._is_live = self._is_live, True
        if not is_live:
            start_thread(self._live_notifying, "heroku-pool", self._break_down)
        self._wake.set()
        return future

    def close(self, *, wait: bool, cancels: bool) -> None:
        """Accept no more calls, and stop the dynos that were booted for them once they have ended.

        wait: return only after that. cancels: cancel the calls that have not started.
        """
        with self._changed:
            self._is_closed = True
            waiting = [*self._waiting] if cancels else []
        for future, _ in waiting:
            future.cancel()
        self._wake.set()
        if wait:
            with self._changed:
                wait_for(self._changed, lambda: not self._is_live)
        if not self._is_live:
            self._end()

    def cancel(self) -> None:
        """Cancel all calls, running ones too."""
        with self._changed:
            futures = [future for future, _ in self._waiting] + [one for lane in self._lanes for one in [*lane.calls]]
        for future in futures:
            future.cancel()

    def _live(self) -> None:
        try:
            self._send_all()
        except Exception as error:  # noqa: BLE001 - calls that nobody sends would be waited for forever
            self._break_down(error)
        if self._is_closed:
            self._end()
        with self._changed:
            self._changed.notify_all()

    def _end(self) -> None:
        self._usage.report()
        self._dynos.stop_owned(self)

    def _break_down(self, error: BaseException) -> None:
        """End the calls that wait with an error; the next one starts the thread again."""
        with self._changed:
            self._is_live = False
        self._give_up(error)

    def _send_all(self) -> None:
        """Send calls until none is left."""
        while True:
            self._wake.clear()
            while (chosen := self._choose()) is not None:
                self._send(*chosen)
            with self._changed:
                is_over = not (self._waiting or self._booting or any(lane.calls for lane in self._lanes))
                if is_over:
                    self._is_live = False
                    self._give_back()
                    return
            self._recall()
            self._wake.wait(TICK)

    def _choose(self) -> tuple[Lane, PoolFuture, RunSpec] | None:
        """Take the next call and a dyno that has room for it; boot dynos that are missing."""
        with self._changed:
            while self._waiting and self._waiting[0][0].done():
                self._waiting.popleft()
            if not self._waiting:
                self._give_back()
                return None
            spec = self._waiting[0][1]
        lanes = [lane for lane in self._lanes if lane.room() > 0 and self._dynos.can_take(lane.dyno, spec)]
        self._give_back(lanes)  # a dyno of an earlier release would otherwise keep its place
        lane = min(lanes, key=lambda one: len(one.calls), default=None)
        if lane is None or lane.calls:
            lane = self._new_lane(spec) or lane
        if lane is None:
            return None
        with self._changed:
            return (lane, *self._waiting.popleft()) if self._waiting else None

    def _new_lane(self, spec: RunSpec) -> Lane | None:
        """Return a dyno that was idle, or start the boot of one, up to `jobs`."""
        with self._changed:
            self._lanes = [lane for lane in self._lanes if lane.dyno.running() or lane.calls]
            if len(self._lanes) + self._booting >= min(self._most, len(self._waiting) + len(self._lanes)):
                return None
        dyno = self._dynos.lend(spec, self)
        if dyno is not None:
            return self._open(dyno)
        with self._changed:
            self._booting += 1
        start_thread(keeps_notifications(partial(self._boot, spec)), "heroku-pool-boot", self._boot_failed)
        return None

    def _open(self, dyno: WarmDyno) -> Lane | None:
        """Let calls have a dyno, unless it is not fit for them: then they fail."""
        try:
            self.check_dyno(dyno)
        except Exception as error:  # noqa: BLE001 - whatever it is, the calls fail with it
            (dyno.cancel if dyno.owner is self else dyno.release)()  # before the calls end, so that nobody sees it busy
            self._give_up(error)
            return None
        with self._changed:
            self._lanes.append(Lane(dyno))
            return self._lanes[-1]

    def _boot(self, spec: RunSpec) -> None:
        try:
            with suppress(Stopped):
                self._open(self._boot_within_limit(lambda: self._dynos.boot_for(self, spec, self._idle), spec))
        except Exception as error:  # noqa: BLE001 - the calls must end, whatever it is
            self._boot_failed(error)
        else:
            with self._changed:
                self._booting -= 1
            self._wake.set()

    def _boot_within_limit(self, boot: Callable[[], WarmDyno], spec: RunSpec) -> WarmDyno:
        """Return a new dyno; at the app's limit, wait for the end of another one if nothing else takes the calls."""
        try:
            return boot()
        except Refused:
            with self._changed:
                if self._lanes or self._is_at_limit:
                    raise
                self._is_at_limit = True
        try:
            return within_limit(boot, spec.app_name, self._pause, is_patient=True)
        finally:
            self._is_at_limit = False

    def _pause(self, seconds: float) -> None:
        """Sleep while calls wait for a dyno. Raises Stopped."""

        def is_needless() -> bool:
            return registry.is_ending() or all(future.done() for future, _ in self._waiting)

        with self._changed:
            if wait_for(self._changed, is_needless, seconds):
                raise Stopped

    def _boot_failed(self, error: BaseException) -> None:
        with self._changed:
            self._booting -= 1
            left = len(self._lanes) + self._booting
            self._most = left or self._jobs
        if left:
            notify(f"{error} The pool continues with {left}.")
        else:
            self._give_up(error)
        self._wake.set()

    def _give_up(self, error: BaseException) -> None:
        """End the calls that wait with an error."""
        with self._changed:
            waiting, self._waiting = [*self._waiting], deque()
        for future, spec in waiting:
            self._usage.count(spec, 0.0, error, None)
            future.finish(partial(_throw, error))

    def _send(self, lane: Lane, future: PoolFuture, spec: RunSpec) -> None:
        lane.calls[future] = spec
        try:
            future.send(PoolRun(self._client, spec), lane.dyno, partial(self._ended, lane, future))
        except LogStreamError:  # the connection is broken, so that the dyno cannot have run it
            with self._changed:
                if lane.calls.pop(future, None) is not None:  # the end of the connection has not ended it
                    self._waiting.appendleft((future, spec))

    def _ended(self, lane: Lane, future: PoolFuture, run: PoolRun) -> None:
        """Take note of the end of a call; in the thread that reads the dyno's connection."""
        if not run.done():  # it was recalled
            with self._changed:
                self._waiting.appendleft((future, lane.calls.pop(future)))
            self._wake.set()
            return
        lane.dyno.note_call(run.seconds_on_dyno)
        error: Exception | None = run.failure()
        if run.failed_with == INITIALIZER_ERROR:
            what_failed = str(error).partition(": ")[2].rpartition("\n")[0]  # without where the call's output is
            self._broken = f"The initializer of the pool failed: {what_failed}"
            self._give_up(error := BrokenExecutor(self._broken))
        self._usage.count(run, run.seconds_on_dyno, None if future.cancelled() else error, lane.dyno)
        future.finish(partial(self._value_of, run) if error is None else partial(_throw, error))
        with self._changed:
            lane.calls.pop(future, None)
        self._wake.set()

    def _recall(self) -> None:
        """Ask for calls back that wait behind one that takes longer than expected, while other dynos have none."""
        with self._changed:
            free = 0 if self._waiting else self._most - len([lane for lane in self._lanes if lane.calls])
            stuck = [future for lane in self._lanes if lane.is_stuck() for future in [*lane.calls][1:]]
        for future in stuck[: max(free, 0)]:
            future.recall()

    def _give_back(self, kept: Sequence[Lane] = ()) -> None:
        """Let cells and other pools have the dynos that have no calls, besides some."""
        with self._changed:
            idle = [lane for lane in self._lanes if not lane.calls and lane not in kept]
            self._lanes = [lane for lane in self._lanes if lane not in idle]
        for lane in idle:
            lane.dyno.release()


def _throw(error: BaseException) -> Any:
    raise error
