"""From a dyno's write to the display's update in a Jupyter kernel, at 1, 100 and 10,000 lines a second."""

from __future__ import annotations

import re
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import alone
from benchmarks.ground import MANY, PlainApi, missing_package
from benchmarks.race import Aim, Race, Side, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.ground import Ground

# Lines at a steady rate, each with its number and the moment of its write; at most 1,000 wake-ups a second.
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
    """p50 and p99 of each rate. The other side: a script that reads the same log by `requests`, a chunk at a time."""
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
    ours = Side("write to display", partial(shown, share=share, rate=rate, lines=lines), missing=lacking)
    script = Side("write to script", partial(read, share=share, rate=rate, lines=lines), aim or Aim())
    title = f"latency {share}, {rate:,} line{'s' * (rate > 1)} a second"
    return Race(title, "s", ours, [script], 1, warm_ups=0, files={"steady.py": PRINT}, emulator=[MANY])


def shown(ground: Ground, *, share: str, rate: int, lines: int) -> Iterator[Told]:
    """Watch the messages that a front end gets."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(ground.folder.parent))
    told = "; ".join(f"%env {name}={value}" for name, value in ground.exports.items()).split("; ")
    watch(client, "\n".join([*told, "%load_ext heroku_magic"]), lambda *_: None)
    yield
    while True:
        seen = Seen()
        watch(client, f"%heroku run -- python -u steady.py {rate} {lines}", seen)
        yield seen.latency(share, lines)
    client.stop_channels()
    manager.shutdown_kernel()


def watch(client: Any, code: str, see: Callable[[float, str], None]) -> None:
    """Run a cell, and hand on each update of a display with its moment."""

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] in {"display_data", "update_display_data"}:
            see(time.time(), message["content"]["data"].get("text/html", ""))

    reply = client.execute_interactive(code, output_hook=take, timeout=300)["content"]
    if reply["status"] != "ok":
        raise RuntimeError(f"{reply['ename']}: {reply['evalue']}")


def read(ground: Ground, *, share: str, rate: int, lines: int) -> Iterator[Told]:
    """Read the log as it comes."""
    api = PlainApi(ground)
    yield
    while True:
        seen, response = Seen(), api.log(api.start(f"python -u steady.py {rate} {lines}"))
        for chunk in response.iter_content(None):
            seen(time.time(), chunk.decode())
            if b"Process exited" in chunk:
                break
        yield seen.latency(share, lines)


class Seen:
    """When each line was first seen: with the first update that shows it or a later one."""

    def __init__(self) -> None:
        self._latest = -1
        self._moments: list[tuple[float, int]] = []
        self._written: dict[int, float] = {}

    def __call__(self, moment: float, text: str) -> None:
        """Take what is shown at a moment."""
        for number, written in WRITTEN.findall(text):
            self._written[int(number)] = float(written)
        latest = max(self._written, default=-1)
        if latest > self._latest:
            self._moments.append((moment, latest))
            self._latest = latest

    def latency(self, share: str, lines: int) -> float:
        """Return the seconds that half (p50) or 99 % (p99) of the lines took at most."""
        assert self._latest == lines - 1, f"{self._latest + 1} of {lines} lines were seen"
        return percentile(share, [*self._latencies()])

    def _latencies(self) -> Iterator[float]:
        """Of all lines: those that went by between two updates were written between those that were shown."""
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
    alone(__file__)
