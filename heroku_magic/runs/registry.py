"""What the runs of this process share: a list of them, durations to estimate by, and look-ups of an app's dynos."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from heroku_magic.errors import ApiError
from heroku_magic.runs.exit_hooks import Step, at_end

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import Dyno
    from heroku_magic.runs.spec import RunSpec

CREATE_TIMEOUT = 40.0  # seconds to wait at exit for the create of a detached run
STOP_TIMEOUT = 5.0  # seconds to wait at exit for dynos to stop
MEASURED_RUNS = 50  # runs of each task that its mean duration is taken from
LOOKUP_INTERVAL = 10.0  # seconds between two requests for the dynos of one app
# With few requests left in the account's quota, creates and stops need them more.
FEW_REQUESTS, SPARING_INTERVAL = 200, 60.0


class RegisteredRun(Protocol):
    """A run, or a warm dyno, as the registry and its readers see it."""

    id: str
    app: str
    dyno: str | None

    @property
    def is_detached(self) -> bool:
        """Whether it continues when this process ends."""

    @property
    def is_idle(self) -> bool:
        """Whether it is a warm dyno that waits for calls."""

    @property
    def host(self) -> str:
        """The base URL of the API."""

    def running(self) -> bool:
        """Return whether the run has not ended."""

    def cancel(self) -> bool:
        """Request its end; return False if it has ended."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended."""

    def outcome_message(self) -> str:
        """Return a sentence about what became of it."""

    def wait_for_dyno(self, timeout: float | None = None) -> bool:
        """Wait until the dyno is created."""


class WatchedDynos(Protocol):
    """The dynos of a run that may outlive it."""

    def is_settled(self) -> bool:
        """Return whether there are none."""

    def check(self) -> None:
        """Stop the listed dynos. Raises ApiError."""

    def leftover_message(self) -> str:
        """Return a sentence about the dynos that may still run; empty if none is known."""


class _Listing(NamedTuple):
    """An app's dynos; None if they could not be listed."""

    requested_at: float
    dynos: list[Dyno] | None


class Place(NamedTuple):
    """Where a run went: the API's base URL, the app, and the dyno."""

    host: str
    app: str
    dyno: str


_runs: dict[str, RegisteredRun] = {}
_places: dict[str, Place] = {}  # by run, ended runs included
_watched: dict[str, WatchedDynos] = {}
_is_ending = threading.Event()
_durations: dict[tuple[object, ...], deque[float]] = {}  # by app, task, dyno size and packages
_lock = threading.Lock()
_dynos: dict[tuple[str, str], _Listing] = {}


def add(run: RegisteredRun) -> None:
    """Register a run until it ends."""
    _runs[run.id] = run


def discard(run: str) -> None:
    """Remove a run that has ended."""
    _runs.pop(run, None)


def record_place(run: str, host: str, app: str, dyno: str) -> None:
    """Remember where a run went."""
    _places[run] = Place(host, app, dyno)


def places() -> dict[str, Place]:
    """Return where the runs of this process went, by run, in the order of their starts."""
    return dict(_places)


def forget_app(host: str, app: str) -> None:
    """Forget the runs of an app that was destroyed."""
    for run, place in places().items():
        if (place.host, place.app) == (host, app):
            _places.pop(run, None)


def watch(run: str, dynos: WatchedDynos) -> None:
    """Register what a run may leave behind, until `unwatch`."""
    _watched[run] = dynos


def unwatch(run: str) -> None:
    """Remove the dynos of a run, none of which is left."""
    _watched.pop(run, None)


def is_ending() -> bool:
    """Return whether the interpreter is exiting, so that no dyno may be started."""
    return _is_ending.is_set()


def running_runs() -> list[RegisteredRun]:
    """Return the runs of this process that have not ended."""
    return list(_runs.values())  # one step, as other threads add and remove runs


def has_idle_dyno(app: str) -> bool:
    """Return whether a warm dyno of an app waits for calls."""
    return any(one.app == app and one.is_idle for one in running_runs())


def still_running(url: str) -> list[RegisteredRun]:
    """Return the runs at an API's host that could not be reached any more without the token."""
    return [run for run in running_runs() if run.running() and not run.is_detached and run.host == url]


def record_duration(spec: RunSpec, size: str | None, seconds: float) -> None:
    """Remember how long a successful run took, under the requested and the actual dyno size."""
    for each in {spec.size, size}:
        key = (spec.app, spec.task, each, spec.packages)
        _durations.setdefault(key, deque(maxlen=MEASURED_RUNS)).append(seconds)


def mean_duration(spec: RunSpec) -> float | None:
    """Return the mean duration of such runs in seconds, boot included; None before the first."""
    durations = _durations.get((spec.app, spec.task, spec.size, spec.packages))
    return sum(durations) / len(durations) if durations else None


def dynos_since(client: HerokuClient, app: str, moment: float) -> list[Dyno] | None:
    """Return an app's dynos at some time after `moment`, on the monotonic clock.

    All runs share one request per interval; None while it is too early for the next. Raises ApiError.
    """
    key = (client.base_url, app)
    with _lock:
        latest = _dynos.get(key, _Listing(float("-inf"), None))
        if latest.requested_at >= moment and latest.dynos is not None:
            return latest.dynos
        interval = LOOKUP_INTERVAL if client.requests_left > FEW_REQUESTS else SPARING_INTERVAL
        if time.monotonic() - latest.requested_at < interval:
            return None
        requested_at = time.monotonic()
        _dynos[key] = _Listing(requested_at, None)  # no other run waits for this request, or repeats it if it fails
    dynos = client.dynos(app)
    with _lock:
        _dynos[key] = _Listing(requested_at, dynos)
    return dynos


def _stop_all() -> None:
    """Stop the dynos that would otherwise outlive this process, and report what became of them."""
    _is_ending.set()
    runs = [run for run in running_runs() if not run.is_detached and run.cancel()]
    for run in [run for run in running_runs() if run.is_detached]:
        run.wait_for_dyno(CREATE_TIMEOUT)
    until = time.monotonic() + STOP_TIMEOUT
    for run in runs:
        run.wait(max(until - time.monotonic(), 0))
        _print(run.outcome_message())
    ids = {run.id for run in runs}
    _look_once_more([dynos for run, dynos in [*_watched.items()] if run not in ids and not dynos.is_settled()])


def _look_once_more(watched: list[WatchedDynos]) -> None:
    """Stop what earlier runs have left behind, and report what may still run.

    One after the other: while Python exits, it starts no thread (from 3.12 on).
    """
    until = time.monotonic() + STOP_TIMEOUT
    for dynos in watched:
        with suppress(ApiError):
            if time.monotonic() < until:
                dynos.check()
        if message := dynos.leftover_message():
            _print(message)


def _print(message: str) -> None:
    print(f"heroku_magic: {message}", file=sys.stderr)  # noqa: T201 - no display is left at exit


at_end(Step.DYNOS, _stop_all)
