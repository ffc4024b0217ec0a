"""Measures a run by a monotonic clock, which no change of the computer's time affects."""

from __future__ import annotations

import time
from datetime import datetime

_LATE = 0.8  # share of the time limit after which the user is warned
_SLACK = 0.5  # seconds by which a run that its time limit ended may seem to be younger


class RunClock:
    """The age of a run in seconds, and its time limit. The age is None before the start.

    subject: what the limit is for, the dyno or a call on one that stays.
    """

    def __init__(self, limit: int, subject: str = "dyno") -> None:
        self._limit = limit
        self._subject = subject
        self._began: float | None = None

    def start(self, age: float = 0.0) -> None:
        """Start at an age, which is more than 0 for a run of another process."""
        self._began = time.monotonic() - max(age, 0.0)

    def age(self, at: float | None = None) -> float | None:
        """Return the age at a time of the monotonic clock, or now."""
        return None if self._began is None else (at or time.monotonic()) - self._began

    def is_late(self) -> bool:
        """Return whether the run has used most of its time limit."""
        return (self.age() or 0.0) > _LATE * self._limit

    @property
    def warning(self) -> str:
        """What to tell the user of a late run."""
        return f"The {self._subject} has used {_LATE:.0%} of its time limit of {self._limit} s; --timeout extends it."

    def reaches_limit(self, age: float | None, *, has_succeeded: bool = False) -> bool:
        """Return whether a run that ended at this age, or has reached it, was ended by its time limit.

        has_succeeded: its exit status is 0, so that it probably ended by itself if it was younger.
        """
        return age is not None and age >= self._limit - (0.0 if has_succeeded else _SLACK)


def seconds_between(start: str, end: str) -> float:
    """Return the seconds between two timestamps of one clock, at least 0."""
    return max((moment(end) - moment(start)).total_seconds(), 0.0)


def moment(timestamp: str) -> datetime:
    """Return the time of a timestamp of the API or the log."""
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00"))


def time_of_day(moment: float) -> str:
    """Return the local time of a moment in seconds since 1970, as messages show it."""
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M:%S}"
