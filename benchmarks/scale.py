"""A sweep of 1,000 to 1,000,000 runs on Heroku, on paper: wall time and dollars by the platform's published limits.

A simulation, event by event, of what bounds a sweep: dynos at once, seconds of a boot, requests an hour. It
is checked against the embedded Heroku, which keeps to the same limits, with real dynos of short boots.
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.ground import laid_out

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
    """What bounds a sweep.

    dynos: at once, https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits. boot: seconds, which
    Heroku does not publish; 10 is what users report. bucket, refill: requests, and those that come back a
    second, https://devcenter.heroku.com/articles/platform-api-reference#rate-limits. reserve: requests that a
    sweep leaves for stops and looks. dollars: of a dyno's second.
    """

    dynos: int = 50
    boot: float = 10.0
    bucket: float = 4500.0
    refill: float = 4500 / HOUR
    reserve: float = 200.0
    dollars: float = 25 / 720 / HOUR


@dataclass(frozen=True)
class Load:
    """What is to be done: so many runs of so many seconds each, `chunk` of them on a dyno one after the other."""

    runs: int
    seconds: float
    chunk: int = 1

    @property
    def dynos(self) -> int:
        """How many dynos are started."""
        return math.ceil(self.runs / self.chunk)

    def work(self, dyno: int) -> float:
        """Return the seconds of a dyno's work; the last one has what is left."""
        return self.seconds * min(self.chunk, self.runs - dyno * self.chunk)


@dataclass(frozen=True)
class Bill:
    """What it takes: seconds from the first create to the last end, dollars at list price, requests."""

    seconds: float
    dollars: float
    requests: int


def simulate(load: Load, platform: Platform) -> Bill:
    """Start each dyno when a place and a request are free, the earliest first."""
    places = [0.0] * min(platform.dynos, load.dynos)
    ready = _requests(platform)
    billed = end = 0.0
    for dyno in range(load.dynos):
        free = heapq.heappop(places)
        began = max(free, next(ready))
        over = began + platform.boot + load.work(dyno)
        billed += over - began
        end = max(end, over)
        heapq.heappush(places, over)
    return Bill(end, billed * platform.dollars, load.dynos)


def _requests(platform: Platform) -> Iterator[float]:
    """Yield when each request may be sent: the bucket's at once, then as they come back.

    What comes back while the bucket is in use is there, too: request n needs n - bucket of them.
    """
    number = 0
    while True:
        number += 1
        yield max(0.0, (number - (platform.bucket - platform.reserve)) / platform.refill)


# -- the check: the same on the embedded Heroku ----------------------------------------------------


@dataclass(frozen=True)
class Check:
    """A load on an emulator of these limits."""

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
    """Return the seconds that a sweep takes on paper, and on an emulator with the same limits."""
    load, limits = check.load, check.platform
    options = [f"--one-offs={limits.dynos}", f"--time=boot={limits.boot}", f"--requests-left={limits.bucket:.0f}"]
    with laid_out(FILES, options) as ground:
        heroku = ground.remote()
        heroku.tasks()
        numbers, seconds = {"number": range(load.runs)}, {"seconds": load.seconds}
        bucket = heroku.client.rate_limit().remaining  # to ask for the tasks took some
        began = time.perf_counter()
        df = heroku.sweep("work", numbers, seconds, jobs=limits.dynos, chunk=load.chunk).result()
        took = time.perf_counter() - began
        assert df is not None
        assert len(df) == load.runs
        return simulate(load, replace(limits, bucket=bucket)).seconds, took


# -- the tables ------------------------------------------------------------------------------------


def table(seconds: float, chunk: int) -> Iterator[str]:
    """Yield a row for each size of a sweep: without chunks, and with them."""
    yield f"| runs of {seconds:g} s | one a dyno | {chunk} a dyno |"
    yield "|---|---|---|"
    for runs in (1_000, 10_000, 100_000, 1_000_000):
        bills = [simulate(Load(runs, seconds, size), Platform()) for size in (1, chunk)]
        yield f"| {runs:,} | {' | '.join(map(told, bills))} |"


def told(bill: Bill) -> str:
    """Return a bill in words."""
    hours = bill.seconds / HOUR
    time_ = f"{bill.seconds / 60:.0f} min" if hours < 2 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"
    return f"{time_}, ${bill.dollars:,.2f}, {bill.requests:,} dynos"


def main() -> None:
    """Print the tables; `--check` runs the checks, which take minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of work of a run (10)")
    parser.add_argument("--chunk", type=int, default=20, help="runs on a dyno one after the other (20)")
    parser.add_argument("--check", action="store_true", help="sweep on the emulator, too, at 100 and at 1,000 runs")
    options = parser.parse_args()
    print("\n".join(table(options.seconds, options.chunk)))
    for check in CHECKS if options.check else ():
        predicted, took = measure(check)
        print(
            f"{check.load.runs:,} runs, {check.name}: {predicted:.1f} s predicted, {took:.1f} s on the emulator",
            flush=True,
        )


if __name__ == "__main__":
    main()
