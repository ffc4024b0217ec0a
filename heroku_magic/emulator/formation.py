"""The formation of one app: keeps the set number of dynos of each process type running.

https://devcenter.heroku.com/articles/dyno-formation
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.emulator.errors import invalid_params
from heroku_magic.emulator.state import EMAIL, EmulatedDyno, Scale, now
from heroku_magic.platform_facts.dyno_sizes import DEFAULT_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heroku_magic.emulator.context import Context
    from heroku_magic.emulator.fleet import Fleet
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.state import EmulatedApp


# https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits
MOST_DYNOS = 100


@dataclass(frozen=True)
class ScaleUpdate:
    """A new scale of a process type. change: the quantity, or what to add to it if it is relative.

    None leaves the quantity or the size as it is.
    """

    type: str
    change: int | None
    is_relative: bool
    size: str | None

    def quantity(self, before: int) -> int:
        """Return the new number of dynos."""
        if self.change is None:
            return before
        return max(0, before + self.change) if self.is_relative else self.change


@dataclass(eq=False)
class Formation:
    """Keeps the dynos of the process types running. start: starts one."""

    app: EmulatedApp
    context: Context
    logplex: Logplex
    fleet: Fleet
    start: Callable[[EmulatedDyno, dict[str, str], Callable[[int], None]], None]

    def __post_init__(self) -> None:
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_closed = False

    def scale(self, kind: str) -> Scale:
        """Return the scale of a process type: a first deploy starts one web dyno, a live folder none."""
        is_web = kind == "web" and self.app.slug is not None and not self.app.slug.is_live
        return self.app.scales.setdefault(kind, Scale(int(is_web), DEFAULT_SIZE))

    def update(self, updates: Sequence[ScaleUpdate]) -> list[str]:
        """Change scales, all or none; return the process types."""
        if not self.app.process_types:
            raise invalid_params("App must be deployed before dynos can be scaled.")
        kinds = [self.app.find_type(update.type) for update in updates]
        scales: dict[str, Scale] = {}
        for kind, update in zip(kinds, updates, strict=True):
            before = scales.get(kind) or self.scale(kind)
            scales[kind] = Scale(update.quantity(before.quantity), update.size or before.size)
            if scales[kind].quantity > MOST_DYNOS:
                raise invalid_params(f"quantity must be a whole number from 0 to {MOST_DYNOS}.")
        for kind, scale in scales.items():
            before = self.scale(kind)
            self.app.scales[kind] = scale
            self.logplex.log("app", "api", f"Scaled to {kind}@{scale.quantity}:{scale.size} by user {EMAIL}")
            if scale.size != before.size:
                self.restart(kind)
        self.settle()
        self.context.save()
        return kinds

    def settle(self) -> None:
        """Start missing dynos and stop surplus ones."""
        names = {name: kind for kind in self.app.process_types for name in self._names(kind)}
        for dyno in tuple(self.fleet.dynos.values()):
            if dyno.is_kept and dyno.name not in names:
                self.fleet.stop(dyno)
        for name, kind in names.items():
            if name not in self._timers:
                self._begin(name, kind)

    def restart(self, kind: str | None = None) -> None:
        """Stop the dynos of a type, or of all types; those still in the formation start again."""
        for dyno in tuple(self.fleet.dynos.values()):
            if dyno.is_kept and kind in {None, dyno.type}:
                self.restart_one(dyno)

    def restart_one(self, dyno: EmulatedDyno) -> None:
        """Stop a dyno, which starts it again; a crashed one need not wait any longer."""
        self.logplex.log("heroku", dyno.name, "Restarting")
        self.fleet.stop(dyno)
        if timer := self._timers.pop(dyno.name, None):
            timer.cancel()
            self._begin(dyno.name, dyno.type)

    def close(self) -> None:
        """Start no more dynos."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()

    def _names(self, kind: str) -> list[str]:
        quantity = self.scale(kind).quantity if kind in self.app.process_types else 0
        return [f"{kind}.{number}" for number in range(1, quantity + 1)]

    def _begin(self, name: str, kind: str) -> None:
        self._timers.pop(name, None)
        current = self.fleet.dynos.get(name)
        if self._is_closed or name not in self._names(kind) or (current and current.state != "crashed"):
            return
        command, size = self.app.process_types[kind], self.scale(kind).size
        dyno = EmulatedDyno(name, kind, command, size, self.app.current, is_kept=True)
        variables = {"PORT": str(_free_port())} if kind == "web" else {}
        started = now()
        self.start(dyno, variables, lambda _: self._ended(dyno, (now() - started).total_seconds()))

    def _ended(self, dyno: EmulatedDyno, seconds: float) -> None:
        """Start the dyno again if it is still in the formation, after a pause if it crashed right away."""
        if self._is_closed or dyno.type not in self.app.process_types:
            return
        pause = self.context.timings.restart
        if dyno.state != "crashed" or seconds >= pause:
            pause = 0
        loop = asyncio.get_running_loop()
        self._timers[dyno.name] = loop.call_later(pause, self._begin, dyno.name, dyno.type)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
