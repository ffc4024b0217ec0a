"""The dynos of one app that are there now: each is started where its code lies, with its environment alone."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import folder as live
from heroku_magic.emulator.code import procfile
from heroku_magic.emulator.dynos import strays
from heroku_magic.emulator.dynos.process import DynoProcess, Launch
from heroku_magic.emulator.errors import BuildFailed, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from heroku_magic.emulator.code.installed import Installed
    from heroku_magic.emulator.dynos.rendezvous import Client
    from heroku_magic.emulator.host import Host
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.state import Dyno

# Seconds after a dyno's end until what it left behind is looked for.
STRAYS = 0.5
_LANG = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
_PROFILE = 'for script in "${@:2}"; do source "$script"; done; exec "$BASH" --noprofile --norc -c "$1"'


class Fleet:
    """An app's dynos and their processes."""

    def __init__(self, host: Host, logplex: Logplex) -> None:
        self.dynos: dict[str, Dyno] = {}
        self._host = host
        self._logplex = logplex
        self._processes: dict[str, list[DynoProcess]] = {}
        self._count = 0
        self._ended: list[str] = []
        self._names: deque[str] = deque(maxlen=1500)
        self._starts: set[asyncio.Task[None]] = set()
        self._all_over = asyncio.Event()
        self._all_over.set()

    def find(self, identity: str) -> Dyno:
        """Return a dyno by id or name."""
        for dyno in self.dynos.values():
            if identity in {dyno.id, dyno.name}:
                return dyno
        raise not_found("dyno")

    def of_type(self, kind: str) -> list[Dyno]:
        """Return the dynos of a type."""
        return [dyno for dyno in self.dynos.values() if dyno.type == kind]

    def new_name(self, kind: str) -> str:
        """Return `run.NNNN` with a number that is not in use, nor was lately: its old lines are in the log."""
        while (name := f"{kind}.{secrets.randbelow(9000) + 1000}") in self.dynos or name in self._names:
            pass
        self._names.append(name)
        return name

    def start(
        self,
        dyno: Dyno,
        code: Installed,
        process_types: dict[str, str],
        variables: dict[str, str],
        *,
        time_to_live: int | None = None,
        client: asyncio.Future[Client] | None = None,
        over: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Start a dyno once the answer is written. variables: config and the dyno's own; over: gets the exit status."""
        processes = self._processes_of(dyno, code, client, over)
        for process in processes if time_to_live is not None else []:
            process.expire_in(time_to_live or 0)
        command = procfile.substituted(dyno.command, process_types)
        place = code.environment.ready()
        if place is not None and code.is_live:
            launch = self._launch(dyno, command, variables, code.folder, place)
            asyncio.get_running_loop().call_soon(_start_all, processes, launch)
            return
        start = asyncio.ensure_future(self._start_later(dyno, processes, command, variables, code))
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)

    def stop(self, dyno: Dyno) -> None:
        """Stop a dyno as Heroku does: SIGTERM, a grace, SIGKILL; one that has crashed is forgotten."""
        for process in self._processes.get(dyno.name, ()):
            process.stop()
        if dyno.name not in self._processes:
            self.dynos.pop(dyno.name, None)

    async def close(self, patience: float) -> None:
        """End all dynos, the stubborn ones by force."""
        for process in self._all():
            process.stop()
        await self._wait_for_end(patience)
        for process in self._all():
            process.kill()
        await self._wait_for_end(1)
        if self._ended:
            self._end_strays()

    def measured(self, used: Mapping[int, int]) -> None:
        """Take note of the memory that each process group uses."""
        for process in self._all():
            process.measured(used.get(process.group or 0, 0))

    def _all(self) -> list[DynoProcess]:
        return [process for processes in self._processes.values() for process in processes]

    def _processes_of(
        self,
        dyno: Dyno,
        code: Installed,
        client: asyncio.Future[Client] | None,
        over: Callable[[int], None],
    ) -> list[DynoProcess]:
        """Return the process of a dyno; two of them where the platform runs it twice, as it may in rare cases.

        https://devcenter.heroku.com/articles/one-off-dynos
        """
        self._count += 1
        is_twice = client is None and not dyno.is_kept and self._host.faults.strikes("run-twice", self._count)
        running = 1 + is_twice

        def ended(status: int) -> None:
            nonlocal running
            running -= 1
            if not running:
                self._over(dyno, code)
                over(status)

        host = self._host
        processes = [
            DynoProcess(
                dyno,
                self._logplex,
                host.guard,
                times=host.times,
                faults=host.faults,
                number=self._count,
                client=client,
                over=ended,
            )
            for _ in range(running)
        ]
        self.dynos[dyno.name] = dyno
        self._processes[dyno.name] = processes
        self._all_over.clear()
        return processes

    def _over(self, dyno: Dyno, code: Installed) -> None:
        loop = asyncio.get_running_loop()
        if dyno.state != "crashed":
            self.dynos.pop(dyno.name, None)
        self._processes.pop(dyno.name, None)
        if not self._processes:
            self._all_over.set()
        if not code.is_live:
            loop.run_in_executor(None, _remove, self._copy(dyno))
        if not self._ended:
            # One look at all processes for many dynos.
            loop.call_later(STRAYS, self._end_strays)
        self._ended.append(dyno.id)

    def _end_strays(self) -> None:
        ended, self._ended = self._ended, []
        strays.end(ended)

    async def _start_later(
        self, dyno: Dyno, processes: list[DynoProcess], command: str, variables: dict[str, str], code: Installed
    ) -> None:
        """Start it where waiting is needed: for the environment, or for its own copy of the code."""
        try:
            place = await code.environment.built()
            folder = await asyncio.to_thread(code.copied, self._copy(dyno))
        except (BuildFailed, OSError, shutil.Error) as error:
            for process in processes:
                process.fail(str(error))
            return
        _start_all(processes, self._launch(dyno, command, variables, folder, place))

    def _launch(self, dyno: Dyno, command: str, variables: dict[str, str], folder: Path, place: Path) -> Launch:
        bash = [str(self._host.bash), "--noprofile", "--norc", "-c"]
        env = self._env(dyno, variables, folder, place)
        if scripts := live.start_up_scripts(folder):
            return Launch([*bash, _PROFILE, "bash", command, *scripts], folder, env)
        return Launch([*bash, command], folder, env)

    def _env(self, dyno: Dyno, variables: dict[str, str], folder: Path, place: Path) -> dict[str, str]:
        """Nothing of our own environment: what a dyno sees here it sees on Heroku."""
        env = {"LANG": _LANG, "PYTHONUNBUFFERED": "true", **variables}
        path = env.get("PATH", f"/usr/local/bin:/usr/bin:/bin:{self._host.bash.parent}")
        return {**env, "DYNO": dyno.name, strays.MARK: dyno.id, "HOME": str(folder), "PATH": f"{place / 'bin'}:{path}"}

    def _copy(self, dyno: Dyno) -> Path:
        """Where a dyno has its own copy of the code."""
        return self._host.scratch() / f"dyno-{dyno.id}"

    async def _wait_for_end(self, patience: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_over.wait(), patience)


def _start_all(processes: list[DynoProcess], launch: Launch) -> None:
    for process in processes:
        process.start(launch)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
