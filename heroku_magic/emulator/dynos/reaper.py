"""The reaper: a small second process that ends the dynos when the emulator itself was killed.

It runs as a script (`python -I -S reaper.py`), so it imports the standard library only. It learns of each
process group through a pipe and acts when the pipe closes: the kernel closes it when the emulator dies.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Iterator
    from pathlib import Path

# From Heroku's lab `runtime-dyno-metadata`: https://devcenter.heroku.com/articles/dyno-metadata
DYNO_ID = "HEROKU_DYNO_ID"


class Reaper:
    """The emulator's end of the pipe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the small process in a session that no Ctrl-C reaches."""
        import subprocess

        command = [sys.executable, "-I", "-S", __file__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, cwd="/", bufsize=0
        )

    def add_group(self, group: int) -> None:
        """End this process group if the emulator dies."""
        self._send(f"+{group}")

    def forget_group(self, group: int) -> None:
        """Forget a process group that is over, because its number may be reused."""
        self._send(f"-{group}")

    def add_dyno(self, dyno_id: str) -> None:
        """At the end, end the processes that left this dyno's process group too."""
        self._send(f"={dyno_id}")

    def add_folder(self, folder: Path) -> None:
        """Remove this folder at the end."""
        self._send(f"/{folder}")

    @contextmanager
    def watching(self, group: int) -> Iterator[None]:
        """End this process group if the emulator dies while the block runs."""
        self.add_group(group)
        try:
            yield
        finally:
            self.forget_group(group)

    def stop(self) -> None:
        """Close the pipe: the small process cleans up and ends."""
        if self._process is not None:
            self._process.communicate()

    def _send(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError, ValueError):  # the reaper was killed or stopped
                self._process.stdin.write(os.fsencode(line) + b"\n")


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process group, if it still exists; macOS forbids it for zombies."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_strays(dyno_ids: Collection[str]) -> None:
    """Kill what left its process group (setsid) and outlived its dyno; only Linux shows which dyno it was.

    This reads /proc itself, because the script cannot import psutil.
    """
    marks = {f"{DYNO_ID}={dyno_id}".encode() for dyno_id in dyno_ids}
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):  # noqa: PTH112, PTH208 - pathlib starts slowly
        with suppress(OSError):  # not ours, or gone
            with open(f"/proc/{pid}/environ", "rb") as environ:  # noqa: PTH123
                is_stray = not marks.isdisjoint(environ.read().split(b"\0"))
            if is_stray:
                os.kill(int(pid), signal.SIGKILL)


def main() -> None:
    """Collect what the emulator sends; when the pipe closes, clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kept: dict[str, list[str]] = {"+": [], "=": [], "/": []}
    for line in sys.stdin.buffer:
        text = os.fsdecode(line[1:].rstrip(b"\n"))
        if line.startswith(b"-"):
            kept["+"] = [group for group in kept["+"] if group != text]
        else:
            kept[chr(line[0])].append(text)
    for group in kept["+"]:
        kill_group(int(group))
    if kept["="]:
        kill_strays(kept["="])
    if kept["/"]:
        import shutil

        for folder in kept["/"]:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
