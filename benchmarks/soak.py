"""Soak: the embedded Heroku at work for minutes; prints what it does a second, and what it holds before and after.

python benchmarks/soak.py --minutes 10
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests

ACCEPT = "application/vnd.heroku+json; version=3"


class Server:
    """A running emulator with one app, and what /proc says of it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "heroku_magic.emulator", f"--app=demo={folder}", "--until-stdin-closes"]
        self.process = subprocess.Popen([*command, "--one-offs=1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        told = os.read(self.process.stdout.fileno(), 65_536).decode()
        exports = dict(re.findall(r"export (\w+)=(\S+)", told))
        self.url, self.token = exports["HEROKU_HOST"], exports["HEROKU_API_KEY"]

    def session(self) -> requests.Session:
        """Return a connection of its own, for one thread."""
        http = requests.Session()
        http.trust_env = False
        http.headers.update({"Accept": ACCEPT, "Authorization": f"Bearer {self.token}"})
        return http

    @property
    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def ask(http: requests.Session, server: Server, method: str, path: str, **more: Any) -> Any:
    """Ask the API; the emulator's own budget of requests is not what is measured here."""
    answer = http.request(method, server.url + path, timeout=30, **more)
    while answer.status_code == requests.codes.too_many_requests:
        time.sleep(1)
        answer = http.request(method, server.url + path, timeout=30, **more)
    answer.raise_for_status()
    return answer.json()


def work(server: Server, until: float, done: Counter[str]) -> None:
    """Create dynos and follow each to its end, again and again."""
    http = server.session()
    while time.monotonic() < until:
        dyno = ask(http, server, "POST", "/apps/demo/dynos", json={"command": "seq 2000"})
        body = {"dyno": dyno["name"], "lines": 1500, "tail": True}
        url = ask(http, server, "POST", "/apps/demo/log-sessions", json=body)["logplex_url"]
        with requests.get(url, stream=True, timeout=30) as stream:
            for chunk in stream.iter_content(None):
                done["lines"] += chunk.count(b"\n")
                if b"to complete" in chunk:
                    break
        done["runs"] += 1
        time.sleep(2.5)  # 2 requests a run, 4 workers: within 4,500 requests an hour for ten minutes


def flood(http: requests.Session, server: Server, lines: int) -> float:
    """Return how many lines a second one tail brings of a dyno that prints as fast as it can."""
    dyno = ask(http, server, "POST", "/apps/demo/dynos", json={"command": f"sleep 0.5; seq {lines}"})
    body = {"dyno": dyno["name"], "source": "app", "lines": 1500, "tail": True}
    url = ask(http, server, "POST", "/apps/demo/log-sessions", json=body)["logplex_url"]
    with requests.get(url, headers={"Accept": "text/event-stream"}, stream=True, timeout=30) as stream:
        began, seen = 0.0, 0
        for chunk in stream.iter_content(1 << 20):
            began = began or time.monotonic()
            seen += chunk.count(b"\ndata:")
            if seen >= lines:
                break
    return lines / (time.monotonic() - began)


def cost(server: Server, count: int, begin: Any) -> float:
    """Return how many kB of memory each of so many things costs."""
    before = server.memory
    things = [begin() for _ in range(count)]
    time.sleep(1)
    after = server.memory
    del things
    return (after - before) * 1024 / count


def main() -> None:
    """Soak, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as place:
        Path(place, "Procfile").write_text("task: true\n")
        server = Server(Path(place))
        http = server.session()
        work(server, time.monotonic() + 0.1, Counter())
        began, asked = time.monotonic(), 0
        while time.monotonic() - began < 1:
            http.get(f"{server.url}/account/rate-limits", timeout=30)
            asked += 1
        print(f"requests a second, one connection: {asked}")
        print(f"lines a second, one tail: {flood(http, server, 300_000):,.0f}")
        files, memory, done = server.files, server.memory, Counter[str]()
        until = time.monotonic() + minutes * 60
        threads = [threading.Thread(target=work, args=(server, until, done)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(3)
        print(f"{minutes:g} minutes: {done['runs']} runs, {done['lines']} lines")
        print(f"open files {files} -> {server.files}, memory {memory:.1f} MB -> {server.memory:.1f} MB")
        idle = {"command": "sleep 60", "time_to_live": 60}
        dyno = cost(server, 50, lambda: ask(http, server, "POST", "/apps/demo/dynos", json=idle))
        body = {"dyno": "nobody", "tail": True}

        def tail() -> requests.Response:
            url = ask(http, server, "POST", "/apps/demo/log-sessions", json=body)["logplex_url"]
            return requests.get(url, stream=True, timeout=30)

        print(f"memory: {dyno:.0f} kB an idle dyno, {cost(server, 50, tail):.0f} kB a tail")
        server.process.communicate()


if __name__ == "__main__":
    main()
