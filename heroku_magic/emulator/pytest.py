"""A pytest plugin: fixtures that start embedded Herokus, with faults on demand and a journal of the requests.

Enable it in your `conftest.py`: `pytest_plugins = ["heroku_magic.emulator.pytest"]`.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, overload
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from heroku_magic.platform_facts.folders import expanded

if TYPE_CHECKING:
    from pathlib import Path

# The options whose values are folders or files.
_PATHS = ("--app", "--state", "--env-file")


class SentRequest(NamedTuple):
    """One request of a client.

    Attributes
    ----------
    method, path : str
        Such as `"POST"` and `"/apps/demo/dynos"`; the path includes the query.
    body : object
        The JSON of its body; None if there is none, or if it has more than 20,000 bytes.
    status : int or None
        The status of the response; None if there is none yet, or if a fault has broken the connection.

    """

    method: str
    path: str
    body: Any
    status: int | None


class RequestLog(Sequence[SentRequest]):
    """The requests that clients have sent, oldest first; it is read again at each use."""

    def __init__(self, heroku: EmbeddedHeroku) -> None:
        self._heroku = heroku

    def __len__(self) -> int:
        """The number of requests."""
        return len(self._read())

    @overload
    def __getitem__(self, index: int) -> SentRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[SentRequest]: ...
    def __getitem__(self, index: int | slice) -> SentRequest | list[SentRequest]:
        """One request or several."""
        return self._read()[index]

    def __iter__(self) -> Iterator[SentRequest]:
        """The requests at this moment."""
        return iter(self._read())

    def __repr__(self) -> str:
        """One line for each request, which is what pytest shows of a failed assertion."""
        lines = (f"{each.status or '---'} {each.method} {each.path} {each.body or ''}" for each in self)
        return "\n".join([f"{len(self)} requests:", *lines])

    def matching(self, method: str = "*", path: str = "*", **fields: Any) -> list[SentRequest]:
        """Return the requests that match.

        Parameters
        ----------
        method, path
            Patterns as of a shell: `"/apps/*/dynos"`.
        **fields
            Fields that the body must contain: `command="task"`.

        Examples
        --------
        >>> heroku.requests.matching("POST", "/apps/*/dynos", command="task")  # doctest: +SKIP
        [SentRequest(method='POST', path='/apps/demo/dynos', body={'command': 'task'}, status=201)]

        """
        return [each for each in self if _matches(each, method, path, fields)]

    def clear(self) -> None:
        """Forget the requests so far."""
        self._heroku.send("DELETE", "/emulator/journal")

    def _read(self) -> list[SentRequest]:
        return [SentRequest(**each) for each in self._heroku.send("GET", "/emulator/journal")]


class EmbeddedHeroku(NamedTuple):
    """A running embedded Heroku.

    Attributes
    ----------
    url : str
        The base URL of its API.
    token : str
        The API token that it accepts.
    environ : dict of str to str
        Environment variables for a client's process, including the official CLI's and git's.

    """

    url: str
    token: str
    environ: dict[str, str]

    @property
    def requests(self) -> RequestLog:
        """The requests that clients have sent to the API."""
        return RequestLog(self)

    @contextmanager
    def faults(self, *, seed: int = 0, **values: float) -> Iterator[None]:
        """Turn faults on for the duration of a `with` block, in place of all others.

        Parameters
        ----------
        seed
            The same seed gives the same faults.
        **values
            Names of faults, with `_` for `-`, and their values: `drop_lines=0.1`.

        Raises
        ------
        ValueError
            If there is no such fault, or its value is out of range.

        """
        before = self.send("GET", "/emulator/faults")
        faults = {name.replace("_", "-"): value for name, value in values.items()}
        self.send("PUT", "/emulator/faults", {"faults": faults, "seed": seed})
        try:
            yield
        finally:
            self.send("PUT", "/emulator/faults", before)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the API and return the JSON of its response. Raises ValueError for an error response."""
        headers = {"Accept": "application/vnd.heroku+json; version=3", "Authorization": f"Bearer {self.token}"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}{path}", data=data, headers=headers, method=method)  # noqa: S310 - our own URL
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=30) as response:
                return json.load(response)
        except HTTPError as error:
            with error:
                raise ValueError(json.load(error).get("message", str(error))) from None


Start = Callable[..., EmbeddedHeroku]


@pytest.fixture
def embedded_heroku(pytestconfig: pytest.Config) -> Iterator[Start]:
    """Start embedded Herokus that end with the test.

    Parameters
    ----------
    *options : str
        Options of the command line, passed to the function that the fixture returns;
        `python -m heroku_magic.emulator --help` lists them. Folders are relative to the test's file.

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
    A test gets an app `demo` that is served from the folder `worker` beside its file::

        def test_the_app_is_listed(embedded_heroku):
            heroku = embedded_heroku("--app", "demo=worker")
            headers = {
                "Accept": "application/vnd.heroku+json; version=3",
                "Authorization": f"Bearer {heroku.token}",
            }
            (app,) = requests.get(f"{heroku.url}/apps", headers=headers).json()
            assert app["name"] == "demo"
            assert heroku.requests.matching("GET", "/apps")

    """
    yield from _starter(pytestconfig)


@pytest.fixture(scope="session")
def embedded_heroku_session(pytestconfig: pytest.Config) -> Iterator[Start]:
    """Start embedded Herokus that end with the test session; otherwise as `embedded_heroku`.

    Examples
    --------
    Many tests share one app::

        @pytest.fixture(scope="session")
        def heroku(embedded_heroku_session):
            return embedded_heroku_session("--app", "demo=worker")

    """
    yield from _starter(pytestconfig)


def _starter(config: pytest.Config) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> EmbeddedHeroku:
        command = [sys.executable, "-m", "heroku_magic.emulator", "--until-stdin-closes"]
        process = subprocess.Popen(
            [*command, *_resolved(options, _folder_of_test(config))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
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


def _folder_of_test(config: pytest.Config) -> Path:
    """Return the folder of the file whose test runs now: a fixture of the session belongs to no file."""
    return (config.rootpath / os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]).parent


def _resolved(options: Sequence[str], folder: Path) -> list[str]:
    """Return options with absolute paths."""
    found, previous = [], ""
    for option in options:
        name, equals, value = option.partition("=") if option.startswith("--") else (previous, "", option)
        if name in _PATHS and value:
            app, separator, path = value.partition("=") if name == "--app" else ("", "", value)
            value = f"{app}{separator}{folder / expanded(path)}" if path else value
        found.append(f"{name}{equals}{value}" if option.startswith("--") else value)
        previous = option
    return found


def _matches(request: SentRequest, method: str, path: str, fields: dict[str, Any]) -> bool:
    body = request.body if isinstance(request.body, dict) else {}
    return (
        fnmatchcase(request.method, method)
        and fnmatchcase(request.path, path)
        and all(name in body and body[name] == value for name, value in fields.items())
    )
