"""The part of `Heroku` that keeps dynos warm: they stay attached and take call after call."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from heroku_magic.app.budget import second_price, warm_refusal
from heroku_magic.app.connection import bare_spec
from heroku_magic.app.management import ManagedApp
from heroku_magic.errors import ApiError, InvalidOptions
from heroku_magic.platform_facts.dyno_sizes import DEFAULT_SIZE, money
from heroku_magic.runs.options import LONGEST_IDLE, LONGEST_TIMEOUT, WARM_IDLE, check_count, check_lifetime, is_lifetime
from heroku_magic.runs.runner import Runner
from heroku_magic.text.notifier import notifies_owner
from heroku_magic.warm.call_runner import CallRunner
from heroku_magic.warm.warm_dynos import MOST_IN_SWEEP, WarmDynos

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import Dyno
    from heroku_magic.runs.options import SweepOptions
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.sweeps.plan import Plan
    from heroku_magic.text.notifier import MessageCallback
    from heroku_magic.warm.warm_dyno import WarmDyno


def warm_count(plan: Plan, options: SweepOptions) -> int:
    """Return how many warm dynos a sweep uses at most."""
    return min(options.jobs or MOST_IN_SWEEP, len(plan))


@notifies_owner
class WarmApp(ManagedApp):
    """An app whose dynos can be kept warm."""

    def __init__(self, client: HerokuClient, app: str, settings: Settings, on_message: MessageCallback = print) -> None:
        super().__init__(client, app, settings, on_message)
        self._warm = WarmDynos(client, self._release_number)

    @property
    def warm_idle(self) -> float:
        """Seconds that a warm dyno waits, and is billed, after its last call."""
        return self._warm.idle

    def warm(
        self, count: int | None = None, *, size: str | None = None, idle: float = WARM_IDLE, life: int = LONGEST_TIMEOUT
    ) -> list[WarmDyno]:
        """Keep `count` dynos warm for calls with `warm=True`, and return all warm dynos.

        Parameters
        ----------
        count
            How many dynos of this size to keep: missing ones are booted, surplus ones are stopped. 0 stops
            all dynos of all sizes; None changes nothing.
        size
            The dyno size; None is the connection's.
        idle
            Seconds without a call after which a dyno ends, at most 3,600.
        life
            Seconds that a dyno may exist.

        Raises
        ------
        InvalidOptions
            If a number is out of range, or more dynos are wanted than may run at once.
        ApiError, AttachFailed
            If a dyno could not be booted; no failed dyno is left running.

        Examples
        --------
        >>> import heroku_magic
        >>> heroku = heroku_magic.connect(local=True, say=lambda message: None)
        >>> dynos = heroku.warm(1)
        >>> heroku.run(code="[{'n': 6 * 7}]", warm=True)["n"].tolist()
        [42]
        >>> heroku.warm(0)
        []
        """
        count = check_count("count", count, 0)
        size = size or self.settings.size
        self._check_warm(count or 0, size, idle)
        check_lifetime("life", life)
        if count == 0:
            self._warm.stop()
        elif count:
            self._warm.idle, self._warm.life = idle, life
            self._warm.scale(count, bare_spec(self, "warm dyno", size))
        return self._warm.running()

    def warm_states(self) -> dict[str, str]:
        """Return the state, the calls and the cost of each warm dyno of this process, by the dyno's name."""
        return {str(one.dyno): one.summary for one in self._warm.running()}

    def status(self) -> dict[str, str]:
        """Return facts about the app and the account, and what its warm dynos have cost."""
        dollars = self._warm.dollars
        cost = {"warm dynos": f"{money(dollars)} in this kernel, with their calls"} if dollars else {}
        return {**super().status(), **cost}

    def _state_of(self, dyno: Dyno) -> str:
        state = self.warm_states().get(dyno.name)
        return dyno.state if state is None else f"{dyno.state}; warm: {state}"

    def _check_warm(self, count: int, size: str | None, idle: float) -> None:
        """Raise InvalidOptions unless the app can have so many warm dynos."""
        if not is_lifetime(idle, LONGEST_IDLE):
            raise InvalidOptions(f"idle is {idle!r}: expected seconds, at most {LONGEST_IDLE:g}.")
        self._refuse_too_many(count, size)
        if count:
            self._planner.refuse_without_python()

    def _refuse_too_many(self, count: int, size: str | None) -> None:
        """Raise InvalidOptions if Heroku allows fewer dynos; a size that is not known may be one of the usual ones."""
        most = self._planner.most_at_once(size or DEFAULT_SIZE)
        if count > most:
            raise InvalidOptions(f"{count} warm dynos are more than the {most} that may run at once.")

    @property
    def _attached_runner(self) -> Callable[..., Runner]:
        """What drives runs on attached dynos."""
        return partial(CallRunner, dynos=self._warm)

    def _runner(self, spec: RunSpec) -> Callable[..., Runner]:
        return partial(self._attached_runner, is_patient=True) if spec.is_warm else Runner

    def _warm_for(self, plan: Plan, options: SweepOptions) -> tuple[Plan, float]:
        """Return a sweep's plan with the number of its warm dynos, and the dollars of one that stays afterwards."""
        spec = plan.first
        if not spec.keeps_dyno:
            return plan, 0.0
        self._refuse_too_many(options.jobs or 0, spec.size)
        count = warm_count(plan, options)
        idle_dollars = 0.0
        if options.max_cost is not None:
            idle_dollars = second_price(spec) * self.warm_idle
            if idle_dollars >= options.max_cost:
                raise InvalidOptions(warm_refusal(spec, options.max_cost, idle_dollars, self.warm_idle))
        self._warm.extend_for_sweep(spec.kind, count)
        return replace(plan, most_at_once=lambda _: count), idle_dollars

    def _release_number(self) -> int | None:
        try:
            release = self._catalog.release()
        except ApiError:  # an existing dyno can continue without the API
            return None
        return release.version if release else None
