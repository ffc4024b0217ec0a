"""The error tree: what went wrong, in a sentence, with what to do next; it decides nothing.

    HerokuMagicError
     +-- InvalidOptions           a magic's line cannot be read
     +-- InvalidParameters        the cell's parameters cannot be sent (all faults at once)
     +-- Interrupted              Ctrl-C before anything was started
     +-- SettingsError            no app, several apps, no token, a bad setting
     +-- EmulatorError            the embedded Heroku did not start, or is gone
     +-- DeployRefused            a folder cannot be deployed (all faults at once); nothing was sent
     +-- BuildFailed              Heroku could not build or release it; the old release goes on
     +-- ApiError                 the Platform API refused or did not answer
     |    +-- Unauthorized        401: the token is missing, wrong or expired
     |    +-- Forbidden           403: the token is good, the right is missing
     |    +-- NotFound            404: no such app, dyno, release ...
     |    +-- Conflict            409: not possible just now (a release is not yet visible)
     |    +-- Refused             422: the request is understood and refused (size, name, limit)
     |    +-- RateLimited         429: the account's hourly requests are used up
     |    +-- Unreachable         no answer, or an answer that is not the API's
     +-- LogStreamError           the log session broke and could not be opened again
     +-- ResultIncomplete         records are missing: never a short DataFrame
     +-- TaskFailed               the user's task failed: carries .run and .partial
     +-- SweepFailed              some runs of a sweep failed: carries .sweep and .partial
     +-- RunCancelled             the run was stopped by its user: carries .run and .partial

`TaskFailed` (the user's task) is a sibling of the platform's errors, never a parent or a child, so
that one `except` cannot take one for the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from heroku_magic.text.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


class HasPartial(Protocol):
    """A run or a sweep, as its errors carry it."""

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows received so far."""


class FailedRun(HasPartial, Protocol):
    """A run, as its errors carry it."""

    @property
    def id(self) -> str:
        """The run's public id."""

    @property
    def task(self) -> str:
        """The task's name."""

    dyno: str | None
    exit_status: int | None

    @property
    def was_evicted(self) -> bool:
        """Whether Heroku ended the dyno."""

    def logs(self) -> str:
        """Return the log."""

    @property
    def files(self) -> dict[str, bytes]:
        """The files that the task sent, by name."""


class HerokuMagicError(Exception):
    """Anything this package raises on purpose: a short text that says what to do next.

    `verbose` is set by the magics' `--verbose`: IPython then shows the whole traceback.
    """

    verbose = False

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))

    def _render_traceback_(self) -> list[str] | None:
        """Tell IPython what to show: the message alone (its documented hook for exceptions)."""
        if self.verbose:
            import traceback

            lines = traceback.format_exception(type(self), self, self.__traceback__, chain=False)
            return clean("".join(lines)).splitlines()
        return f"{type(self).__name__}: {self}".splitlines()


class InvalidOptions(HerokuMagicError):
    """A magic's line cannot be read: an unknown, repeated or incomplete option."""


class InvalidParameters(HerokuMagicError):
    """The parameters cannot be sent; `issues` names every fault, not only the first."""

    def __init__(self, issues: Sequence[str]) -> None:
        self.issues = list(issues)
        super().__init__(self.issues[0] if len(self.issues) == 1 else _listed(self.issues))


class Interrupted(HerokuMagicError):
    """Ctrl-C came before anything was started."""


class SettingsError(HerokuMagicError):
    """No app, several apps, no token, or a setting that cannot be used."""


class EmulatorError(HerokuMagicError):
    """The embedded Heroku did not start, or is gone."""


class DeployRefused(HerokuMagicError):
    """A folder cannot be deployed; `issues` names every fault. Nothing was sent."""

    def __init__(self, issues: Sequence[str]) -> None:
        self.issues = list(issues)
        super().__init__(self.issues[0] if len(self.issues) == 1 else _listed(self.issues))


class BuildFailed(HerokuMagicError):
    """Heroku could not build or release what was deployed; `output` is the whole of the build's."""

    def __init__(self, message: str, output: str) -> None:
        self.output = output
        super().__init__(message)


class ApiError(HerokuMagicError):
    """The Platform API refused or did not answer.

    `status` (0 without an answer), `id`, `said` (its sentence) and `request_id` are Heroku's own words for the case:
    https://devcenter.heroku.com/articles/platform-api-reference#errors
    """

    def __init__(self, message: str, *, status: int = 0, id: str = "", request_id: str = "") -> None:  # noqa: A002 - Heroku's name
        self.status = status
        self.id = id
        self.said = message
        self.request_id = request_id
        super().__init__(message)


class Unauthorized(ApiError):
    """401: the token is missing, wrong or expired."""


class Forbidden(ApiError):
    """403: the token is good, the right is missing."""


class NotFound(ApiError):
    """404: no such app, dyno or release, or no access to it; `resource` says which, if told."""

    resource: str = ""


class Conflict(ApiError):
    """409: not possible just now, for example while a new release is not yet visible."""


class Refused(ApiError):
    """422: understood and refused, for example an unknown size or a limit reached."""


class RateLimited(ApiError):
    """429: the account's requests of this hour are used up; `retry_after` in seconds, if told."""

    retry_after: float | None = None


class Unreachable(ApiError):
    """No answer, or an answer that is not the Platform API's; `sent` tells whether it may have acted."""

    sent = True


class LogStreamError(HerokuMagicError):
    """The log session broke and could not be opened again."""


class _OfRun(HerokuMagicError):
    """About one run, which it carries."""

    def __init__(self, message: str, run: FailedRun) -> None:
        self.run = run
        super().__init__(message)

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows that came before."""
        return self.run.partial


class ResultIncomplete(_OfRun):
    """Records are missing that the log's backlog no longer holds; carries the run and the rows so far."""


class TaskFailed(_OfRun):
    """The user's task failed: the text starts with the task's own exception, if it told one."""


class RunCancelled(_OfRun):
    """The run was stopped by its user before it ended."""


class SweepFailed(HerokuMagicError):
    """Some runs of a sweep failed, or it was stopped; the others' rows are there."""

    def __init__(self, message: str, sweep: HasPartial) -> None:
        self.sweep = sweep
        super().__init__(message)

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows of the runs that went well."""
        return self.sweep.partial


def _listed(issues: Sequence[str]) -> str:
    return f"{len(issues)} faults:" + "".join(f"\n  - {issue}" for issue in issues)
