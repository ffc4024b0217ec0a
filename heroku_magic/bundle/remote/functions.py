"""Keep functions that were read, because to read one may take far longer than to call it.

Calls that share a process find a function as the last one has left it. Others find it as it was sent: their process is
forked from one that has read it.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Read = tuple[Any, dict[str, ModuleType]]

MOST_KEPT = 8  # functions of a process whose calls keep state
UNCOLLECTED = 10_000_000  # bytes of forgotten functions beyond which it is worth 0.1 s to free those that form cycles


class KeptFunctions:
    """Reads the functions of calls, in place of the driver.

    state: returns what a process has beside its objects, such as open files. A function whose reading changes any of
    it is read by each call. keeps_state: calls share this process. is_harmless: the latest call has read its function,
    which changed nothing else.
    """

    def __init__(self, driver: Any, state: Callable[[], Any]) -> None:
        self.keeps_state = self.is_harmless = False
        self._driver, self._state = driver, state
        # By its pickle, a function, the modules that came with it, and its `__main__`; the one used last is last.
        self._kept: dict[bytes, tuple[Read, ModuleType]] = {}
        self._uncollected = 0
        self._latest: Read = None, {}  # not freed at the end of a forked call, which would copy its memory
        call = driver.RemoteCall
        self._read_arguments, self._read_function = call.read, call._read_function
        # Functions, because Python makes methods of them, which get their call; of bound methods it does not.
        call.read = lambda call, text: self._arguments(call, text)  # noqa: PLW0108
        call._read_function = lambda call: self._function(call)  # noqa: PLW0108

    def prepare(self, call: Any, environ: dict[str, str]) -> None:
        """Read the function of a call for the processes that will be forked. environ: what only its calls have."""
        before = dict(os.environ)
        os.environ.update(environ)  # what is read may look a secret up
        self._driver._fresh_main()
        try:
            self._kept[call._body] = self._read_function(call), sys.modules["__main__"]
        finally:
            os.environ.clear()
            os.environ.update(before)

    def clear(self) -> None:
        """Forget the functions that were read for the processes to come, and free their memory."""
        if not self._kept:
            return
        self._uncollected += sum(map(len, self._kept))
        self._kept.clear()
        self._driver._fresh_main()
        if self._uncollected > UNCOLLECTED:
            self._uncollected = 0
            gc.unfreeze()  # at each fork, everything was excepted from the collection of garbage
            gc.collect()

    def _arguments(self, call: Any, text: str) -> Any:
        """Read the arguments of a call in the `__main__` of its function."""
        if call._body not in self._kept:
            return self._read_arguments(call, text)
        sys.modules["__main__"] = self._kept[call._body][1]
        return self._driver.RemoteProgram.read(call, text)

    def _function(self, call: Any) -> Read:
        """Return the function of a call and the modules that came with it, which replace those of another one."""
        if call._body in self._kept:
            read = self._kept.pop(call._body)[0]
        else:
            before = self._state()
            read = self._read_function(call)
            self.is_harmless = self._state() == before
        for name, module in self._latest[1].items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        self._latest = read
        if self.keeps_state:
            self._kept[call._body] = read, sys.modules["__main__"]
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return read
