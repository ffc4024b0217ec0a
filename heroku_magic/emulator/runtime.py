"""One served app: its live folder, environment, log and running dynos; it knows no HTTP."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import folder as live
from heroku_magic.emulator.code import procfile
from heroku_magic.emulator.code.environment import Environment
from heroku_magic.emulator.dynos.process import DynoProcess, Launch
from heroku_magic.emulator.errors import BuildFailed, StartError, above_limit, invalid_params
from heroku_magic.emulator.logs.logplex import Logplex
from heroku_magic.emulator.state import EMAIL, App, Dyno, new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.dynos.guard import Guard
    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.times import Times
    from heroku_magic.emulator.web.orders import DynoOrder

# Seconds that a create waits for the app's environment; then it answers, and the dyno starts when it can.
BUILD_PATIENCE = 20
_LANG = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
_PROFILE = 'for script in "${@:2}"; do source "$script"; done; exec "$BASH" --noprofile --norc -c "$1"'


class AppRuntime:
    """An app that a folder is served as. Nothing is copied: what is saved in the folder runs."""

    def __init__(
        self,
        name: str,
        folder: Path,
        guard: Guard,
        scratch: Callable[[], Path],
        *,
        bash: Path,
        times: Times,
        faults: Faults,
        one_offs: int,
    ) -> None:
        self.app = App(name)
        self.logplex = Logplex()
        self.process_types = procfile.read(folder)
        self._folder = folder
        self._signature = live.signature(folder)
        self._environment = Environment(folder, scratch, guard, self._log_build)
        self._guard = guard
        self._bash = bash
        self._times = times
        self._faults = faults
        self._one_offs = one_offs
        self._processes: dict[str, DynoProcess] = {}
        self._all_over = asyncio.Event()
        self._all_over.set()
        self._starts: set[asyncio.Task[None]] = set()
        self.app.release("Initial release", slug=None)
        self._deploy()

    @property
    def config(self) -> dict[str, str]:
        """The config vars: those of the folder's .env, and those that were set over them."""
        return {**live.dotenv(self._folder), **self.app.config}

    def refresh(self) -> None:
        """Make a new release if a file in the folder changed."""
        signature = live.signature(self._folder)
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self.process_types = procfile.read(self._folder)
        except StartError as error:
            self.logplex.say("app", "build", f"{error} The process types stay as they were.")
        self._deploy()

    def _deploy(self) -> None:
        slug = new_id()
        self.app.release(f"Deploy {slug[:8]}", slug=slug)

    async def warm_up(self) -> None:
        """Build the environment before somebody waits for it."""
        try:
            await self._environment.built()
        except BuildFailed:
            return  # told in the app's log, and to whoever wants a dyno

    async def create(self, order: DynoOrder) -> Dyno:
        """Create a dyno; it starts on its own, after the answer."""
        if not self._folder.is_dir():
            raise invalid_params(f"The folder that this app is served from is not there any more: {self._folder}")
        await self._wait_for_environment()
        self.refresh()
        self._check_limit(order.size)
        dyno = self._add(order)
        self.logplex.say("app", "api", f"Starting process with command `{dyno.command}` by user {EMAIL}")
        process = self._process(dyno)
        if order.time_to_live is not None:
            process.expire_in(order.time_to_live)
        self._start(dyno, process, order)
        return dyno

    def stop(self, dyno: Dyno) -> None:
        """Stop a dyno as Heroku does: SIGTERM, a grace, SIGKILL."""
        self._processes[dyno.name].stop()

    async def close(self, patience: float) -> None:
        """End all dynos, the stubborn ones by force, then the log's readers."""
        self._environment.close()
        for process in tuple(self._processes.values()):
            process.stop()
        await self._wait_for_end(patience)
        for process in tuple(self._processes.values()):
            process.kill()
        await self._wait_for_end(1)
        self.logplex.close()

    async def _wait_for_environment(self) -> None:
        if self._environment.ready() is not None:
            return
        try:
            await asyncio.wait_for(self._environment.built(), BUILD_PATIENCE)
        except asyncio.TimeoutError:
            return
        except BuildFailed as error:
            raise invalid_params(str(error)) from None

    def _check_limit(self, size: str) -> None:
        if len(self.app.dynos) >= self._one_offs:
            raise above_limit(self._one_offs, size)

    def _add(self, order: DynoOrder) -> Dyno:
        name = self.app.new_dyno_name(order.type)
        dyno = Dyno(name, order.type, order.command, order.size, self.app.current)
        self.app.dynos[name] = dyno
        return dyno

    def _process(self, dyno: Dyno) -> DynoProcess:
        def over() -> None:
            self.app.dynos.pop(dyno.name, None)
            self._processes.pop(dyno.name, None)
            if not self._processes:
                self._all_over.set()

        process = DynoProcess(dyno, self.logplex, self._guard, times=self._times, faults=self._faults, over=over)
        self._processes[dyno.name] = process
        self._all_over.clear()
        return process

    def _start(self, dyno: Dyno, process: DynoProcess, order: DynoOrder) -> None:
        """Start it once the answer is written; wait for the environment if that takes long."""
        place = self._environment.ready()
        if place is not None:
            launch = self._launch(dyno, order, place)
            asyncio.get_running_loop().call_soon(process.start, launch)
            return
        start = asyncio.ensure_future(self._start_later(dyno, process, order))
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)

    async def _start_later(self, dyno: Dyno, process: DynoProcess, order: DynoOrder) -> None:
        try:
            place = await self._environment.built()
        except BuildFailed as error:
            process.fail(str(error))
        else:
            process.start(self._launch(dyno, order, place))

    def _launch(self, dyno: Dyno, order: DynoOrder, place: Path) -> Launch:
        command = procfile.substituted(order.command, self.process_types)
        bash = [str(self._bash), "--noprofile", "--norc", "-c"]
        if scripts := live.start_up_scripts(self._folder):
            return Launch([*bash, _PROFILE, "bash", command, *scripts], self._folder, self._env(dyno, order, place))
        return Launch([*bash, command], self._folder, self._env(dyno, order, place))

    def _env(self, dyno: Dyno, order: DynoOrder, place: Path) -> dict[str, str]:
        """Nothing of our own environment: what a dyno sees here it sees on Heroku."""
        env = {"LANG": _LANG, "PYTHONUNBUFFERED": "true", **self.config, **order.env}
        path = env.get("PATH", f"/usr/local/bin:/usr/bin:/bin:{self._bash.parent}")
        return {**env, "DYNO": dyno.name, "HOME": str(self._folder), "PATH": f"{place / 'bin'}:{path}"}

    def _log_build(self, line: bytes) -> None:
        self.logplex.publish("app", "build", [line])

    async def _wait_for_end(self, patience: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_over.wait(), patience)
