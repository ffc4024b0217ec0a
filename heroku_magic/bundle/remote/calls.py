"""Run the calls of an attached dyno, each in a forked child.

The parent loads what the calls need and forks. A child runs one call and ends with it, so that a crash or a changed
global never reaches the next call.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import gc
import importlib
import json
import os
import re
import socket
import sys
import zlib

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    Message = dict[str, Any]

READ_BYTES = 1 << 18


class Parent:
    """Loads what calls need, and forks a child for each."""

    def __init__(self, front: socket.socket, load: Callable[[str], Any], modules: Iterable[str]) -> None:
        self._front = front
        self._environ = dict(os.environ)
        # Code that is imported has no key of the connection, and cannot emit: a call imports it again then.
        heroku_task._sender = heroku_task._Sender("")
        heroku_task._sender.has_ended = True
        _prepare_modules(load, modules)
        driver = load("heroku_driver")  # a child ends itself only after it has reported
        driver.main = functools.partial(driver.main, end=int)
        self._program: tuple[str, dict[str, Any], str] = "", {}, ""  # packed, its names, and the expression of a call

    def serve(self) -> int:
        """Run calls until the front ends; return the exit status."""
        devnull = os.open(os.devnull, os.O_RDWR)
        os.dup2(devnull, 0)
        while True:
            for standard in (1, 2):
                os.dup2(devnull, standard)
            head, ends, _, _ = socket.recv_fds(self._front, 8, 3)
            if not head:
                return 0
            message = json.loads(self._receive(int.from_bytes(head, "big")))
            for standard, end in zip((1, 2), ends):  # noqa: B905 - new in Python 3.10
                os.dup2(end, standard)
                os.close(end)
            self._run(message, ends[2])

    def _receive(self, size: int) -> bytes:
        """Read a message of the front in full."""
        parts = []
        while size:
            parts.append(self._front.recv(min(size, READ_BYTES)))
            size -= len(parts[-1])
        return b"".join(parts)

    def _run(self, message: Message, records: int) -> None:
        program = self._prepare(message)
        gc.freeze()  # or the child's collector would copy the pages of everything that it inherits
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            self._front.close()
            os.close(reader)
            _run_call(message, program, records, writer, {**self._environ, **message["env"]})
        with contextlib.suppress(OSError):  # whichever process comes first; a child may have ended
            os.setpgid(child, child)
        os.close(writer)
        os.close(records)
        self._front.sendall(b"pid=%d\n" % child)
        _, status = os.waitpid(child, 0)
        os.set_blocking(reader, False)
        try:
            names = os.read(reader, READ_BYTES).decode().split()
        except BlockingIOError:
            names = []
        os.close(reader)
        self._front.sendall(b"status=%d\n" % _exit_status(status))
        _prepare_modules(importlib.import_module, names)

    def _prepare(self, message: Message) -> tuple[dict[str, Any], str] | None:
        """Load the modules of a program, or import the module of a task, which all its calls share."""
        task, text = message["task"], message["env"].pop("RUN_CODE", "")
        if task:
            folder = heroku_task._APP_FOLDER
            sys.path[:] = [folder, *(one for one in sys.path if one != folder)]
            _prepare_modules(importlib.import_module, [task] if os.path.exists(f"{task}.py") else [])
            return None
        if text != self._program[0]:
            source = zlib.decompress(base64.b85decode(text)).decode()
            head, _, call = source.rstrip("\n").rpartition("\n")
            namespace: dict[str, Any] = {"path": [*sys.path]}
            exec(compile(head, "<heroku_magic>", "exec", dont_inherit=True), namespace)
            _prepare_modules(namespace["load"], namespace["sources"])
            self._program = text, namespace, call
        return self._program[1:]


def _run_call(
    message: Message, program: tuple[dict[str, Any], str] | None, records: int, report: int, environ: dict[str, str]
) -> NoReturn:
    """Run a call in this child, report the modules that it has imported, and end."""
    status = 1
    try:
        key, heroku_task._calls = environ.pop("RUN_KEY"), environ.pop("RUN_CALLS", None)
        os.environ.clear()
        os.environ.update(environ)
        known = set(sys.modules)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is the one of Python's start
        heroku_task._record_fd, heroku_task._sender = records, heroku_task._Sender(key)
        if program is None:
            status = heroku_task._exit_status(lambda: heroku_task._run(lambda: heroku_task._run_task(message["task"])))
        else:
            status = eval(program[1], program[0])  # noqa: S307 - the notebook has signed it
        atexit._run_exitfuncs()
        names = {name.partition(".")[0] for name in set(sys.modules) - known}
        os.write(report, " ".join(name for name in names if _is_installed(name)).encode()[:60_000])
    finally:
        heroku_task._flush_streams()
        os._exit(status)


def _exit_status(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _is_installed(name: str) -> bool:
    """Whether a module is Python's or of an installed package, so that all calls may share it."""
    file = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None) or ""
    return bool(re.search(r"[/\\]lib[/\\]python|site-packages", file))


def _prepare_modules(load: Callable[[str], Any], names: Iterable[str]) -> None:
    """Load modules for the calls to come. One that fails is left to the call, which reports the error."""
    for name in names:
        try:
            load(name)
        except BaseException:  # noqa: BLE001, PERF203 - code of the user may raise anything
            sys.modules.pop(name, None)
