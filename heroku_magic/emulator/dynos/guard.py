"""The guard: a small second process that ends the dynos when the emulator itself was killed; it starts nothing.

It runs as a script of its own (`python -I -S guard.py`), is told of each process group through a pipe,
and acts when the pipe closes: by itself only the kernel closes it then.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


class Guard:
    """The emulator's end of the pipe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the small process, in its own session: no Ctrl-C reaches it."""
        import subprocess

        command = [sys.executable, "-I", "-S", __file__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, cwd="/", bufsize=0
        )

    def keep(self, group: int) -> None:
        """End this process group if the emulator dies."""
        self._tell(f"+{group}")

    def keep_dyno(self, dyno_id: str) -> None:
        """End what left this dyno's process group, too, at the end."""
        self._tell(f"={dyno_id}")

    def forget(self, group: int) -> None:
        """This process group is over; its number may belong to others from now on."""
        self._tell(f"-{group}")

    def keep_folder(self, folder: Path) -> None:
        """Remove this folder at the end."""
        self._tell(f"/{folder}")

    @contextmanager
    def keeping(self, group: int) -> Iterator[None]:
        """Keep a process group while the block runs."""
        self.keep(group)
        try:
            yield
        finally:
            self.forget(group)

    @staticmethod
    def kill(group: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process group, if there is anybody left; macOS forbids it for zombies."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)

    def stop(self) -> None:
        """Close the pipe: it cleans up and ends."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError, ValueError):  # killed, or stopped: there is nobody to tell any more
                self._process.stdin.write(os.fsencode(line) + b"\n")


def main() -> None:
    """Remember what we are told; at the end of the pipe, clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    dyno_ids: list[str] = []
    folders: list[str] = []
    for line in sys.stdin.buffer:
        word, text = line[:1], os.fsdecode(line[1:].rstrip(b"\n"))
        if word == b"+":
            groups.add(int(text))
        elif word == b"-":
            groups.discard(int(text))
        elif word == b"=":
            dyno_ids.append(text)
        elif word == b"/":
            folders.append(text)
    _clean_up(groups, dyno_ids, folders)


def _clean_up(groups: set[int], dyno_ids: list[str], folders: list[str]) -> None:
    for group in groups:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    if dyno_ids:
        import runpy

        # By its path: a script that runs with -I can import nothing from beside it.
        strays = runpy.run_path(os.path.join(os.path.dirname(__file__), "strays.py"))  # noqa: PTH118, PTH120 - starts fast
        strays["end"](dyno_ids)
    if folders:
        import shutil

        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
