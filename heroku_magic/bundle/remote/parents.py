"""Keep the processes that load what calls need: one for each task, and one for cells and functions.

What the import of a task sets in its process, such as a log handler, thus reaches no call of another task.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import selectors
import signal
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Message = dict[str, Any]
    RunParent = Callable[[socket.socket, dict[str, str]], int]

MOST = 3  # processes at the same time, because each has the modules of its task in memory


class ParentProcess:
    """A process that runs the calls of a task, as the front sees it.

    loaded: the program that it has. has_run: whether it has begun a call.
    """

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self.socket, self.loaded = pid, connection, ""
        self.is_forgotten = self.has_run = False

    def tell(self, message: Message, ends: list[int]) -> None:
        """Send a message and descriptors, without the program if the process has it."""
        env = message.get("env", {})
        if code := env.get("RUN_CODE"):
            if code == self.loaded:
                message = {**message, "env": {name: text for name, text in env.items() if name != "RUN_CODE"}}
            self.loaded = code
        body = marshal.dumps(message)
        with contextlib.suppress(OSError):  # it has ended, which reading from it shows
            socket.send_fds(self.socket, [len(body).to_bytes(8, "big")], ends)
            self.socket.sendall(body)

    def read(self) -> bytes | None:
        """Return what it says: nothing if it has ended, and None if that was read before."""
        try:
            return self.socket.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:  # it has ended before it has read everything, or was forgotten
            return b""

    def kill(self) -> None:
        """End it, and with it a call that it runs itself."""
        os.kill(self.pid, signal.SIGKILL)


class Parents:
    """The processes of a dyno. keeps_state: one runs all calls. run: is what such a process does."""

    def __init__(self, run: RunParent, *, keeps_state: bool) -> None:
        self._run, self._keeps_state = run, keeps_state
        self.selector = selectors.DefaultSelector()
        self._modules: dict[str, str] = {}
        self._by_task: dict[str | None, ParentProcess] = {}  # the one used last is last; None: it is still free

    def prepare(self, modules: dict[str, str]) -> None:
        """Start a process ahead of the first call, with the modules that all will need."""
        self._modules = modules
        self._by_task[None] = self._start()

    def for_task(self, task: str | None) -> ParentProcess:
        """Return the process for the calls of a task, or of cells and functions (None)."""
        name = "" if self._keeps_state else task or ""
        parent = self._by_task.pop(name, None) or self._by_task.pop(None, None) or self._start()
        self._by_task[name] = parent
        if len(self._by_task) > MOST:
            oldest = next(iter(self._by_task.values()))
            oldest.kill()
            self.forget(oldest)
        return parent

    def forget(self, parent: ParentProcess) -> int:
        """Remove a process that has ended; return its status as wait(2) does."""
        self._by_task = {task: one for task, one in self._by_task.items() if one is not parent}
        parent.is_forgotten = True
        self.selector.unregister(parent.socket)
        parent.socket.close()
        return os.waitpid(parent.pid, 0)[1]

    def end(self) -> None:
        """End all of them."""
        for parent in self._by_task.values():
            parent.kill()

    def _start(self) -> ParentProcess:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            ours.close()
            self.selector.close()
            for parent in self._by_task.values():
                parent.socket.close()
            os._exit(self._run(theirs, self._modules))
        theirs.close()
        parent = ParentProcess(pid, ours)
        self.selector.register(ours, selectors.EVENT_READ, parent)
        return parent
