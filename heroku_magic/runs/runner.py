"""Drives one run in a thread, from the create request to the verdict.

This thread alone talks to the API for the run, so an interrupt of the main thread never loses the response to a create.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from heroku_magic.api.log_stream import LogStream
from heroku_magic.api.loss_stream import LossStream
from heroku_magic.errors import ApiError, EmulatorError, HerokuMagicError, LogStreamError, NotFound, RunCancelled
from heroku_magic.protocol.records import RunKey
from heroku_magic.runs import detached as detached_runs
from heroku_magic.runs import registry
from heroku_magic.runs.background import start_thread
from heroku_magic.runs.create_dyno import DynoCreator, Stopped
from heroku_magic.runs.dyno_guard import DynoGuard
from heroku_magic.runs.event_log import EventLog
from heroku_magic.runs.events import StateChange
from heroku_magic.runs.failures import failure_of
from heroku_magic.runs.installation import wait_for_installation
from heroku_magic.runs.line_inbox import LineInbox
from heroku_magic.runs.log_reader import RAN_TWICE, RunLog
from heroku_magic.runs.run_clock import RunClock, seconds_between
from heroku_magic.runs.tracebacks import failure_in
from heroku_magic.text.notifier import keeps_notifications, notifications_to, notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.resources import Dyno
    from heroku_magic.api.shared_log import SharedLog
    from heroku_magic.runs.detached import Detached
    from heroku_magic.runs.run_protocol import DynoStream, RunHandle
    from heroku_magic.runs.spec import RunSpec

SILENCE = 5.0  # seconds without a line after which the dyno is looked up
BACKLOG_RETRY = 30.0  # seconds until the backlog is read again after a failure
QUIET = 60.0  # seconds without output after which the user gets a hint


class Runner:
    """The thread behind one run.

    shared_log: the log session of a sweep, which also queues for capacity itself. on_exit: called when
    the dyno has exited, possibly before its last lines are read. on_end: called when the run has ended.
    """

    late = 1.0  # seconds to keep reading after the end
    place = ""  # of the output, if it is not in the app's log

    def __init__(
        self,
        run: RunHandle,
        client: HerokuClient,
        spec: RunSpec,
        detached: Detached | None,
        *,
        shared_log: SharedLog | None,
        on_exit: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self.client = client
        self.spec = spec
        self.key = RunKey.read(detached.key) if detached else RunKey.new()
        self.log = RunLog(self.key, spec)
        self.events = EventLog()
        self.error: HerokuMagicError | None = None
        self.cancel_requested = threading.Event()
        self._run, self._detached, self._shared_log = run, detached, shared_log
        self._on_exit, self._on_end = on_exit, on_end
        self._notify_owner = keeps_notifications(notify)
        self.guard = DynoGuard(client, spec, self.key.run, self._report)
        self._creator = DynoCreator(
            client, spec, self.key, guard=self.guard, wait=self.cancel_requested.wait, is_patient=shared_log is None
        )
        self._inbox = LineInbox()
        self._stream: DynoStream | None = None
        self._losses: LossStream | None = None
        self._file = detached_runs.path(detached.run) if detached else None
        self._dyno_id = ""
        self._clock = RunClock(spec.timeout, "call" if spec.keeps_dyno else "dyno")
        self._next_backlog = 0.0
        self._notes: set[str] = set()

    def start(self) -> None:
        """Start the thread."""
        self.events.add(StateChange("requested", time.time(), task=self.spec.task, app=self.spec.app_name))
        start_thread(self._live, f"heroku-{self.key.run}", self._not_started)

    def cancel(self) -> None:
        """Request the end of the run and return at once."""
        self.cancel_requested.set()
        self._inbox.wake()

    def forget(self) -> None:
        """Delete the file that another process would attach the run by."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _live(self) -> None:
        with notifications_to(self._note), self.guard.watched():
            self._work()

    def _not_started(self, error: BaseException) -> None:
        self.cancel()
        self._finish(HerokuMagicError(f"{self.spec.task} was not started: {error or type(error).__name__}."))
        registry.discard(self.key.run)
        self.events.close()

    def _work(self) -> None:
        try:
            self._watch_losses()
            dyno = self._attach(self._detached) if self._detached else self._create()
            self._stream = self._open_log(dyno)
            self.guard.check_for_extras()
            self._follow(dyno)
            self.guard.own_ended()
            self.guard.check_at_end(self._stream.backlog)
            self._finish(self._verdict())
            until = time.monotonic() + self.late
            while (left := until - time.monotonic()) > 0:
                if isinstance(late := self._inbox.next(left), list):
                    self._take(late)
        except HerokuMagicError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave its readers waiting forever
            reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            self._fail(HerokuMagicError(f"Internal error in heroku_magic: {type(error).__name__}{reason}."))
        finally:
            if self._stream is not None:
                self._stream.close()
            if self._losses is not None and self._shared_log is None:
                self._losses.close()
            registry.discard(self.key.run)
            self.events.close()

    def _open_log(self, dyno: Dyno) -> DynoStream:
        if self._shared_log is not None:
            return self._shared_log.follow(dyno.name, self._inbox.put)
        return LogStream(self.client, self.spec.app, dyno.name, self._inbox.put).start()

    def _fail(self, error: HerokuMagicError) -> None:
        """End the run with an error. A dyno that would continue unseen is stopped; one that can be attached is left."""
        is_left = isinstance(error, LogStreamError | EmulatorError | NotFound | RunCancelled)
        try:
            if self._dyno_id and not (is_left or self._file) and not self.log.life.is_over(time.monotonic()):
                error.args = (f"{error} {self.guard.stop_and_wait()}",)
            self.guard.check_for_extras()
        finally:
            self._finish(error)

    # -- the dyno ---------------------------------------------------------------------------------

    def _create(self) -> Dyno:
        """Create the dyno; after a lost response, find it by the run's id."""
        spec = self.spec
        try:
            # A process that exits still waits for the dyno of a detached run.
            if self.cancel_requested.is_set() or (registry.is_ending() and not spec.is_detached):
                raise Stopped  # noqa: TRY301 - it is worded below
            self._run.started_at = time.time()
            self._clock.start()
            wait_for_installation(
                self.client, spec, self.cancel_requested.wait, lambda text: self._change("requested", activity=text)
            )
            dyno = self._creator.create()
        except Stopped as stopped:
            raise RunCancelled(f"{spec.task} was stopped {stopped}", self._run) from None
        # A wait for packages, or until another dyno has ended, is not part of the dyno's life.
        self._clock.start(age := self.guard.request_age)
        self._run.started_at = started_at = time.time() - age
        try:
            if spec.is_detached:
                self._file = detached_runs.save(spec, dyno, self.key, self.client.base_url, started_at)
        finally:
            self._use(dyno, started_at)
        return dyno

    def _attach(self, detached: Detached) -> Dyno:
        """Resume a run that another process started; of an exited dyno only the log is left."""
        dyno, age = detached.dyno, time.time() - detached.started_at
        self._run.started_at = detached.started_at
        self._clock.start(age)
        self._use(dyno, detached.started_at, age)
        if all(one.id != dyno.id for one in self.client.dynos(self.spec.app)):
            self.log.life.mark_gone(time.monotonic())
        return dyno

    def _use(self, dyno: Dyno, started_at: float, age: float | None = None) -> None:
        run, self._dyno_id = self._run, dyno.id
        self.guard.use(dyno, age)
        registry.record_place(run.id, self.client.base_url, self.spec.app, dyno.name)
        run.dyno, run.size, run.release = dyno.name, dyno.size, dyno.release.version
        run.ends_at = started_at + self.spec.timeout
        self._change("starting", dyno=run.dyno, size=run.size, release=run.release, ends_at=run.ends_at)

    def _stop_if_cancelled(self) -> None:
        if not self.cancel_requested.is_set():
            return
        if self._run.state != "stopping":
            self._change("stopping")
            self.log.life.skip_late_lines()
            self.guard.check_for_extras()
        try:
            if self.guard.try_to_stop():
                self.log.life.mark_gone(time.monotonic())  # it has ended by itself
        except ApiError as error:
            message = f"{self._run.dyno} could not be stopped: {error}\n{self._run.leftover_message()}"
            raise RunCancelled(f"{message} heroku_magic keeps trying to stop it until then.", self._run) from None

    def _look_up(self, heard_at: float) -> None:
        """Check after a long silence whether the dyno still exists: the log may have lost its last lines."""
        try:
            if self.guard.is_missing(heard_at):
                self.log.life.mark_gone(time.monotonic())
        except NotFound:
            raise NotFound(f'The app "{self._run.app}" is gone, and this run with it.', status=404) from None
        except ApiError as error:
            self._note(f"The dyno cannot be looked up: {error}")

    # -- the log ----------------------------------------------------------------------------------

    def _follow(self, dyno: Dyno) -> None:
        """Read lines until the run is over."""
        self.log.begin(dyno)
        is_over = False
        while not is_over:
            self._follow_to_end()
            if not self.log.is_complete() and not self.cancel_requested.is_set():
                self._fill(at_end=True)
            is_over = self.log.life.is_over(time.monotonic())  # the end may turn out to be that of an earlier dyno
        if self.log.life.starts > 1:
            self._note_once(RAN_TWICE)
        self.log.decoder.close()

    def _follow_to_end(self) -> None:
        heard_at = time.monotonic()
        while not self.log.life.is_over(time.monotonic()):
            self._stop_if_cancelled()
            longest = 1.0 if self.cancel_requested.is_set() else SILENCE
            item = self._inbox.next(self.log.life.patience(time.monotonic(), longest))
            if isinstance(item, LogStreamError):
                self.log.life.mark_gone(time.monotonic())
                raise self._lost_log(item)
            if item is not None:
                heard_at = time.monotonic()
                self._take(item)
            elif time.monotonic() - heard_at >= SILENCE:
                self._look_up(heard_at)
            self.guard.check_if_due()
            self._fill_gaps()
            self._warn()

    def _watch_losses(self) -> None:
        """Follow the reports of lost lines where rows may come without numbers, which would reveal a loss."""
        if self.spec.takes_rows and self.spec.is_compound:
            own = LossStream(self.client, self.spec.app, self._inbox.put)
            self._losses = self._shared_log.watch_losses() if self._shared_log is not None else own.start()
            self._losses.wait_until_open(self.cancel_requested.is_set)

    def _take(self, lines: list[LogLine]) -> None:
        """Turn lines into events."""
        had_exited, update = self.has_exited, self.log.take(lines)
        if self.has_exited and not had_exited:
            self._on_exit()
        changes = []
        if not self._run.done():  # a late line must not bring a run back to life
            changes = [self._state_change(state) for state in update.states]
            changes += [self._state_change(self._run.state, note=note) for note in update.notes]
        self.events.add(*update.events, *changes)

    def _fill_gaps(self) -> None:
        """Recover lost records while the backlog still has them."""
        if time.monotonic() < self._next_backlog or not self.log.needs_backlog():
            return
        try:
            self._fill(at_end=False)
        except (ApiError, LogStreamError) as error:  # the dyno is still running, so there is time to try again
            self._next_backlog = time.monotonic() + BACKLOG_RETRY
            self._note_once(f"Log lines are missing, and Heroku's log history cannot be read right now: {error}")
        else:
            if message := self.log.loss_message():
                self._note(message)

    def _fill(self, *, at_end: bool) -> None:
        if self._stream is not None:
            self.log.misses_losses = self._losses is not None and self._losses.is_broken
            self.events.add(*self.log.fill(self._stream.backlog(), at_end=at_end, gaps=self._stream.gaps))

    def _warn(self) -> None:
        """Warn once that the time limit is near, and once that nothing was printed."""
        if self._clock.is_late():
            self._note_once(self._clock.warning)
        if self._run.state == "up" and (self._clock.age() or 0) > QUIET and not self.log.has_printed:
            self._note_once("The dyno is up but has not printed anything. Is its output buffered (see `python -u`)?")

    def _lost_log(self, error: LogStreamError) -> HerokuMagicError:
        """Describe a broken log session; it stops the dyno of a sweep, while a single run's is left to its user."""
        is_stopped = self._shared_log is not None and not self.spec.is_detached
        leftover = self.guard.stop_without_log() if is_stopped else self._run.leftover_message()
        if self.spec.is_local:
            return EmulatorError(
                f"The embedded Heroku ended while {self.spec.task} was running, and its dynos with it. "
                "Run the task again to start a new one."
            )
        return LogStreamError(f"{error} {leftover}")

    # -- the end ----------------------------------------------------------------------------------

    @property
    def has_exited(self) -> bool:
        """Whether the dyno is known to have exited."""
        return self._run.done() or self.log.life.exit_status is not None

    @property
    def is_overdue(self) -> bool:
        """Whether the time limit has ended the dyno, and no task that had already succeeded."""
        has_succeeded = self._run.exit_status == 0
        if self._run.ends_at is None or (has_succeeded and self.log.decoder.end is not None):
            return False
        return self._clock.reaches_limit(self._run.seconds or self._elapsed(), has_succeeded=has_succeeded)

    def _elapsed(self) -> float | None:
        """Return the seconds from create to end, as far as known, without the wait for late lines.

        An attached run may have ended earlier: there Heroku's log counts.
        """
        if self._detached is not None and self.log.exited_at:
            return seconds_between(self.log.began_at or self._detached.dyno.created_at, self.log.exited_at)
        return self._clock.age(self.log.life.ended_at)

    def _verdict(self) -> HerokuMagicError | None:
        """Return the error that the run ends with, or None."""
        run = self._run
        run.exit_status = self.log.exit_status
        if self.cancel_requested.is_set():
            dyno = f"{run.dyno} {'stays warm' if self.spec.keeps_dyno else 'is gone'}"
            return RunCancelled(f"{run.task} was stopped after {self._elapsed() or 0:.1f} s; {dyno}.", run)
        output = [line.message for line in self.events.latest if line.source == "app"]
        limit = self.spec.timeout if self.is_overdue else None
        error = failure_of(run, self.log, output, limit, spec=self.spec, place=self.place)
        if error is not None and self.log.decoder.failure is None and (failure := failure_in(output)):
            self.events.add(failure)  # as the worker's helper sends it
        return error

    def _finish(self, error: HerokuMagicError | None) -> None:
        run, exit_status = self._run, self._run.exit_status
        if run.done():
            return
        run.seconds, self.error = self._elapsed(), error
        self.guard.run_ended()
        # The end of an attached run is not known exactly, and one of several calls is no measure of a run.
        if error is None and self._detached is None and run.seconds is not None and not self.log.decoder.calls:
            registry.record_duration(self.spec, run.size, run.seconds)
        is_own_status = self.log.life.exit_status is None and exit_status is not None
        self._change(
            "cancelled" if isinstance(error, RunCancelled) else "failed" if error else "done",
            exit_status=exit_status,
            seconds=run.seconds,
            rows=self.log.decoder.row_count if self.spec.takes_rows else None,
            verified=self.log.decoder.is_verified,
            error=str(error) if error else None,
            withdraws=self._clock.warning if self.is_overdue else None,
            note="no exit line arrived; the exit status is the one that the task reported" if is_own_status else None,
        )
        self._on_end()

    # -- events -----------------------------------------------------------------------------------

    def _state_change(self, state: str, **facts: Any) -> StateChange:
        if not (self._run.state == "stopping" and state == "up"):
            self._run.state = state
        return StateChange(self._run.state, time.time(), **facts)

    def _change(self, state: str, **facts: Any) -> None:
        self._run.activity = facts.get("activity", "")
        with self.events.changed:
            self.events.add(self._state_change(state, **facts))

    def _note(self, text: str) -> None:
        self._change(self._run.state, note=text)

    def _report(self, text: str) -> None:
        """Report a dyno, also when nobody reads the events any more or a sweep shows none of them."""
        if self._run.done() or self._shared_log is not None:
            self._notify_owner(text)
        self._note_once(text)

    def _note_once(self, text: str) -> None:
        if text not in self._notes:
            self._notes.add(text)
            self._note(text)
