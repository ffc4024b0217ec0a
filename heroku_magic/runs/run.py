"""The handle of one run, which users hold: its state, its events and its result."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import HerokuMagicError
from heroku_magic.protocol.dataframe import partial_frame, table
from heroku_magic.protocol.records import Declaration, Metric, Progress
from heroku_magic.runs import registry
from heroku_magic.runs.background import wait_for
from heroku_magic.runs.dyno_guard import may_still_run
from heroku_magic.runs.events import FINAL, Event, StateChange
from heroku_magic.runs.future import TableFuture
from heroku_magic.runs.runner import Runner
from heroku_magic.runs.snapshot import SAME_NAMES, RunSnapshot
from heroku_magic.runs.started_by_call import record_start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    import pandas as pd

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.shared_log import SharedLog
    from heroku_magic.protocol.records import Call, Rows
    from heroku_magic.protocol.tables import Table
    from heroku_magic.runs.detached import Detached
    from heroku_magic.runs.dyno_guard import DynoGuard
    from heroku_magic.runs.request import RunRequest
    from heroku_magic.runs.spec import RunSpec

KILLED = frozenset({137, 143})  # exit statuses after SIGKILL and SIGTERM
EVENTS_TICK = 0.5  # seconds after which a thread that waits for events looks whether they are wanted


class Run(TableFuture[HerokuMagicError]):
    """One execution of a task on a one-off dyno, with the methods of `concurrent.futures.Future`.

    `heroku.submit()` returns it. Iterating over it yields its events (`StateChange`, `LogLine` and
    records) from the first one on, for any number of readers.

    Attributes
    ----------
    id
        The run's public id, which its dyno's command carries.
    task, app
        The task's name; the app's name, or "embedded".
    state
        `requested`, `starting`, `up`, `stopping`, `done`, `failed` or `cancelled`.
    dyno, size, release
        The dyno's name and size and the app's release number; None before it is created.
    started_at, ends_at
        When the dyno was requested and when its time limit ends it, in seconds since 1970.
    seconds
        The time from the request to the end; None before the end.
    exit_status
        The exit status of the task's process; None while it is unknown.

    Examples
    --------
    >>> import heroku_magic
    >>> heroku = heroku_magic.connect(local=True, say=lambda message: None)
    >>> run = heroku.submit(command="echo hello")
    >>> run.result(timeout=60)
    >>> run.state, run.exit_status, run.logs()
    ('done', 0, 'hello')
    """

    def __init__(
        self,
        client: HerokuClient,
        spec: RunSpec,
        detached: Detached | None = None,
        *,
        log: SharedLog | None = None,
        on_exit: Callable[[], None] = lambda: None,
        runner: Callable[..., Runner] = Runner,
    ) -> None:
        """Prepare a run; `start()` requests its dyno.

        detached: a run of another process to attach. log: the log session of a sweep. on_exit: called when
        the dyno has exited, possibly before its last lines are read. runner: what drives the run.
        """
        self.task = spec.task
        self.app = spec.app_name
        self.state = "requested"
        self.activity = ""  # what it waits for before its dyno is requested
        self.dyno: str | None = None
        self.size: str | None = None
        self.release: int | None = None
        self.started_at: float | None = None
        self.ends_at: float | None = None
        self.seconds: float | None = None
        self.exit_status: int | None = None
        self._runner = runner(self, client, spec, detached, shared_log=log, on_exit=on_exit, on_end=self._call_back)
        self.id = self._runner.key.run
        self._events = self._runner.events
        self._log = self._runner.log
        self._spec = spec
        self._frame: pd.DataFrame | None = None
        self._frame_rows: int | None = None
        super().__init__(self._events.changed)

    def __repr__(self) -> str:
        parts = [self.task, self.state, self.dyno, self.app]
        if self.exit_status is not None:
            parts.append(f"exit {self.exit_status}")
        if self.seconds is not None:
            parts.append(f"{self.seconds:.1f} s")
        return f"<Run {self.id} {' '.join(filter(None, parts))}>"

    def start(self) -> Run:
        """Request the dyno, or attach to the existing one, and return at once; errors become the run's result."""
        record_start(self)
        registry.add(self)
        self._runner.start()
        return self

    # -- state ------------------------------------------------------------------------------------

    def done(self) -> bool:
        """Return whether the run has ended, successfully or not."""
        return self.state in FINAL

    def cancelled(self) -> bool:
        """Return whether the run was stopped by its user."""
        return self.state == "cancelled"

    def running(self) -> bool:
        """Return whether the run has not ended yet."""
        return not self.done()

    @property
    def host(self) -> str:
        """The base URL of the API that runs it."""
        return self._runner.client.base_url

    @property
    def request(self) -> RunRequest:
        """What was requested, as the ledger keeps it."""
        return self._spec.request

    @property
    def is_idle(self) -> bool:
        """Whether it waits for calls, as a warm dyno may: a run never does."""
        return False

    @property
    def is_detached(self) -> bool:
        """Whether the run continues when this process ends."""
        return self._spec.is_detached

    @property
    def is_warm(self) -> bool:
        """Whether it is a call on a warm dyno."""
        return self._runner.spec.is_warm

    @property
    def up_at(self) -> float | None:
        """When the dyno was up, in seconds since 1970; None while that is unknown."""
        changes = (event for event in self._events.others if isinstance(event, StateChange))
        return next((change.at for change in changes if change.state == "up"), None)

    @property
    def has_exited(self) -> bool:
        """Whether the dyno is known to have exited."""
        return self._runner.has_exited

    @property
    def was_evicted(self) -> bool:
        """Whether Heroku ended the dyno, other than for its time limit, its memory or its user's request."""
        failure = self._log.decoder.failure
        has_own_reason = failure is not None and failure.type != "Terminated"
        is_out_of_memory = not {"R14", "R15"}.isdisjoint(self._log.troubles)
        was_killed = self.exit_status in KILLED and not has_own_reason and not is_out_of_memory
        return was_killed and not self._runner.cancel_requested.is_set() and not self._runner.is_overdue

    @property
    def died_mid_task(self) -> bool:
        """Whether the process is known to have ended before the worker's helper reported an end."""
        return self.exit_status is not None and (self.exit_status in KILLED or self._log.decoder.end is None)

    # -- what the task sent -----------------------------------------------------------------------

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows received so far as a DataFrame; None without a table."""
        count = self._log.decoder.row_count  # which late lines may raise after the end
        if self._frame is None or not self.done() or count != self._frame_rows:
            self._frame = None if self.parts is None else partial_frame(self.parts, self.facts())
            self._frame_rows = count
        return self._frame

    @property
    def parts(self) -> list[Rows | Table] | None:
        """The rows received so far as records, without pandas; None without a table."""
        return self._log.decoder.parts if self._spec.takes_rows else None

    @property
    def calls(self) -> list[Call]:
        """The results of the calls that have ended, for a run that makes several."""
        return self._log.decoder.calls

    @property
    def files(self) -> dict[str, bytes]:
        """The files received so far, by name."""
        return self._log.decoder.files

    @property
    def metrics(self) -> pd.DataFrame:
        """The metrics received so far, in order: a row per value, with the columns `name`, `step` and `value`."""
        rows = [{"name": one.name, "step": one.step, "value": one.value} for one in self._metrics()]
        return table(rows, ["name", "step", "value"])

    @property
    def latest_metrics(self) -> dict[str, float]:
        """The last value of each metric, by name."""
        return {metric.name: metric.value for metric in self._metrics()}

    def _metrics(self) -> Iterator[Metric]:
        return (event for event in [*self._events.others] if isinstance(event, Metric))

    @property
    def progress(self) -> Progress | None:
        """The latest progress that the task reported."""
        return next((event for event in reversed(self._events.others) if isinstance(event, Progress)), None)

    @property
    def declaration(self) -> Declaration | None:
        """The task's declared parameters, once it has sent them."""
        return next((event for event in reversed(self._events.others) if isinstance(event, Declaration)), None)

    @property
    def latest_lines(self) -> Sequence[LogLine]:
        """The last lines of the log."""
        return self._events.latest

    def logs(self) -> str:
        """Return everything that the task has printed, without the records."""
        with self._changed:
            return "\n".join(line.message for line in self._events.lines() if line.source == "app")

    def facts(self) -> dict[str, Any]:
        """Return what `df.attrs["heroku"]` holds: small plain values such as the dyno and the price."""
        started_at, seconds = self.started_at, self.seconds
        return {
            "run": self.id,
            "app": self.app,
            "dyno": self.dyno,
            "release": self.release,
            "task": self.task,
            "size": self.size,
            "exit_status": self.exit_status,
            "started_at": started_at
            and datetime.fromtimestamp(started_at, timezone.utc).isoformat(timespec="microseconds"),
            "seconds": None if seconds is None else round(seconds, 3),
            "dollars": self.dollars,
            "verified": self._log.decoder.is_verified,
            "extra_dynos": [extra.dyno.name for extra in self.guard.extra_dynos()],
        }

    @property
    def guard(self) -> DynoGuard:
        """Looks for dynos that may still run, and be billed, without being noticed."""
        return self._runner.guard

    @property
    def dollars(self) -> float | None:
        """Cost in dollars at list price; None before the end, or if the price is unknown."""
        billed: list[tuple[str | None, float | None]] = [*self.guard.extra_seconds()]
        if self.dyno is not None or not billed:
            billed.append((self.size, self.seconds))
        return self._spec.total_price(billed)

    def snapshot(self) -> RunSnapshot:
        """Return what is known of the run by now, as an object that can be pickled."""
        known = {name: getattr(self, name) for name in SAME_NAMES}
        return RunSnapshot(**known, output=self.logs(), values=self.facts())

    def __iter__(self) -> Iterator[Event]:
        return (event for event in self.events() if event is not None)

    def __aiter__(self) -> AsyncIterator[Event]:
        """Yield every event from the first one on, in an event loop; cancelling the wait for one cancels the run."""
        from heroku_magic.runs.event_loop import iterate

        return iterate(self, self.events(EVENTS_TICK))

    def events(self, timeout: float | None = None) -> Iterator[Event | None]:
        """Yield every event from the first one on, until about a second after the end.

        Parameters
        ----------
        timeout
            Seconds without a new event after which None is yielded; None waits as long as it takes.
        """
        return self._events.events(timeout)

    @property
    def event_count(self) -> int:
        """The number of events so far."""
        return len(self._events)

    def past_events(self) -> Iterator[Event]:
        """Yield the events so far."""
        return takewhile(lambda event: event is not None, self._events.events(timeout=0))  # type: ignore[arg-type]

    # -- control ----------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Stop the dyno, without waiting for its end; a dyno that was not requested yet never will be.

        Returns
        -------
        bool
            False if the run has already ended.
        """
        if self.done():
            return False
        self._runner.cancel()
        return True

    def stop_warm_dyno(self) -> bool:
        """Stop the warm dyno of a call that does not end. Return False if none is running."""
        stop = getattr(self._runner, "stop_warm_dyno", None)
        return bool(stop and stop())

    def wait_for_dyno(self, timeout: float | None = None) -> bool:
        """Wait until the dyno is created, when a detached run can be attached, or the run has ended.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None waits as long as it takes.

        Returns
        -------
        bool
            Whether the dyno is created or the run has ended.
        """
        with self._changed:
            return wait_for(self._changed, lambda: self.dyno is not None or self.done(), timeout)

    def forget(self) -> None:
        """Delete the file from which another process could attach the run."""
        self._runner.forget()

    def leftover_message(self) -> str:
        """Return a sentence about what may still be running, and until when."""
        guard = self.guard
        if message := guard.leftover_message():
            return message
        if self.dyno is None or self.ends_at is None:
            return guard.unknown_message() if guard.had_lost_response else "No dyno was started."
        return may_still_run([self.dyno], self.app, self.ends_at)

    def outcome_message(self) -> str:
        """Return a sentence about what became of a cancelled run."""
        if not self.done():
            return f"{self.task} is being stopped. {self.leftover_message()}"
        return str(self._runner.error or f"{self.task} ended by itself.")

    def _failure(self) -> HerokuMagicError | None:
        return self._runner.error

    def _result_was_read(self) -> None:
        self.forget()
