"""A pytest plugin: the fixture `embedded_heroku` starts embedded Herokus for a test and ends them after it.

In your conftest.py: `pytest_plugins = ["heroku_magic.emulator.pytest"]`
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EXPORT = re.compile(r"export (\w+)=(\S+)")


class EmbeddedHeroku(NamedTuple):
    """A running embedded Heroku. environ: what a client's process needs, the official CLI's too."""

    url: str
    token: str
    environ: dict[str, str]


@pytest.fixture
def embedded_heroku() -> Iterator[Callable[..., EmbeddedHeroku]]:
    """Return a function that takes the command line's options and returns a running embedded Heroku."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> EmbeddedHeroku:
        command = [sys.executable, "-m", "heroku_magic.emulator", "--until-stdin-closes", *options]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        # All lines come in one write, once it listens.
        told = os.read(process.stdout.fileno(), 65_536) if process.stdout else b""
        environ = dict(_EXPORT.findall(told.decode()))
        if not environ:
            pytest.fail("The embedded Heroku did not start; it said why on standard error.")
        return EmbeddedHeroku(environ["HEROKU_HOST"], environ["HEROKU_API_KEY"], environ)

    yield start
    for process in started:
        process.communicate()
