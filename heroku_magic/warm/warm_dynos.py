"""The warm dynos of one app: boots them when calls need them, and gives each call one that is idle."""

from __future__ import annotations

import threading
import time
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from heroku_magic.api.forks import begins_anew_after_fork
from heroku_magic.bundle.packages import add_packages
from heroku_magic.bundle.shipped import COMMAND, server_env
from heroku_magic.platform_facts.dyno_sizes import money
from heroku_magic.runs.background import wait_for
from heroku_magic.runs.create_dyno import Stopped
from heroku_magic.runs.options import LONGEST_TIMEOUT, WARM_IDLE
from heroku_magic.text.notifier import notify
from heroku_magic.warm.boot import Boot
from heroku_magic.warm.send_window import FlowControl
from heroku_magic.warm.warm_dyno import WarmDyno

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.spec import Kind, RunSpec

MOST_IN_SWEEP = 8  # dynos that a sweep boots unless it says how many
MARGIN = 2.0  # seconds before its end within which an idle dyno gets no call any more
TICK = 0.2  # seconds between two looks at whether a waiting call was cancelled


class WarmDynos:
    """What `warm=True` uses. `target`: how many dynos of a kind calls may boot.

    release: returns the number of the app's current release. has_failed: no connection could be made, so that calls
    for which this is only the default run through the log.
    """

    def __init__(self, client: HerokuClient, release: Callable[[], int | None]) -> None:
        self.target: dict[Kind, int] = {}
        self._in_sweeps: dict[Kind, list[int]] = {}
        self.idle, self.life, self.has_failed = WARM_IDLE, LONGEST_TIMEOUT, False
        self._client, self._release = client, release
        self._changed = threading.Condition()
        self._dynos: list[WarmDyno] = []
        self._ended_dollars = 0.0
        self._boots: dict[Kind, list[Boot]] = {}  # by kind
        self._has_named_price = False
        self._flow = FlowControl()
        begins_anew_after_fork(self)

    def begin_anew(self) -> None:
        """Boot others from now on: in a forked process, nothing reads the connections, and the parent uses them."""
        self._changed, self._flow = threading.Condition(), FlowControl()
        self._dynos, self._boots, self._ended_dollars = [], {}, 0.0

    def running(self) -> list[WarmDyno]:
        """Return the running dynos."""
        with self._changed:
            ended = [one for one in self._dynos if not one.running()]
            self._ended_dollars += sum(one.dollars or 0.0 for one in ended)
            self._dynos = [one for one in self._dynos if one not in ended]
            return [*self._dynos]

    @property
    def dollars(self) -> float:
        """What all of them have cost so far, with their calls, and with those that have ended."""
        with self._changed:
            return sum(one.dollars or 0.0 for one in self.running()) + self._ended_dollars

    def acquire(self, spec: RunSpec, is_cancelled: Callable[[], bool]) -> WarmDyno:
        """Return an idle dyno for a call, booted if necessary. Raises Stopped, ApiError or AttachFailed."""
        if spec.is_once:
            return self._boot_once(spec, is_cancelled)
        own: Boot | None = None
        other: Boot | None = None
        try:
            while not is_cancelled():
                self._stop_outdated(self._release())
                self._stop_idle(lambda idle: [one for one in idle if self._may_end_during(one, spec)])
                with self._changed:
                    if idle := [one for one in self._of_kind(spec.kind) if not one.is_busy]:
                        idle[0].is_busy = True
                        return idle[0]
                    for boot in filter(None, (own, other)):
                        if boot.error is not None:
                            raise copy(boot.error)
                    if own is not None and own.is_over:
                        return own.take()
                    own, other = self._boots_for(spec, own)
                    self._changed.wait(TICK)
        finally:
            if own is not None:
                own.let_go()
        raise Stopped("before it was called.")

    def _boot_once(self, spec: RunSpec, is_cancelled: Callable[[], bool]) -> WarmDyno:
        """Boot a dyno for one call, and stop it if the call is cancelled meanwhile."""
        boot = Boot(lambda boot: self._boot(spec, owner=spec, boot=boot), self._notify).start()
        while not boot.is_over:
            if is_cancelled():
                boot.cancel()
            with self._changed:
                self._changed.wait_for(lambda: boot.is_over, TICK)
        if boot.error is not None:
            raise copy(boot.error)
        return boot.take()

    def _boots_for(self, spec: RunSpec, own: Boot | None) -> tuple[Boot | None, Boot | None]:
        """Return the boot that a call has started, which is a new one if it may, and another one that is under way."""
        boots = self._boots_of(spec.kind)
        if own is None and len(self._of_kind(spec.kind)) + len(boots) < self._wanted(spec.kind):
            self._name_price(spec)
            own = self._start_boot(spec)
        return own, next(iter(boots), None)

    def lend(self, spec: RunSpec, owner: object) -> WarmDyno | None:
        """Return an idle dyno for a pool, which gives it back with `WarmDyno.release`; None if there is none."""
        self._stop_outdated(self._release())
        self._stop_idle(lambda idle: [one for one in idle if self._may_end_during(one, spec)])
        with self._changed:
            idle = [one for one in self.running() if one.spec.kind == spec.kind and not one.is_busy]
            chosen = [one for one in idle if one.owner is owner] or [one for one in idle if one.owner is None]
            if not chosen:
                return None
            chosen[0].is_busy = True
            return chosen[0]

    def can_take(self, dyno: WarmDyno, spec: RunSpec) -> bool:
        """Return whether a dyno is of the current release, if that is known, and has the time for a call."""
        is_current = self._release() in {dyno.info.release.version, None}
        return dyno.running() and is_current and not self._may_end_during(dyno, spec)

    def boot_for(self, owner: object, spec: RunSpec, idle: float) -> WarmDyno:
        """Boot a dyno for the calls of one pool. Raises ApiError or AttachFailed."""
        return self._boot(spec, owner, idle)

    def stop_owned(self, owner: object) -> None:
        """Stop the dynos that were booted for a pool."""
        for one in self.running():
            if one.owner is owner:
                one.cancel()

    def scale(self, count: int, spec: RunSpec) -> None:
        """Boot dynos of a size, or stop idle ones, until there are `count`; a call that runs is not interrupted."""
        self.target[spec.kind] = count
        self._trim(spec.kind)
        with self._changed:
            missing = count - len(self._of_kind(spec.kind)) - len(self._boots_of(spec.kind))
            boots = [self._start_boot(spec) for _ in range(missing)]
        for boot in boots:
            boot.let_go()
        try:
            with self._changed:
                wait_for(self._changed, lambda: all(boot.is_over for boot in boots))
        except KeyboardInterrupt:
            del self.target[spec.kind]
            for boot in boots:
                boot.cancel()
            raise
        for boot in boots:
            boot.join()
            if boot.error is not None and not isinstance(boot.error, Stopped):
                raise boot.error

    def extend_for_sweep(self, kind: Kind, count: int) -> None:
        """Let a sweep have `count` dynos of a kind until `forget_sweep`."""
        self._in_sweeps.setdefault(kind, []).append(count)

    def forget_sweep(self, kind: Kind, count: int) -> None:
        """Stop what a sweep has needed beyond the target and other sweeps; at least one dyno stays."""
        self._in_sweeps[kind].remove(count)
        self._trim(kind)

    def stop(self) -> int:
        """Stop all and return how many there were."""
        self.target.clear()
        with self._changed:
            boots = [boot for kind in [*self._boots] for boot in self._boots_of(kind)]
        for boot in boots:
            boot.cancel()
        return sum(one.cancel() for one in self.running())

    def _wanted(self, kind: Kind) -> int:
        return max(1, self.target.get(kind, 1), *self._in_sweeps.get(kind, ()))

    def _trim(self, kind: Kind) -> None:
        surplus = max(len(self._of_kind(kind)) - self._wanted(kind), 0)
        self._stop_idle(lambda idle: [one for one in idle if one.spec.kind == kind and one.owner is None][:surplus])

    def _stop_idle(self, choose: Callable[[list[WarmDyno]], list[WarmDyno]]) -> list[WarmDyno]:
        """Stop the idle dynos that `choose` picks, which no call can take meanwhile, and return them."""
        with self._changed:
            chosen = choose([dyno for dyno in self.running() if not dyno.is_busy])
            for one in chosen:
                one.is_busy = True
        for one in chosen:
            one.cancel()
        return chosen

    def _of_kind(self, kind: Kind) -> list[WarmDyno]:
        return [one for one in self.running() if one.spec.kind == kind and one.owner is None]

    def _may_end_during(self, dyno: WarmDyno, spec: RunSpec) -> bool:
        """Return whether a dyno may end during a call. Of its timeout, at most half of a dyno's life counts."""
        is_late = dyno.idle_left <= MARGIN or dyno.seconds_left <= min(spec.timeout, self.life / 2)
        return dyno.spec.kind == spec.kind and is_late

    def _start_boot(self, spec: RunSpec) -> Boot:
        """Start to boot a dyno, which any call may have then."""
        boot = Boot(lambda boot: self._boot(spec, boot=boot), lambda: self._end_boot(spec.kind))
        self._boots.setdefault(spec.kind, []).append(boot)
        return boot.start()

    def _end_boot(self, kind: Kind) -> None:
        """Stop a dyno that is no longer needed once it has booted: its sweep may have ended meanwhile."""
        self._trim(kind)
        self._notify()

    def _boots_of(self, kind: Kind) -> list[Boot]:
        """Return the boots of a kind that are not over."""
        self._boots[kind] = [boot for boot in self._boots.get(kind, ()) if not boot.is_over]
        return self._boots[kind]

    def _name_price(self, spec: RunSpec) -> None:
        """Tell the user the price before the first dyno that stays warm only because of the notebook's setting."""
        if not spec.falls_back or self._has_named_price:
            return
        self._has_named_price = True
        hour = spec.price(spec.size, 3600)
        price = f"for {money(hour)} per hour" if hour else "at an unknown price" if hour is None else "free of charge"
        notify(
            f"A dyno boots for this cell and stays warm for the next ones, {price}. It stops after "
            f"{_duration(self.idle)} without a call. To turn this off: %config HerokuMagics.warm = False"
        )

    def _boot(
        self, spec: RunSpec, owner: object = None, idle: float | None = None, boot: Boot | None = None
    ) -> WarmDyno:
        idle = idle or self.idle
        command, env = add_packages(COMMAND, server_env(idle, keeps_state=spec.keeps_state), spec.packages, spec.python)
        own = replace(
            spec,
            task="warm dyno",
            command=command,
            env=env,
            timeout=self.life,
            module=None,
            values=None,
        )
        dyno = WarmDyno(
            self._client,
            own,
            self._client.tls_context(),
            idle=idle,
            on_change=self._notify,
            owner=owner,
            flow=self._flow,
        )
        dyno.is_busy = True
        if boot is not None:
            boot.dyno = dyno
        began = time.monotonic()
        dyno.boot()
        self.has_failed = False
        with self._changed:
            self._dynos.append(dyno)
        if not spec.is_once:
            began_message = f"{dyno.dyno} is warm after {time.monotonic() - began:.1f} s."
            notify(f"{began_message} {_idle_message(spec, dyno.info.size, idle, is_owned=owner is not None)}")
        return dyno

    def _stop_outdated(self, release: int | None) -> None:
        if release is None:
            return
        for one in self._stop_idle(lambda idle: [dyno for dyno in idle if dyno.info.release.version != release]):
            notify(f"{one.dyno} ran release v{one.info.release.version}; v{release} gets a new warm dyno.")

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _idle_message(spec: RunSpec, size: str, idle: float, *, is_owned: bool) -> str:
    price = spec.price(size, idle)
    cost = f", at most {money(price)}" if price else ""
    only = " An app may have only one Eco dyno: other runs wait until this one stops." * (size.lower() == "eco")
    after = f"after {_duration(idle)} without a call{cost}"
    if is_owned:
        return f"It stops with its pool, or {after}.{only}"
    return f"It stops by itself {after}; `%heroku warm 0` stops it now.{only}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
