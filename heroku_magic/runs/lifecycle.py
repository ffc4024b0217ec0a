"""Lifecycle: decides from a dyno's system lines, and from silence, when a run is over; it waits for nothing.

Heroku promises neither the order nor the arrival of these lines: `complete` may come before
`Process exited`, task lines after both, and either may never come. A one-off's state says nothing
about success, only the exit status does.
https://devcenter.heroku.com/articles/one-off-dynos
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.protocol.records import End

GRACE = 1.0  # seconds without news, after the last line that should come, for lines that come late

_EXITED = re.compile(r"Process exited with status (\d+)")
_STATE = re.compile(r"State changed from \w+ to (\w+)")


class Lifecycle:
    """What is known of one dyno's end. All times are seconds of one monotonic clock.

    exit_status: from the exit line, None as long as none came. ended_at: when the end was first seen.
    """

    def __init__(self) -> None:
        self.exit_status: int | None = None
        self.ended_at: float | None = None
        self._is_complete = False
        self._is_gone = False
        self._end: End | None = None
        self._last_news = 0.0
        self._grace = GRACE

    def heroku_line(self, message: str, now: float) -> list[str]:
        """Read one line of source `heroku`; return the run states that it begins."""
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

    def news(self, now: float, end: End | None) -> None:
        """Lines came; `end` is the task's own end mark, once all that it counts is here."""
        self._last_news = now
        if end is not None and self._end is None:
            self._end = end
            self._ended(now)

    def stopped(self) -> None:
        """The user wanted its end: nobody waits for lines that may come after it."""
        self._grace = 0.0

    def gone(self, now: float) -> None:
        """The dyno was looked up and is not there any more; to learn it again is no news."""
        if not self._is_gone:
            self._is_gone = True
            self._last_news = now
            self._ended(now)

    def is_over(self, now: float) -> bool:
        """Tell whether nothing more is to be waited for."""
        if self._end is not None and self.exit_status is not None:
            return True
        return self._in_grace() and now - self._last_news >= self._grace

    def patience(self, now: float, longest: float) -> float:
        """Return how many seconds to wait for the next line before asking again."""
        return min(longest, self._last_news + self._grace - now) if self._in_grace() else longest

    def _in_grace(self) -> bool:
        """Whether the dyno is known to be over, and only late lines are waited for."""
        witnessed = self.exit_status is not None or self._end is not None
        return self._is_gone or (self._is_complete and witnessed)

    def _ended(self, now: float) -> None:
        self.ended_at = self.ended_at or now


def was_run_twice(messages: Iterable[str]) -> bool:
    """Tell from the `heroku` lines of one dyno, each once, whether the platform started its process again.

    "In very rare instances" it does: https://devcenter.heroku.com/articles/one-off-dynos
    """
    words = Counter(message.partition(" with ")[0] for message in messages)
    return max(words["Starting process"], words["Process exited"]) > 1
