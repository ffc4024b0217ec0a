"""Starts the embedded Heroku in a separate process, one per worker folder.

The process ends with this one: it watches a pipe (its standard input), and our pid, because a forked child may hold
the pipe open. It has its own session, so that an interrupt of the kernel does not reach it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.accounts.settings import APP_NAME
from heroku_magic.errors import EmulatorError
from heroku_magic.runs.exit_hooks import Step, at_end
from heroku_magic.text.sanitize import clean
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Container

MOST_AT_ONCE = 2 * (os.cpu_count() or 1)  # one-off dynos, because they share the processors of this computer
_EXPORT = re.compile(r"export (\w+)=(\S+)")
_NOT_ALLOWED = re.compile(r"[^a-z0-9-]+")

# Seconds that the server has to end its dynos and to remove its files, before it is killed.
END_PATIENCE = 10


@dataclass(frozen=True)
class Embedded:
    """A running embedded Heroku and the app that it serves from a folder."""

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
        """Stop the server and its dynos."""
        _close(self.process)


_running: dict[Path, Embedded] = {}


def embedded(folder: Path) -> Embedded:
    """Return the embedded Heroku that serves this folder, started if necessary."""
    known = _running.get(folder)
    if known is None or not known.is_alive:
        if known is not None:
            known.stop()
        known = _running[folder] = _start(folder)
    return known


def running() -> list[Embedded]:
    """Return the running servers."""
    return [server for server in _running.values() if server.is_alive]


def _stop_all() -> None:
    """Stop the servers of this process and wait for them."""
    for known in _running.values():
        known.stop()


at_end(Step.SERVERS, _stop_all)


def _start(folder: Path) -> Embedded:
    app = _app_name(folder, {server.app for server in running()})
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
        exports = dict(_EXPORT.findall(_read_exports(process)))
        if {"HEROKU_HOST", "HEROKU_API_KEY"} <= exports.keys():
            return Embedded(exports["HEROKU_HOST"], Secret(exports["HEROKU_API_KEY"]), app, folder, process)
        process.kill()
        _close(process)
        errors.seek(0)
        output = clean(errors.read()[-2000:]).strip() or "it printed nothing"
    raise EmulatorError(f"The embedded Heroku did not start: {output}")


def _command(app: str, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "heroku_magic.emulator", "--port", "0", "--app", f"{app}={folder}"]
    return [*command, "--until-stdin-closes", "--parent", str(os.getpid()), "--one-offs", str(MOST_AT_ONCE)]


def _read_exports(process: subprocess.Popen[str]) -> str:
    """Wait for the two lines that the server prints once it listens, or for its end."""
    if process.stdout is None:
        return ""
    return process.stdout.readline() + process.stdout.readline()


def _close(process: subprocess.Popen[str]) -> None:
    """Close the pipes, which ends the process, and wait for it.

    After END_PATIENCE it is killed: its reaper, a process of its own, then ends the dynos and removes the files.
    """
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    try:
        process.wait(END_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _app_name(folder: Path, taken: Container[str] = ()) -> str:
    """The folder's name as a valid app name, numbered if another folder's app has it."""
    name = _NOT_ALLOWED.sub("-", folder.name.lower()).strip("-")[:30].strip("-")
    name = name if APP_NAME.fullmatch(name) else "worker"
    numbered = (f"{name[:26].rstrip('-')}-{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)
