"""A dyno's life as a real process: start, log, stop, end; which dynos there may be is state.py's.

The process is `bash` in a session of its own, with the app's folder as its home and only the
variables that a dyno has. https://devcenter.heroku.com/articles/dynos
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

from heroku_magic.emulator.environment import InstallFailed
from heroku_magic.emulator.state import new_id, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.emulator.environment import Environment
    from heroku_magic.emulator.guard import Guard
    from heroku_magic.emulator.state import App, Release

GRACE = 30.0  # seconds from SIGTERM to SIGKILL: https://devcenter.heroku.com/articles/dyno-shutdown-behavior
READ = 65536  # bytes
LEFTOVERS = 0.2  # seconds to read what an ended process's pipes still hold
_PROFILE = 'for f in .profile.d/*.sh .profile; do [ -f "$f" ] && . "./$f"; done; '


def find_bash() -> str | None:
    """Return bash's path, or None: every dyno's command is run by it."""
    return shutil.which("bash")


class Dyno:
    """One one-off dyno."""

    def __init__(  # noqa: PLR0913 - what the API's create takes
        self,
        app: App,
        *,
        kind: str,
        command: str,
        size: str,
        env: Mapping[str, str],
        time_to_live: int | None,
        grace: float = GRACE,
    ) -> None:
        self.id = new_id()
        self.name = app.free_name(kind)
        self.type = kind
        self.command = command
        self.size = size
        self.state = "starting"
        self.release: Release = app.release()
        self.created_at = self.updated_at = now()
        self._app = app
        self._env = dict(env)
        self._time_to_live = time_to_live
        self._grace = grace
        self._began = time.monotonic()
        self._lines = 0
        self._stop_asked = asyncio.Event()
        self._group: int | None = None

    def stop(self) -> None:
        """Ask for its end; returns at once."""
        self._stop_asked.set()

    async def live(self, environment: Environment, guard: Guard) -> None:
        """Run from the start to the end; the record is gone when this returns."""
        status = 128
        try:
            process = await self._start(environment)
            guard.watch(process.pid)
            try:
                status = await self._run(process)
            finally:
                guard.forget(process.pid)
        except (InstallFailed, OSError) as error:
            self._app.logplex.write("app", self.name, [line.encode() for line in f"{error}".splitlines()])
        finally:
            self._app.dynos.pop(self.name, None)
            self._say(f"Process exited with status {status}")
            self._change("complete")

    async def _start(self, environment: Environment) -> asyncio.subprocess.Process:
        bin_folder = await environment.path()
        bash = find_bash()
        if bash is None:
            message = "bash was not found on this machine"
            raise FileNotFoundError(message)
        command = self._app.command_of(self.command)
        profile = _PROFILE if _has_profile(self._app) else ""
        self._say(f"Starting process with command `{command}`")
        process = await asyncio.create_subprocess_exec(
            *(bash, "--noprofile", "--norc", "-c", profile + command),
            cwd=self._app.folder.path,
            env=self._environment(str(bin_folder), bash),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=READ,
        )
        self._group = process.pid
        self._change("up")
        return process

    def _environment(self, bin_folder: str, bash: str) -> dict[str, str]:
        """Only what a dyno has, and nothing of this server's own environment."""
        path = [bin_folder, "/usr/local/bin", "/usr/bin", "/bin", os.path.dirname(bash)]  # noqa: PTH120 - text for PATH
        fixed = {"DYNO": self.name, "HOME": str(self._app.folder.path), "PATH": ":".join(dict.fromkeys(path))}
        usual = {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "true"}
        return {**usual, **self._app.all_config(), **fixed, **self._env}

    async def _run(self, process: asyncio.subprocess.Process) -> int:
        reading = [asyncio.ensure_future(self._ship(pipe)) for pipe in (process.stdout, process.stderr) if pipe]
        ending = asyncio.ensure_future(self._end_when_asked())
        status = await process.wait()
        ending.cancel()
        self._signal(signal.SIGKILL)  # what it left behind in its group
        _, late = await asyncio.wait(reading, timeout=LEFTOVERS if self._stop_asked.is_set() else None)
        for task in late:
            task.cancel()
        return status if status >= 0 else 128 - status

    async def _ship(self, pipe: asyncio.StreamReader) -> None:
        """Read a pipe to its end, line by line; no faster than the log's readers."""
        rest = b""
        while chunk := await pipe.read(READ):
            *messages, rest = (rest + chunk).split(b"\n")
            self._lines += len(messages)
            self._app.logplex.write("app", self.name, messages)
            await self._app.logplex.room(time.monotonic() - self._began, self._lines)
        if rest:
            self._app.logplex.write("app", self.name, [rest])

    async def _end_when_asked(self) -> None:
        """SIGTERM when asked or when its time is over, SIGKILL when that is not enough."""
        try:
            await asyncio.wait_for(self._stop_asked.wait(), self._time_to_live)
        except asyncio.TimeoutError:
            self._stop_asked.set()
        self._say("Stopping all processes with SIGTERM")
        self._signal(signal.SIGTERM)
        await asyncio.sleep(self._grace)
        self._say("Error R12 (Exit timeout) -> At least one process failed to exit within 30 seconds of SIGTERM")
        self._say("Stopping remaining processes with SIGKILL")
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._group is not None:
            try:
                os.killpg(self._group, number)
            except (ProcessLookupError, PermissionError):
                return  # the whole group is gone already

    def _change(self, state: str) -> None:
        self._say(f"State changed from {self.state} to {state}")
        self.state = state
        self.updated_at = now()

    def _say(self, text: str) -> None:
        self._app.logplex.write("heroku", self.name, [text.encode()])


def _has_profile(app: App) -> bool:
    """Whether the folder has scripts that a dyno sources before its command."""
    folder = app.folder.path
    return (folder / ".profile").is_file() or (folder / ".profile.d").is_dir()
