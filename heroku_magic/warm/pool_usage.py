"""What the calls of a pool took: how many ended and failed, how long they ran, and what their dynos cost."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from heroku_magic.errors import HerokuMagicError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.runs.request import RunRequest
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.warm.warm_dyno import WarmDyno


@dataclass
class FunctionUsage:
    """The calls of one function or task. seconds: on the dynos, all calls together."""

    calls: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class PoolReport:
    """What the calls of a pool took since its last report.

    name: "pool", or what else made the calls. app, host: where they ran. functions: by name. dynos: those that took
    calls. error: of the first call that failed.
    """

    name: str
    app: str
    host: str
    request: RunRequest
    started_at: float
    seconds: float
    dollars: float | None
    functions: Mapping[str, FunctionUsage]
    dynos: list[WarmDyno]
    error: str


class PoolUsage:
    """Counts the calls of one pool; cheap enough for a thousand per second.

    request: what the ledger says about the pool. app, host: where it runs. on_report: gets each report.
    """

    def __init__(self, request: RunRequest, app: str, host: str) -> None:
        self.on_report: Callable[[PoolReport], None] | None = None
        self._request, self._app, self._host = request, app, host
        self._lock = threading.Lock()
        self._billed: WeakKeyDictionary[WarmDyno, float] = WeakKeyDictionary()  # seconds of earlier reports
        self._begin()

    def _begin(self) -> None:
        self._functions: dict[str, FunctionUsage] = {}
        self._dynos: dict[WarmDyno, float] = {}
        self._started_at = self._began = self._ended = 0.0
        self._error = ""

    def count(self, call: Run | RunSpec, seconds: float, error: BaseException | None, dyno: WarmDyno | None) -> None:
        """Count a call that has ended, unless its task keeps out of the history. dyno: None if it got to none."""
        if not call.request.is_kept:
            return
        with self._lock:
            self._ended = time.monotonic()
            if not self._functions:
                self._started_at, self._began = time.time() - seconds, self._ended - seconds
            if dyno is not None:
                self._dynos[dyno] = self._dynos.get(dyno, 0.0) + seconds
            usage = self._functions.get(call.task) or self._functions.setdefault(call.task, FunctionUsage())
            usage.calls += 1
            usage.seconds += seconds
            if error is not None:
                usage.failed += 1
                is_ours = isinstance(error, HerokuMagicError)  # its text says what was raised
                self._error = self._error or (str(error) if is_ours else f"{type(error).__name__}: {error}")

    def report(self, name: str = "pool") -> None:
        """Report the calls since the last report, if there were any."""
        with self._lock:
            if not self._functions:
                return
            report = self._make_report(name)
            self._begin()
        if self.on_report is not None:
            self.on_report(report)

    def discard(self) -> None:
        """Forget the calls since the last report, which the user did not make."""
        with self._lock:
            self._begin()

    def _make_report(self, name: str) -> PoolReport:
        prices = [dyno.spec.price(dyno.info.size, self._bill(dyno)) for dyno in self._dynos]
        return PoolReport(
            name,
            self._app,
            self._host,
            self._request,
            self._started_at,
            self._ended - self._began,
            None if None in prices else sum(price or 0.0 for price in prices),
            self._functions,
            [*self._dynos],
            self._error,
        )

    def _bill(self, dyno: WarmDyno) -> float:
        """Return the seconds that a dyno cost: its life if it was booted for the pool, otherwise those of the calls."""
        if dyno.owner is None:
            return self._dynos[dyno]
        life = dyno.seconds + min(dyno.idle_left, 0.0)  # it ends when it has been idle for long
        before, self._billed[dyno] = self._billed.get(dyno, 0.0), life
        return life - before
