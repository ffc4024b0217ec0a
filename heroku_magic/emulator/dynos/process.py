"""One dyno as a process group: start, output, stop, end, with Heroku's own system lines in the log.

https://devcenter.heroku.com/articles/dyno-shutdown-behavior
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.dynos import terminal
from heroku_magic.emulator.dynos.attached import Attached
from heroku_magic.emulator.dynos.link import AttachFaults
from heroku_magic.emulator.dynos.log_output import LogOutput
from heroku_magic.emulator.dynos.reaper import kill_group
from heroku_magic.emulator.dynos.watch import group_members, when_child_ends
from heroku_magic.platform_facts.dyno_sizes import DYNO_SIZES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.dynos.reaper import Reaper
    from heroku_magic.emulator.dynos.rendezvous import Client
    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.state import EmulatedDyno
    from heroku_magic.emulator.timings import Timings

# Seconds that a process outside the group can delay the exit line by holding the output open.
LINGER = 0.2
GROUP_POLL = 0.05
# SIGHUPs to a dyno whose client has left, before R16.
HANGUPS = 3
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Launch:
    """A command, its working directory and its complete environment.

    It starts in three ways: for the log, in a terminal, or with pipes to a client.
    """

    command: list[str]
    folder: Path
    env: dict[str, str]

    def start(self, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the command with its output as pipes."""
        return self._popen(self.command, stdin, subprocess.PIPE, stderr)

    def start_with_pipes(self) -> tuple[subprocess.Popen[bytes], int, int]:
        """Start the command with stdout and stderr as one pipe; return our ends of its output and its input."""
        process = self.start(subprocess.PIPE, subprocess.STDOUT)
        assert process.stdout is not None  # noqa: S101 - they are pipes
        assert process.stdin is not None  # noqa: S101
        output, input_ = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
        process.stdout.close()
        process.stdin.close()
        return process, output, input_

    def start_in_terminal(self) -> tuple[subprocess.Popen[bytes], int, int]:
        """Start the command in a terminal; return our end of it twice, for output and for input."""
        ours, theirs = terminal.open_pair(self.env)
        try:
            process = self._popen(terminal.in_terminal(self.command), theirs, theirs, theirs)
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return process, ours, os.dup(ours)

    def _popen(self, command: list[str], stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        streams: dict[str, Any] = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "bufsize": 0}
        return subprocess.Popen(command, cwd=self.folder, env=self.env, start_new_session=True, **streams)


@dataclass(eq=False)
class DynoProcess:
    """One dyno's process group.

    number: the dyno's ordinal, which decides which faults strike it. client: yields the client of an
    attached dyno. on_end: called once with the exit status.
    """

    dyno: EmulatedDyno
    logplex: Logplex
    reaper: Reaper
    timings: Timings
    faults: Faults
    number: int
    client: asyncio.Future[Client] | None
    on_end: Callable[[int], None]

    def __post_init__(self) -> None:
        self._size = DYNO_SIZES[self.dyno.size.lower()]
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._output: LogOutput | Attached | None = None
        self._is_stopping = False
        self._terminated: set[int] = set()
        self._is_killed = False
        self._has_ended = False

    def start(self, launch: Launch) -> None:
        """Start the command after the boot, unless the dyno is stopped before."""
        if seconds := self.timings.boot + self.faults["slow-boot"]:
            self.later(seconds, self._boot, launch)
        else:
            self._boot(launch)

    def stop(self) -> None:
        """Send SIGTERM to all its processes, and SIGKILL after the grace."""
        if self._is_stopping or self._has_ended:
            return
        self._is_stopping = True
        self._log("Stopping all processes with SIGTERM")
        if self._process is None:
            self._finish(128 + signal.SIGTERM)
            return
        self._terminated = group_members(self._process.pid)
        self._signal(signal.SIGTERM)
        self.later(self.timings.grace, self._exceed_grace)

    def kill(self) -> None:
        """Send SIGKILL to all its processes."""
        self._is_killed = True
        self._signal(signal.SIGKILL)

    def fail(self, message: str, status: int = 1) -> None:
        """End without having started."""
        if not self._has_ended:
            self._log(message)
            self._finish(status)

    def check_memory(self, used_by_group: dict[int, int], *, is_logged: bool) -> None:
        """Apply the memory quota to what its processes use, in bytes, and log it as Heroku's lab does.

        https://devcenter.heroku.com/articles/log-runtime-metrics
        """
        if self._process is None:
            return
        self._apply_quota(used_by_group.get(self._process.pid, 0))
        if is_logged and not self._has_ended:
            used = used_by_group.get(self._process.pid, 0) / MEGABYTE
            self._log(
                f"source={self.dyno.name} dyno=heroku.{self.dyno.id} sample#memory_total={used:.2f}MB "
                f"sample#memory_rss={used:.2f}MB sample#memory_quota={self._size.quota / MEGABYTE:.2f}MB"
            )

    def _apply_quota(self, used: float) -> None:
        """Report memory above the quota, and kill far above it: https://devcenter.heroku.com/articles/dyno-memory-behavior."""
        quota = self._size.quota
        if self._has_ended or self._is_killed or used <= quota:
            return
        self._log(f"Process running mem={used / MEGABYTE:.0f}M({used / quota:.1%})")
        if used < self._size.vast * quota:
            self._log("Error R14 (Memory quota exceeded)")
            return
        self._log("Error R15 (Memory quota vastly exceeded)")
        self._log("Stopping process with SIGKILL")
        self.kill()

    def _boot(self, launch: Launch) -> None:
        if self._has_ended:
            return
        if self.client is None:
            self._begin(launch)
            return
        self._log("Awaiting client")
        self.later(self.timings.attach, self._miss_client)
        self.client.add_done_callback(lambda client: None if client.cancelled() else self._begin(launch))

    def _miss_client(self) -> None:
        if self._process is None:
            self.fail("Error R13 (Attach error) -> Failed to attach to process", 128)

    def _begin(self, launch: Launch) -> None:
        if self._has_ended:
            return
        self._log(f"Starting process with command `{self.dyno.command}`")
        try:
            self._process = process = launch.start() if self.client is None else self._attach(launch, self.client)
        except OSError as error:
            self.fail(f"The process could not be started: {error}", 126)
            return
        self.reaper.add_group(process.pid)
        self.reaper.add_dyno(self.dyno.id)
        self._change("up")
        if self._output is None:
            self._output = LogOutput(process, self.dyno.name, self.logplex, self._settle)
        when_child_ends(process, self._ended)
        self._schedule_faults()

    def _attach(self, launch: Launch, client: asyncio.Future[Client]) -> subprocess.Popen[bytes]:
        """Start the command with its client as its standard streams."""
        connection, number = client.result()
        faults = AttachFaults.of(self.faults, number)
        attached = Attached(connection, faults, self.timings, on_left=self._hang_up, on_read=self._settle)
        has_terminal = self.dyno.has_terminal
        process, output, input_ = launch.start_in_terminal() if has_terminal else launch.start_with_pipes()
        attached.begin(output, input_, is_terminal=has_terminal)
        self._output = attached
        return process

    def _schedule_faults(self) -> None:
        faults, number = self.faults, self.number
        if faults.strikes("dyno-killed", number):
            self.later(2 * faults.share("dyno-killed moment", number), self.kill)
        if faults.strikes("over-memory", number):
            moment = faults.share("over-memory moment", number)
            self.later(moment, self._apply_quota, 1.2 * self._size.quota)
            self.later(moment + 0.2, self._apply_quota, 2 * self._size.quota)

    def _hang_up(self, times: int = 0) -> None:
        """The client has left: send SIGHUP a few times; a process that ignores it continues."""
        if self._has_ended or self._process is None:
            return
        if times == HANGUPS:
            self._log(
                "Error R16 (Detached) -> An attached process is not responding to SIGHUP after its external connection "
                "was closed."
            )
            return
        self._log("Client connection closed. Sending SIGHUP to all processes")
        self._signal(signal.SIGHUP)
        self.later(self.timings.hangup, self._hang_up, times + 1)

    def _exceed_grace(self) -> None:
        if self._has_ended or self._process is None or not group_members(self._process.pid):
            return
        seconds = f"{self.timings.grace:g} seconds"
        self._log(f"Error R12 (Exit timeout) -> At least one process failed to exit within {seconds} of SIGTERM")
        self._log("Stopping remaining processes with SIGKILL")
        self.kill()
        self._settle()

    def _ended(self) -> None:
        """The leader has ended: the dyno ends with it, but a stop leaves the other processes their grace."""
        if not self._is_stopping:
            self.kill()
        if self._process is not None:
            self._process.wait()
        self._settle()

    def _settle(self) -> None:
        """Finish once the leader is reaped, the others had their grace and the output is read."""
        process, output = self._process, self._output
        if self._has_ended or process is None or output is None or process.returncode is None:
            return
        if not self._is_killed and (members := group_members(process.pid)):
            self._terminate_newcomers(members)
            self.later(GROUP_POLL, self._settle)
        elif output.is_read:
            # As a shell reports it: 128 and the signal's number for a killed process.
            self._finish(process.returncode if process.returncode >= 0 else 128 - process.returncode)
        else:
            output.end_within(LINGER)

    def _terminate_newcomers(self, members: set[int]) -> None:
        """Send SIGTERM to what the leader started after the stop and left behind."""
        for pid in members - self._terminated:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)
        self._terminated |= members

    def _finish(self, status: int) -> None:
        self._has_ended = True
        for timer in self._timers:
            timer.cancel()
        if self._process is not None:
            self.reaper.forget_group(self._process.pid)
        if isinstance(self._output, Attached):
            self._output.close()
        elif self.client is not None and not self.client.cancel():
            self.client.result().connection.close()  # it was not yet greeted
        # A one-off is complete, whatever its status; only a dyno of the formation can crash.
        last_state = "complete" if not self.dyno.is_kept else "down" if self._is_stopping else "crashed"
        if self.faults.strikes("no-exit-line", self.number):
            self.dyno.change(last_state)
        else:
            self._log(f"Process exited with status {status}")
            self._change(last_state)
        self.on_end(status)

    def _signal(self, number: int) -> None:
        """Signal the group; its number stays ours as long as it has a member or the leader is not reaped."""
        if self._process is not None:
            kill_group(self._process.pid, number)

    def _change(self, state: str) -> None:
        self._log(f"State changed from {self.dyno.state} to {state}")
        self.dyno.change(state)

    def later(self, seconds: float, do: Callable[..., None], *arguments: Any) -> None:
        """Call a function after this many seconds, unless the dyno has ended."""
        self._timers.append(self._loop.call_later(seconds, do, *arguments))

    def _log(self, message: str) -> None:
        self.logplex.log("heroku", self.dyno.name, message)
