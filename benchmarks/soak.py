"""Keep the embedded Heroku busy for minutes, and print its throughput and the resources it still holds.

python -m benchmarks.soak --minutes 10
"""

from __future__ import annotations

import argparse
import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.testbed import MANY, PlainApi, create_testbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.testbed import Testbed

COMPLETE = b"to complete"


class ProcessMonitor:
    """Memory and files of the emulator, from /proc."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def memory(self) -> float:
        """Resident memory in MB."""
        return int(re.findall(r"VmRSS:\s+(\d+) kB", (self._folder / "status").read_text())[0]) / 1024

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return len(list((self._folder / "fd").iterdir()))

    def cost(self, count: int, begin: Callable[[], Any]) -> float:
        """Return the memory in kB that each of `count` objects needs."""
        before = self.memory
        things = [begin() for _ in range(count)]
        time.sleep(1)
        after = self.memory
        del things
        return (after - before) * 1024 / count


def work(testbed: Testbed, until: float, done: Counter[str]) -> None:
    """Create dynos and follow each to its end."""
    api = PlainApi(testbed)
    while time.monotonic() < until:
        with api.log(api.start("seq 2000")) as stream:
            for chunk in stream.iter_content(None):
                done["lines"] += chunk.count(b"\n")
                if COMPLETE in chunk:
                    break
        done["runs"] += 1
        time.sleep(2.5)  # 2 requests per run and 4 threads stay below 4,500 requests for ten minutes


def requests_per_second(api: PlainApi) -> int:
    """Return the number of requests per second on one connection."""
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 1:
        api.request_count()
        count += 1
    return count


def lines_per_second(api: PlainApi, lines: int) -> float:
    """Return the lines per second of one log stream from a dyno that prints at full speed."""
    with api.log(api.start(f"sleep 0.5; seq {lines}"), events=True) as stream:
        began, seen = 0.0, 0
        for chunk in stream.iter_content(1 << 20):
            began = began or time.monotonic()
            seen += chunk.count(b"\ndata:")
            if seen >= lines:
                break
    return lines / (time.monotonic() - began)


def soak(testbed: Testbed, minutes: float) -> Counter[str]:
    """Work in four threads for a number of minutes, and count runs and lines."""
    done, until = Counter[str](), time.monotonic() + minutes * 60
    threads = [threading.Thread(target=work, args=(testbed, until, done)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(3)
    return done


def main() -> None:
    """Run the soak test and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    with create_testbed({}, [MANY]) as testbed:
        api, monitor = PlainApi(testbed), ProcessMonitor(testbed.emulator)
        work(testbed, time.monotonic() + 0.1, Counter())
        print(f"requests per second, one connection: {requests_per_second(api)}")
        print(f"lines per second, one stream: {lines_per_second(api, 300_000):,.0f}")
        files, memory = monitor.files, monitor.memory
        done = soak(testbed, minutes)
        print(f"{minutes:g} minutes: {done['runs']} runs, {done['lines']} lines")
        print(f"open files {files} -> {monitor.files}, memory {memory:.1f} MB -> {monitor.memory:.1f} MB")
        dyno = monitor.cost(50, lambda: api.start("sleep 60"))
        tail = monitor.cost(50, lambda: api.log("nobody"))
        print(f"memory: {dyno:.0f} kB per idle dyno, {tail:.0f} kB per stream")


if __name__ == "__main__":
    main()
