"""Knows which runs and sweeps a call has started, so that whatever interrupts the call can stop them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from heroku_magic.runs.future import TableFuture

STOP_TIMEOUT = 60.0  # seconds to wait for a stop: Heroku grants a process 30
CALL_PATIENCE = 2.0  # seconds that a call on a warm dyno has to end, before an interrupt stops its dyno


Job = TypeVar("Job", bound="TableFuture[Any]")
_collectors: ContextVar[tuple[list[TableFuture[Any]], ...]] = ContextVar("heroku_magic_jobs", default=())


@contextmanager
def started_jobs() -> Iterator[list[TableFuture[Any]]]:
    """Collect the runs and sweeps that this thread starts inside a `with`."""
    jobs: list[TableFuture[Any]] = []
    token = _collectors.set((*_collectors.get(), jobs))
    try:
        yield jobs
    finally:
        _collectors.reset(token)


@contextmanager
def cancelled_on_error() -> Iterator[None]:
    """Cancel what was started inside a `with` that an exception or an interrupt leaves: nobody holds it."""
    with started_jobs() as jobs:
        try:
            yield
        except BaseException:
            for job in jobs:
                job.cancel()
            raise


def run_to_end(submit: Callable[[], Job], watch: Callable[[Job], None] = lambda _: None) -> Job:
    """Start a run and wait for its end; an interrupt stops what was started and waits until it is gone.

    watch: shows the run until it ends.
    """
    job = None
    with started_jobs() as jobs:
        try:
            job = submit()
            watch(job)
            job.wait()
        except KeyboardInterrupt:
            stop_all(jobs)
            if job is None:
                raise
            watch(job)
    return job


def stop_all(jobs: Sequence[TableFuture[Any]]) -> list[TableFuture[Any]]:
    """Cancel what has not ended and is not detached, wait for it, and return it."""
    live = [job for job in jobs if not job.is_detached and job.cancel()]
    for job in live:
        wait_for_stop(job, partial(job.wait, STOP_TIMEOUT))
    return live


def wait_for_stop(job: TableFuture[Any], wait: Callable[[], object]) -> None:
    """Wait for the end of what was cancelled. An interrupt ends the wait.

    For a warm call, it has no effect before CALL_PATIENCE has passed, and then stops the dyno first.
    """
    stop_dyno = getattr(job, "stop_warm_dyno", None) if getattr(job, "is_warm", False) else None
    if stop_dyno:
        notify(f"The call is being stopped. Another interrupt after {CALL_PATIENCE:g} s stops its dyno, too.")
    patient_until = time.monotonic() + CALL_PATIENCE
    while True:
        try:
            wait()
        except KeyboardInterrupt:  # noqa: PERF203 - it waits
            is_early = stop_dyno and time.monotonic() < patient_until
            if not is_early and not (stop_dyno and stop_dyno()):
                raise
        else:
            return


def record_start(job: TableFuture[Any]) -> None:
    """Take note of a run or a sweep that is about to start."""
    for jobs in _collectors.get():
        jobs.append(job)
