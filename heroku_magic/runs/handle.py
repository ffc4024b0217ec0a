"""A run as its runner sees it."""

from __future__ import annotations

from typing import Protocol

from heroku_magic.errors import FailedRun


class RunHandle(FailedRun, Protocol):
    """The facts that the runner fills in, and what errors show of a run."""

    app: str
    size: str | None
    release: int | None
    started_at: float | None
    ends_at: float | None
    seconds: float | None
    state: str

    def done(self) -> bool:
        """Return whether the run has ended."""

    def leftover_message(self) -> str:
        """Return a sentence about what may still be running, and until when."""
