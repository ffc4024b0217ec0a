"""Run a cell of our own as if it were a call, so that the calls to come are faster."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROUNDS = 12  # after which Python has optimized the code: 3.11 begins when a function has run 8 times
_MESSAGE = {"task": None, "env": {"RUN_KEY": ""}}


class Rehearsal:
    """A cell that is compiled, because compiling it would replace the source of the user's cell.

    call: runs a program as a call. load: imports our modules.
    """

    def __init__(self, call: Callable[..., int], load: Callable[[str], Any]) -> None:
        self._call, self._driver = call, load("heroku_driver")
        code = {"name": "rehearsal", "text": "", "definitions": "", "values": "{}", "secrets": [], "quiet": False}
        self._cell = self._driver.RemoteCell(code, b"", load)
        last = self._driver._LAST
        self._rows = compile(f"{last} = [{{'n': 1}}]", "<heroku_magic>", "exec")
        self._table = compile(f"import pandas; {last} = pandas.DataFrame({{'n': [1]}})", "<heroku_magic>", "exec")

    def run(self) -> None:
        """Run in a forked process, whose memory is copied where it is used for the first time."""
        self._run(self._table if "pandas" in sys.modules else self._rows)

    def run_before_fork(self) -> None:
        """Run until Python has optimized the code, which forked processes inherit; leave no other trace."""
        names = "_sender", "_record_fd", "_calls", "_join_threads"
        before, main = [getattr(heroku_task, name) for name in names], sys.modules["__main__"]
        # With this handler, neither a thread is started nor are functions registered that run at each fork.
        handler = signal.signal(signal.SIGTERM, heroku_task._on_signal)
        with contextlib.suppress(Exception):  # whatever it is, the call comes across it, too
            for _ in range(ROUNDS):
                self._run(self._rows)
        signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)
        for name, value in zip(names, before):  # noqa: B905 - new in Python 3.10
            setattr(heroku_task, name, value)
        sys.modules["__main__"] = main

    def _run(self, code: Any) -> None:
        usual, self._driver._compile = self._driver._compile, lambda _: code
        backend = os.environ.get("MPLBACKEND")  # which the driver sets, but not for tasks
        ends = [os.open(os.devnull, os.O_WRONLY) for _ in range(4)]
        try:
            self._call(_MESSAGE, ends, self._cell)
        finally:
            self._driver._compile = usual
            if backend is None:
                os.environ.pop("MPLBACKEND", None)
