"""The official Heroku CLI as processes, cut off from the user's account and from all but this machine.

It is never the `heroku` of the user's PATH: that one has an account, and its home folder holds the way in.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import socketserver
import subprocess
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = Path(os.environ.get("HEROKU_CLI_HOME") or ROOT / ".ci" / "heroku-cli")
OLDEST_NODE = 20
# A call takes a second; one that hangs is ended after this many.
PATIENCE = 45

_SETTINGS = {
    "DISABLE_TELEMETRY": "true",
    "HEROKU_SKIP_NEW_VERSION_CHECK": "true",
    "HEROKU_DISABLE_AUTOUPDATE": "1",
    "HEROKU_NETRC_WRITE": "true",
    "HEROKU_COLOR": "0",
    "HEROKU_LOGS_COLOR": "0",
    "NO_COLOR": "1",
    "NO_PROXY": "localhost,127.0.0.1",
    "OCLIF_COLUMNS": "200",
    "TERM": "xterm",
    "LANG": "C.UTF-8",
}


def executable() -> Path:
    """Return $HEROKU_CLI, or the one that .ci/run installs."""
    return Path(os.environ.get("HEROKU_CLI") or INSTALLED / "node_modules" / ".bin" / "heroku")


def missing() -> str | None:
    """Say what a test of the CLI lacks here; None if it can run."""
    if not executable().is_file():
        return f"needs Heroku's CLI: $HEROKU_CLI, or tests/cli/package.json installed in {INSTALLED}"
    if "HEROKU_CLI" not in os.environ and _node_version() < OLDEST_NODE:
        return f"needs node {OLDEST_NODE} or newer"
    return None


def _node_version() -> int:
    node = shutil.which("node")
    if node is None:
        return 0
    told = subprocess.run([node, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return int((re.findall(r"\d+", told.stdout) or ["0"])[0])


def require(package: str) -> None:
    """Skip a test without a package of node; fail it where the packages have to be there."""
    if not (INSTALLED / "node_modules" / package).is_dir():
        give_up(f"needs tests/cli/package.json installed in {INSTALLED}")


def give_up(reason: str) -> None:
    """Skip a test, or fail it where nothing may be skipped."""
    (pytest.fail if os.environ.get("CI_REQUIRE_CLI") == "1" else pytest.skip)(reason)


class Said(NamedTuple):
    """What a call of the CLI left: its exit status and its output."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self):
        return self.stdout.splitlines()

    @property
    def complaint(self):
        """What it wrote to stderr, as one line: the CLI breaks its errors at the terminal's width."""
        return " ".join(self.stderr.replace("\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}", " ").split())


class CommandProcess:
    """The CLI as one process that runs one command after another, each in a fifth of the time that it takes by itself."""

    def __init__(self, env):
        jobs, self._jobs = os.pipe()
        self._results, results = os.pipe()
        script, package = Path(__file__).with_name("commands.mjs"), executable().resolve().parents[1]
        self._process = subprocess.Popen(
            ["node", "--no-warnings", str(script), str(package), str(jobs), str(results)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=env,
            pass_fds=[jobs, results],
            encoding="utf-8",
        )
        os.close(jobs)
        os.close(results)
        self._waiting = queue.SimpleQueue()
        threading.Thread(target=self._collect, daemon=True).start()

    def submit(self, words, env, folder) -> Future[Said]:
        """Run a command in a folder after those that were submitted before."""
        said = Future()
        self._waiting.put(said)
        os.write(self._jobs, json.dumps({"words": words, "env": env, "folder": str(folder)}).encode() + b"\n")
        return said

    def end(self):
        """End the process, whatever it does."""
        os.close(self._jobs)
        self._process.kill()

    def _collect(self):
        with os.fdopen(self._results, encoding="utf-8") as results:
            for result in results:
                self._waiting.get().set_result(Said(**json.loads(result)))
        error = self._process.communicate()[1]
        while not self._waiting.empty():
            self._waiting.get().set_exception(AssertionError(f"The process of all commands ended before: {error}"))


class Cli:
    """The CLI, pointed at an embedded Heroku by environment variables alone."""

    def __init__(self, folder, exports, proxy):
        self.home = folder / "home"
        self.folder = folder / "no-repository"
        self.home.mkdir()
        self.folder.mkdir()
        # The banner about the terms of service is shown once a cache folder.
        banner = self.home / ".cache" / "heroku" / "terms-of-service"
        banner.parent.mkdir(parents=True)
        banner.touch()
        self.env = {
            **_SETTINGS,
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": proxy,
            "HEROKU_PARTICLEBOARD_URL": exports["HEROKU_HOST"],
            **exports,
        }
        self.commands = CommandProcess(self.env)

    def __call__(self, *words, status=0, stdin="", **env):
        """Run a command to its end; `status` is what it must exit with, or None."""
        try:
            if stdin or reads_input(words):
                said = self._run(words, stdin, env)
            else:
                said = self.commands.submit(words, env, self.folder).result(2 * PATIENCE)
        except (subprocess.TimeoutExpired, FutureTimeout):
            raise AssertionError(f"heroku {' '.join(words)} did not end") from None
        assert status in {None, said.status}, f"heroku {' '.join(words)}: {said}"
        return said

    def start(self, *words, stdin=subprocess.DEVNULL, **env):
        """Start a command whose end is somebody else's business."""
        return subprocess.Popen(
            [str(executable()), *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={name: value for name, value in {**self.env, **env}.items() if value is not None},
            encoding="utf-8",
            errors="replace",
        )

    def _run(self, words, stdin, env):
        """Run a command in a process of its own."""
        process = self.start(*words, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, **env)
        try:
            told = process.communicate(stdin or None, PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Said(process.returncode, *told)


def reads_input(words) -> bool:
    """Report whether a command reads its process's standard input: an attached dyno does."""
    return words[0] == "run"


class ClosedProxy:
    """A proxy that lets nothing through and remembers what was asked of it."""

    def __init__(self):
        self.asked = []
        proxy = self

        class Refuse(socketserver.StreamRequestHandler):
            def handle(self):
                proxy.asked.append(self.rfile.readline().decode("latin-1").strip())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
