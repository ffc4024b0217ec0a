"""Gives a process its terminal: a script that makes its standard input its controlling terminal, then becomes it.

`python -I -S terminal.py COMMAND…` in a new session. A step of its own, for Python can do nothing
between fork and exec of a process that has threads.
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


def opened(env: Mapping[str, str]) -> tuple[int, int]:
    """Return a terminal's two ends, ours and the process's, as large as COLUMNS and LINES say."""
    ours, theirs = pty.openpty()
    columns, lines = _size(env.get("COLUMNS", "")), _size(env.get("LINES", ""))
    if columns and lines:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    return ours, theirs


def command(wanted: list[str]) -> list[str]:
    """Return what to start in a new session, with the terminal as its standard streams."""
    return [sys.executable, "-I", "-S", __file__, *wanted]


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 and 0 < int(text) <= LARGEST else 0


def main() -> None:
    """Take the terminal and become the command."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - a shell is what is started


if __name__ == "__main__":
    main()
