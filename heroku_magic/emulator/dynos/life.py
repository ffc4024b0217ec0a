"""When a process or a pipe ends, call back on the event loop; nothing is started or ended here."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

POLL = 0.5


def when_child_ends(process: subprocess.Popen[bytes], callback: Callable[[], None]) -> None:
    """Call back once when our child has ended; on Linux it is not reaped before."""
    if not _when_descriptor_tells(process.pid, callback):
        loop = asyncio.get_running_loop()
        wait = threading.Thread(
            target=lambda: (process.wait(), loop.call_soon_threadsafe(callback)), name="dyno-wait", daemon=True
        )
        wait.start()


def when_gone(pid: int, callback: Callable[[], None]) -> None:
    """Call back once when a process, not our child, is gone."""
    if not is_there(pid):
        callback()
    elif not _when_descriptor_tells(pid, callback):
        _poll(pid, callback)


def is_there(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def group_lives(group: int) -> bool:
    """Whether a process group has a member that still runs; zombies may stay where nobody reaps orphans."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return not Path("/proc/self/stat").exists() or any(map(_runs_in(group), Path("/proc").glob("[0-9]*/stat")))


def _runs_in(group: int) -> Callable[[Path], bool]:
    def runs(stat: Path) -> bool:
        try:
            state, _, its_group, *_ = stat.read_bytes().rpartition(b")")[2].split()
        except (OSError, ValueError):
            return False  # it ended while we looked
        return int(its_group) == group and state not in {b"Z", b"X"}

    return runs


def when_stdin_closes(callback: Callable[[], None]) -> None:
    """Call back once when nobody holds the other end of our standard input any more."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            pass  # closed before we began
        loop.call_soon_threadsafe(callback)

    # A thread, for a standard input may be a file or /dev/null, which no event loop can watch.
    threading.Thread(target=read, name="stdin", daemon=True).start()


def _when_descriptor_tells(pid: int, callback: Callable[[], None]) -> bool:
    """Use a pidfd, which tells of a zombie too. False: this system has none."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return False
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        callback()

    loop.add_reader(descriptor, ended)
    return True


def _poll(pid: int, callback: Callable[[], None]) -> None:
    if is_there(pid):
        asyncio.get_running_loop().call_later(POLL, _poll, pid, callback)
    else:
        callback()
