"""Soak, no race: the embedded Heroku at work for minutes; prints what it does a second, and what it holds after.

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

from benchmarks.ground import MANY, PlainApi, laid_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.ground import Ground

COMPLETE = b"to complete"


class Watch:
    """What /proc says of the emulator."""

    def __init__(self, pid: int) -> None:
        self._place = Path(f"/proc/{pid}")

    @property
    def memory(self) -> float:
        """Resident memory in MB."""
        return int(re.findall(r"VmRSS:\s+(\d+) kB", (self._place / "status").read_text())[0]) / 1024

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return len(list((self._place / "fd").iterdir()))

    def cost(self, count: int, begin: Callable[[], Any]) -> float:
        """Return how many kB of memory each of so many things costs."""
        before = self.memory
        things = [begin() for _ in range(count)]
        time.sleep(1)
        after = self.memory
        del things
        return (after - before) * 1024 / count


def work(ground: Ground, until: float, done: Counter[str]) -> None:
    """Create dynos and follow each to its end, again and again."""
    api = PlainApi(ground)
    while time.monotonic() < until:
        with api.log(api.start("seq 2000")) as stream:
            for chunk in stream.iter_content(None):
                done["lines"] += chunk.count(b"\n")
                if COMPLETE in chunk:
                    break
        done["runs"] += 1
        time.sleep(2.5)  # 2 requests a run, 4 workers: within 4,500 requests an hour for ten minutes


def requests_a_second(api: PlainApi) -> int:
    """Return how many requests one connection gets answered in a second."""
    began, asked = time.monotonic(), 0
    while time.monotonic() - began < 1:
        api.spent()
        asked += 1
    return asked


def lines_a_second(api: PlainApi, lines: int) -> float:
    """Return how many lines a second one tail brings of a dyno that prints as fast as it can."""
    with api.log(api.start(f"sleep 0.5; seq {lines}"), events=True) as stream:
        began, seen = 0.0, 0
        for chunk in stream.iter_content(1 << 20):
            began = began or time.monotonic()
            seen += chunk.count(b"\ndata:")
            if seen >= lines:
                break
    return lines / (time.monotonic() - began)


def soak(ground: Ground, minutes: float) -> Counter[str]:
    """Work by four threads for so many minutes; count what was done."""
    done, until = Counter[str](), time.monotonic() + minutes * 60
    threads = [threading.Thread(target=work, args=(ground, until, done)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(3)
    return done


def main() -> None:
    """Soak, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    with laid_out({}, [MANY]) as ground:
        api, watch = PlainApi(ground), Watch(ground.emulator)
        work(ground, time.monotonic() + 0.1, Counter())
        print(f"requests a second, one connection: {requests_a_second(api)}")
        print(f"lines a second, one tail: {lines_a_second(api, 300_000):,.0f}")
        files, memory = watch.files, watch.memory
        done = soak(ground, minutes)
        print(f"{minutes:g} minutes: {done['runs']} runs, {done['lines']} lines")
        print(f"open files {files} -> {watch.files}, memory {memory:.1f} MB -> {watch.memory:.1f} MB")
        dyno = watch.cost(50, lambda: api.start("sleep 60"))
        tail = watch.cost(50, lambda: api.log("nobody"))
        print(f"memory: {dyno:.0f} kB an idle dyno, {tail:.0f} kB a tail")


if __name__ == "__main__":
    main()
