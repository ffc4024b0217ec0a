"""Follow: how fast `curl` and LogStream follow the log of one and the same flood, and what memory LogStream takes.

python benchmarks/follow.py --lines 1000000 --rounds 3
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.client import HerokuClient
from heroku_magic.logstream import LogStream
from heroku_magic.secret import Secret

if TYPE_CHECKING:
    from heroku_magic.errors import LogStreamError
    from heroku_magic.loglines import LogLine

EVENTS = ("-H", "Accept: text/event-stream")
# Seconds that the dyno waits before it prints: its reader is there by then.
HEAD_START = 1


def start(place: Path) -> tuple[subprocess.Popen[bytes], HerokuClient]:
    """Start an emulator with one app; it ends with this process."""
    command = [sys.executable, "-m", "heroku_magic.emulator", f"--app=demo={place}", "--until-stdin-closes"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = os.read(process.stdout.fileno(), 65_536).decode()
    exports = dict(re.findall(r"export (\w+)=(\S+)", told))
    return process, HerokuClient(exports["HEROKU_HOST"], Secret(exports["HEROKU_API_KEY"]))


def with_curl(client: HerokuClient, dyno: str, lines: int, *options: str) -> float:
    """Return how many of the task's lines a second `curl` brings."""
    url = client.create_log_session("demo", dyno=dyno).logplex_url.reveal()
    process = subprocess.Popen(["curl", "-sN", *options, url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    a_line = 3 if options else 1  # an event is its id, its data and an empty line
    seen, began = 0.0, 0.0
    while seen < lines and (chunk := os.read(process.stdout.fileno(), 1 << 20)):
        seen += chunk.count(b"\n") / a_line
        began = began or (time.monotonic() if seen > 100 else 0.0)
    took = time.monotonic() - began
    process.terminate()
    process.communicate()
    return lines / took


class Meter:
    """A sink that keeps nothing but the time of the first flood and the number of lines."""

    def __init__(self, lines: int) -> None:
        self.began = self.took = 0.0
        self.done = threading.Event()
        self._lines = lines
        self._seen = 0

    def __call__(self, item: list[LogLine] | LogStreamError) -> None:
        """Take what LogStream brings."""
        assert isinstance(item, list), item
        self._seen += len(item)
        self.began = self.began or (time.monotonic() if self._seen > 100 else 0.0)
        if self._seen >= self._lines and not self.done.is_set():
            self.took = time.monotonic() - self.began
            self.done.set()


def with_logstream(client: HerokuClient, dyno: str, lines: int) -> float:
    """Return how many of the task's lines a second LogStream brings."""
    meter = Meter(lines)
    stream = LogStream(client, "demo", dyno, meter).start()
    assert meter.done.wait(600)
    stream.close()
    return lines / meter.took


def peak_memory() -> float:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Follow, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", action="store_true", help="let Python print the lines, not seq")
    options = parser.parse_args()
    by_python = f"python3 -c 'for number in range({options.lines}): print(number)'"
    command = by_python if options.python else f"seq 1 {options.lines}"
    with tempfile.TemporaryDirectory() as place:
        Path(place, "Procfile").write_text(f"flood: sleep {HEAD_START}; {command}\n")
        process, client = start(Path(place))
        ways = {
            "curl -sN": lambda dyno, lines: with_curl(client, dyno, lines),
            "curl -sN, as events": lambda dyno, lines: with_curl(client, dyno, lines, *EVENTS),
            "LogStream": lambda dyno, lines: with_logstream(client, dyno, lines),
        }
        speeds: dict[str, list[float]] = {way: [] for way in ways}
        growth = 0.0
        for _ in range(options.rounds):
            for way, follow in ways.items():
                before = peak_memory()
                dyno = client.create_dyno("demo", "flood", {}, size=None, time_to_live=600).name
                speeds[way].append(follow(dyno, options.lines))
                growth += peak_memory() - before if way == "LogStream" else 0
        for way, found in speeds.items():
            print(
                f"{way:20} {statistics.median(found):>10,.0f} lines/s  of {', '.join(f'{one:,.0f}' for one in found)}"
            )
        for way in list(ways)[:2]:
            ratio = statistics.median(speeds["LogStream"]) / statistics.median(speeds[way])
            print(f"LogStream / {way}: {ratio:.2f}")
        print(f"peak memory grew by {growth:.1f} MB while LogStream read {options.lines * options.rounds:,} lines")
        process.communicate()


if __name__ == "__main__":
    main()
