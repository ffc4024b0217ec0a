"""How many requests of the account's 4,500 an hour a run, a sweep, and a silent minute cost."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import alone
from benchmarks.ground import MANY, PlainApi
from benchmarks.race import Aim, Race, Side, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.ground import Ground

EVERY = 10  # seconds between two looks at a run that is silent, at least
BESIDE = 5  # requests of a sweep beside its creates
FILES = {"Procfile": "task: python -m heroku_task task\nquiet: sleep 60\nbrief: sleep 1\n"}


def races(*, quick: bool) -> list[Race]:
    """Counted by the emulator, beside a script that asks for a dyno and a log session, and looks every second."""
    runs, quiet, seconds = (4, "brief", 1) if quick else (50, "quiet", 60)
    return [
        _race("requests of a run", once, partial(by_hand, task="task"), 2),
        _race(
            f"requests of a sweep of {runs}",
            partial(sweep, runs=runs),
            partial(by_hand, task="task", runs=runs),
            runs + BESIDE,
        ),
        _race(
            f"requests of a run that is silent for {seconds} s",
            partial(once, task=quiet),
            partial(by_hand, task=quiet),
            3 + seconds / EVERY,
        ),
    ]


def _race(title: str, ours: Any, script: Any, most: float) -> Race:
    sides = Side("heroku_magic", ours), [Side("script with requests", script, Aim(alone=most))]
    return Race(title, "requests", *sides, repeats=1, warm_ups=0, files=FILES, emulator=[MANY])


def once(ground: Ground, *, task: str = "task") -> Iterator[Told]:
    """Run a task."""
    heroku = ground.remote()
    heroku.tasks()
    return counted(ground, lambda: heroku.run(task))


def sweep(ground: Ground, *, runs: int) -> Iterator[Told]:
    """Sweep over the task's seeds."""
    heroku = ground.remote()
    heroku.tasks()
    return counted(ground, lambda: heroku.sweep("task", {"seed": range(runs)}, jobs=8).result())


def by_hand(ground: Ground, *, task: str, runs: int = 1) -> Iterator[Told]:
    """Start a dyno, open its log, look whether it is still there."""
    api = PlainApi(ground)

    def run() -> None:
        name = api.start(task)
        api.log(name).close()
        while name in {dyno["name"] for dyno in api.ask("GET", "dynos")}:
            time.sleep(1)

    return counted(ground, lambda: [run() for _ in range(runs)])


def counted(ground: Ground, do: Callable[[], Any]) -> Iterator[Told]:
    """Do something, and ask the emulator how many requests were spent meanwhile."""
    api = PlainApi(ground)
    yield
    while True:
        before = api.spent()
        do()
        yield api.spent() - before


if __name__ == "__main__":
    alone(__file__)
