"""Watches processes: calls back on the event loop when one ends, and measures their memory."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

POLL = 0.5


def when_child_ends(process: subprocess.Popen[bytes], callback: Callable[[], None]) -> None:
    """Call back once when our child has ended; on Linux it is not reaped before."""
    if not _watch_descriptor(process.pid, callback):
        loop = asyncio.get_running_loop()
        wait = threading.Thread(
            target=lambda: (process.wait(), loop.call_soon_threadsafe(callback)), name="dyno-wait", daemon=True
        )
        wait.start()


def when_gone(pid: int, callback: Callable[[], None]) -> None:
    """Call back once when a process that is not our child is gone."""
    if not _watch_descriptor(pid, callback):
        _poll(pid, callback)


def when_stdin_closes(callback: Callable[[], None]) -> None:
    """Call back once when the other end of our standard input is closed."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(OSError):  # closed before we started
            while os.read(0, 4096):
                pass
        loop.call_soon_threadsafe(callback)

    # A thread, because standard input may be a file or /dev/null, which no event loop can watch.
    threading.Thread(target=read, name="stdin", daemon=True).start()


def group_members(group: int) -> set[int]:
    """Return the running members of a process group; zombies may stay where no process reaps orphans."""
    # Imported on the first stop of a dyno: it takes longer than the start of a dyno may.
    import psutil

    found: set[int] = set()
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return found
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):  # not ours, or ended meanwhile
            if os.getpgid(pid) == group and psutil.Process(pid).status() not in {"zombie", "dead"}:
                found.add(pid)
    return found


def memory_by_group() -> Counter[int]:
    """Return the bytes of resident memory per process group."""
    import psutil

    used: Counter[int] = Counter()
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):  # not ours, or ended meanwhile
            used[os.getpgid(process.pid)] += process.memory_info().rss
    return used


def _watch_descriptor(pid: int, callback: Callable[[], None]) -> bool:
    """Watch a pidfd, which becomes readable for a zombie too. False: this system has none, or no such process."""
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
    try:
        with suppress(PermissionError):  # it is another user's
            os.kill(pid, 0)
        asyncio.get_running_loop().call_later(POLL, _poll, pid, callback)
    except ProcessLookupError:
        callback()
