"""Sweeps of 100 and of 1,000 local runs, from submit to one DataFrame, beside Lithops' map and `xargs -P`."""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import alone
from benchmarks.ground import missing_package, missing_program
from benchmarks.race import Aim, Race, Side, Told
from benchmarks.warm_run import N, lithops_executor, lithops_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.ground import Ground

JOBS = 2 * (os.cpu_count() or 1)  # at once: what the embedded Heroku allows


def races(*, quick: bool) -> list[Race]:
    """A hundred, a thousand, and whether a run of the thousand costs more than one of the hundred."""
    few, many = (4, 8) if quick else (100, 1000)
    return [
        _race(few, repeats=1 if quick else 3),
        _race(many, repeats=1),
        Race(
            f"seconds a run, sweep of {many:,}",
            "s",
            Side(f"sweep of {many:,}", partial(a_run, runs=many)),
            [Side(f"sweep of {few:,}", partial(a_run, runs=few), Aim(ratio=1.1))],
            repeats=1 if quick else 2,
            warm_ups=0,
        ),
    ]


def _race(runs: int, *, repeats: int) -> Race:
    others = [
        Side(f"xargs -P {JOBS}, bare script", partial(xargs, runs=runs), Aim(ratio=1.5), missing_program("xargs")),
        Side("Lithops localhost map", partial(lithops, runs=runs), Aim(ratio=1 / 5), missing_package("lithops")),
    ]
    ours = Side("heroku.sweep()", partial(sweep, runs=runs))
    return Race(f"sweep of {runs:,}", "s", ours, others, repeats=repeats, warm_ups=0)


def sweep(ground: Ground, *, runs: int) -> Iterator[Told]:
    """Sweep over the seeds."""
    heroku = ground.local()
    heroku.tasks()
    yield
    while True:
        df = heroku.sweep("task", {"seed": range(runs)}, {"n": N}).result()
        assert df is not None
        assert len(df) == runs * N
        yield


def a_run(ground: Ground, *, runs: int) -> Iterator[Told]:
    """The same, divided by the number of runs."""
    steps = sweep(ground, runs=runs)
    yield next(steps)
    while True:
        began = time.perf_counter()
        next(steps)
        yield (time.perf_counter() - began) / runs


def xargs(ground: Ground, *, runs: int) -> Iterator[Told]:
    """Run the script for each seed, as many at once."""
    seeds = "\n".join(map(str, range(runs)))
    script = ["env", f"n={N}", "seed={}", ground.python, "-m", "heroku_task", "task"]
    yield
    while True:
        command = ["xargs", "-P", str(JOBS), "-I{}", *script]
        subprocess.run(command, input=seeds, check=True, stdout=subprocess.DEVNULL, text=True, cwd=ground.folder)
        yield


def lithops(ground: Ground, *, runs: int) -> Iterator[Told]:
    """Map the same function over the seeds; the executor is warm."""
    task = lithops_task(ground)
    with lithops_executor(ground) as executor:
        executor.get_result(executor.call_async(task, {"n": N, "seed": 0}))
        yield
        while True:
            results = executor.get_result(executor.map(task, [{"n": N, "seed": seed} for seed in range(runs)]))
            assert len(results) == runs
            yield


if __name__ == "__main__":
    alone(__file__)
