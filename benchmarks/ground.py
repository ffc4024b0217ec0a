"""Ground: what races are run on: an app's folder, an emulator, the peers' programs, and the watch on them."""

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
MANY = "--one-offs=1000"  # no race is about this limit unless it says so
EVENTS = "text/event-stream"
INSTALL = 'pip install ".[bench]"'


@dataclass(frozen=True)
class Ground:
    """The app's folder and, where the sides share an emulator, the environment that leads to it."""

    folder: Path
    exports: Mapping[str, str] = field(default_factory=dict)
    emulator: int = 0  # its process id

    def local(self) -> heroku_magic.Heroku:
        """Return a connection to an emulator of this process's own, with the app's environment built."""
        import heroku_magic

        heroku = heroku_magic.connect(worker=self.folder, say=lambda _: None)
        heroku.run(command="true")
        return heroku

    def remote(self) -> heroku_magic.Heroku:
        """Return a connection to the shared emulator, which is as any Heroku to us."""
        import heroku_magic

        os.environ.update(self.exports)
        heroku = heroku_magic.connect(APP, pace=0, say=lambda _: None)
        heroku.run(command="true")
        return heroku

    @property
    def python(self) -> str:
        """The interpreter that the app's dynos run, once one ran."""
        return str(next(self.folder.glob(".heroku/*/bin/python")))


@contextmanager
def laid_out(files: Mapping[str, str], emulator: Sequence[str] | None) -> Iterator[Ground]:
    """Write an app: the shipped worker and these files; start an emulator that serves it, if one is to be shared."""
    with tempfile.TemporaryDirectory(prefix="race-") as place:
        folder = Path(place, APP)
        shutil.copytree(ROOT / "worker", folder, ignore=shutil.ignore_patterns(".heroku", "__pycache__"))
        for name, text in files.items():
            (folder / name).write_text(text)
        with nullcontext(Ground(folder)) if emulator is None else serving(folder, *emulator) as ground:
            yield ground


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Ground]:
    """Serve a folder by an emulator that all may use, until the end of the block."""
    command = [sys.executable, "-m", "heroku_magic.emulator", f"--app={APP}={folder}", "--until-stdin-closes"]
    process = subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    told = os.read(process.stdout.fileno(), 65_536).decode()
    try:
        exports = dict(re.findall(r"export (\w+)=(\S+)", told))
        yield Ground(folder, {**exports, "HEROKU_APP": APP}, process.pid)
    finally:
        process.communicate()


# -- the peers -------------------------------------------------------------------------------------


def missing_package(*names: str) -> str:
    """Say which packages a side needs and this Python lacks; empty if none."""
    lacking = [name for name in names if importlib.util.find_spec(name) is None]
    return f"{', '.join(lacking)} not installed ({INSTALL})" if lacking else ""


def missing_program(*names: str) -> str:
    """Say which programs a side needs and this machine lacks; empty if none."""
    lacking = [name for name in names if shutil.which(name) is None]
    return f"no {', '.join(lacking)} on PATH" if lacking else ""


def official_cli() -> Path:
    """Return where Heroku's official CLI is, if it is: as .ci/run installs it, or in $HEROKU_CLI_HOME."""
    return Path(os.environ.get("HEROKU_CLI_HOME") or ROOT / ".ci" / "heroku-cli") / "node_modules" / ".bin" / "heroku"


def missing_cli() -> str:
    """Say why Heroku's official CLI cannot run; empty if it can."""
    return missing_program("node") or ("" if official_cli().is_file() else "no Heroku CLI in $HEROKU_CLI_HOME")


def cli_environment(ground: Ground) -> dict[str, str]:
    """Return what leads the official CLI to the shared emulator and keeps it from anything else."""
    home = str(ground.folder.parent)
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
        **ground.exports,
    }


class PlainApi:
    """The shared emulator's API as a script would ask it, with `requests` alone."""

    def __init__(self, ground: Ground) -> None:
        import requests

        self._url = ground.exports["HEROKU_HOST"]
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Accept"] = "application/vnd.heroku+json; version=3"
        self._http.headers["Authorization"] = f"Bearer {ground.exports['HEROKU_API_KEY']}"

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """Ask for something of the app's."""
        answer = self._http.request(method, f"{self._url}/apps/{APP}/{path}", json=body or None, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def spent(self) -> int:
        """Return how many requests were spent so far."""
        return int(self._http.get(f"{self._url}/emulator/requests", timeout=60).json()["spent"])

    def log_url(self, dyno: str) -> str:
        """Return the URL of a new log session of a dyno."""
        return str(self.ask("POST", "log-sessions", dyno=dyno, lines=1500, tail=True)["logplex_url"])

    def start(self, command: str) -> str:
        """Start a one-off dyno and return its name."""
        return str(self.ask("POST", "dynos", command=command, type="run", time_to_live=600)["name"])

    def log(self, dyno: str, *, events: bool = False) -> requests.Response:
        """Open a dyno's log."""
        import requests

        return requests.get(self.log_url(dyno), stream=True, timeout=60, headers={"Accept": EVENTS} if events else {})


# -- programs as clients ---------------------------------------------------------------------------


class Program:
    """A program that is a side's client: started, watched, ended; then `cpu` and `memory` (MB) are known."""

    def __init__(self, command: Sequence[str], *, stdout: int = subprocess.DEVNULL, **more: Any) -> None:
        self.cpu = self.memory = 0.0
        self._before = os.times()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, **more
        )
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    @property
    def output(self) -> IO[bytes]:
        """What it writes."""
        assert self.process.stdout is not None
        return self.process.stdout

    def wait(self) -> Program:
        """Wait for its end; one that fails is an error."""
        status = self.process.wait()
        self._ended()
        if status:
            raise RuntimeError(f"{self.process.args} ended with status {status}")
        return self

    def end(self) -> Program:
        """End it."""
        self.process.terminate()
        self.process.communicate()
        self._ended()
        return self

    def _ended(self) -> None:
        after = os.times()
        self.cpu = after.children_user + after.children_system - self._before.children_user
        self.cpu -= self._before.children_system
        self._watch.join()

    def _look(self) -> None:
        while self.process.returncode is None:
            self.memory = max(self.memory, peak_memory(self.process.pid))
            time.sleep(0.02)


def peak_memory(process: int | str) -> float:
    """Return the most memory that a process has had since its program began, in MB; 0 where nobody tells."""
    # ru_maxrss is no help: it begins with what the parent had when it forked.
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
