"""The exceptions of this package. Each message says what is wrong and what to do next.

The second paragraph of each docstring is the remedy, which docs/reference/errors.md lists.

`TaskFailed` (the user's task) is a sibling of the platform's errors, so that no `except` clause confuses the two.
"""

from __future__ import annotations

import pickle
import traceback
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from heroku_magic.text.sanitize import clean
from heroku_magic.text.wrapping import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from typing_extensions import Self

E = TypeVar("E", bound="HerokuMagicError")
_SHARED = frozenset({"run", "sweep", "__cause__"})  # what a deep copy of an error has in common with the original


class HasPartial(Protocol):
    """Anything with rows received so far: what a `SweepFailed` carries."""

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows received so far."""

    def snapshot(self) -> HasPartial:
        """Return what is known of it, as an object that can be pickled."""


class FailedRun(HasPartial, Protocol):
    """The attributes of a `Run` that are useful after a failure: what a `TaskFailed` carries."""

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

    def snapshot(self) -> FailedRun:
        """Return what is known of it, as an object that can be pickled."""

    def logs(self) -> str:
        """Return everything that the task has printed."""

    @property
    def files(self) -> dict[str, bytes]:
        """The files that the task sent, by name."""


class HerokuMagicError(Exception):
    """The base class of all errors that this package raises on purpose.

    Catch it to handle any of them. `--verbose` shows the full traceback.

    Attributes
    ----------
    verbose
        Whether IPython shows the full traceback instead of the message alone; `--verbose` sets it.

    Examples
    --------
    >>> import heroku_magic
    >>> try:
    ...     raise heroku_magic.InvalidOptions("--jobs needs a number.")
    ... except heroku_magic.HerokuMagicError as error:
    ...     print(error)
    --jobs needs a number.
    """

    verbose = False

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what `pickle` needs, as the parameters of `__init__` are not `args`."""
        state = {name: value.snapshot() if name in {"run", "sweep"} else value for name, value in self._state().items()}
        return remade, (type(self), self.args), {**state, "__cause__": _portable(self.__cause__)}

    def __copy__(self) -> Self:
        return remade(type(self), self.args, self._state())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        state = self._state()
        copied = {name: deepcopy(value, memo) for name, value in state.items() if name not in _SHARED}
        return remade(type(self), self.args, {**state, **copied})

    def _state(self) -> dict[str, Any]:
        """Return the attributes. Whether to suppress the context comes last, because setting a cause sets it."""
        return {**vars(self), "__cause__": self.__cause__, "__suppress_context__": self.__suppress_context__}

    def _render_traceback_(self) -> list[str] | None:
        """Return what IPython shows for the exception: one text, as `%xmode Minimal` would put several on one line."""
        if self.verbose:
            return [clean("".join(traceback.format_exception(self, chain=False))).rstrip("\n")]
        return ["\n".join(wrapped(f"{type(self).__name__}: {self}"))]


def remade(error: type[E], args: tuple[Any, ...], state: dict[str, Any] | None = None) -> E:
    """Return an error of a class, with the attributes of `state`."""
    made: E = error.__base__.__new__(error, *args)  # `error.__new__` may be MemoryError's, which refuses subclasses
    super(HerokuMagicError, made).__init__(*args)  # an OSError takes its arguments only there
    made.__setstate__(state)
    return made


def _portable(cause: BaseException | None) -> BaseException | None:
    """Return an exception of any library, or its text if it does not survive `pickle`."""
    try:
        pickle.loads(pickle.dumps(cause))  # noqa: S301 - our own process wrote it
    except Exception as error:  # noqa: BLE001 - whatever pickling somebody else's exception raises
        return RuntimeError(f"{type(cause).__name__}: {cause}") if cause is not error else None
    return cause


class _ListsIssues(HerokuMagicError):
    """An error that names every problem, not only the first."""

    def __init__(self, issues: Sequence[str]) -> None:
        self.issues = list(issues)
        listed = f"{len(self.issues)} problems:" + "".join(f"\n  - {issue}" for issue in self.issues)
        super().__init__(self.issues[0] if len(self.issues) == 1 else listed)


class InvalidOptions(HerokuMagicError):
    """An option or argument is unknown, repeated, incomplete or contradictory.

    The message names it and what is valid. `%heroku VERB --help` lists the options of a verb.
    """


class InvalidParameters(_ListsIssues):
    """The parameters cannot be sent.

    Correct the parameters that the message lists. `%heroku tasks TASK` shows their types, ranges and choices.

    Attributes
    ----------
    issues
        A message for every problem.
    """


class InputTooLarge(InvalidParameters):
    """The parameters do not fit into a dyno's environment, and their run cannot use an attached dyno instead.

    Send less, leave out the option that the message names, or let the task read a file, a table or a URL.
    """


class Interrupted(HerokuMagicError):
    """Ctrl-C was pressed before anything was started, or while waiting for work that continues.

    Run the cell again. Work that continues is listed by `%heroku ps`, and `%heroku stop` ends it.
    """


class SettingsError(HerokuMagicError):
    """There is no app, no token or more than one app to choose from, or a setting is invalid.

    Log in with `%heroku login`, choose an app with `%heroku use NAME`, or add `--local` for the embedded Heroku.
    """


class EmulatorError(HerokuMagicError):
    """The embedded Heroku did not start, or has ended.

    The message has its last lines. The next cell starts it again; on Windows, use WSL.
    """


class DeployRefused(_ListsIssues):
    """A folder cannot be deployed. Nothing was sent.

    Correct the files that the message lists. `--allow FILE` sends a file that only looks like a secret.

    Attributes
    ----------
    issues
        A message for every problem.
    """


class BuildFailed(HerokuMagicError):
    """Heroku could not build or release a deployed folder.

    Read the end of the build output in the cell, correct the folder, and deploy again. The old release is still in use.

    Attributes
    ----------
    output
        The full output of the build.
    """

    def __init__(self, message: str, output: str) -> None:
        self.output = output
        super().__init__(message)


class ApiError(HerokuMagicError):
    """The Platform API rejected a request or did not respond.

    The message has Heroku's own words. `%heroku status` shows the app, the account and the requests left.

    Attributes
    ----------
    status
        The HTTP status; 0 without a response.
    id, said, request_id
        Heroku's identifier of the error, its message and the id of the request, see
        https://devcenter.heroku.com/articles/platform-api-reference#errors
    """

    def __init__(self, message: str, *, status: int = 0, id: str = "", request_id: str = "") -> None:  # noqa: A002 - Heroku's name
        self.status = status
        self.id = id
        self.said = message
        self.request_id = request_id
        super().__init__(message)


class Unauthorized(ApiError):
    """401: the token is missing, wrong or expired.

    Log in again with `%heroku login`.
    """


class Forbidden(ApiError):
    """403: the token is valid, but lacks the permission.

    Use a token with a wider scope (`%heroku login --scope write-protected`), or ask the owner of the app for access.
    """


class NotFound(ApiError):
    """404: the app, dyno or release does not exist, or the account has no access to it.

    Check the name: `%heroku apps` lists the apps, `%heroku ps` the dynos, `%heroku releases` the releases.

    Attributes
    ----------
    resource
        The kind of resource, if Heroku names it.
    """

    resource: str = ""


class Conflict(ApiError):
    """409: not possible right now, for example while a new release is not yet visible.

    Try again after a few seconds.
    """


class Refused(ApiError):
    """422: the request was understood and rejected, for example for an unknown size or a limit reached.

    Follow the message: choose another size or name, or wait until other dynos have ended.
    """


class RateLimited(ApiError):
    """429: the account's requests for this hour are used up.

    Wait: 75 requests are added per minute. A sweep slows down by itself; `--chunk` makes it need fewer requests.

    Attributes
    ----------
    retry_after
        Seconds to wait; None if Heroku does not say.
    """

    retry_after: float | None = None


class Unreachable(ApiError):
    """There was no response, or one that is not the Platform API's.

    Check the network, a proxy and `HEROKU_HOST`, then https://status.heroku.com.

    Attributes
    ----------
    sent
        Whether the request may have arrived and taken effect.
    """

    sent = True


class AttachFailed(HerokuMagicError):
    """An attached dyno could not be connected to.

    Check that outgoing connections to port 5000 are allowed, or leave out `--warm`, which needs them.
    """


class InstallFailed(HerokuMagicError):
    """A warm dyno could not install the packages of `--with`.

    The message has the last lines of its pip or uv. Correct the requirement, or add the package to the app.
    """


class LogStreamError(HerokuMagicError):
    """The log session was lost and could not be reopened.

    Check the network. `%heroku attach RUN` or `%heroku logs RUN` shows what the run has printed.
    """


class _RunError(HerokuMagicError):
    """An error about one run, which it carries."""

    def __init__(self, message: str, run: FailedRun) -> None:
        self.run = run
        super().__init__(message)

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows received before the error."""
        return self.run.partial


class ResultIncomplete(_RunError):
    """Records are missing, and Heroku's log history no longer has them.

    Run it again, if the task may run twice. `--warm` brings results back over a connection that loses nothing.

    Attributes
    ----------
    run
        The run.
    """


class TaskFailed(_RunError):
    """The user's task failed. The message starts with the task's own exception, if it reported one.

    Correct the line of the task that the message shows. `%heroku last` has its log, and the rows before the failure.

    Attributes
    ----------
    run
        The run, with its `exit_status`, `logs()` and `files`.
    """


class RunCancelled(_RunError):
    """The run was stopped by its user before it ended.

    Run the cell again. The exception has the rows so far.

    Attributes
    ----------
    run
        The run.
    """


class SweepFailed(HerokuMagicError):
    """Some runs of a sweep failed, or the sweep was stopped.

    `%heroku resume` runs what is missing; `--retries N` repeats runs that the platform failed.

    Attributes
    ----------
    sweep
        The sweep, with its `failures()` and `runs()`.
    """

    def __init__(self, message: str, sweep: HasPartial) -> None:
        self.sweep = sweep
        super().__init__(message)

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows of the successful runs."""
        return self.sweep.partial
