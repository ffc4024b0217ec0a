"""Decides when a run is over, from its dyno's system lines and from silence.

Heroku promises neither the order nor the arrival of these lines: `complete` may come before
`Process exited`, task lines after both, and either may be missing. A one-off dyno's state says nothing
about success, only its exit status does.
https://devcenter.heroku.com/articles/one-off-dynos
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heroku_magic.protocol.records import End

GRACE = 1.0  # seconds of silence, after the last expected line, to wait for late ones

STARTING = "Starting process with command `"
_EXITED = re.compile(r"Process exited with status (\d+)")
_STATE = re.compile(r"State changed from \w+ to (\w+)")


class Lifecycle:
    """What is known about the end of a dyno. All times are seconds of one monotonic clock.

    exit_status: from the exit line, None until it arrives.
    is_compound: the command line may continue after the task's end record, so only silence shows that nothing follows.
    """

    def __init__(self, *, is_compound: bool = False) -> None:
        self.is_compound = is_compound
        self.exit_status: int | None = None
        self._exited_at: float | None = None
        self._end_record_at: float | None = None
        self._is_complete = False
        self._is_gone = False
        self._end: End | None = None
        self._last_line_at = 0.0
        self._grace = GRACE
        self._starts: dict[str, set[str]] = {"start": set(), "up": set(), "exit": set()}

    @property
    def ended_at(self) -> float | None:
        """When the first sign of the end arrived."""
        if self._exited_at and (self.is_compound or not self._end_record_at):
            return self._exited_at
        return min(filter(None, [self._exited_at, self._end_record_at]), default=None)

    @property
    def starts(self) -> int:
        """How often the platform is known to have started the dyno's command.

        "In very rare instances" it does so twice: https://devcenter.heroku.com/articles/one-off-dynos
        """
        return max(map(len, self._starts.values()))

    def read(self, message: str, now: float, line: str = "") -> list[str]:
        """Read a message of source `heroku`; return the states that it announces. line: its identity, if it repeats."""
        if match := _EXITED.match(message):
            self._starts["exit"].add(line)
            self.exit_status = int(match[1])
            self._ended(now)
        elif message.startswith(STARTING):
            self._starts["start"].add(line)
        elif match := _STATE.match(message):
            if match[1] == "up":
                self._starts["up"].add(line)
                return ["up"]
            if match[1] in {"complete", "crashed"}:
                self._is_complete = True
                self._ended(now)
        elif message.startswith("Stopping"):
            return ["stopping"]
        return []

    def lines_arrived(self, now: float, end: End | None) -> None:
        """Restart the wait for late lines; `end` is the task's end record, once its counts are met."""
        self._last_line_at = now
        self._end = end  # None again where another process of the same dyno has begun
        self._end_record_at = (self._end_record_at or now) if end is not None else None

    def skip_late_lines(self) -> None:
        """Do not wait for late lines: the user has stopped the run."""
        self._grace = 0.0

    def mark_gone(self, now: float) -> None:
        """Record that the dyno no longer exists; only the first time counts."""
        if not self._is_gone:
            self._is_gone = True
            self._last_line_at = now
            self._ended(now)

    def is_over(self, now: float) -> bool:
        """Return whether there is nothing left to wait for."""
        if self._end is not None and self.exit_status is not None and not self.is_compound:
            return True
        return self._is_in_grace() and now - self._last_line_at >= self._grace

    def patience(self, now: float, longest: float) -> float:
        """Return how many seconds to wait for the next line before calling `is_over` again."""
        return min(longest, self._last_line_at + self._grace - now) if self._is_in_grace() else longest

    def _is_in_grace(self) -> bool:
        """Return whether the dyno is known to have ended, so that only late lines are missing."""
        has_evidence = self.exit_status is not None or self._end is not None
        return self._is_gone or (self._is_complete and has_evidence)

    def _ended(self, now: float) -> None:
        self._exited_at = self._exited_at or now
