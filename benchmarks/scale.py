"""Simulate sweeps of 1,000 to 1,000,000 runs: wall time and dollars under Heroku's published limits.

The simulation covers what limits a sweep: concurrent dynos, boot time and requests per hour. It is checked
against the embedded Heroku, which enforces the same limits, with real dynos that boot quickly.
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.testbed import create_testbed

if TYPE_CHECKING:
    from collections.abc import Iterator


HOUR = 3600.0
FILES = {
    "Procfile": "describe: python -m heroku_task --describe\nwork: python -m heroku_task work\n",
    "requirements.txt": "",
    "work.py": """import time
from heroku_task import task
@task
def work(number: int, seconds: float):
    time.sleep(seconds)
    return {"slept": seconds}
""",
}


@dataclass(frozen=True)
class Platform:
    """The limits of a sweep.

    dynos: concurrent dynos, https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits. boot: seconds;
    Heroku publishes none, and users report 10. bucket, refill: available requests, and those added per second,
    https://devcenter.heroku.com/articles/platform-api-reference#rate-limits. reserve: requests that a
    sweep keeps for stops and queries. dollars: price of a dyno per second.
    """

    dynos: int = 50
    boot: float = 10.0
    bucket: float = 4500.0
    refill: float = 4500 / HOUR
    reserve: float = 200.0
    dollars: float = 25 / 720 / HOUR


@dataclass(frozen=True)
class Load:
    """The work: a number of runs of equal duration, `chunk` of them one after another on each dyno."""

    runs: int
    seconds: float
    chunk: int = 1

    @property
    def dynos(self) -> int:
        """The number of dynos."""
        return math.ceil(self.runs / self.chunk)

    def work(self, dyno: int) -> float:
        """Return the seconds of work of a dyno; the last one has the rest."""
        return self.seconds * min(self.chunk, self.runs - dyno * self.chunk)


@dataclass(frozen=True)
class Cost:
    """The result: seconds from the first create to the last end, dollars at list price, and requests."""

    seconds: float
    dollars: float
    requests: int


def simulate(load: Load, platform: Platform) -> Cost:
    """Start each dyno as soon as a slot and a request are available."""
    slots = [0.0] * min(platform.dynos, load.dynos)
    ready = _request_times(platform)
    billed = end = 0.0
    for dyno in range(load.dynos):
        free = heapq.heappop(slots)
        began = max(free, next(ready))
        over = began + platform.boot + load.work(dyno)
        billed += over - began
        end = max(end, over)
        heapq.heappush(slots, over)
    return Cost(end, billed * platform.dollars, load.dynos)


def _request_times(platform: Platform) -> Iterator[float]:
    """Yield when each request may be sent: those in the bucket immediately, the others as they are refilled.

    The bucket is refilled while it is in use, so request n needs n - bucket refills.
    """
    number = 0
    while True:
        number += 1
        yield max(0.0, (number - (platform.bucket - platform.reserve)) / platform.refill)


# -- checks on the embedded Heroku ----------------------------------------------------


@dataclass(frozen=True)
class Check:
    """A load on an emulator with these limits."""

    name: str
    load: Load
    platform: Platform


CHECKS = (
    Check("dynos bound", Load(100, 0.5), Platform(dynos=10, boot=0.5)),
    Check("requests bound", Load(100, 0.2), Platform(dynos=10, boot=0.3, bucket=260)),
    Check("in chunks of 10", Load(100, 0.5, 10), Platform(dynos=5, boot=0.5)),
    Check("dynos bound", Load(1000, 0.5), Platform(dynos=10, boot=0.5)),
    Check("requests bound", Load(1000, 0.5), Platform(dynos=20, boot=0.5, bucket=1000)),
    Check("in chunks of 20", Load(1000, 0.5, 20), Platform(dynos=10, boot=0.5)),
)


def measure(check: Check) -> tuple[float, float]:
    """Return the seconds of a sweep in the simulation, and on an emulator with the same limits."""
    load, limits = check.load, check.platform
    options = [f"--one-offs={limits.dynos}", f"--time=boot={limits.boot}", f"--requests-left={limits.bucket:.0f}"]
    with create_testbed(FILES, options) as testbed:
        heroku = testbed.remote()
        heroku.tasks()
        numbers, seconds = {"number": range(load.runs)}, {"seconds": load.seconds}
        bucket = heroku.client.rate_limit().remaining  # listing the tasks used some
        began = time.perf_counter()
        df = heroku.sweep("work", numbers, seconds, jobs=limits.dynos, chunk=load.chunk).result()
        measured = time.perf_counter() - began
        assert df is not None
        assert len(df) == load.runs
        return simulate(load, replace(limits, bucket=bucket)).seconds, measured


# -- the tables ------------------------------------------------------------------------------------


def table(seconds: float, chunk: int) -> Iterator[str]:
    """Yield one row per sweep size, without and with chunks."""
    yield f"| runs of {seconds:g} s | one per dyno | {chunk} per dyno |"
    yield "|---|---|---|"
    for runs in (1_000, 10_000, 100_000, 1_000_000):
        costs = [simulate(Load(runs, seconds, size), Platform()) for size in (1, chunk)]
        yield f"| {runs:,} | {' | '.join(map(describe, costs))} |"


def describe(cost: Cost) -> str:
    """Return a cost as text."""
    hours = cost.seconds / HOUR
    time_ = f"{cost.seconds / 60:.0f} min" if hours < 2 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"
    return f"{time_}, ${cost.dollars:,.2f}, {cost.requests:,} dynos"


def main() -> None:
    """Print the tables; `--check` runs the checks, which take minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="duration of a run (10)")
    parser.add_argument("--chunk", type=int, default=20, help="runs per dyno, one after another (20)")
    parser.add_argument("--check", action="store_true", help="also run sweeps of 100 and 1,000 runs on the emulator")
    options = parser.parse_args()
    print("\n".join(table(options.seconds, options.chunk)))
    for check in CHECKS if options.check else ():
        predicted, measured = measure(check)
        print(
            f"{check.load.runs:,} runs, {check.name}: {predicted:.1f} s predicted, {measured:.1f} s on the emulator",
            flush=True,
        )


if __name__ == "__main__":
    main()
