"""Starts the embedded Heroku as a process of its own, one a worker folder, and knows its address; it speaks no HTTP.

The process is tied to this one by a pipe (its standard input) and by watching our pid, because a
forked child may hold the pipe open. It runs in its own session, so a kernel's interrupt misses it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from heroku_magic.accounts.settings import APP_NAME
from heroku_magic.errors import EmulatorError
from heroku_magic.runs.exit_hooks import Step, at_end
from heroku_magic.text.sanitize import clean
from heroku_magic.text.secret import Secret

_EXPORT = re.compile(r"export (\w+)=(\S+)")
_NOT_ALLOWED = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True)
class Embedded:
    """A running embedded Heroku: where it listens, its token, the one app that it serves and its folder."""

    url: str
    token: Secret
    app: str
    folder: Path
    process: subprocess.Popen[str]

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End it, its dynos with it."""
        _close(self.process)


_running: dict[Path, Embedded] = {}


def embedded(folder: Path) -> Embedded:
    """Return the embedded Heroku that serves this folder, started if need be."""
    known = _running.get(folder)
    if known is not None and not known.is_alive:
        known.stop()
        known = None
    if known is None:
        known = _running[folder] = _start(folder)
    return known


def running() -> list[Embedded]:
    """Return those that run."""
    return [server for server in _running.values() if server.is_alive]


def _stop_all() -> None:
    """End the servers that this process started, and wait for them."""
    for known in _running.values():
        known.stop()


at_end(Step.SERVERS, _stop_all)


def _start(folder: Path) -> Embedded:
    app = _app_name(folder)
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            _command(app, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # `-m` looks for modules in the working folder first: here that must not be the user's.
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
        )
        exports = dict(_EXPORT.findall(_first_words(process)))
        if {"HEROKU_HOST", "HEROKU_API_KEY"} <= exports.keys():
            return Embedded(exports["HEROKU_HOST"], Secret(exports["HEROKU_API_KEY"]), app, folder, process)
        process.kill()
        _close(process)
        errors.seek(0)
        said = clean(errors.read()[-2000:]).strip() or "it said nothing"
    raise EmulatorError(f"The embedded Heroku did not start: {said}")


def _command(app: str, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "heroku_magic.emulator", "--port", "0", "--app", f"{app}={folder}"]
    limit = 2 * (os.cpu_count() or 1)
    return [*command, "--until-stdin-closes", "--parent", str(os.getpid()), "--one-offs", str(limit)]


def _first_words(process: subprocess.Popen[str]) -> str:
    """Wait for the two lines that it prints once it listens, or for its end."""
    if process.stdout is None:
        return ""
    return process.stdout.readline() + process.stdout.readline()


def _close(process: subprocess.Popen[str]) -> None:
    """Close the pipes, which ends it, and wait for that."""
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    process.wait(10)


def _app_name(folder: Path) -> str:
    """An app's name by Heroku's rules, made of the folder's."""
    name = _NOT_ALLOWED.sub("-", folder.name.lower()).strip("-")[:30].strip("-")
    return name if APP_NAME.fullmatch(name) else "worker"
