"""Import the modules of tasks, so that what an import sets in its process reaches only the calls of its task."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class TaskImports:
    """The tasks that a process has imported, and what each of them has set.

    load_all: calls a function for each of some names and ignores errors, which the call reports.
    """

    def __init__(self, load_all: Callable[..., None]) -> None:
        self._load_all = load_all
        self._folder = os.getcwd()
        self._settings: dict[str | None, Any] = {}

    def prepare(self, task: str) -> None:
        """Import the module of a task in the app's folder; leave what this changes for other calls as it was."""
        if task in heroku_task._sources:
            return
        folder, on_child = _current_folder(), signal.getsignal(signal.SIGCHLD)
        os.chdir(self._folder)
        random_state = self._import(task)
        if task in heroku_task._sources:
            self._settings[task] = _current_folder(), signal.getsignal(signal.SIGCHLD), random_state
        os.chdir(folder or self._folder)
        signal.signal(signal.SIGCHLD, on_child)  # the parent waits for its children

    def adopt(self, task: str | None) -> None:
        """Give the process of a call, once, what the import of its task has set."""
        if task not in self._settings:
            return
        folder, on_child, random_state = self._settings.pop(task)
        if folder not in ("", self._folder):
            os.chdir(folder)
        signal.signal(signal.SIGCHLD, on_child)
        if random_state is not None:  # Python seeds its own generator again in a child
            sys.modules["random"].setstate(random_state)

    def shared_since(self, latest: str) -> list[str]:
        """Return the modules imported after one that all calls may share: Python's, and those of installed packages."""
        new = itertools.takewhile(lambda name: name != latest, reversed(sys.modules))
        return [name for name in {name.partition(".")[0] for name in new} if _is_installed(name)]

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
    return bool(re.search(r"[/\\]lib[/\\]python|site-packages", file))


def _current_folder() -> str:
    """Return the current folder; an empty string if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
