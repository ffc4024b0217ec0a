"""The formation of one app: so many dynos of each process type are kept running, as `ps:scale` says.

https://devcenter.heroku.com/articles/dyno-formation
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from heroku_magic.emulator.errors import invalid_params
from heroku_magic.emulator.sizes import DEFAULT
from heroku_magic.emulator.state import EMAIL, Dyno, Scale, now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heroku_magic.emulator.fleet import Fleet
    from heroku_magic.emulator.host import Host
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.orders import FormationUpdate
    from heroku_magic.emulator.state import App


class Formation:
    """Keeps the dynos of the process types running. start: starts one."""

    def __init__(
        self,
        app: App,
        host: Host,
        logplex: Logplex,
        fleet: Fleet,
        start: Callable[[Dyno, dict[str, str], Callable[[int], None]], None],
    ) -> None:
        self._app = app
        self._host = host
        self._logplex = logplex
        self._fleet = fleet
        self._start = start
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_closed = False

    def scale(self, kind: str) -> Scale:
        """Return the scale of a process type: a first deploy starts one web dyno, a live folder none."""
        is_web = kind == "web" and self._app.slug is not None and not self._app.slug.is_live
        return self._app.scales.setdefault(kind, Scale(int(is_web), DEFAULT))

    def update(self, updates: Sequence[FormationUpdate]) -> list[str]:
        """Change scales, all or none; return the process types."""
        if not self._app.process_types:
            raise invalid_params("App must be deployed before dynos can be scaled.")
        kinds = [self._app.find_type(update.type) for update in updates]
        for kind, update in zip(kinds, updates, strict=True):
            before = self.scale(kind)
            scale = Scale(update.quantity(before.quantity), update.size or before.size)
            self._app.scales[kind] = scale
            self._logplex.say("app", "api", f"Scaled to {kind}@{scale.quantity}:{scale.size} by user {EMAIL}")
            if scale.size != before.size:
                self.restart(kind)
        self.settle()
        self._host.save()
        return kinds

    def settle(self) -> None:
        """Start what is missing and stop what is too much."""
        wanted = {name: kind for kind in self._app.process_types for name in self._names(kind)}
        for dyno in tuple(self._fleet.dynos.values()):
            if dyno.is_kept and dyno.name not in wanted:
                self._fleet.stop(dyno)
        for name, kind in wanted.items():
            if name not in self._timers:
                self._begin(name, kind)

    def restart(self, kind: str | None = None) -> None:
        """Stop the dynos of a type, or of all: what is still wanted starts again."""
        for dyno in tuple(self._fleet.dynos.values()):
            if dyno.is_kept and kind in {None, dyno.type}:
                self.restart_one(dyno)

    def restart_one(self, dyno: Dyno) -> None:
        """Stop a dyno, which starts it again; one that has crashed need not wait any longer."""
        self._logplex.say("heroku", dyno.name, "Restarting")
        self._fleet.stop(dyno)
        if timer := self._timers.pop(dyno.name, None):
            timer.cancel()
            self._begin(dyno.name, dyno.type)

    def close(self) -> None:
        """Start nothing any more."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()

    def _names(self, kind: str) -> list[str]:
        return [f"{kind}.{number}" for number in range(1, self.scale(kind).quantity + 1)]

    def _begin(self, name: str, kind: str) -> None:
        self._timers.pop(name, None)
        there = self._fleet.dynos.get(name)
        if self._is_closed or name not in self._names(kind) or (there and there.state != "crashed"):
            return
        dyno = Dyno(name, kind, self._app.process_types[kind], self.scale(kind).size, self._app.current, is_kept=True)
        variables = {"PORT": str(_free_port())} if kind == "web" else {}
        started = now()
        self._start(dyno, variables, lambda _: self._ended(dyno, (now() - started).total_seconds()))

    def _ended(self, dyno: Dyno, seconds: float) -> None:
        """Start it again if it is still wanted: at once if it was stopped, after a pause if it crashed at once."""
        if self._is_closed or dyno.type not in self._app.process_types:
            return
        pause = self._host.times.restart if dyno.state == "crashed" and seconds < self._host.times.restart else 0
        loop = asyncio.get_running_loop()
        self._timers[dyno.name] = loop.call_later(pause, self._begin, dyno.name, dyno.type)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
