"""A call of a pool: its future, and its run, which the thread that reads the dyno's connection drives."""

from __future__ import annotations

import builtins
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import HerokuMagicError, LogStreamError, TaskFailed
from heroku_magic.runs.call_future import CallFuture
from heroku_magic.runs.run import Run
from heroku_magic.runs.runner import Runner
from heroku_magic.runs.typed_failure import failure_of_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.warm.warm_call import WarmCall
    from heroku_magic.warm.warm_dyno import WarmDyno


class PoolFuture(CallFuture):
    """The future of a call, which can also be recalled before it begins."""

    def __init__(self) -> None:
        super().__init__()
        self._run: PoolRun | None = None

    def send(self, run: PoolRun, dyno: WarmDyno, on_done: Callable[[PoolRun], None]) -> None:
        """Send the call to a dyno. Raises LogStreamError if the dyno cannot have run it."""
        self._run = run
        run.send(dyno, partial(on_done, run))
        self.sent(run.cancel)

    def seconds_on_dyno(self) -> float:
        """Return how long the call has run by now; 0 before it begins."""
        return 0.0 if (run := self._run) is None else run.seconds_on_dyno

    def recall(self) -> None:
        """Ask the dyno for the call back, unless it has begun."""
        if (run := self._run) is not None:
            run.recall()

    def finish(self, result: Callable[[], Any]) -> None:
        """End with what a function returns or raises, unless the call was cancelled."""
        super().finish(result)
        self._run = None


class PoolRun(Run):
    """The run of a call. It has no thread of its own, as there may be a thousand calls per second."""

    _runner: PoolRunner

    def __init__(self, client: HerokuClient, spec: RunSpec) -> None:
        super().__init__(client, spec, runner=PoolRunner)

    def send(self, dyno: WarmDyno, on_done: Callable[[], None]) -> None:
        """Send the call. on_done: called after its end."""
        self._runner.send(dyno, on_done)

    @property
    def seconds_on_dyno(self) -> float:
        """How long the call has run by now; 0 before it begins."""
        return self._runner.seconds()

    def recall(self) -> None:
        """Ask for the call back, unless it has begun."""
        self._runner.recall()

    @property
    def failed_with(self) -> str:
        """The type of the exception that ended the call, if any."""
        failure = self._log.decoder.failure
        return failure.type if failure else ""

    def failure(self) -> HerokuMagicError | None:
        """Return the error of a call that has ended: an exception of a built-in type is of this type here, too."""
        error, kind = self._failure(), getattr(builtins, self.failed_with, None)
        if isinstance(error, TaskFailed) and isinstance(kind, type) and issubclass(kind, Exception):
            return failure_of_type(kind, error)
        return error


class PoolRunner(Runner):
    """Drives a run by the records that arrive."""

    place = "its output: error.run.logs()"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.log.decoder.is_lossless = True
        self._call: WarmCall | None = None
        self._on_done: Callable[[], None] = lambda: None

    def send(self, dyno: WarmDyno, on_done: Callable[[], None]) -> None:
        """Send the call. Raises LogStreamError."""
        run, info, self._on_done = self._run, dyno.info, on_done
        run.started_at = time.time()
        self._clock.start()
        run.dyno, run.size, run.release = info.name, info.size, info.release.version
        self.log.begin(info)
        self._call = dyno.call(self.spec, self.key, self._receive, self._done)

    def seconds(self) -> float:
        """Return how long the call has run by now; 0 before it begins."""
        return 0.0 if self._call is None else self._call.elapsed()

    def recall(self) -> None:
        """Ask for the call back, unless it has begun."""
        if self._call is not None:
            self._call.stop(if_waiting=True)

    def cancel(self) -> None:
        """Stop the call; its dyno continues."""
        self.cancel_requested.set()
        if self._call is not None:
            self._call.stop()

    def _receive(self, item: list[LogLine] | LogStreamError) -> None:
        if isinstance(item, list):
            self._take(item)
        else:
            self._end(LogStreamError(f"{item} {self.spec.task} has no result."))

    @property
    def is_overdue(self) -> bool:
        """Whether the dyno has ended the call because of its time limit."""
        return self._call is not None and self._call.is_overdue

    def _done(self, status: int | None) -> None:
        if status is not None:
            self.log.life.read(f"Process exited with status {status}", time.monotonic())
        elif not self.cancel_requested.is_set():  # it was recalled
            self._on_done()
            return
        self.log.decoder.close()
        self._end(self._verdict())

    def _end(self, error: HerokuMagicError | None) -> None:
        self._finish(error)
        self.events.close()
        self._on_done()
