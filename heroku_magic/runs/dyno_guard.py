"""Finds and stops dynos that a run leaves running: dynos of lost create requests, and dynos that could not be stopped.

A create request whose response was lost may take effect at any later time, even when the run has its dyno or has
ended. A dyno counts as stopped only when it is no longer listed.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from heroku_magic.api.log_stream import backlog
from heroku_magic.api.resources import ONE_OFF, Dyno, DynoRelease
from heroku_magic.errors import ApiError, LogStreamError, NotFound
from heroku_magic.runs import registry
from heroku_magic.runs.command_mark import run_id
from heroku_magic.runs.log_window import starts_of
from heroku_magic.runs.run_clock import moment, seconds_between, time_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.runs.spec import RunSpec

WATCH = 180.0  # seconds during which a lost create request may still start a dyno
STOP_AGAIN = 45.0  # seconds after which a dyno that is still listed is stopped again: Heroku grants it 30
STOP_RETRY = 1.0  # seconds after which a stop that failed is tried again
STOP_PATIENCE = 15.0  # seconds for which the run waits for a stop to succeed; afterwards the guard continues alone
NOT_FOUND = 3  # 404 responses before a dyno counts as gone: a new one may not be visible yet
WATCH_INTERVAL = 2.0  # seconds between two checks after the end of the run
MISSES = 2  # lists of dynos, some seconds apart, that must lack a dyno that was never listed
MISS_INTERVAL = 3.0


@dataclass(eq=False)
class GuardedDyno:
    """A dyno that must end. All times are seconds of the monotonic clock; ended_at is None while it may run."""

    dyno: Dyno
    began: float
    ended_at: float | None = None
    stopped_at: float = float("-inf")
    missed_at: list[float] = field(default_factory=list)
    was_listed: bool = False

    def ends_at(self, timeout: int) -> float:
        """Return when its time limit ends it, in seconds since 1970."""
        return time.time() + self.began + timeout - time.monotonic()

    def seconds(self, timeout: int) -> float:
        """Return how long it has run by now, at most its time limit."""
        return max(min((self.ended_at or time.monotonic()) - self.began, timeout), 0.0)


class DynoGuard:
    """What one run may have started; safe to use from several threads.

    report: receives a sentence for the user.
    """

    def __init__(self, client: HerokuClient, spec: RunSpec, run: str, report: Callable[[str], None]) -> None:
        self._client, self._spec, self._run, self._report = client, spec, run, report
        self._lock = threading.RLock()
        self._own: Dyno | None = None
        self._checked_at = self._own_began = self._requested_at = time.monotonic()
        self._lost_at: float | None = None
        self._must_end: dict[str, GuardedDyno] = {}
        self._not_found, self._was_missing, self._missing_at = 0, False, 0.0
        self._next_try = self._first_failure = 0.0
        self._finished_at: float | None = None  # the end of the run, up to which its own dyno is billed elsewhere

    # -- what the run reports ---------------------------------------------------------------------

    def create_sent(self) -> None:
        """Record that a create request is about to be sent."""
        self._requested_at = time.monotonic()

    def response_lost(self) -> None:
        """Record that the last create request may still take effect."""
        self._lost_at = time.monotonic()

    def use(self, dyno: Dyno, age: float | None = None) -> None:
        """Record the dyno that the run uses. age: in seconds; None for one that was just created."""
        self._own, self._checked_at = dyno, time.monotonic()
        self._own_began = self._requested_at if age is None else self._checked_at - age

    def is_own(self, dyno: Dyno) -> bool:
        """Return whether a listed dyno is the one that the run uses; found in the log, it has no id but a name."""
        own = self._own
        return own is not None and (dyno.id == own.id or (own.id == own.name == dyno.name))

    @property
    def _own_name(self) -> str:
        return self._own.name if self._own else ""

    @property
    def request_age(self) -> float:
        """How long ago the last create request was sent."""
        return time.monotonic() - self._requested_at

    @property
    def own_seconds(self) -> float:
        """How long ago the dyno that the run uses was requested."""
        return time.monotonic() - self._own_began

    @property
    def had_lost_response(self) -> bool:
        """Whether a create request may have started another dyno."""
        return self._lost_at is not None

    # -- checking and stopping --------------------------------------------------------------------

    def stop_own(self) -> None:
        """Stop the dyno that the run uses; `check` tries again until it is gone. Raises ApiError."""
        if (own := self._own) is not None:
            with self._lock:
                guarded = self._must_end.setdefault(own.id, GuardedDyno(own, self._own_began))
            self._stop(guarded)

    def try_to_stop(self) -> bool:
        """Stop the dyno that the run uses, as often as necessary, and return whether it is known to be gone.

        Raises ApiError when that has failed for too long.
        """
        now = time.monotonic()
        if now < self._next_try:
            return False
        try:
            self.stop_own()
        except NotFound as error:
            self._not_found += 1
            self._next_try = now + STOP_RETRY * self._not_found
            return error.resource == "app" or self._not_found == NOT_FOUND
        except ApiError as error:
            self._first_failure = self._first_failure or now
            if now - self._first_failure > STOP_PATIENCE:
                raise
            self._next_try = now + max(STOP_RETRY, (now - self._first_failure) / 2)
            if now == self._first_failure:
                self._report(f"{self._own_name} could not be stopped yet: {error} Trying again.")
        else:
            self._next_try = now + STOP_AGAIN
        return False

    def is_missing(self, heard_at: float) -> bool:
        """Return whether the run's own dyno is missing for the second time: a new one may not be listed yet.

        Raises ApiError.
        """
        dynos = registry.dynos_since(self._client, self._spec.app, max(heard_at, self._missing_at))
        if dynos is None:
            return False
        self._missing_at = time.monotonic()
        was_missing, self._was_missing = self._was_missing, not any(map(self.is_own, dynos))
        return was_missing and self._was_missing

    def stop_and_wait(self) -> str:
        """Stop the dyno that the run uses, wait some seconds until it is gone, and return what is known then."""
        until = time.monotonic() + STOP_PATIENCE
        with suppress(ApiError):
            self.stop_own()
        while self.left() and time.monotonic() < until:
            time.sleep(STOP_RETRY / 2)
            with suppress(ApiError):
                self.check()
        return self.leftover_message() or f"{self._own_name} was stopped."

    def stop_without_log(self) -> str:
        """Stop the dyno that the run uses, whose log is lost, and return a sentence about it."""
        try:
            self.stop_own()
        except ApiError:
            return self.leftover_message()
        return f"Heroku is stopping {self._own_name}."

    def own_ended(self) -> None:
        """Record that the dyno that the run uses has exited."""
        if self._own is not None:
            self._must_end.pop(self._own.id, None)

    def run_ended(self) -> None:
        """Record that the run has ended, although its own dyno may still run."""
        self._finished_at = time.monotonic()

    def check(self, dynos: Iterable[Dyno] | None = None) -> None:
        """Stop the dynos that must end and are still listed. dynos: the app's, just listed. Raises ApiError."""
        dynos = self._client.dynos(self._spec.app) if dynos is None else dynos
        ours = [dyno for dyno in dynos if run_id(dyno.command) == self._run]
        listed = {key for dyno in ours for key in (dyno.id, dyno.name)}
        with self._lock:
            for dyno in ours:
                if dyno.id not in self._must_end and not self.is_own(dyno):
                    self._add_extra(dyno)
            now = time.monotonic()
            for guarded in self.left():
                if not self._is_over(guarded, guarded.dyno.id in listed, now):
                    self._stop_again(guarded, now)

    def check_for_extras(self, dynos: Iterable[Dyno] | None = None) -> None:
        """Stop dynos of lost create requests; if they cannot be listed, report it and let the run continue."""
        if self.had_lost_response:
            try:
                self.check(dynos)
            except ApiError as error:
                self._report(f"It is unknown whether a lost create request started another dyno for this run: {error}")

    def check_if_due(self) -> None:
        """Check for dynos of lost create requests if the list that all runs share is due for an update."""
        if self.had_lost_response:
            self._check_listed(self.check_for_extras)

    def _check_listed(self, check: Callable[[list[Dyno]], None]) -> None:
        """Check the list of the app's dynos that all runs share, if it has become newer."""
        with suppress(ApiError):
            if (dynos := registry.dynos_since(self._client, self._spec.app, self._checked_at)) is not None:
                self._checked_at = time.monotonic()
                check(dynos)

    def check_at_end(self, backlog: Callable[[], list[LogLine]]) -> None:
        """Check for dynos of lost create requests, including ended ones. backlog: returns the app's log."""
        if not self.had_lost_response:
            return
        self.check_for_extras()
        with suppress(ApiError, LogStreamError):
            self._account(backlog())

    def _account(self, lines: list[LogLine]) -> None:
        """Add the running time of dynos that have ended, by the log lines of their start and end."""
        with self._lock:
            known = {one.dyno.name for one in self._must_end.values()} | {self._own_name}
            for start in starts_of(self._run, lines):
                if start.dyno not in known:
                    known.add(start.dyno)
                    self._add_ended(start, lines)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep checking after the end of the run until no dyno may be running any more, or the process ends."""
        registry.watch(self._run, self)
        try:
            yield
        finally:
            self._watch()
            registry.unwatch(self._run)

    def _watch(self) -> None:
        while not (self.is_settled() or registry.is_ending() or self._spec.is_local):
            time.sleep(WATCH_INTERVAL)
            self._check_listed(self.check)
        if not registry.is_ending():
            self.check_at_end(partial(backlog, self._client, self._spec.app, ONE_OFF))

    def _add_extra(self, dyno: Dyno) -> None:
        """Guard a dyno that a lost request started besides the run's own."""
        began = self._own_began
        if self._own is not None:  # both times are of the platform's clock
            began += (moment(dyno.created_at) - moment(self._own.created_at)).total_seconds()
        self._must_end[dyno.id] = GuardedDyno(dyno, min(began, time.monotonic()), was_listed=True)
        self._report(f"{dyno.name} is being stopped: a create request whose response was lost started it for this run.")

    def _add_ended(self, start: LogLine, lines: list[LogLine]) -> None:
        own_lines = [line for line in lines if line.dyno == start.dyno and line.source == "heroku"]
        ended = next((line.timestamp for line in own_lines if line.message.startswith("Process exited")), None)
        now, seconds = time.monotonic(), 0.0 if ended is None else seconds_between(start.timestamp, ended)
        self._must_end[start.dyno] = GuardedDyno(as_logged(start, self._spec, ""), now - seconds, ended_at=now)
        self._report(f"{start.dyno} also ran: a create request whose response was lost started it for this run.")

    def _is_over(self, guarded: GuardedDyno, is_listed: bool, now: float) -> bool:
        """Record whether a dyno is still listed, and return whether it is gone: a new one may not be listed yet."""
        limit = guarded.began + self._spec.timeout
        if is_listed and now < limit + STOP_AGAIN:
            guarded.was_listed, guarded.missed_at = True, []
            return False
        missed = guarded.missed_at
        if not missed or now - missed[-1] >= MISS_INTERVAL:
            missed.append(now)
        if guarded.was_listed or len(missed) >= MISSES:
            guarded.ended_at = min(missed[0], limit)
            if self._finished_at is not None and self.is_own(guarded.dyno):
                self._report(f"{guarded.dyno.name} is gone.")
        return guarded.ended_at is not None

    def _stop_again(self, guarded: GuardedDyno, now: float) -> None:
        if now - guarded.stopped_at >= STOP_AGAIN:
            try:
                self._stop(guarded)
            except NotFound:
                return  # the next check decides whether it is gone or not visible yet

    def _stop(self, guarded: GuardedDyno) -> None:
        self._client.stop_dyno(self._spec.app, guarded.dyno.id)
        guarded.stopped_at = time.monotonic()

    # -- what is left -----------------------------------------------------------------------------

    def left(self) -> list[GuardedDyno]:
        """Return the dynos that must end and may still run."""
        return [one for one in [*self._must_end.values()] if one.ended_at is None]

    def is_settled(self) -> bool:
        """Return whether no dyno can be left."""
        is_watched = self._lost_at is not None and time.monotonic() < self._lost_at + WATCH
        return not is_watched and not self.left()

    def leftover_message(self) -> str:
        """Return a sentence about what must end and may still run, and until when; empty if nothing is known."""
        if not (left := self.left()):
            return ""
        until = max(one.ends_at(self._spec.timeout) for one in left)
        return may_still_run([one.dyno.name for one in left], self._spec.app_name, until)

    def unknown_message(self) -> str:
        """Return what remains unknown after a lost response."""
        until = time.time() + self._spec.timeout - (time.monotonic() - (self._lost_at or time.monotonic()))
        return (
            f"It is unknown whether a dyno was started for {self._run}. If so, `%heroku ps` lists it, "
            f"`%heroku stop {self._run}` stops it, and it ends by itself at {time_of_day(until)}."
        )

    def extra_dynos(self) -> list[GuardedDyno]:
        """Return the dynos that lost requests started besides the run's own."""
        return [one for one in [*self._must_end.values()] if not self.is_own(one.dyno)]

    def extra_seconds(self) -> list[tuple[str, float]]:
        """Return sizes and seconds billed in addition to the run's own: of extras, and of its dyno after its end."""
        extras = [(one.dyno.size, one.seconds(self._spec.timeout)) for one in self.extra_dynos()]
        own = self._own and self._must_end.get(self._own.id)
        if not own or self._finished_at is None:
            return extras
        after = own.seconds(self._spec.timeout) - (self._finished_at - own.began)
        return [*extras, (own.dyno.size, max(after, 0.0))]


def may_still_run(names: Sequence[str], app: str, until: float) -> str:
    """Return a sentence about dynos that may still run, and until when."""
    verb, what = ("It ends by itself", "it") if len(names) == 1 else ("They end by themselves", "them")
    return (
        f"{', '.join(names)} of {app} may still be running. {verb} at {time_of_day(until)} "
        f"(`%heroku stop {' '.join(names)}` stops {what} now)."
    )


def as_logged(line: LogLine, spec: RunSpec, command: str) -> Dyno:
    """Return a dyno of which only the log is left: its name stands for its id."""
    release = DynoRelease(id="", version=0)
    return Dyno(line.dyno, line.dyno, command, line.timestamp, "starting", spec.size or "", ONE_OFF, release)
