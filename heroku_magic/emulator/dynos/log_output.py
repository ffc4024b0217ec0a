"""Reads a dyno's output into its app's log, no faster than the log's readers read it."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from heroku_magic.emulator.logs.splitter import Splitter

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import IO

    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.logs.splitter import Lines

CHUNK = 65_536
# A real dyno takes seconds to boot, so a client, which learns its name from the create's response, has its log open
# before the first line. Ours prints within milliseconds: until the log has a reader, or for this many seconds,
# no more of its output is read than the log's buffer holds.
YOUTH = 1.0
YOUNG_LINES = 1000


class LogOutput:
    """A dyno's two output pipes. on_read: called when all output is in the log."""

    def __init__(
        self, process: subprocess.Popen[bytes], name: str, logplex: Logplex, on_read: Callable[[], None]
    ) -> None:
        self._name = name
        self._logplex = logplex
        self._on_read = on_read
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
        """The dyno has ended: cut off after this time what another process keeps open."""
        if self._linger is None:
            self._linger = self._loop.call_later(seconds, self._cut_off, seconds)

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

    def _publish(self) -> None:
        while self._held and (allowed := self._allowance()) > 0:
            when, lines = self._held.popleft()
            if len(lines) > allowed:
                self._held.appendleft((when, lines[allowed:]))
                lines = lines[:allowed]
            self._logplex.publish("app", self._name, lines, when)
        if self._held:
            self._pause()
        if self.is_read:
            self._on_read()

    def _allowance(self) -> int:
        """How many lines may go into the log now."""
        if self._logplex.is_watched(self._name):
            return CHUNK if self._logplex.has_room(self._name) else 0
        if self._loop.time() >= self._youth_ends:
            return CHUNK
        return self._young_until - self._logplex.total

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            for pipe in self._splitters:
                self._loop.remove_reader(pipe.fileno())
            self._logplex.waiting.add(self._resume)
            self._loop.call_at(self._youth_ends, self._resume)

    def _resume(self) -> None:
        if not self._is_paused or self._allowance() <= 0:
            return
        self._is_paused = False
        self._logplex.waiting.discard(self._resume)
        self._publish()
        if not self._is_paused:
            for pipe in self._splitters:
                self._loop.add_reader(pipe.fileno(), self._read, pipe)

    def _cut_off(self, seconds: float) -> None:
        self._linger = None
        if self._is_paused:
            self.end_within(seconds)
            return
        when = self._logplex.timestamp()
        for pipe, splitter in tuple(self._splitters.items()):
            # A busy loop gets here before it has read what the dyno wrote last.
            with suppress(BlockingIOError):
                self._held.extend(splitter.feed(os.read(pipe.fileno(), CHUNK), when))
            self._held.extend(splitter.flush(when))
            self._close(pipe)
        self._publish()

    def _close(self, pipe: IO[bytes]) -> None:
        self._loop.remove_reader(pipe.fileno())
        del self._splitters[pipe]
        pipe.close()
