"""Creates the dyno of a run, even when a response is lost or the app is at its limit.

A create request must not simply be repeated, as every one that arrives starts a dyno that costs money. After a
lost response the dyno is therefore looked for by the run's id, which its command carries.
"""

from __future__ import annotations

import random
import time
from datetime import datetime
from typing import TYPE_CHECKING

from heroku_magic.api.log_stream import backlog
from heroku_magic.api.resources import ONE_OFF, Dyno, DynoRelease
from heroku_magic.errors import ApiError, LogStreamError, Refused, Unreachable
from heroku_magic.runs.command_mark import marked, run_id
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.protocol.records import RunKey
    from heroku_magic.runs.spec import RunSpec

# Seconds before each look for a dyno after a lost response: it may be listed late.
LOOKS = (0.0, 1.0, 3.0)
CREATES = 3
# The shortest and the longest wait between two requests at an app that is at its limit, in seconds.
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 10.0


class Stopped(Exception):
    """The run was cancelled before a dyno was started."""


class DynoCreator:
    """Creates one dyno.

    wait: sleeps for some seconds and returns whether the run was cancelled meanwhile.
    is_patient: whether to wait while the app is at its limit.
    """

    def __init__(
        self,
        client: HerokuClient,
        spec: RunSpec,
        key: RunKey,
        *,
        wait: Callable[[float], bool],
        is_patient: bool,
    ) -> None:
        self._client = client
        self._spec = spec
        self._run_id = key.run
        self._command = marked(spec.command, key.run)
        self._env = {**spec.env, "RUN_KEY": Secret(key.env())}
        self._wait = wait
        self._is_patient = is_patient
        self._lost_responses = 0

    def create(self) -> Dyno:
        """Create the dyno. Raises ApiError, or Stopped if the run was cancelled before."""
        try:
            return self._create_once()
        except Refused as error:
            if self._spec.size is None:
                raise
            raise Refused(f"{error} (with --size {self._spec.size})", status=error.status, id=error.id) from None
        except Unreachable as error:
            if not error.sent:
                raise
            ends_at = datetime.fromtimestamp(time.time() + self._spec.timeout).astimezone()
            unknown = (
                f"It is unknown whether a dyno was started for {self._run_id}. If so, `%heroku ps` lists it, "
                f"`%heroku stop {self._run_id}` stops it, and it ends by itself at {ends_at:%H:%M:%S}."
            )
            raise Unreachable(f"{error} {unknown}", status=error.status, id=error.id) from None

    def _create_once(self) -> Dyno:
        """Create one dyno, whatever happens to the responses."""
        try:
            return self._create_within_limit()
        except Unreachable as error:
            if not error.sent:
                raise
            self._lost_responses += 1
            try:
                found = self._find()
            except (ApiError, LogStreamError):  # nobody can look, so it stays unknown
                raise error from None
            if found:
                return found
            if self._lost_responses == CREATES or self._wait(0):
                raise
        notify("The response to the create request was lost, and no dyno was started. Creating it again.")
        return self._create_once()

    def stop_extras(self, dyno: Dyno) -> None:
        """Stop dynos that requests with a lost response started and that were listed too late."""
        if not self._lost_responses:
            return
        try:
            for extra in [one for one in self._ours() if one.id != dyno.id]:
                self._client.stop_dyno(self._spec.app, extra.id)
                notify(f"Stopped {extra.name}: a create request without a response had started it for this run, too.")
        except ApiError as error:  # the run has its dyno and continues
            notify(f"It is unknown whether a lost create request started another dyno for this run: {error}")

    def _create_within_limit(self) -> Dyno:
        """Create the dyno; while the app is at its limit, wait for another one to end."""
        spec, seconds = self._spec, SHORTEST_WAIT
        while True:
            try:
                return self._client.create_dyno(
                    spec.app, self._command, self._env, size=spec.size, time_to_live=spec.timeout
                )
            except Refused as error:
                if error.id != "cannot_run_above_limit" or not self._is_patient:
                    raise
                if seconds == SHORTEST_WAIT:
                    notify(f"{error.said} Waiting until one ends. Press Ctrl-C to give up.")
            self._pause(random.uniform(seconds / 2, seconds))  # noqa: S311 - spreads the requests of several runs
            seconds = min(2 * seconds, LONGEST_WAIT)

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
        lines = backlog(self._client, self._spec.app, ONE_OFF)
        return [self._as_logged(line) for line in lines if line.source == "heroku" and self._is_start(line.message)]

    def _is_start(self, message: str) -> bool:
        """Whether a message reports the start of this run; each line of a command is a message of its own."""
        command = message.removeprefix("Starting process with command `")
        return command != message and run_id(command.removesuffix("`")) == self._run_id

    def _as_logged(self, line: LogLine) -> Dyno:
        size, release = self._spec.size or "", DynoRelease(id="", version=0)
        return Dyno(line.dyno, line.dyno, self._command, line.timestamp, "starting", size, ONE_OFF, release)

    def _pause(self, seconds: float) -> None:
        """Wait; a cancelled run gives up, unless a dyno may have been started for it."""
        if self._wait(seconds) and not self._lost_responses:
            raise Stopped
