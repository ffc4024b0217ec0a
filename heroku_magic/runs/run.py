"""Run: one one-off dyno from request to result, as a stream of events; it draws nothing and chooses no app.

A run lives in one daemon thread of its own: that thread alone talks to the API, so an interrupt of
the main thread never loses the answer to a create. Everybody else waits on the list of events.
"""

from __future__ import annotations

import queue
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from heroku_magic.api.log_stream import LogStream
from heroku_magic.errors import (
    ApiError,
    EmulatorError,
    HerokuMagicError,
    LogStreamError,
    NotFound,
    Refused,
    ResultIncomplete,
    RunCancelled,
    TaskFailed,
    Unreachable,
)
from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.records import Metric, Progress, RunKey
from heroku_magic.runs import measured, running
from heroku_magic.runs.create_dyno import DynoCreator, Stopped
from heroku_magic.runs.detached import Detached, path, save
from heroku_magic.runs.events import Event, StateChange
from heroku_magic.runs.failures import describe_failure
from heroku_magic.runs.feed import Feed
from heroku_magic.runs.future import TableFuture
from heroku_magic.runs.log_reader import RunLog
from heroku_magic.runs.registry import dynos_since
from heroku_magic.text.notifier import notifications_to
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.resources import Dyno
    from heroku_magic.api.shared_log import Followed, SharedLog
    from heroku_magic.protocol.records import Call, Declaration, Rows
    from heroku_magic.protocol.tables import Table
    from heroku_magic.runs.spec import RunSpec

AHEAD, FAR_AHEAD = 25, 100  # pieces of the log that wait for the run's thread, between which its reader is slowed down:
BREATH = 0.001  # seconds a piece, so little that no log session finds its reader asleep
LATE = 1.0  # seconds that the reader stays after the end, for late lines
SILENCE = 5.0  # seconds without a line after which the dyno is looked up
AGAIN = 30.0  # seconds between two looks for the backlog that failed
QUIET = 60.0  # seconds that a dyno is up without printing anything, after which that is said
WARNING = 0.8  # of the dyno's life, after which its end is announced


class Run(TableFuture[HerokuMagicError]):
    """One execution of one task on one one-off dyno, with the words of `concurrent.futures`.

    Iterating gives its events (StateChange, LogLine, Record) from the first one on, for any number
    of readers. `heroku.run()` and `heroku.submit()` make runs; nobody else needs to.
    log: of all runs of a sweep, whose business it then is to wait for room. on_exit: called when the
    dyno is over, which may be before its last lines are read.
    """

    def __init__(
        self,
        client: HerokuClient,
        order: RunSpec,
        detached: Detached | None = None,
        *,
        log: SharedLog | None = None,
        on_exit: Callable[[], None] = lambda: None,
    ) -> None:
        self._feed = Feed()
        super().__init__(self._feed.changed)
        self.task = order.task
        self.app = order.app_name
        self.dyno: str | None = None
        self.size: str | None = None
        self.release: int | None = None
        self.started_at: float | None = None
        self.ends_at: float | None = None
        self.seconds: float | None = None
        self.exit_status: int | None = None
        self._client = client
        self._order = order
        self._detached = detached
        self._file = path(detached.run) if detached else None
        self._key = RunKey.read(detached.key) if detached else RunKey.new()
        self.id = self._key.run
        self._creation = DynoCreator(
            self._client,
            order.app,
            f"{order.command} #{self.id}",
            {**order.env, "RUN_KEY": Secret(self._key.env())},
            size=order.size,
            time_to_live=order.timeout,
            wait=self._is_cancelled_within,
            is_patient=log is None,
        )
        self._log = RunLog(self._key, takes_rows=order.takes_rows, mask=order.mask)
        self._looked_at = self._not_before = 0.0
        self._is_missed = False
        self._told: set[str] = set()
        self._history = self._feed.history
        self._shared_log = log
        self._on_exit = on_exit
        self._stream: LogStream | Followed | None = None
        self._state = "requested"
        self._error: HerokuMagicError | None = None
        self._cancel_asked = threading.Event()
        self._inbox: queue.SimpleQueue[list[LogLine] | LogStreamError | None] = queue.SimpleQueue()
        self._dyno_id = ""
        self._began: float | None = None
        self._frame: pd.DataFrame | None = None

    # -- what a user reads ------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The base URL of the API that the run is asked of."""
        return self._client.base_url

    @property
    def is_detached(self) -> bool:
        """Whether the run goes on when this process ends."""
        return self._order.is_detached

    @property
    def state(self) -> str:
        """`requested`, `starting`, `up`, `stopping`, `done`, `failed` or `cancelled`."""
        return self._state

    @property
    def up_at(self) -> float | None:
        """When the dyno was up, in seconds since 1970; None as long as that is not known."""
        changes = (event for event in self._history.others if isinstance(event, StateChange))
        return next((change.at for change in changes if change.state == "up"), None)

    @property
    def latest_lines(self) -> Sequence[LogLine]:
        """The last lines of its log."""
        return self._history.latest

    @property
    def has_exited(self) -> bool:
        """Whether its dyno is known to be over."""
        return self.done() or self._log.life.exit_status is not None

    @property
    def was_evicted(self) -> bool:
        """Whether its dyno was ended from outside: not by its user, its time limit, or for its memory."""
        is_own = self._log.decoder.failure is not None and self._log.decoder.failure.type != "Terminated"
        is_told = any(code.startswith("R1") for code in self._log.troubles)
        was_killed = self.exit_status in {137, 143} and not is_own and not is_told
        return was_killed and not self._cancel_asked.is_set() and not self._is_overdue

    @property
    def died_mid_task(self) -> bool:
        """Whether its process is known to have ended in the midst of its work, not by the helper's own word."""
        return self.exit_status is not None and (self.exit_status in {137, 143} or self._log.decoder.end is None)

    @property
    def _is_overdue(self) -> bool:
        ended_at = (self.started_at or 0) + (self.seconds or self._elapsed() or 0)
        return self.ends_at is not None and ended_at >= self.ends_at - 0.5

    @property
    def calls(self) -> list[Call]:
        """What its calls sent that have ended, of a run that makes several."""
        return self._log.decoder.calls

    @property
    def progress(self) -> Progress | None:
        """The newest progress that the task told."""
        return next((event for event in reversed(self._history.others) if isinstance(event, Progress)), None)

    @property
    def declaration(self) -> Declaration | None:
        """What the task says that it takes, once it has."""
        return self._log.declaration

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows so far as a DataFrame; None when there is no table."""
        if self._frame is None or not self.done():
            self._frame = None if self.parts is None else frame(self.parts, self.facts())
        return self._frame

    @property
    def parts(self) -> list[Rows | Table] | None:
        """The rows so far as the records that brought them, without pandas; None when there is no table."""
        return self._log.decoder.parts if self._order.takes_rows else None

    @property
    def files(self) -> dict[str, bytes]:
        """The files that the task sent so far, by name."""
        return self._log.decoder.files

    @property
    def metrics(self) -> list[Metric]:
        """The numbers to watch that the task told so far, in order."""
        return [event for event in self._history.others if isinstance(event, Metric)]

    def __repr__(self) -> str:
        parts = [self.task, self._state, self.dyno, self.app]
        if self.exit_status is not None:
            parts.append(f"exit {self.exit_status}")
        if self.seconds is not None:
            parts.append(f"{self.seconds:.1f} s")
        return f"<Run {self.id} {' '.join(filter(None, parts))}>"

    def facts(self) -> dict[str, Any]:
        """Return the run's facts as small plain values: what `df.attrs["heroku"]` holds."""
        seconds = self.seconds
        return {
            "run": self.id,
            "app": self.app,
            "dyno": self.dyno,
            "release": self.release,
            "task": self.task,
            "size": self.size,
            "exit_status": self.exit_status,
            "started_at": _iso(self.started_at),
            "seconds": None if seconds is None else round(seconds, 3),
            "dollars": self._order.price(self.size, seconds),
            "verified": self._log.decoder.verified,
        }

    def logs(self) -> str:
        """Return the task's whole log as text: what it printed, without the records."""
        with self._changed:
            return "\n".join(line.message for line in self._history.lines() if line.source == "app")

    # -- concurrent.futures' words ----------------------------------------------------------------

    def done(self) -> bool:
        """Tell whether the run is over, well or badly."""
        return self._state in {"done", "failed", "cancelled"}

    def cancelled(self) -> bool:
        """Tell whether the run was stopped by its user."""
        return self._state == "cancelled"

    def running(self) -> bool:
        """Tell whether the run is not over."""
        return not self.done()

    def wait_for_dyno(self, timeout: float | None = None) -> bool:
        """Wait until the dyno is created (a detached run can be attached then) or the run is over."""
        with self._changed:
            return self._changed.wait_for(lambda: self.dyno is not None or self.done(), timeout)

    def _failure(self) -> HerokuMagicError | None:
        return self._error

    def _result_was_read(self) -> None:
        self.forget()

    def cancel(self) -> bool:
        """Ask Heroku to stop the dyno and return at once; False when the run is over already.

        `wait()` then waits until it is gone. A run that was not created yet never will be.
        """
        if self.done():
            return False
        self._cancel_asked.set()
        self._inbox.put(None)
        return True

    def __iter__(self) -> Iterator[Event]:
        return (event for event in self.events() if event is not None)

    def events(self, timeout: float | None = None) -> Iterator[Event | None]:
        """Yield every event from the first one on; None whenever `timeout` seconds brought nothing.

        Ends when the last late line is read, about a second after the final StateChange.
        """
        return self._feed.events(timeout)

    # -- the life of a run, in its own thread -----------------------------------------------------

    def start(self) -> Run:
        """Request the dyno, or attach the one that is there. Returns at once; what goes wrong is the run's error."""
        running.add(self)
        self._feed.add(StateChange("requested", time.time(), task=self.task, app=self.app))
        threading.Thread(target=self._live, name=f"heroku-{self.id}", daemon=True).start()
        return self

    def _live(self) -> None:
        with notifications_to(self._note):
            self._run()

    def _run(self) -> None:
        try:
            dyno = self._attach(self._detached) if self._detached else self._create()
            self._stream = self._open_log(dyno)
            self._creation.stop_extras(dyno)
            self._follow(dyno)
            self._finish(self._verdict())
            self._read_late_lines()
        except HerokuMagicError as error:
            self._finish(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever for a thread that died
            self._finish(
                HerokuMagicError(f"A fault of heroku_magic: {type(error).__name__}. {self.leftover_message()}")
            )
        finally:
            if self._stream is not None:
                self._stream.close()
            self._close()

    def _open_log(self, dyno: Dyno) -> LogStream | Followed:
        if self._shared_log is not None:
            return self._shared_log.follow(dyno.name, self._receive)
        return LogStream(self._client, self._order.app, dyno.name, self._receive).start()

    def _create(self) -> Dyno:
        """Create the dyno; a create whose answer was lost is looked for by the run's id."""
        order = self._order
        # A process that ends waits for what is detached until it is created.
        if self._cancel_asked.is_set() or (running.is_ending() and not order.is_detached):
            raise RunCancelled(f"{self.task} was stopped before its dyno was created.", self)
        self.started_at, self._began = time.time(), time.monotonic()
        try:
            dyno = self._creation.dyno()
        except Stopped:
            raise RunCancelled(f"{self.task} was stopped before its dyno was created.", self) from None
        except Refused as error:
            if order.size is None:
                raise
            raise Refused(f"{error} (asked for --size {order.size})", status=error.status, id=error.id) from None
        except Unreachable as error:
            raise self._unknown_create(error) if error.sent else error from None
        if order.is_detached:
            self._keep(dyno)
        self._started(dyno)
        return dyno

    def _attach(self, detached: Detached) -> Dyno:
        """Take up a run that another process started; a dyno that is over has only its log left."""
        self.started_at = detached.started_at
        self._began = time.monotonic() - (time.time() - detached.started_at)
        dyno = detached.as_dyno()
        self._started(dyno)
        if all(one.id != dyno.id for one in self._client.dynos(self._order.app)):
            self._log.life.gone(time.monotonic())
        return dyno

    def forget(self) -> None:
        """The run was read: nobody attaches it again."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _is_cancelled_within(self, seconds: float) -> bool:
        return self._cancel_asked.wait(seconds)

    def _unknown_create(self, error: Unreachable) -> HerokuMagicError:
        """No create was answered, and no dyno was seen: it may be there all the same."""
        at = datetime.fromtimestamp(time.time() + self._order.timeout).astimezone()
        unknown = (
            f"Whether a dyno was started for {self.id} is unknown: `%heroku ps` shows it if so "
            f"(`%heroku stop {self.id}`), and it ends by itself at {at:%H:%M:%S}."
        )
        if self._cancel_asked.is_set():
            return RunCancelled(f"{self.task} was stopped while its dyno was being created. {unknown}", self)
        return Unreachable(f"{error} {unknown}", status=error.status, id=error.id)

    def _keep(self, dyno: Dyno) -> None:
        """Write down what another process needs to attach this run."""
        order = self._order
        self._file = save(
            Detached(
                run=self.id,
                key=self._key.env(),
                host=self._client.base_url,
                app=order.app,
                task=order.task,
                command=order.command,
                dyno=dyno.name,
                dyno_id=dyno.id,
                size=dyno.size,
                release_id=dyno.release.id,
                release=dyno.release.version,
                created_at=dyno.created_at,
                started_at=self.started_at or time.time(),
                timeout=order.timeout,
                takes_rows=order.takes_rows,
                secrets=[*order.secrets],
            )
        )

    def _started(self, dyno: Dyno) -> None:
        self.dyno, self._dyno_id = dyno.name, dyno.id
        self.size, self.release = dyno.size, dyno.release.version
        self.ends_at = (self.started_at or time.time()) + self._order.timeout
        self._change(
            "starting",
            dyno=dyno.name,
            size=dyno.size,
            release=dyno.release.version,
            ends_at=self.ends_at,
        )

    def _follow(self, dyno: Dyno) -> None:
        """Read lines until the life cycle says that the run is over."""
        self._log.begin(dyno)
        life, heard_at = self._log.life, time.monotonic()
        while not life.is_over(time.monotonic()):
            self._stop_if_asked()
            item = self._next(life.patience(time.monotonic(), SILENCE))
            if isinstance(item, LogStreamError):
                life.gone(time.monotonic())
                raise self._lost(item)
            if item is not None:
                heard_at = time.monotonic()
                self._take(item)
            elif time.monotonic() - heard_at >= SILENCE:
                self._look_up(heard_at)
            self._fill_gaps()
            self._warn()
        if not self._log.is_whole() and not self._cancel_asked.is_set():
            self._fill(at_end=True)
        self._log.decoder.close()

    def _next(self, seconds: float) -> list[LogLine] | LogStreamError | None:
        try:
            return self._inbox.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None

    def _receive(self, item: list[LogLine] | LogStreamError) -> None:
        """Take what the log's reader brings, in its thread; one that gets ahead waits a moment, or memory fills.

        A run that cannot keep up all the same lets it go on: Heroku drops lines that nobody takes.
        """
        self._inbox.put(item)
        if AHEAD < self._inbox.qsize() < FAR_AHEAD:
            time.sleep(BREATH)

    def _take(self, lines: list[LogLine]) -> None:
        """Turn lines into events."""
        had_exited = self.has_exited
        news = self._log.take(lines)
        if self.has_exited and not had_exited:
            self._on_exit()
        # A line that comes late must not bring a run that is over back to life.
        states = [] if self.done() else [self._state_change(state) for state in news.states]
        notes = [] if self.done() else [self._state_change(self._state, note=note) for note in news.notes]
        self._feed.add(*news.events, *states, *notes)

    def _fill_gaps(self) -> None:
        """Look for what a stream lost while the backlog still holds it: a long result runs out of it."""
        if time.monotonic() < self._not_before or not self._log.asks_for_backlog():
            return
        try:
            self._fill(at_end=False)
        except (ApiError, LogStreamError) as error:  # the dyno goes on: there is time for another look
            self._not_before = time.monotonic() + AGAIN
            self._tell_once(f"Lines of the log are missing, and its backlog cannot be read just now: {error}")
        else:
            if lost := self._log.lost_for_good():
                self._note(lost)

    def _fill(self, *, at_end: bool) -> None:
        if self._stream is not None:
            self._feed.add(*self._log.fill(self._stream.backlog(), at_end=at_end, gaps=self._stream.gaps))

    def _warn(self) -> None:
        """Say once each: that the dyno's life is nearly over, and that it prints nothing."""
        age, life = time.time() - (self.started_at or 0), self._order.timeout
        if age > WARNING * life:
            self._tell_once(f"{WARNING:.0%} of the dyno's {life} s are over, then it is ended: --timeout gives more.")
        if self._state == "up" and age > QUIET and not self._log.has_printed:
            self._tell_once("The dyno is up, and its log says nothing: is the task's output buffered (`python -u`)?")

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._note(text)

    def _look_up(self, heard_at: float) -> None:
        """After a long silence: is the dyno still there? The log alone may have lost its end.

        One look may be too early, for a dyno that is not visible yet: it has to be missing twice.
        """
        try:
            there = dynos_since(self._client, self._order.app, max(heard_at, self._looked_at))
        except NotFound:
            raise NotFound(f"The app {self.app} is gone, and the run with it.", status=404) from None
        except ApiError as error:
            self._change(self._state, note=f"The dyno cannot be looked up: {error}")
            return
        if there is None:
            return
        self._looked_at = time.monotonic()
        was_missed, self._is_missed = self._is_missed, self._dyno_id not in there
        if was_missed and self._is_missed:
            self._log.life.gone(time.monotonic())

    def _stop_if_asked(self) -> None:
        if not self._cancel_asked.is_set() or self._state == "stopping":
            return
        self._change("stopping")
        self._log.life.stopped()
        try:
            self._client.stop_dyno(self._order.app, self._dyno_id)
        except NotFound:
            self._log.life.gone(time.monotonic())  # it ended by itself meanwhile
        except ApiError as error:
            raise RunCancelled(f"{self.dyno} could not be stopped: {error}\n{self.leftover_message()}", self) from None

    def _read_late_lines(self) -> None:
        """Stay a moment for lines that the log brings after the end."""
        until = time.monotonic() + LATE
        while (left := until - time.monotonic()) > 0:
            item = self._next(left)
            if isinstance(item, list):
                self._take(item)

    # -- how it ended -----------------------------------------------------------------------------

    def _verdict(self) -> HerokuMagicError | None:
        """What the run failed with, or None."""
        self.exit_status = self._log.exit_status
        if self._cancel_asked.is_set():
            return RunCancelled(
                f"{self.task} was stopped after {self._elapsed() or 0:.1f} s; {self.dyno} is gone.", self
            )
        if self.exit_status == 0:
            return self._incompleteness()
        text = describe_failure(
            self.task,
            self.exit_status,
            self._log.decoder.failure,
            [line.message for line in self.latest_lines if line.source == "app"],
            time_limit=self._order.timeout if self._is_overdue else None,
            dyno=self.dyno or "",
            troubles=[text for code, text in self._log.troubles.items() if code.startswith("R")],
        )
        return TaskFailed(text, self)

    def _incompleteness(self) -> ResultIncomplete | None:
        problem = self._log.problem()
        if problem is None:
            return None
        return ResultIncomplete(f"{self.task} ended well, but its result is incomplete: {problem}.", self)

    def _lost(self, error: LogStreamError) -> HerokuMagicError:
        remains = self._let_go()
        if self._order.is_local:
            return EmulatorError(
                f"The embedded Heroku ended while {self.task} ran, and its dynos with it: run it again, on a new one."
            )
        return LogStreamError(f"{error} {remains}")

    def _let_go(self) -> str:
        """Stop a dyno of a sweep that nobody can read any more; of a single run that is its user's to decide."""
        if self._shared_log is None or self.is_detached:
            return self.leftover_message()
        try:
            self._client.stop_dyno(self._order.app, self._dyno_id)
        except ApiError:
            return self.leftover_message()
        return f"{self.dyno} was told to stop."

    def leftover_message(self) -> str:
        """Say what may still run, and when it ends by itself."""
        if self.dyno is None or self.ends_at is None:
            return "No dyno was started."
        at = datetime.fromtimestamp(self.ends_at).astimezone()
        return (
            f"{self.dyno} of {self.app} may still run; it ends by itself at {at:%H:%M:%S} (`%heroku stop {self.dyno}`)."
        )

    def outcome_message(self) -> str:
        """Say what became of a run that was cancelled: gone, or what may still run and until when."""
        if not self.done():
            return f"{self.task} was told to stop. {self.leftover_message()}"
        return str(self._error) if self._error else f"{self.task} ended by itself."

    def _elapsed(self) -> float | None:
        """Seconds from the create to the end, as far as it is known; not the wait for late lines.

        A run that was attached may have ended before: there Heroku's own clock counts.
        """
        if self._detached is not None and self._log.exited_at:
            return max(_moment(self._log.exited_at) - _moment(self._detached.created_at), 0.0)
        ended = self._log.life.ended_at or time.monotonic()
        return None if self._began is None else ended - self._began

    def _finish(self, error: HerokuMagicError | None) -> None:
        if self.done():
            return
        self.seconds = self._elapsed()
        self._error = error
        if error is None and self._detached is None:  # of one that was attached it is unknown when it ended
            measured.note(self, self._order)
        state = "cancelled" if isinstance(error, RunCancelled) else "failed" if error else "done"
        self._change(
            state,
            exit_status=self.exit_status,
            seconds=self.seconds,
            rows=self._log.decoder.row_count if self._order.takes_rows else None,
            verified=self._log.decoder.verified,
            error=str(error) if error else None,
            note="the exit line never came: the status is the task's own"
            if self._log.life.exit_status is None and self.exit_status is not None
            else None,
        )
        self._call_back()

    def _close(self) -> None:
        running.discard(self)
        self._feed.close()

    # -- events -----------------------------------------------------------------------------------

    def _state_change(self, state: str, **facts: Any) -> StateChange:
        if not (self._state == "stopping" and state == "up"):
            self._state = state
        return StateChange(self._state, time.time(), **facts)

    def _change(self, state: str, **facts: Any) -> None:
        with self._changed:
            self._feed.add(self._state_change(state, **facts))

    def _note(self, text: str) -> None:
        self._change(self._state, note=text)


def _moment(text: str) -> float:
    """Seconds since 1970 of a time as Heroku writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds")
