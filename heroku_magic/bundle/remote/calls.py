"""Run the calls of an attached dyno.

The process of this module loads what the calls need. It forks a child for each call, one ahead, so that hardly a call
waits for its fork, and a crash or a changed global never reaches the next call. Or it runs all calls itself and so
keeps state: on demand, or because what it has imported does not survive a fork.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import gc
import importlib
import marshal
import os
import select
import signal
import socket
import sys
import time
import warnings
import zlib

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    Message = dict[str, Any]
    Load = Callable[[str], Any]

READ_BYTES = 1 << 18
REHEARSAL_SECONDS = 0.005  # without a call, after which there is time for one
SPARE_SECONDS = 0.005  # that a call has run before its process gets a successor
POLL_SECONDS = 0.05  # between two looks at a child that has closed its socket, but may run
MOST_FILES = 40  # of a call: its four pipes, its own values, and the values that it shares
_PROCESS_POOLS = ("concurrent.futures.process", "joblib.externals.loky.process_executor", "loky.process_executor")
_other_threads = heroku_task._other_threads  # where calls keep state, another one takes its place
_FUNCTION = "()"  # among the modules that a call reports: its function may be read once for all calls
_OF_EACH_CALL = frozenset({"RUN_KEY", "RUN_CALLS", "RUN_CODE", "RUN_DATA"})  # other variables are those of a program
_NEEDS_PANDAS = "heroku_columns"  # it imports pandas, which most tasks do not need


class Parent:
    """Loads what calls need, and runs each of them in a child or, if it keeps state, by itself.

    front: the socket of the process that owns the connection.
    """

    def __init__(self, front: socket.socket, load: Load, modules: Iterable[str], *, keeps_state: bool) -> None:
        self._front, self._load, self._keeps_state = front, load, keeps_state
        self._notice = ""  # why it keeps state although nobody wanted that
        self._environ = dict(os.environ)
        self._task = ""  # the module that is imported
        self._program: tuple[str, dict[str, str], Any] = "", {}, None  # packed, its variables, and ready to run
        self._child: _Child | None = None  # runs a call
        self._spare: _Child | None = None  # waits for the next one
        self._ending: list[int] = []  # children whose calls have ended
        self._rehearsal: Any = None  # after the first call
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is the one of Python's start
        heroku_task._follow_bars()
        # Code that is imported has no key of the connection, and cannot emit: a call imports it again then.
        heroku_task._sender = heroku_task._Sender("")
        heroku_task._sender.has_ended = True
        _load_all(load, [one for one in modules if one != _NEEDS_PANDAS])
        self._imports = load("heroku_imports").TaskImports(_load_all)
        self._transfer = load("heroku_transfer")
        self._transfer.prepare(load)
        driver = load("heroku_driver")  # the process of a call ends itself only after it has reported
        self._run_program = functools.partial(driver.main, end=int)
        driver.main, driver._compile = _itself, functools.lru_cache(maxsize=2)(driver._compile)
        self._functions = load("heroku_functions").KeptFunctions(driver, self._imports.state)
        self._functions.keeps_state = keeps_state

    def serve(self) -> int:
        """Run calls until the front ends; return the exit status."""
        os.setpgid(0, 0)
        _mute()
        while True:
            if self._child is not None:
                self._watch(self._child)
            else:
                received = _receive(self._front)
                if received is None:
                    self._kill_children()
                    return 0
                message = marshal.loads(received[0])  # noqa: S302 - it is the front's
                if "imported" in message:
                    self._share(message["imported"])
                else:
                    self._run(message, *received)

    def _watch(self, child: _Child) -> None:
        """Wait until a call has ended: then the front sends the next message, or the child has died."""
        sockets = [self._front] if child.is_silent else [self._front, child.socket]
        needs_spare = self._spare is None and self._rehearsal is not None
        patience = POLL_SECONDS if child.is_silent else SPARE_SECONDS if needs_spare else None
        ready, _, _ = select.select(sockets, [], [], patience)
        if not ready and needs_spare:
            self._spare = self._fork()
        child.is_silent = child.is_silent or child.socket in ready
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            self._front.sendall(b"ended=%d:%d\n" % (child.call, status))
        elif self._front in ready:
            self._ending.append(child.pid)
        if pid or self._front in ready:
            child.socket.close()
            self._child = None

    def _kill_children(self) -> None:
        """Leave no process behind when the front was killed and could not do this."""
        for pid in [*self._ending, *([self._spare.pid] if self._spare else [])]:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)

    def _run(self, message: Message, body: bytes, ends: list[int]) -> None:
        self._prepare(message, ends)
        if self._keeps_state:
            if self._notice:
                os.write(ends[1], self._notice.encode())
                self._notice = ""
            self._front.sendall(b"kept=%d\n" % os.getpid())
            self._call(message, ends)
            _mute()
            return
        if self._spare is not None and os.waitpid(self._spare.pid, os.WNOHANG)[0]:
            self._spare = None  # it was killed while it waited, as by the system for its memory
        child = self._child = self._spare or self._fork()
        self._front.sendall(b"pid=%d\n" % child.pid)
        child.hand_over(message["call"], body, ends)
        self._spare = None
        self._ending = [pid for pid in self._ending if not os.waitpid(pid, os.WNOHANG)[0]]

    def _fork(self) -> _Child:
        gc.freeze()  # or the child's collector would copy the pages of everything that it inherits
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            for one in (ours, self._front, *([self._child.socket] if self._child else [])):
                one.close()
            self._wait_for_call(theirs)
        with contextlib.suppress(OSError):  # whichever process comes first
            os.setpgid(pid, pid)
        theirs.close()
        return _Child(pid, ours)

    def _wait_for_call(self, parent: socket.socket) -> NoReturn:
        status = 1
        try:
            os.setpgid(0, 0)
            self._separate()
            began = time.monotonic()
            is_idle = self._rehearsal is not None and not select.select([parent], [], [], REHEARSAL_SECONDS)[0]
            if is_idle and time.monotonic() - began < 2 * REHEARSAL_SECONDS:  # otherwise the processor is busy
                with contextlib.suppress(Exception):  # whatever it is, the call comes across it, too
                    self._rehearsal.run()
            if received := _receive(parent):
                message = marshal.loads(received[0])  # noqa: S302
                self._imports.adopt()
                status = self._call(message, received[1])
        finally:
            os._exit(status)

    def _separate(self) -> None:
        """Give a child what a process of its own would have: other random numbers, unless an import has seeded them.

        What the parent's objects do at the end, such as deleting a temporary folder, is left to the parent.
        """
        mtrand = sys.modules.get("numpy.random.mtrand")
        if mtrand is not None and getattr(mtrand._rand._bit_generator, "_seed_seq", None) is not None:
            mtrand.seed()  # until `seed` is called, there is a sequence of seeds
        if "weakref" in sys.modules:
            sys.modules["weakref"].finalize._registry.clear()

    def _prepare(self, message: Message, ends: list[int]) -> None:
        """Load the modules of a program, or import the module of the task, which all its calls share."""
        task, text = message["task"], message["env"].get("RUN_CODE", self._program[0])
        environ = {name: one for name, one in message["env"].items() if name not in _OF_EACH_CALL}
        if task == self._task if task else (text, environ) == self._program[:2]:
            return
        if not self._keeps_state:
            self._functions.clear()
        for standard, end in zip((1, 2), ends):  # noqa: B905 - new in Python 3.10
            os.dup2(end, standard)
        if task:
            folder = heroku_task._APP_FOLDER
            sys.path[:] = [folder, *(one for one in sys.path if one != folder)]
            self._imports.prepare(task)
            self._task = task
        else:
            source = zlib.decompress(base64.b85decode(text)).decode()
            head, _, call = source.rstrip("\n").rpartition("\n")
            namespace: dict[str, Any] = {"path": [*sys.path]}
            exec(compile(head, "<heroku_magic>", "exec", dont_inherit=True), namespace)
            driver = self._load("heroku_driver")
            unused = {"cloudpickle.cloudpickle"} if driver.HAS_CLOUDPICKLE else set()
            _load_all(namespace["load"], namespace["sources"].keys() - unused)
            program = eval(call, namespace)  # noqa: S307 - the notebook has signed it
            self._program = text, environ, program
            if isinstance(program, driver.RemoteCell):
                _compile(program.code["text"], driver)
            else:
                driver.unpickler()
        heroku_task._flush_streams()
        _mute()
        self._check_fork()
        if self._keeps_state:
            self._imports.adopt()

    def _share(self, names: list[str]) -> None:
        """Import what a call has imported, and read its function, so that the next ones need not."""
        if new := [name for name in names if name not in sys.modules and name != _FUNCTION]:
            _load_all(importlib.import_module, new)
            _load_all(self._load, [_NEEDS_PANDAS] if "pandas" in sys.modules else [])
            self._check_fork()
        if _FUNCTION in names and not self._keeps_state:
            with contextlib.suppress(Exception):  # then each call reads it
                self._functions.prepare(self._program[2], self._program[1])
            self._check_fork()
        if not self._keeps_state:
            if self._rehearsal is None:
                self._rehearsal = self._load("heroku_rehearsal").Rehearsal(self._call, self._load)
                self._rehearsal.run_before_fork()
                _mute()
            self._spare = self._spare or self._fork()

    def _check_fork(self) -> None:
        """Forget the spare child, which lacks new imports; keep state if a fork would lose threads or share sockets."""
        if self._spare is not None:
            self._spare.socket.close()
            self._ending.append(self._spare.pid)
            self._spare = None
        if not self._keeps_state and (reason := self._imports.obstacle(self._front.fileno())):
            self._keeps_state = self._functions.keeps_state = True
            self._notice = f"heroku_magic: calls share one process here and keep state, because an import {reason}.\n"

    def _set_environ(self, environ: dict[str, str]) -> None:
        if self._keeps_state:  # nothing of the call before stays
            os.environ.clear()
            environ = {**self._environ, **environ}
        for name, text in environ.items():  # in a forked process, `update` would touch more memory
            os.environ[name] = text

    def _work(self, task: str | None, rehearsal: Any) -> int:
        """Run a task, or the program; return the exit status."""
        if task:
            return int(heroku_task._exit_status(lambda: heroku_task._run(lambda: heroku_task._run_task(task))))
        return int(self._run_program(rehearsal or self._program[2]))

    def _call(self, message: Message, ends: list[int], rehearsal: Any = None) -> int:
        """Run a call, or a rehearsal, in this process; report its exit status and the modules that it has imported."""
        status, pid, names, self._functions.is_harmless = 1, os.getpid(), list[str](), False
        out, err, heroku_task._record_fd, report, *files = ends
        transfer = self._transfer.Transfer(files, message.get("shared", []), message.get("values", {}), self._load)
        for standard, end in ((1, out), (2, err)):
            os.dup2(end, standard)
            os.close(end)
        environ = dict(message["env"])
        key, heroku_task._calls = environ.pop("RUN_KEY"), environ.pop("RUN_CALLS", None)
        environ.pop("RUN_CODE", None)
        try:
            self._set_environ(environ)
            latest = next(reversed(sys.modules))
            transfer.begin(key, message.get("most", 0))
            if self._keeps_state:
                _keep_threads()
            elif sys.platform == "linux":
                _handle_signals()
            status = self._work(message["task"], rehearsal)
            if not self._keeps_state and rehearsal is None:
                _end_process_pools()
                atexit._run_exitfuncs()
            with contextlib.suppress(Exception):  # a thread is importing, or a module is any object
                names = self._imports.shared_since(latest) + [_FUNCTION] * self._functions.is_harmless
        except BaseException as error:
            if os.getpid() == pid:
                raise
            status = _end_as_python(error)
        finally:
            heroku_task._flush_streams()
            if os.getpid() != pid:  # a process that the call has forked and not ended
                os._exit(status)
            transfer.end()
            os.write(report, f"{status} {' '.join(names)[:4000]}\n".encode())
            os.close(report)
            os.close(heroku_task._record_fd)
        return status


class _Child:
    """A process for one call, as its parent sees it. is_silent: it has closed its socket, or has ended."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self.socket, self.call, self.is_silent = pid, connection, 0, False

    def hand_over(self, call: int, body: bytes, ends: list[int]) -> None:
        """Give it its call and the ends of the pipes that carry what it writes."""
        self.call = call
        socket.send_fds(self.socket, [len(body).to_bytes(8, "big")], ends)
        self.socket.sendall(body)
        for end in ends:
            os.close(end)


def _receive(connection: socket.socket) -> tuple[bytes, list[int]] | None:
    """Read a message and the descriptors that come with it; None if there will be none."""
    head, ends, _, _ = socket.recv_fds(connection, 8, MOST_FILES)
    if not head:
        return None
    size, parts = int.from_bytes(head, "big"), []
    while size:
        parts.append(connection.recv(min(size, READ_BYTES)))
        size -= len(parts[-1])
        if not parts[-1]:  # the other side has ended meanwhile
            return None
    return b"".join(parts), ends


def _compile(text: str, driver: Any) -> None:
    """Compile a cell once, unless there is a warning or an error to show: then each call does."""
    driver._remember(driver._CELL_FILE, driver._FIRST_LINE, text)  # which `driver._compile` does only for a new text
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("error")
        driver._compile(text)


def _handle_signals() -> None:
    """Let signals interrupt the call, without a thread that watches whether they do, which the helper starts.

    Linux wakes up the main thread first, and the front kills a call that continues.
    """
    if signal.getsignal(signal.SIGTERM) is not heroku_task._on_signal:  # otherwise a rehearsal has done it
        signal.signal(signal.SIGTERM, heroku_task._on_signal)
        signal.signal(signal.SIGINT, heroku_task._on_signal)
        heroku_task._restore_signals_in_children()


def _end_as_python(error: BaseException) -> int:
    """Show what ends a process that a call has forked; return its exit status."""
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return (error.code or 0) & 0xFF
    if isinstance(error, SystemExit):
        print(error.code, file=sys.stderr)
    else:
        sys.excepthook(type(error), error, error.__traceback__)
    return 1


def _keep_threads() -> None:
    """Let calls that keep state neither end open pools nor wait for them, or for threads of earlier calls."""
    before = _other_threads()

    def new_threads() -> list[Any]:
        workers = heroku_task._pool_threads()
        return [one for one in _other_threads() if one not in before and one not in workers]

    heroku_task._end_pools, heroku_task._other_threads = lambda: None, new_threads


def _itself(program: Any) -> Any:
    """Return a program, which is to run later."""
    return program


def _mute() -> None:
    devnull = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(devnull, standard)
    os.close(devnull)


def _end_process_pools() -> None:
    """Let pools of processes end, as Python does at its exit: its functions for that wait for their processes."""
    for name in _PROCESS_POOLS:
        if name in sys.modules:
            sys.modules[name]._python_exit()


def _load_all(load: Load, names: Iterable[str]) -> None:
    """Load modules for the calls to come. One that fails is left to the call, which reports the error."""
    for name in names:
        try:
            load(name)
        except BaseException:  # noqa: BLE001, PERF203 - code of the user may raise anything
            sys.modules.pop(name, None)
