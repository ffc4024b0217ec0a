"""A one-off dyno's life as a process group: start, output into the log, stop, end; it knows no HTTP.

The system lines are Heroku's own: https://devcenter.heroku.com/articles/dyno-shutdown-behavior
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.dynos import terminal
from heroku_magic.emulator.dynos.attached import Attached
from heroku_magic.emulator.dynos.life import group_lives, when_child_ends
from heroku_magic.emulator.logs.splitter import Splitter
from heroku_magic.emulator.sizes import VAST, memory_of, vast_factor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

    from heroku_magic.emulator.dynos.guard import Guard
    from heroku_magic.emulator.dynos.rendezvous import Client
    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.logs.splitter import Lines
    from heroku_magic.emulator.state import Dyno
    from heroku_magic.emulator.times import Times

CHUNK = 65_536
# A real dyno takes seconds to boot, so that its client, who learns its name only from the create's
# answer, has its log open before the first line. Ours prints within milliseconds: until somebody reads
# its log, or for this many seconds, no more of its output is taken than what the log's buffer holds.
YOUTH = 1.0
YOUNG_LINES = 1000
# Seconds that a process outside the group, holding the output open, can delay the exit line.
LINGER = 0.2
GROUP_POLL = 0.05
# SIGHUPs to a dyno whose client has left, before R16.
HANGUPS = 3
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Launch:
    """What to start, where, with which environment and nothing else."""

    command: list[str]
    folder: Path
    env: dict[str, str]


class DynoProcess:
    """One dyno's process group.

    number: the dyno's ordinal, which decides what faults strike it. client: brings the client of an
    attached dyno. over: called once with its status, when it is gone.
    """

    def __init__(
        self,
        dyno: Dyno,
        logplex: Logplex,
        guard: Guard,
        *,
        times: Times,
        faults: Faults,
        number: int,
        client: asyncio.Future[Client] | None,
        over: Callable[[int], None],
    ) -> None:
        self._dyno = dyno
        self._logplex = logplex
        self._guard = guard
        self._times = times
        self._faults = faults
        self._number = number
        self._client = client
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._output: _Output | Attached | None = None
        self._is_stopping = False
        self._is_killed = False
        self._is_over = False

    @property
    def group(self) -> int | None:
        """The process group, once there is one."""
        return self._process.pid if self._process is not None else None

    def start(self, launch: Launch) -> None:
        """Start the command, after the boot, unless it was stopped before."""
        if seconds := self._times.boot + self._faults["slow-boot"]:
            self._later(seconds, self._boot, launch)
        else:
            self._boot(launch)

    def _boot(self, launch: Launch) -> None:
        if self._is_over:
            return
        if self._client is None:
            self._begin(launch)
            return
        self._say("Awaiting client")
        self._later(self._times.attach, self._miss_client)
        self._client.add_done_callback(lambda client: None if client.cancelled() else self._begin(launch))

    def _miss_client(self) -> None:
        if self._process is None:
            self.fail("Error R13 (Attach error) -> Failed to attach to process", 128)

    def _begin(self, launch: Launch) -> None:
        if self._is_over:
            return
        self._say(f"Starting process with command `{self._dyno.command}`")
        try:
            self._process = process = self._attach(launch) if self._client is not None else _spawn(launch)
        except OSError as error:
            self.fail(f"The process could not be started: {error}", 126)
            return
        self._guard.keep(process.pid)
        self._guard.keep_dyno(self._dyno.id)
        self._change("up")
        if self._output is None:
            self._output = _Output(process, self._dyno.name, self._logplex, self._settle)
        when_child_ends(process, self._ended)
        self._meet_faults()

    def _attach(self, launch: Launch) -> subprocess.Popen[bytes]:
        """Start the command with its client as its standard streams."""
        assert self._client is not None  # noqa: S101 - it is asked before
        attached = Attached(self._client.result(), idle=self._times.attach_idle, left=self._hang_up, read=self._settle)
        process, output, input_ = _spawn_in_terminal(launch) if self._dyno.has_terminal else _spawn_with_pipes(launch)
        attached.begin(output, input_, is_terminal=self._dyno.has_terminal)
        self._output = attached
        return process

    def _meet_faults(self) -> None:
        faults, number = self._faults, self._number
        if faults.strikes("dyno-killed", number):
            self._later(2 * faults.share("dyno-killed moment", number), self.kill)
        if faults.strikes("over-memory", number):
            quota = memory_of(self._dyno.size)
            moment = faults.share("over-memory moment", number)
            self._later(moment, self.measured, 1.2 * quota)
            self._later(moment + 0.2, self.measured, VAST * quota)

    def measured(self, used: float) -> None:
        """Take note of how much memory its processes use, in bytes.

        https://devcenter.heroku.com/articles/dyno-memory-behavior
        """
        quota = memory_of(self._dyno.size)
        if self._is_over or self._is_killed or used <= quota:
            return
        self._say(f"Process running mem={used / MEGABYTE:.0f}M({used / quota:.1%})")
        if used < vast_factor(self._dyno.size) * quota:
            self._say("Error R14 (Memory quota exceeded)")
            return
        self._say("Error R15 (Memory quota vastly exceeded)")
        self._say("Stopping process with SIGKILL")
        self.kill()

    def _hang_up(self, times: int = 0) -> None:
        """The client has left: its process is told so, again and again; one that does not care goes on."""
        if self._is_over or self._process is None:
            return
        if times == HANGUPS:
            self._say(
                "Error R16 (Detached) -> An attached process is not responding to SIGHUP after its external connection "
                "was closed."
            )
            return
        self._say("Client connection closed. Sending SIGHUP to all processes")
        self._signal(signal.SIGHUP)
        self._later(self._times.hangup, self._hang_up, times + 1)

    def _later(self, seconds: float, do: Callable[..., None], *arguments: Any) -> None:
        self._timers.append(self._loop.call_later(seconds, do, *arguments))

    def fail(self, message: str, status: int = 1) -> None:
        """End without having started."""
        if not self._is_over:
            self._say(message)
            self._finish(status)

    def expire_in(self, seconds: float) -> None:
        """Stop it after so many seconds."""
        self._later(seconds, self.stop)

    def stop(self) -> None:
        """SIGTERM to all its processes; after the grace SIGKILL."""
        if self._is_stopping or self._is_over:
            return
        self._is_stopping = True
        self._say("Stopping all processes with SIGTERM")
        if self._process is None:
            self._finish(128 + signal.SIGTERM)
            return
        self._signal(signal.SIGTERM)
        self._later(self._times.grace, self._exceed_grace)

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        self._is_killed = True
        self._signal(signal.SIGKILL)

    def _exceed_grace(self) -> None:
        if self._is_over or self._process is None or not group_lives(self._process.pid):
            return
        seconds = f"{self._times.grace:g} seconds"
        self._say(f"Error R12 (Exit timeout) -> At least one process failed to exit within {seconds} of SIGTERM")
        self._say("Stopping remaining processes with SIGKILL")
        self.kill()
        self._settle()

    def _ended(self) -> None:
        """The leader has ended: the dyno ends with it, but a stop leaves the others their grace."""
        if not self._is_stopping:
            self.kill()
        if self._process is not None:
            self._process.wait()
        self._settle()

    def _settle(self) -> None:
        """Finish once the leader is reaped, the others had their grace and the output is read."""
        process, output = self._process, self._output
        if self._is_over or process is None or output is None or process.returncode is None:
            return
        if not self._is_killed and group_lives(process.pid):
            self._later(GROUP_POLL, self._settle)
        elif output.is_read:
            self._finish(_status(process.returncode))
        else:
            output.end_within(LINGER)

    def _finish(self, status: int) -> None:
        self._is_over = True
        for timer in self._timers:
            timer.cancel()
        if self._process is not None:
            self._guard.forget(self._process.pid)
        if self._client is not None:
            self._client.cancel()
        if isinstance(self._output, Attached):
            self._output.close()
        self._tell_end(status)
        self._over(status)

    def _tell_end(self, status: int) -> None:
        if self._faults.strikes("no-exit-line", self._number):
            self._dyno.change(self._last_state())
            return
        self._say(f"Process exited with status {status}")
        self._change(self._last_state())

    def _last_state(self) -> str:
        """A one-off is complete, whatever its status; only a dyno of the formation crashes."""
        if not self._dyno.is_kept:
            return "complete"
        return "down" if self._is_stopping else "crashed"

    def _signal(self, number: int) -> None:
        """Signal the group; its number stays ours as long as it has a member or the leader is not reaped."""
        if self._process is not None:
            self._guard.kill(self._process.pid, number)

    def _change(self, state: str) -> None:
        self._say(f"State changed from {self._dyno.state} to {state}")
        self._dyno.change(state)

    def _say(self, message: str) -> None:
        self._logplex.say("heroku", self._dyno.name, message)


class _Output:
    """A dyno's two pipes: read into the log no faster than its readers take it."""

    def __init__(
        self, process: subprocess.Popen[bytes], name: str, logplex: Logplex, settled: Callable[[], None]
    ) -> None:
        self._name = name
        self._logplex = logplex
        self._settled = settled
        self._loop = asyncio.get_running_loop()
        self._splitters = {pipe: Splitter() for pipe in (process.stdout, process.stderr) if pipe is not None}
        self._held: deque[Lines] = deque()
        self._is_paused = False
        self._linger: asyncio.TimerHandle | None = None
        self._youth_ends = self._loop.time() + YOUTH
        self._young_until = logplex.total + YOUNG_LINES
        for pipe in self._splitters:
            os.set_blocking(pipe.fileno(), False)
            self._loop.add_reader(pipe.fileno(), self._read, pipe)

    @property
    def is_read(self) -> bool:
        """Whether all output is in the log."""
        return not self._splitters and not self._held

    def end_within(self, seconds: float) -> None:
        """Nobody of the dyno writes any more: what is not closed by then is cut off."""
        if self._linger is None:
            self._linger = self._loop.call_later(seconds, self._cut_off)

    def _read(self, pipe: IO[bytes]) -> None:
        if self._allowance() <= 0:
            self._pause()
            return
        try:
            chunk = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return
        when = self._logplex.timestamp()
        splitter = self._splitters[pipe]
        self._held.extend(splitter.feed(chunk, when) if chunk else splitter.flush(when))
        if not chunk:
            self._close(pipe)
        self._publish()
        if self.is_read:
            self._settled()

    def _publish(self) -> None:
        while self._held and (allowed := self._allowance()) > 0:
            when, lines = self._held.popleft()
            if len(lines) > allowed:
                self._held.appendleft((when, lines[allowed:]))
                lines = lines[:allowed]
            self._logplex.publish("app", self._name, lines, when)
        if self._held:
            self._pause()

    def _allowance(self) -> int:
        """How many lines may go into the log now."""
        if self._logplex.is_watched(self._name):
            return CHUNK if self._logplex.has_room(self._name) else 0
        if self._loop.time() >= self._youth_ends:
            return CHUNK
        return self._young_until - self._logplex.total

    def _pause(self) -> None:
        if self._is_paused:
            return
        self._is_paused = True
        for pipe in self._splitters:
            self._loop.remove_reader(pipe.fileno())
        self._logplex.waiting.add(self._go_on)
        self._loop.call_at(self._youth_ends, self._go_on)

    def _go_on(self) -> None:
        if not self._is_paused or self._allowance() <= 0:
            return
        self._is_paused = False
        self._logplex.waiting.discard(self._go_on)
        self._publish()
        if self._is_paused:
            return
        for pipe in self._splitters:
            self._loop.add_reader(pipe.fileno(), self._read, pipe)
        if self.is_read:
            self._settled()

    def _cut_off(self) -> None:
        self._linger = None
        if self._is_paused:
            self.end_within(LINGER)
            return
        when = self._logplex.timestamp()
        for pipe, splitter in tuple(self._splitters.items()):
            # A busy loop comes here before it has read what the dyno wrote last.
            with suppress(BlockingIOError):
                self._held.extend(splitter.feed(os.read(pipe.fileno(), CHUNK), when))
            self._held.extend(splitter.flush(when))
            self._close(pipe)
        self._publish()
        if self.is_read:
            self._settled()

    def _close(self, pipe: IO[bytes]) -> None:
        self._loop.remove_reader(pipe.fileno())
        del self._splitters[pipe]
        pipe.close()


def _spawn(launch: Launch) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        launch.command,
        cwd=launch.folder,
        env=launch.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )


def _spawn_in_terminal(launch: Launch) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start a command in a terminal; return our end of it twice, for output and for input."""
    ours, theirs = terminal.opened(launch.env)
    try:
        process = subprocess.Popen(
            terminal.command(launch.command),
            cwd=launch.folder,
            env=launch.env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return process, ours, os.dup(ours)


def _spawn_with_pipes(launch: Launch) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start a command with its output, both kinds in one, and its input as pipes; return our ends."""
    process = subprocess.Popen(
        launch.command,
        cwd=launch.folder,
        env=launch.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        bufsize=0,
    )
    assert process.stdout is not None  # noqa: S101 - they are pipes
    assert process.stdin is not None  # noqa: S101
    output, input_ = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
    process.stdout.close()
    process.stdin.close()
    return process, output, input_


def _status(returncode: int) -> int:
    """The status as a shell tells it: 128 and the signal's number for a killed process."""
    return returncode if returncode >= 0 else 128 - returncode
