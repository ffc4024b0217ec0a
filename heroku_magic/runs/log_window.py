"""Decides which lines of a dyno's name belong to one dyno, as Heroku reuses names.

The API and the log may have different clocks, so the log's own is used as soon as the dyno's first line is known:
the one with its command, which carries the id of its run. Until then, the API's clock must do.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from heroku_magic.runs.command_mark import run_id
from heroku_magic.runs.lifecycle import STARTING
from heroku_magic.runs.run_clock import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.resources import Dyno

CLOCK_SKEW = timedelta(seconds=5)  # by which Heroku's clocks usually differ
_LATEST = "~"  # after every timestamp


class LogWindow:
    """The time, as the log writes it, in which a name was that of one dyno.

    began_at: when its first line was written; empty while unknown.
    """

    def __init__(self, run: str) -> None:
        self.began_at = ""
        self._run = run
        self._dyno = self._oldest = self._oldest_state = ""
        self._end = _LATEST

    def begin(self, dyno: Dyno) -> None:
        """Choose the dyno."""
        created = moment(dyno.created_at)
        self._dyno = dyno.name
        self._oldest_state = created.isoformat(timespec="microseconds")
        self._oldest = (created - CLOCK_SKEW).isoformat(timespec="microseconds")

    def is_named(self, line: LogLine) -> bool:
        """Return whether a line is of a dyno of this name."""
        return line.dyno == self._dyno

    def holds(self, line: LogLine) -> bool:
        """Return whether a line of this name, or of Logplex itself, is from the dyno's time."""
        return (self._oldest_state if line.source == "heroku" else self._oldest) <= line.timestamp < self._end

    def holds_times(self, times: tuple[str, str]) -> bool:
        """Return whether lines from the first to the second of these times were the dyno's; empty if there is none."""
        return not times[0] or (self.began_at <= times[0] and times[1] < self._end)

    def holds_all(self, lines: Sequence[LogLine]) -> bool:
        """Return whether all are output of the dyno; a fast check."""
        if {line.dyno for line in lines} != {self._dyno} or {line.source for line in lines} != {"app"}:
            return False
        times = {line.timestamp for line in lines}
        return self._oldest <= min(times) and max(times) < self._end

    def read(self, line: LogLine) -> bool:
        """Take note of a line of Heroku about this name; return whether the dyno's time is now known better."""
        run = started_run(line)
        if run == self._run and not (self.began_at and self.began_at <= line.timestamp):
            self.began_at = self._oldest = self._oldest_state = line.timestamp
            return True
        if run not in {None, self._run} and self.began_at and self.began_at < line.timestamp < self._end:
            self._end = line.timestamp  # the name is another dyno's now
            return True
        return False


def shows_start(run: str, lines: Iterable[LogLine]) -> bool:
    """Return whether a line has the command of this run: that of the API, without the dyno's name, or the dyno's own.

    Both come before the dyno's output, and Heroku often leaves out the second one.
    """
    return any(started_run(line) == run for line in lines)


def starts_of(run: str, lines: Iterable[LogLine]) -> list[LogLine]:
    """Return the lines with which dynos report the start of a run."""
    return [line for line in lines if line.source == "heroku" and started_run(line) == run]


def started_run(line: LogLine) -> str | None:
    """Return the id of the run whose start a line reports, or None; each line of a command is a message of its own."""
    is_of_api = line.dyno == "api"
    if not line.message.startswith(STARTING) or not (is_of_api or line.source == "heroku"):
        return None
    command = line.message.removeprefix(STARTING)
    if is_of_api:
        command = command.rpartition("` by user ")[0] or command
    return run_id(command.removesuffix("`"))
