"""The testbed of the races: an app folder, an emulator, the programs of the alternatives, and their monitoring."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import requests

    import heroku_magic

ROOT = Path(__file__).resolve().parent.parent
APP = "demo"
MANY = "--one-offs=1000"  # high enough that the limit affects no race
EVENTS = "text/event-stream"
INSTALL = 'pip install ".[bench]"'


@dataclass(frozen=True)
class Testbed:
    """The app folder and, if the sides share an emulator, its environment variables."""

    folder: Path
    exports: Mapping[str, str] = field(default_factory=dict)
    emulator: int = 0  # the process id

    def local(self) -> heroku_magic.Heroku:
        """Return a connection to an emulator of this process, after it has built the app's environment."""
        import heroku_magic

        heroku = heroku_magic.connect(worker=self.folder, say=lambda _: None)
        heroku.run(command="true")
        return heroku

    def remote(self) -> heroku_magic.Heroku:
        """Return a connection to the shared emulator, which is used like the real Heroku."""
        import heroku_magic

        os.environ.update(self.exports)
        heroku = heroku_magic.connect(APP, pace=0, say=lambda _: None)
        heroku.run(command="true")
        return heroku

    @property
    def python(self) -> str:
        """The interpreter of the app's dynos, available after the first run."""
        return str(next(self.folder.glob(".heroku/*/bin/python")))


@contextmanager
def create_testbed(files: Mapping[str, str], emulator: Sequence[str] | None) -> Iterator[Testbed]:
    """Write an app with the shipped worker and these files, and start a shared emulator if options are passed."""
    with tempfile.TemporaryDirectory(prefix="race-") as parent:
        folder = Path(parent, APP)
        shutil.copytree(ROOT / "worker", folder, ignore=shutil.ignore_patterns(".heroku", "__pycache__"))
        for name, text in files.items():
            (folder / name).write_text(text)
        with nullcontext(Testbed(folder)) if emulator is None else serve(folder, *emulator) as testbed:
            yield testbed


@contextmanager
def serve(folder: Path, *options: str) -> Iterator[Testbed]:
    """Serve a folder with a shared emulator until the end of the block."""
    command = [sys.executable, "-m", "heroku_magic.emulator", f"--app={APP}={folder}", "--until-stdin-closes"]
    process = subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    printed = os.read(process.stdout.fileno(), 65_536).decode()
    try:
        exports = dict(re.findall(r"export (\w+)=(\S+)", printed))
        yield Testbed(folder, {**exports, "HEROKU_APP": APP}, process.pid)
    finally:
        process.communicate()


# -- the alternatives -------------------------------------------------------------------------------------


def missing_package(*names: str) -> str:
    """Return a message about packages that are not installed; empty if there are none."""
    lacking = [name for name in names if importlib.util.find_spec(name) is None]
    return f"{', '.join(lacking)} not installed ({INSTALL})" if lacking else ""


def missing_program(*names: str) -> str:
    """Return a message about programs that are not on PATH; empty if there are none."""
    lacking = [name for name in names if shutil.which(name) is None]
    return f"no {', '.join(lacking)} on PATH" if lacking else ""


def official_cli() -> Path:
    """Return the path of Heroku's official CLI, as installed by .ci/run or in $HEROKU_CLI_HOME."""
    return Path(os.environ.get("HEROKU_CLI_HOME") or ROOT / ".ci" / "heroku-cli") / "node_modules" / ".bin" / "heroku"


def missing_cli() -> str:
    """Return why Heroku's official CLI cannot run; empty if it can."""
    return missing_program("node") or ("" if official_cli().is_file() else "no Heroku CLI in $HEROKU_CLI_HOME")


def cli_environment(testbed: Testbed) -> dict[str, str]:
    """Return an environment in which the official CLI can only reach the shared emulator."""
    home = str(testbed.folder.parent)
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "GIT_CONFIG_GLOBAL": f"{home}/gitconfig",
        "LANG": "C.UTF-8",
        "DISABLE_TELEMETRY": "true",
        "HEROKU_SKIP_NEW_VERSION_CHECK": "true",
        "HEROKU_DISABLE_AUTOUPDATE": "1",
        "HEROKU_NETRC_WRITE": "true",
        "HEROKU_COLOR": "0",
        "HEROKU_LOGS_COLOR": "0",
        "NO_COLOR": "1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "localhost,127.0.0.1",
        **testbed.exports,
    }


class PlainApi:
    """The API of the shared emulator, called with `requests` as a script would."""

    def __init__(self, testbed: Testbed) -> None:
        import requests

        self._url = testbed.exports["HEROKU_HOST"]
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Accept"] = "application/vnd.heroku+json; version=3"
        self._http.headers["Authorization"] = f"Bearer {testbed.exports['HEROKU_API_KEY']}"

    def request(self, method: str, path: str, **body: Any) -> Any:
        """Send a request about the app."""
        response = self._http.request(method, f"{self._url}/apps/{APP}/{path}", json=body or None, timeout=60)
        response.raise_for_status()
        return response.json()

    def request_count(self) -> int:
        """Return the number of requests so far."""
        return int(self._http.get(f"{self._url}/emulator/requests", timeout=60).json()["spent"])

    def log_url(self, dyno: str) -> str:
        """Return the URL of a new log session for a dyno."""
        return str(self.request("POST", "log-sessions", dyno=dyno, lines=1500, tail=True)["logplex_url"])

    def start(self, command: str) -> str:
        """Start a one-off dyno and return its name."""
        return str(self.request("POST", "dynos", command=command, type="run", time_to_live=600)["name"])

    def log(self, dyno: str, *, events: bool = False) -> requests.Response:
        """Open a dyno's log."""
        import requests

        return requests.get(self.log_url(dyno), stream=True, timeout=60, headers={"Accept": EVENTS} if events else {})


# -- programs of the alternatives ---------------------------------------------------------------------------


class Program:
    """A running program. After its end, `cpu` (seconds) and `memory` (peak in MB) are set."""

    def __init__(self, command: Sequence[str], *, stdout: int = subprocess.DEVNULL, **more: Any) -> None:
        self.cpu = self.memory = 0.0
        self._before = os.times()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, **more
        )
        self._poller = threading.Thread(target=self._poll, daemon=True)
        self._poller.start()

    @property
    def output(self) -> IO[bytes]:
        """The program's stdout."""
        assert self.process.stdout is not None
        return self.process.stdout

    def wait(self) -> Program:
        """Wait for the end of the program. Raises RuntimeError if it fails."""
        status = self.process.wait()
        self._finish()
        if status:
            raise RuntimeError(f"{self.process.args} ended with status {status}")
        return self

    def end(self) -> Program:
        """Terminate the program."""
        self.process.terminate()
        self.process.communicate()
        self._finish()
        return self

    def _finish(self) -> None:
        after = os.times()
        self.cpu = after.children_user + after.children_system - self._before.children_user
        self.cpu -= self._before.children_system
        self._poller.join()

    def _poll(self) -> None:
        while self.process.returncode is None:
            self.memory = max(self.memory, peak_memory(self.process.pid))
            time.sleep(0.02)


def peak_memory(process: int | str) -> float:
    """Return the peak memory of a process in MB; 0 where /proc does not exist."""
    # ru_maxrss includes the memory of the parent process before exec.
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
