"""Creates the dyno of a run, even when a response is lost or the app is at its limit.

A create request must not simply be repeated, as every one that arrives starts a dyno that costs money. After a
lost response the dyno is therefore looked for by the run's id, which its command carries. One that shows up later
is left to the DynoGuard.
"""

from __future__ import annotations

import random
from copy import copy
from typing import TYPE_CHECKING, TypeVar

from heroku_magic.api.log_stream import backlog
from heroku_magic.errors import ApiError, LogStreamError, Refused, Unreachable
from heroku_magic.runs.command_mark import marked, run_id
from heroku_magic.runs.dyno_guard import as_logged
from heroku_magic.runs.log_window import shows_start, starts_of
from heroku_magic.runs.registry import has_idle_dyno
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import Dyno
    from heroku_magic.protocol.records import RunKey
    from heroku_magic.runs.dyno_guard import DynoGuard
    from heroku_magic.runs.spec import RunSpec

T = TypeVar("T")

# Seconds before each look for a dyno after a lost response: it may be listed late.
LOOKS = (0.0, 1.0, 3.0)
CREATES = 3
# The shortest and the longest wait between two requests at an app that is at its limit, in seconds.
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 10.0


class Stopped(Exception):
    """The run was cancelled; the text says when."""

    def __init__(self, when: str = "before its dyno was created.") -> None:
        super().__init__(when)


class DynoCreator:
    """Creates one dyno.

    guard: learns of each request and of lost responses. wait: sleeps for some seconds and returns whether the run
    was cancelled meanwhile.
    is_patient: whether to wait while the app is at its limit.
    """

    def __init__(
        self,
        client: HerokuClient,
        spec: RunSpec,
        key: RunKey,
        *,
        guard: DynoGuard,
        wait: Callable[[float], bool],
        is_patient: bool,
    ) -> None:
        self._client = client
        self._spec = spec
        self._run_id = key.run
        self._command = marked(spec.command, key.run)
        self._env = {**spec.env, "RUN_KEY": Secret(key.env())}
        self._guard = guard
        self._wait = wait
        self._is_patient = is_patient
        self._lost_responses = 0
        self._was_created = False  # whether the log shows that a dyno was created, which may not be found

    def create(self) -> Dyno:
        """Create the dyno. Raises ApiError, or Stopped if the run was cancelled before."""
        try:
            return self._create_once()
        except ApiError as error:
            details = [f"(with --size {self._spec.size})"] if isinstance(error, Refused) and self._spec.size else []
            details += [self._guard.unknown_message()] if self._lost_responses else []
            extended = copy(error)
            extended.args = (" ".join([str(error), *details]),)
            if self._lost_responses and self._wait(0):
                raise Stopped(f"while its dyno was being created. {extended}") from None
            raise extended from None

    def _create_once(self) -> Dyno:
        """Create one dyno, whatever happens to the responses."""
        try:
            return within_limit(self._request, self._spec.app_name, self._pause, is_patient=self._is_patient)
        except Unreachable as error:
            if not error.sent:
                raise
            self._lost_responses += 1
            self._guard.response_lost()
            try:
                found = self._find()
            except (ApiError, LogStreamError):  # nobody can look, so it stays unknown
                raise error from None
            if found:
                return found
            if self._lost_responses == CREATES or self._was_created or self._wait(0):
                raise
        notify("The response to the create request was lost, and no dyno of this run is listed. Creating it again.")
        return self._create_once()

    def _request(self) -> Dyno:
        spec = self._spec
        self._guard.create_sent()
        return self._client.create_dyno(spec.app, self._command, self._env, size=spec.size, time_to_live=spec.timeout)

    def _find(self) -> Dyno | None:
        """Look for the dyno of a request whose response was lost."""
        for seconds in LOOKS:
            self._pause(seconds)
            if found := self._ours() or self._ours_in_log():
                return min(found, key=lambda dyno: dyno.created_at)
        return None

    def _ours(self) -> list[Dyno]:
        return [dyno for dyno in self._client.dynos(self._spec.app) if run_id(dyno.command) == self._run_id]

    def _ours_in_log(self) -> list[Dyno]:
        """Find a dyno that has already exited by the line that its start left in the log."""
        lines = backlog(self._client, self._spec.app, "")
        self._was_created = shows_start(self._run_id, lines)
        return [as_logged(line, self._spec, self._command) for line in starts_of(self._run_id, lines)]

    def _pause(self, seconds: float) -> None:
        """Wait; a cancelled run gives up, unless a dyno may have been started for it."""
        if self._wait(seconds) and not self._lost_responses:
            raise Stopped


def within_limit(create: Callable[[], T], app_name: str, pause: Callable[[float], None], *, is_patient: bool) -> T:
    """Return what `create` returns; while the app is at its limit, wait for another dyno to end, and try again.

    pause: sleeps for some seconds, and raises what ends the wait. is_patient: whether to wait at all.
    """
    seconds = SHORTEST_WAIT
    while True:
        try:
            return create()
        except Refused as error:
            if error.id != "cannot_run_above_limit" or not is_patient:
                raise
            if seconds == SHORTEST_WAIT:
                idle = " `%heroku warm 0` stops those that wait for calls." if has_idle_dyno(app_name) else ""
                notify(f"{error.said} Waiting until one ends.{idle} Press Ctrl-C to give up.")
        pause(random.SystemRandom().uniform(seconds / 2, seconds))  # spreads the requests of several runs
        seconds = min(2 * seconds, LONGEST_WAIT)
