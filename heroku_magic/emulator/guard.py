"""A small second process that cleans up when the server is killed: it ends dynos' groups and removes folders.

Run as a script it is that process, and it imports next to nothing. It is told by a pipe what to
watch; the pipe ends with the server, however that ends.
"""

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


class Guard:
    """The server's end of the pipe."""

    def __init__(self) -> None:
        import subprocess

        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-E", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )

    def watch(self, group: int) -> None:
        """From now on this process group dies with the server."""
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """This group is over; its number may be somebody else's next."""
        self._tell(f"-{group}")

    def remove_at_end(self, folder: "Path") -> None:
        """From now on this folder goes with the server."""
        self._tell(f"/{os.fsencode(folder).hex()}")

    def close(self) -> None:
        """Let the guard do its work, and wait for it."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


def main() -> None:
    """Read what to watch until the pipe ends, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    folders: list[bytes] = []
    for line in sys.stdin.buffer:
        kind, rest = line[:1], line[1:].strip()
        if kind == b"+":
            groups.add(int(rest))
        elif kind == b"-":
            groups.discard(int(rest))
        else:
            folders.append(bytes.fromhex(rest.decode()))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue
    if folders:
        import shutil

        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
