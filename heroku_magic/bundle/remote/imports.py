"""Import the modules of tasks, keep what an import sets for the processes of calls, and find what a fork loses."""

from __future__ import annotations

import atexit
import itertools
import os
import re
import signal
import stat
import sys

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_INSTALLED = re.compile(r"[/\\]lib[/\\]python|site-packages")  # compiled here, not by each process of a call


class TaskImports:
    """The tasks that a process has imported, and what the latest has set that the process or a fork changes.

    load_all: calls a function for each of some names and ignores errors, which the call reports.
    """

    def __init__(self, load_all: Callable[..., None]) -> None:
        self._load_all = load_all
        self._folder = os.getcwd()
        self._settings: Any = None

    def prepare(self, task: str) -> None:
        """Import the module of a task in the app's folder."""
        if task in heroku_task._sources:
            return
        folder = _current_folder()
        os.chdir(self._folder)
        random_state = self._import(task)
        if _current_folder() == self._folder:
            os.chdir(folder or self._folder)  # which a call has chosen, where calls keep state
        # The process waits for its children.
        self._settings = signal.signal(signal.SIGCHLD, signal.SIG_DFL), random_state

    def adopt(self) -> None:
        """Give the process of a call, once, what the import of its task has set."""
        if self._settings is None:
            return
        (on_child, random_state), self._settings = self._settings, None
        signal.signal(signal.SIGCHLD, on_child)
        if random_state is not None:  # Python seeds its own generator again in a child
            sys.modules["random"].setstate(random_state)

    def shared_since(self, latest: str) -> list[str]:
        """Return the modules imported after one that all calls may share: Python's, and those of installed packages."""
        new = itertools.takewhile(lambda name: name != latest, reversed(sys.modules))
        return [name for name in {name.partition(".")[0] for name in new} if _is_installed(name)]

    def state(self) -> tuple[Any, ...]:
        """Return what a process has beside its objects: files, threads, work for its end, variables, random numbers."""
        import random

        threads = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else _threads()
        finalizers = sys.modules["weakref"].finalize._registry if "weakref" in sys.modules else ()
        counts = len(threads), len(finalizers), atexit._ncallbacks()
        return os.listdir("/dev/fd"), counts, dict(os.environ), _current_folder(), random.getstate()

    def obstacle(self, front: int) -> str:
        """Return what an import has opened that a forked child cannot use. front: the file of the only connection."""
        if names := [one.name for one in _threads()[1:]]:
            return f"has started the thread {names[0]}"
        for name in os.listdir("/dev/fd"):
            try:
                is_socket = stat.S_ISSOCK(os.fstat(int(name)).st_mode)
            except OSError:  # the folder's own descriptor
                continue
            if is_socket and int(name) != front:
                return "has opened a connection"
        return ""

    def _import(self, task: str) -> Any:
        """Import the module of a task; return the state of Python's random numbers if it seeds them."""
        import random

        usual, seeds = random.seed, [None]

        def seed(a: Any = None, *more: Any) -> None:
            seeds.append(a)
            usual(a, *more)

        random.seed = seed  # type: ignore[assignment]
        self._load_all(heroku_task._prepare_task, [task] if os.path.exists(f"{task}.py") else [])
        random.seed = usual
        return None if seeds[-1] is None else random.getstate()


def _is_installed(name: str) -> bool:
    file = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None) or ""
    return bool(_INSTALLED.search(file))


def _threads() -> list[Any]:
    """Return the threads that Python knows, the main one first."""
    threading = sys.modules.get("threading")
    return sorted(threading.enumerate(), key=lambda one: one is not threading.main_thread()) if threading else []


def _current_folder() -> str:
    """Return the current folder; an empty string if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
