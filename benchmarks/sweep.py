"""Sweeps of 100 and 1,000 local runs, from submit to DataFrame, against Lithops' map and `xargs -P`."""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import missing_package, missing_program
from benchmarks.warm_run import N, lithops_executor, lithops_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.testbed import Testbed

JOBS = 2 * (os.cpu_count() or 1)  # the limit of the embedded Heroku


def races(*, quick: bool) -> list[Race]:
    """Sweep over a hundred and a thousand seeds, and compare the time per run."""
    few, many = (4, 8) if quick else (100, 1000)
    return [
        _race(few, repeats=1 if quick else 3),
        _race(many, repeats=1),
        Race(
            f"seconds per run, sweep of {many:,}",
            "s",
            Side(f"sweep of {many:,}", partial(seconds_per_run, runs=many)),
            [Side(f"sweep of {few:,}", partial(seconds_per_run, runs=few), Aim(ratio=1.1))],
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


def sweep(testbed: Testbed, *, runs: int) -> Iterator[Measurement]:
    """Sweep over the seeds."""
    heroku = testbed.local()
    heroku.tasks()
    yield
    while True:
        df = heroku.sweep("task", {"seed": range(runs)}, {"n": N}).result()
        assert df is not None
        assert len(df) == runs * N
        yield


def seconds_per_run(testbed: Testbed, *, runs: int) -> Iterator[Measurement]:
    """Measure a sweep, divided by the number of runs."""
    steps = sweep(testbed, runs=runs)
    yield next(steps)
    while True:
        began = time.perf_counter()
        next(steps)
        yield (time.perf_counter() - began) / runs


def xargs(testbed: Testbed, *, runs: int) -> Iterator[Measurement]:
    """Run the script for each seed, with the same concurrency."""
    seeds = "\n".join(map(str, range(runs)))
    script = ["env", f"n={N}", "seed={}", testbed.python, "-m", "heroku_task", "task"]
    yield
    while True:
        command = ["xargs", "-P", str(JOBS), "-I{}", *script]
        subprocess.run(command, input=seeds, check=True, stdout=subprocess.DEVNULL, text=True, cwd=testbed.folder)
        yield


def lithops(testbed: Testbed, *, runs: int) -> Iterator[Measurement]:
    """Map the same function over the seeds with a warm executor."""
    task = lithops_task(testbed)
    with lithops_executor(testbed) as executor:
        executor.get_result(executor.call_async(task, {"n": N, "seed": 0}))
        yield
        while True:
            results = executor.get_result(executor.map(task, [{"n": N, "seed": seed} for seed in range(runs)]))
            assert len(results) == runs
            yield


if __name__ == "__main__":
    run_alone(__file__)
