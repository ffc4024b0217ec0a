"""The number of API requests of a run, a sweep and a silent minute, out of 4,500 per hour."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import MANY, PlainApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.testbed import Testbed

POLL_SECONDS = 10  # the minimum between two requests about a silent run
OTHER_REQUESTS = 5  # requests of a sweep in addition to one per dyno
FILES = {"Procfile": "task: python -m heroku_task task\nquiet: sleep 60\nbrief: sleep 1\n"}


def races(*, quick: bool) -> list[Race]:
    """Count requests, against a script that creates a dyno and a log session and polls every second."""
    runs, quiet, seconds = (4, "brief", 1) if quick else (50, "quiet", 60)
    return [
        _race("requests of a run", run_once, partial(script, task="task"), 2),
        _race(
            f"requests of a sweep of {runs}",
            partial(sweep, runs=runs),
            partial(script, task="task", runs=runs),
            runs + OTHER_REQUESTS,
        ),
        _race(
            f"requests of a run that is silent for {seconds} s",
            partial(run_once, task=quiet),
            partial(script, task=quiet),
            3 + seconds / POLL_SECONDS,
        ),
    ]


def _race(title: str, ours: Any, script: Any, limit: float) -> Race:
    sides = Side("heroku_magic", ours), [Side("script with requests", script, Aim(alone=limit))]
    return Race(title, "requests", *sides, repeats=1, warm_ups=0, files=FILES, emulator=[MANY])


def run_once(testbed: Testbed, *, task: str = "task") -> Iterator[Measurement]:
    """Run a task."""
    heroku = testbed.remote()
    heroku.tasks()
    return count_requests(testbed, lambda: heroku.run(task))


def sweep(testbed: Testbed, *, runs: int) -> Iterator[Measurement]:
    """Sweep over the seeds of the task."""
    heroku = testbed.remote()
    heroku.tasks()
    return count_requests(testbed, lambda: heroku.sweep("task", {"seed": range(runs)}, jobs=8).result())


def script(testbed: Testbed, *, task: str, runs: int = 1) -> Iterator[Measurement]:
    """Start a dyno, open its log, and poll until it is gone."""
    api = PlainApi(testbed)

    def run() -> None:
        name = api.start(task)
        api.log(name).close()
        while name in {dyno["name"] for dyno in api.request("GET", "dynos")}:
            time.sleep(1)

    return count_requests(testbed, lambda: [run() for _ in range(runs)])


def count_requests(testbed: Testbed, action: Callable[[], Any]) -> Iterator[Measurement]:
    """Count the requests that an action sends."""
    api = PlainApi(testbed)
    yield
    while True:
        before = api.request_count()
        action()
        yield api.request_count() - before


if __name__ == "__main__":
    run_alone(__file__)
