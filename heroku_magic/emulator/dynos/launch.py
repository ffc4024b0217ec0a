"""What a dyno runs, and the three ways to start it: for the log, in a terminal, or with pipes to a client."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.dynos import terminal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Launch:
    """A command, its working directory and its complete environment."""

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
