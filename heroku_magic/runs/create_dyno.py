"""DynoCreator: gets one dyno for one run, though an answer is lost or the app is at its limit; it follows no run.

A create is the one request that must not be sent blindly again: each that arrives is billed. So
after a lost answer the dyno is looked for by the run's id, which its command carries.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from heroku_magic.api.log_stream import backlog
from heroku_magic.api.resources import Dyno, DynoRelease
from heroku_magic.errors import ApiError, LogStreamError, Refused, Unreachable
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.text.secret import Secret

# Seconds before each look for a dyno whose create was not answered: it may be visible late.
LOOKS = (0.0, 1.0, 3.0)
CREATES = 3
# Seconds between two tries at an app that is at its limit, the shortest and the longest.
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 10.0


class Stopped(Exception):
    """The run was cancelled while its dyno was being requested; no dyno was started."""


class DynoCreator:
    """One dyno for one run.

    command ends with the run's id. wait: sleeps so many seconds and tells
    whether the run was cancelled meanwhile. is_patient: waits while the app is at its limit.
    """

    def __init__(
        self,
        client: HerokuClient,
        app: str,
        command: str,
        env: Mapping[str, str | Secret],
        *,
        size: str | None,
        time_to_live: int,
        wait: Callable[[float], bool],
        is_patient: bool = True,
    ) -> None:
        self._client = client
        self._app = app
        self._command = command
        self._env = env
        self._size = size
        self._time_to_live = time_to_live
        self._wait = wait
        self._is_patient = is_patient
        self._lost = 0

    def dyno(self) -> Dyno:
        """Return the run's one dyno. Raises ApiError; `Unreachable` leaves open whether one was started."""
        try:
            return self._create()
        except Unreachable as error:
            if not error.sent:
                raise
            self._lost += 1
            if found := self._found(error):
                return found
            if self._lost == CREATES or self._wait(0):
                raise
        notify("The answer to the create was lost, and no dyno came of it: creating it again")
        return self.dyno()

    def stop_extras(self, dyno: Dyno) -> None:
        """Stop what a create started whose answer was lost and which was not seen in time."""
        if not self._lost:
            return
        try:
            for extra in [one for one in self._ours() if one.id != dyno.id]:
                self._client.stop_dyno(self._app, extra.id)
                notify(f"{extra.name} was started for this run, too, by a create without an answer: stopped")
        except ApiError as error:  # the run has its dyno, and goes on
            notify(f"Whether a create without an answer started another dyno for this run is unknown: {error}")

    def _create(self) -> Dyno:
        """Create the dyno; while the app is at its limit, wait for one to end."""
        seconds = SHORTEST_WAIT
        while True:
            try:
                return self._client.create_dyno(
                    self._app, self._command, self._env, size=self._size, time_to_live=self._time_to_live
                )
            except Refused as error:
                if error.id != "cannot_run_above_limit" or not self._is_patient:
                    raise
                if seconds == SHORTEST_WAIT:
                    notify(f"{error.said} Waiting until one ends; Ctrl-C gives up")
            self._pause(random.uniform(seconds / 2, seconds))  # noqa: S311 - so that two runs do not ask in step
            seconds = min(2 * seconds, LONGEST_WAIT)

    def _found(self, lost: Unreachable) -> Dyno | None:
        """The dyno of the lost create; where nobody can look, it stays open whether there is one."""
        try:
            return self._find()
        except (ApiError, LogStreamError):
            raise lost from None

    def _find(self) -> Dyno | None:
        """Look for the dyno of a create that was not answered."""
        for seconds in LOOKS:
            self._pause(seconds)
            if found := self._ours() or self._in_log():
                return min(found, key=lambda dyno: dyno.created_at)
        return None

    def _in_log(self) -> list[Dyno]:
        """A dyno that is over by now has left its name in the log."""
        said = f"Starting process with command `{self._command}`"
        lines = backlog(self._client, self._app, "run")
        return [self._as_logged(line) for line in lines if line.source == "heroku" and line.message == said]

    def _as_logged(self, line: LogLine) -> Dyno:
        release = DynoRelease(id="", version=0)
        return Dyno(line.dyno, line.dyno, self._command, line.timestamp, "starting", self._size or "", "run", release)

    def _ours(self) -> list[Dyno]:
        return [dyno for dyno in self._client.dynos(self._app) if dyno.command == self._command]

    def _pause(self, seconds: float) -> None:
        """Wait; a cancelled run gives up, but not while a dyno of it may have been started."""
        if self._wait(seconds) and not self._lost:
            raise Stopped
