"""Latency from a dyno's write to the display update in a Jupyter kernel, at 1, 100 and 10,000 lines per second."""

from __future__ import annotations

import re
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import MANY, PlainApi, missing_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.testbed import Testbed

# Prints lines at a steady rate, each with its number and time; wakes up at most 1,000 times per second.
PRINT = """import sys, time
rate, lines = float(sys.argv[1]), int(sys.argv[2])
time.sleep(1)
began = time.time()
for number in range(lines):
    due = began + number / rate
    if due > time.time():
        sys.stdout.flush()
        time.sleep(max(due - time.time(), 0.001))
    print(f"line {number} {time.time():.6f}", flush=rate <= 1000)
"""
WRITTEN = re.compile(r"line (\d+) (\d+\.\d{6})")


def races(*, quick: bool) -> list[Race]:
    """Measure p50 and p99 of each rate, against a script that reads the same log with `requests` in chunks."""
    if quick:
        return [_race("p50", 100, 50, Aim(alone=0.15))]
    return [
        _race("p50", 1, 15, Aim(alone=0.150)),
        _race("p99", 1, 15),
        _race("p50", 100, 500),
        _race("p99", 100, 500),
        _race("p50", 10_000, 50_000),
        _race("p99", 10_000, 50_000, Aim(alone=0.500)),
    ]


def _race(share: str, rate: int, lines: int, aim: Aim | None = None) -> Race:
    lacking = missing_package("ipykernel", "jupyter_client")
    ours = Side("write to display", partial(display_latency, share=share, rate=rate, lines=lines), missing=lacking)
    script = Side("write to script", partial(script_latency, share=share, rate=rate, lines=lines), aim or Aim())
    title = f"latency {share}, {rate:,} line{'s' * (rate > 1)} per second"
    return Race(title, "s", ours, [script], 1, warm_ups=0, files={"steady.py": PRINT}, emulator=[MANY])


def display_latency(testbed: Testbed, *, share: str, rate: int, lines: int) -> Iterator[Measurement]:
    """Read the messages that a front end receives."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(testbed.folder.parent))
    exports = "; ".join(f"%env {name}={value}" for name, value in testbed.exports.items()).split("; ")
    run_cell(client, "\n".join([*exports, "%load_ext heroku_magic"]), lambda *_: None)
    yield
    while True:
        times = LineTimes()
        run_cell(client, f"%heroku run -- python -u steady.py {rate} {lines}", times)
        yield times.latency(share, lines)
    client.stop_channels()
    manager.shutdown_kernel()


def run_cell(client: Any, code: str, on_update: Callable[[float, str], None]) -> None:
    """Run a cell and call `on_update` with the time and text of each display update."""

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] in {"display_data", "update_display_data"}:
            on_update(time.time(), message["content"]["data"].get("text/html", ""))

    reply = client.execute_interactive(code, output_hook=take, timeout=300)["content"]
    if reply["status"] != "ok":
        raise RuntimeError(f"{reply['ename']}: {reply['evalue']}")


def script_latency(testbed: Testbed, *, share: str, rate: int, lines: int) -> Iterator[Measurement]:
    """Read the log as it arrives."""
    api = PlainApi(testbed)
    yield
    while True:
        times, response = LineTimes(), api.log(api.start(f"python -u steady.py {rate} {lines}"))
        for chunk in response.iter_content(None):
            times(time.time(), chunk.decode())
            if b"Process exited" in chunk:
                break
        yield times.latency(share, lines)


class LineTimes:
    """When each line was first displayed, by the first update that contains it or a later line."""

    def __init__(self) -> None:
        self._latest = -1
        self._moments: list[tuple[float, int]] = []
        self._written: dict[int, float] = {}

    def __call__(self, moment: float, text: str) -> None:
        """Record the lines displayed at a moment."""
        for number, written in WRITTEN.findall(text):
            self._written[int(number)] = float(written)
        latest = max(self._written, default=-1)
        if latest > self._latest:
            self._moments.append((moment, latest))
            self._latest = latest

    def latency(self, share: str, lines: int) -> float:
        """Return the latency in seconds within which half (p50) or 99 % (p99) of the lines appeared."""
        assert self._latest == lines - 1, f"{self._latest + 1} of {lines} lines were displayed"
        return percentile(share, [*self._latencies()])

    def _latencies(self) -> Iterator[float]:
        """Yield the latency of every line, with interpolated write times for lines that no update contained."""
        import numpy as np

        numbers = sorted(self._written)
        written = np.interp(range(self._latest + 1), numbers, [self._written[number] for number in numbers]).tolist()
        first = 0
        for moment, latest in self._moments:
            yield from (moment - at for at in written[first : latest + 1])
            first = latest + 1


def percentile(share: str, values: Sequence[float]) -> float:
    """Return p50 or p99."""
    return statistics.median(values) if share == "p50" else statistics.quantiles(values, n=100, method="inclusive")[98]


if __name__ == "__main__":
    run_alone(__file__)
