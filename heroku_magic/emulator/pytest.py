"""A pytest plugin with the fixture `embedded_heroku`, which starts embedded Herokus for a test."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class EmbeddedHeroku(NamedTuple):
    """A running embedded Heroku.

    Attributes
    ----------
    url : str
        The base URL of its API.
    token : str
        The API token that it accepts.
    environ : dict of str to str
        Environment variables for a client's process, including the official CLI's.

    """

    url: str
    token: str
    environ: dict[str, str]


@pytest.fixture
def embedded_heroku() -> Iterator[Callable[..., EmbeddedHeroku]]:
    """Start embedded Herokus that end with the test.

    Enable the plugin in your `conftest.py`: `pytest_plugins = ["heroku_magic.emulator.pytest"]`.

    Parameters
    ----------
    *options : str
        Options of the command line, passed to the function that the fixture returns;
        `python -m heroku_magic.emulator --help` lists them.

    Returns
    -------
    Callable[..., EmbeddedHeroku]
        A function that starts an embedded Heroku and returns its URL, token and environment.

    Raises
    ------
    pytest.fail.Exception
        If it did not start; the reason is on standard error.

    Examples
    --------
    A test gets an app `demo` that is served from the folder `worker`::

        def test_the_app_is_listed(embedded_heroku):
            heroku = embedded_heroku("--app", "demo=worker")
            headers = {
                "Accept": "application/vnd.heroku+json; version=3",
                "Authorization": f"Bearer {heroku.token}",
            }
            (app,) = requests.get(f"{heroku.url}/apps", headers=headers).json()
            assert app["name"] == "demo"

    """
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> EmbeddedHeroku:
        command = [sys.executable, "-m", "heroku_magic.emulator", "--until-stdin-closes", *options]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        # The emulator writes all lines in one go once it listens.
        output = os.read(process.stdout.fileno(), 65_536) if process.stdout else b""
        lines = map(shlex.split, output.decode().splitlines())
        environ = dict(words[1].split("=", 1) for words in lines if words[:1] == ["export"])
        if not environ:
            pytest.fail("The embedded Heroku did not start. The reason is on standard error.")
        return EmbeddedHeroku(environ["HEROKU_HOST"], environ["HEROKU_API_KEY"], environ)

    yield start
    for process in started:
        process.communicate()
