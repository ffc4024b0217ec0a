"""Measured: how long runs of a task took in this process, to estimate the next ones by; it runs nothing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec

LATEST = 50  # runs of a task that are remembered


class _Key(NamedTuple):
    app: str
    task: str
    size: str | None


_seconds: dict[_Key, deque[float]] = {}


def note(run: Run, order: RunSpec) -> None:
    """Remember a run that went well; one of many calls is no measure of one."""
    if run.seconds is not None and not run.calls:
        for size in {order.size, run.size}:
            key = _Key(order.app, order.task, size)
            _seconds.setdefault(key, deque(maxlen=LATEST)).append(run.seconds)


def seconds(order: RunSpec) -> float | None:
    """Return how long such a run takes, boot included, on average; None: none was seen yet."""
    known = _seconds.get(_Key(order.app, order.task, order.size))
    return sum(known) / len(known) if known else None
