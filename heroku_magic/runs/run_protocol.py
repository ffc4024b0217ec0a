"""A run, and the lines of its dyno, as its runner sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from heroku_magic.errors import FailedRun

if TYPE_CHECKING:
    from heroku_magic.api.log_lines import LogLine


class RunHandle(FailedRun, Protocol):
    """The facts that the runner fills in, and what errors show of a run."""

    app: str
    size: str | None
    release: int | None
    started_at: float | None
    ends_at: float | None
    seconds: float | None
    state: str
    activity: str

    def done(self) -> bool:
        """Return whether the run has ended."""

    def leftover_message(self) -> str:
        """Return a sentence about what may still be running, and until when."""


class DynoStream(Protocol):
    """Passes the lines of one dyno to a run."""

    @property
    def gaps(self) -> int:
        """How often lines may have been lost."""

    def backlog(self) -> list[LogLine]:
        """Return the last lines of the app. Raises LogStreamError."""

    def close(self) -> None:
        """Stop passing lines on."""
