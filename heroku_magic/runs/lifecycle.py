"""Decides when a run is over, from its dyno's system lines and from silence.

Heroku promises neither the order nor the arrival of these lines: `complete` may come before
`Process exited`, task lines after both, and either may be missing. A one-off dyno's state says nothing
about success, only its exit status does.
https://devcenter.heroku.com/articles/one-off-dynos
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.protocol.records import End

GRACE = 1.0  # seconds of silence, after the last expected line, to wait for late ones

_EXITED = re.compile(r"Process exited with status (\d+)")
_STATE = re.compile(r"State changed from \w+ to (\w+)")


class Lifecycle:
    """What is known about the end of a dyno. All times are seconds of one monotonic clock.

    exit_status: from the exit line, None until it arrives. ended_at: when the first sign of the end arrived.
    """

    def __init__(self) -> None:
        self.exit_status: int | None = None
        self.ended_at: float | None = None
        self._is_complete = False
        self._is_gone = False
        self._end: End | None = None
        self._last_line_at = 0.0
        self._grace = GRACE

    def read(self, message: str, now: float) -> list[str]:
        """Read a message of source `heroku`, and return the run states that it announces."""
        if match := _EXITED.match(message):
            self.exit_status = int(match[1])
            self._ended(now)
        elif match := _STATE.match(message):
            if match[1] == "up":
                return ["up"]
            if match[1] in {"complete", "crashed"}:
                self._is_complete = True
                self._ended(now)
        elif message.startswith("Stopping"):
            return ["stopping"]
        return []

    def lines_arrived(self, now: float, end: End | None) -> None:
        """Restart the wait for late lines; `end` is the task's end mark, once its counts are met."""
        self._last_line_at = now
        if end is not None and self._end is None:
            self._end = end
            self._ended(now)

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
        if self._end is not None and self.exit_status is not None:
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
        self.ended_at = self.ended_at or now


def was_run_twice(messages: Iterable[str]) -> bool:
    """Return whether the platform started a dyno's process again, given its distinct `heroku` messages.

    "In very rare instances" it does: https://devcenter.heroku.com/articles/one-off-dynos
    """
    counts = Counter(message.partition(" with ")[0] for message in messages)
    return max(counts["Starting process"], counts["Process exited"]) > 1
