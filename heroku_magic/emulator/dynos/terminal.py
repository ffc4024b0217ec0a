"""A terminal for a process: a script that makes its standard input its controlling terminal, then execs a command.

It runs as `python -I -S terminal.py COMMAND…` in a new session. It is a separate step because a process with
threads cannot safely run Python between fork and exec.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 1000


def open_pair(env: Mapping[str, str]) -> tuple[int, int]:
    """Return our end and the process's end of a terminal, sized by COLUMNS and LINES."""
    ours, theirs = pty.openpty()
    columns, lines = _size(env.get("COLUMNS", "")), _size(env.get("LINES", ""))
    if columns and lines:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    return ours, theirs


def in_terminal(command: list[str]) -> list[str]:
    """Return what to start in a new session, with the terminal as its standard streams."""
    return [sys.executable, "-I", "-S", __file__, *command]


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 and 0 < int(text) <= LARGEST else 0


def main() -> None:
    """Take the terminal and become the command."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - this script starts a shell


if __name__ == "__main__":
    main()
