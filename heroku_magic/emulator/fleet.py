"""The running dynos of one app: starts each where its code is, with only the environment it would have on Heroku."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import file_copy, installer, live_folder, procfile
from heroku_magic.emulator.dynos.process import DynoProcess, Launch
from heroku_magic.emulator.dynos.reaper import DYNO_ID, kill_strays
from heroku_magic.emulator.errors import BuildError
from heroku_magic.emulator.state import first_match
from heroku_magic.platform_facts.dyno_sizes import DEFAULT_SIZE, DYNO_SIZES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.code.slug_dir import SlugDir
    from heroku_magic.emulator.context import Context
    from heroku_magic.emulator.dynos.rendezvous import Client
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.state import EmulatedDyno

# Seconds from a dyno's end to the search for processes that it left behind.
STRAYS_DELAY = 0.5
_LANG = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
_PROFILE = 'for script in "${@:2}"; do source "$script"; done; exec "$BASH" --noprofile --norc -c "$1"'


class Fleet:
    """An app's dynos and their processes."""

    def __init__(self, context: Context, logplex: Logplex) -> None:
        self.dynos: dict[str, EmulatedDyno] = {}
        self._context = context
        self._logplex = logplex
        self._processes: dict[str, list[DynoProcess]] = {}
        self._count = 0
        self._ended: list[str] = []
        self._names: deque[str] = deque(maxlen=1500)
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_ended = asyncio.Event()
        self._all_ended.set()

    @property
    def processes(self) -> list[DynoProcess]:
        """The processes of all dynos."""
        return [process for processes in self._processes.values() for process in processes]

    def find(self, identity: str) -> EmulatedDyno:
        """Return a dyno by id or name."""
        return first_match((dyno for dyno in self.dynos.values() if identity in {dyno.id, dyno.name}), "dyno")

    def new_name(self, kind: str) -> str:
        """Return `run.NNNN` with a number not used lately, because the log still holds the lines of old dynos."""
        few = (f"{kind}.{1000 + number}" for number in range(int(self._context.faults["reuse-names"])))
        if free := next((name for name in few if name not in self.dynos), None):
            return free
        while (name := f"{kind}.{secrets.randbelow(9000) + 1000}") in self.dynos or name in self._names:
            pass
        self._names.append(name)
        return name

    def start(
        self,
        dyno: EmulatedDyno,
        code: SlugDir,
        process_types: dict[str, str],
        variables: dict[str, str],
        *,
        time_to_live: int | None = None,
        client: asyncio.Future[Client] | None = None,
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Start a dyno once the response is written. variables: config and the dyno's own; on_end: gets the status."""
        processes = self._create_processes(dyno, code, client, on_end)
        if time_to_live is not None:
            for process in processes:
                process.later(time_to_live, process.stop)
        command = procfile.expand(dyno.command, process_types)
        environment = code.environment.ready()
        if environment is not None and code.take_copy(self._copy(dyno)):
            launch = self._launch(dyno, command, variables, environment)
            self.make_spares(code)
            asyncio.get_running_loop().call_soon(_start_all, processes, launch)
            return
        start = asyncio.ensure_future(self._start_later(dyno, processes, command, variables, code))
        self._tasks.add(start)
        start.add_done_callback(self._tasks.discard)

    def stop(self, dyno: EmulatedDyno) -> None:
        """Stop a dyno as Heroku does: SIGTERM, a grace, SIGKILL; a crashed one is forgotten."""
        for process in self._processes.get(dyno.name, ()):
            process.stop()
        if dyno.name not in self._processes:
            self.dynos.pop(dyno.name, None)

    async def close(self, patience: float) -> None:
        """End all dynos, by force if they do not end in time."""
        for process in self.processes:
            process.stop()
        await self._wait_for_end(patience)
        for process in self.processes:
            process.kill()
        await self._wait_for_end(1)
        if self._ended:
            self._kill_strays()

    def free_one_offs(self, size: str = DEFAULT_SIZE) -> int:
        """How many more one-off dynos of a size may start."""
        sizes = [dyno.size for dyno in self.dynos.values() if not dyno.is_kept]
        if self._context.one_offs is not None:
            return self._context.one_offs - len(sizes)
        return DYNO_SIZES[size.lower()].most_at_once - sizes.count(size)

    def make_spares(self, code: SlugDir) -> None:
        """Make spare copies of a served folder in the background, one per free one-off."""
        if code.copies is not None:
            code.copies.fill(self.free_one_offs())

    def _create_processes(
        self, dyno: EmulatedDyno, code: SlugDir, client: asyncio.Future[Client] | None, on_end: Callable[[int], None]
    ) -> list[DynoProcess]:
        """Return the process of a dyno, or two where the platform runs it twice, as it may in rare cases.

        https://devcenter.heroku.com/articles/one-off-dynos
        """
        self._count += 1
        context = self._context
        is_twice = client is None and not dyno.is_kept and context.faults.strikes("run-twice", self._count)
        running = 1 + is_twice

        def ended(status: int) -> None:
            nonlocal running
            running -= 1
            if not running:
                self._forget(dyno, code)
                on_end(status)

        processes = [
            DynoProcess(
                dyno, self._logplex, context.reaper, context.timings, context.faults, self._count, client, on_end=ended
            )
            for _ in range(running)
        ]
        self.dynos[dyno.name] = dyno
        self._processes[dyno.name] = processes
        self._all_ended.clear()
        return processes

    def _forget(self, dyno: EmulatedDyno, code: SlugDir) -> None:
        if dyno.state != "crashed":
            self.dynos.pop(dyno.name, None)
        self._processes.pop(dyno.name, None)
        if not self._processes:
            self._all_ended.set()
        if not self._ended:
            # One search through all processes for many dynos.
            asyncio.get_running_loop().call_later(STRAYS_DELAY, self._kill_strays)
        self._ended.append(dyno.id)
        removal = asyncio.ensure_future(self._remove_copy(dyno, code))
        self._tasks.add(removal)
        removal.add_done_callback(self._tasks.discard)

    async def _remove_copy(self, dyno: EmulatedDyno, code: SlugDir) -> None:
        """Remove what a dyno leaves behind, once nothing can write to it any more."""
        if code.copies is not None:
            await code.copies.learn(self._copy(dyno))
            self.make_spares(code)
        await asyncio.sleep(2 * STRAYS_DELAY)
        await asyncio.to_thread(file_copy.remove, self._copy(dyno))

    def _kill_strays(self) -> None:
        ended, self._ended = self._ended, []
        kill_strays(ended)

    async def _start_later(
        self, dyno: EmulatedDyno, processes: list[DynoProcess], command: str, variables: dict[str, str], code: SlugDir
    ) -> None:
        """Start a dyno that has to wait for its environment or for its own copy of the code."""
        try:
            environment = await code.environment.built()
            await code.make_copy(self._copy(dyno))
        except (BuildError, OSError) as error:
            for process in processes:
                process.fail(str(error))
            return
        if self.dynos.get(dyno.name) is not dyno:  # it was stopped meanwhile, and nobody else removes its copy
            await asyncio.to_thread(file_copy.remove, self._copy(dyno))
            return
        self.make_spares(code)
        _start_all(processes, self._launch(dyno, command, variables, environment))

    def _launch(self, dyno: EmulatedDyno, command: str, variables: dict[str, str], environment: Path) -> Launch:
        folder = self._copy(dyno)
        # Nothing of our own environment: a dyno sees what it would see on Heroku.
        env = {"LANG": _LANG, "PYTHONUNBUFFERED": "true", **variables}
        path = env.get("PATH", f"/usr/local/bin:/usr/bin:/bin:{self._context.bash.parent}")
        env |= {"DYNO": dyno.name, DYNO_ID: dyno.id, "HOME": str(folder), "PATH": f"{environment / 'bin'}:{path}"}
        if "RUN_SETUP" in env:  # it installs packages, which the next dynos find here
            kept = {"folder": str(environment.parent / "packages"), **installer.for_dyno(environment)}
            env["HEROKU_MAGIC_PACKAGES"] = json.dumps(kept)
        bash = [str(self._context.bash), "--noprofile", "--norc", "-c"]
        if scripts := live_folder.start_up_scripts(folder):
            return Launch([*bash, _PROFILE, "bash", command, *scripts], folder, env)
        return Launch([*bash, command], folder, env)

    def _copy(self, dyno: EmulatedDyno) -> Path:
        """Return the path of a dyno's own copy of the code."""
        return self._context.scratch / f"dyno-{dyno.id}"

    async def _wait_for_end(self, patience: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), patience)


def _start_all(processes: list[DynoProcess], launch: Launch) -> None:
    for process in processes:
        process.start(launch)
