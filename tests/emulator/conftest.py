"""The real emulator as a process on a real socket, and a client that knows nothing of heroku_magic."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
ACCEPT = "application/vnd.heroku+json; version=3"
OVER = b"to complete"


class Emulator:
    """A running emulator with one app, `demo`."""

    def __init__(self, folder, *options, environ=None, wait=True):
        command = [sys.executable, "-m", "heroku_magic.emulator", "--app", f"demo={folder}", "--until-stdin-closes"]
        self.folder = folder
        self.process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
        if wait:
            self.wait()

    def wait(self):
        told = os.read(self.process.stdout.fileno(), 65_536)  # all lines come in one write
        exports = self.exports = dict(re.findall(r"export (\w+)=(\S+)", told.decode()))
        assert exports, self.process.stderr.read().decode()
        self.url, self.token = exports["HEROKU_HOST"], exports["HEROKU_API_KEY"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers.update({"Accept": ACCEPT, "Authorization": f"Bearer {self.token}"})

    def ask(self, method, path, status=200, **more):
        answer = self.http.request(method, self.url + path, timeout=20, **more)
        assert answer.status_code == status, answer.text
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more).json()

    def create(self, command, **more):
        return self.ask("POST", "/apps/demo/dynos", 201, json={"command": command, **more}).json()

    def refused(self, status=422, **body):
        return self.ask("POST", "/apps/demo/dynos", status, json=body).json()

    def stop(self, dyno):
        self.ask("POST", f"/apps/demo/dynos/{dyno['name']}/actions/stop", 202)

    def session(self, **body):
        return self.ask("POST", "/apps/demo/log-sessions", 201, json=body).json()["logplex_url"]

    def open(self, url, **headers):
        return Log(requests.get(url, headers=headers, stream=True, timeout=20))

    def backlog(self, **body):
        """The lines of a session that does not tail."""
        with self.open(self.session(**body)) as answer:
            return list(answer.lines)

    def tail(self, dyno, **more):
        return self.open(self.session(dyno=dyno["name"], lines=1500, tail=True, **more))

    def log(self, dyno, **more):
        """All lines of a dyno until its end."""
        with self.tail(dyno, **more) as log:
            return log.until(OVER)

    def run(self, command, **more):
        return self.log(self.create(command, **more))

    def output(self, command, **more):
        """What a command prints."""
        lines = self.run(command, **more)
        return [line.partition(b"]: ")[2] for line in lines if b" app[" in line]

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            finally:
                self.process.kill()
        said = self.process.stderr.read().decode()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        if hasattr(self, "http"):
            self.http.close()
        return said


class Log:
    """A log stream that is read in steps."""

    def __init__(self, answer):
        self.answer = answer
        self.headers = answer.headers
        self.lines = self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()

    def _read(self):
        rest = b""
        for chunk in self.answer.iter_content(None):
            *lines, rest = (rest + chunk.replace(b"\0", b"")).split(b"\n")
            yield from lines

    def until(self, last):
        """The lines up to the one with these bytes in it."""
        lines = []
        for line in self.lines:
            lines.append(line)
            if last in line:
                break
        return lines


def is_running(pid):
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=10):
    """Processes end without telling a stranger: look until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory):
    def make(procfile="task: echo", **files):
        folder = tmp_path_factory.mktemp("app")
        (folder / "Procfile").write_text(procfile + "\n")
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return folder

    return make


@pytest.fixture
def start():
    """Start emulators; at the end of the test none is left and none complained."""
    started = []

    def begin(*arguments, **more):
        started.append(Emulator(*arguments, **more))
        return started[-1]

    yield begin
    assert [said for each in started if (said := each.end())] == []


@pytest.fixture(scope="session")
def demo(make_folder):
    """One emulator for all tests that leave it as it was."""
    folder = make_folder("web: python web.py\ntask: python task.py\nsay: echo said\nrelease: true")
    emulator = Emulator(folder, "--time", "grace=0.4", "--one-offs", "20")
    yield emulator
    assert emulator.end() == ""
