"""What the runs of this process share: a list of them, durations to estimate by, and look-ups of an app's dynos."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from heroku_magic.runs.exit_hooks import Step, at_end

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.spec import RunSpec

CREATE_TIMEOUT = 40.0  # seconds to wait at exit for the create of a detached run
STOP_TIMEOUT = 5.0  # seconds to wait at exit for dynos to stop
MEASURED_RUNS = 50  # runs of each task that its mean duration is taken from
LOOKUP_INTERVAL = 10.0  # seconds between two requests for the dynos of one app
# With few requests left in the account's quota, creates and stops need them more.
FEW_REQUESTS, SPARING_INTERVAL = 200, 60.0


class RegisteredRun(Protocol):
    """A run as the registry and its readers see it."""

    id: str
    app: str
    dyno: str | None

    @property
    def host(self) -> str:
        """The base URL of the API."""

    @property
    def is_detached(self) -> bool:
        """Whether the run continues when this process ends."""

    def running(self) -> bool:
        """Return whether the run has not ended."""

    def cancel(self) -> bool:
        """Request its end; return False if it has ended."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended."""

    def wait_for_dyno(self, timeout: float | None = None) -> bool:
        """Wait until the dyno is created."""

    def outcome_message(self) -> str:
        """Return a sentence about what became of it."""


class _Measured(NamedTuple):
    app: str
    task: str
    size: str | None


_runs: dict[str, RegisteredRun] = {}
_is_ending = threading.Event()
_durations: dict[_Measured, deque[float]] = {}
_lock = threading.Lock()
_dynos: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}


def add(run: RegisteredRun) -> None:
    """Register a run until it ends."""
    _runs[run.id] = run


def discard(run: str) -> None:
    """Remove a run that has ended."""
    _runs.pop(run, None)


def is_ending() -> bool:
    """Return whether the interpreter is exiting, so that no dyno may be started."""
    return _is_ending.is_set()


def running_runs() -> list[RegisteredRun]:
    """Return the runs of this process that have not ended."""
    return list(_runs.values())  # one step, as other threads add and remove runs


def still_running(url: str) -> list[RegisteredRun]:
    """Return the runs at an API's host that could not be reached any more without the token."""
    return [run for run in running_runs() if run.running() and not run.is_detached and run.host == url]


def record_duration(spec: RunSpec, size: str | None, seconds: float) -> None:
    """Remember how long a successful run took, under the requested and the actual dyno size."""
    for each in {spec.size, size}:
        durations = _durations.setdefault(_Measured(spec.app, spec.task, each), deque(maxlen=MEASURED_RUNS))
        durations.append(seconds)


def mean_duration(spec: RunSpec) -> float | None:
    """Return the mean duration of such runs in seconds, boot included; None before the first."""
    durations = _durations.get(_Measured(spec.app, spec.task, spec.size))
    return sum(durations) / len(durations) if durations else None


def dynos_since(client: HerokuClient, app: str, moment: float) -> frozenset[str] | None:
    """Return the ids of an app's dynos at some time after `moment`, on the monotonic clock.

    All runs share one request per interval; None while it is too early for the next. Raises ApiError.
    """
    key = (client.base_url, app)
    with _lock:
        taken_at, ids = _dynos.get(key, (float("-inf"), frozenset()))
        if taken_at >= moment:
            return ids
        interval = LOOKUP_INTERVAL if client.requests_left > FEW_REQUESTS else SPARING_INTERVAL
        if time.monotonic() - taken_at < interval:
            return None
        requested_at = time.monotonic()
        ids = frozenset(dyno.id for dyno in client.dynos(app))
        _dynos[key] = requested_at, ids
        return ids


def _stop_all() -> None:
    """Stop the dynos that would otherwise outlive this process, and report what became of them."""
    _is_ending.set()
    runs = [run for run in running_runs() if not run.is_detached and run.cancel()]
    for run in [run for run in running_runs() if run.is_detached]:
        run.wait_for_dyno(CREATE_TIMEOUT)
    until = time.monotonic() + STOP_TIMEOUT
    for run in runs:
        run.wait(max(until - time.monotonic(), 0))
        print(f"heroku_magic: {run.outcome_message()}", file=sys.stderr)  # noqa: T201 - no display is left at exit


at_end(Step.DYNOS, _stop_all)
