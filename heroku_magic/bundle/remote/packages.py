"""Install packages on a dyno, for its run alone, and then become the dyno's command.

It runs as `python -I -c … COMMAND` and is sent with a call of `install_and_run`. The embedded Heroku keeps the
packages: it names a folder for them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator, NoReturn, Sequence

KEPT = "HEROKU_MAGIC_PACKAGES"  # set by the embedded Heroku: a folder, the installers, and their variables
FAILED = 7  # the exit status of a dyno whose packages cannot be installed
_LAST_LINES = 3
_MOST_SETS = 8  # of packages that are kept, and those of dynos that may still run
_LONGEST_LIFE = 86400 + 3600  # seconds that a dyno runs at most


def install_and_run(packages: Sequence[str], python: str, needed: str) -> None:
    """Install exact versions, such as `numpy==2.3.1`, and replace this process by the command of `sys.argv`.

    python: the minor version that they are for. needed: a pattern of the variables that the installer sees, as the
    environment also holds the run's key.
    """
    here = "{}.{}".format(*sys.version_info)
    if here != python:
        _fail(
            f"packages that were resolved for Python {python}, as it has Python {here}. Run a cell without packages "
            "first: then the notebook knows the app's Python."
        )
    kept = json.loads(os.environ.pop(KEPT, "{}"))
    env = {name: value for name, value in os.environ.items() if re.fullmatch(needed, name)}
    folder = _installed(
        sorted(packages), kept.get("installers", _installers()), {**env, **kept.get("variables", {})}, kept
    )
    for name, path in (("PYTHONPATH", folder), ("PATH", folder / "bin")):
        os.environ[name] = os.pathsep.join(filter(None, [str(path), os.environ.get(name)]))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the notebook's own command


def _installed(packages: list[str], installers: list[list[str]], env: dict[str, str], kept: dict[str, Any]) -> Path:
    """Return a folder with the packages, which is kept for the next dynos where there is a place for it."""
    if not kept:
        target = Path(tempfile.mkdtemp(prefix="packages-"))
        _install(packages, installers, env, target)
        return target
    facts = packages, sys.version, sys.executable, kept
    target = Path(kept["folder"]) / hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock"), _count(packages)):
        if not (complete := target.with_suffix(".complete")).exists():
            _install(packages, installers, env, target)
        complete.touch()  # its time says when the packages were last used
    _remove_old(target.parent)
    return target


def _remove_old(folder: Path) -> None:
    """Remove the packages that were not used for the longest time."""
    for mark in sorted(folder.glob("*.complete"), key=_used_at)[:-_MOST_SETS]:
        with _locked(mark.with_suffix(".lock"), "packages"):
            if time.time() - _used_at(mark) > _LONGEST_LIFE:
                mark.unlink(missing_ok=True)
                shutil.rmtree(mark.with_suffix(""), ignore_errors=True)


def _used_at(mark: Path) -> float:
    """Return when packages were last used; 0 if another dyno has removed them meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return mark.stat().st_mtime
    return 0.0


@contextlib.contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    """Let one dyno install at a time; the others find its packages."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another dyno, which installs {what}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _count(packages: Sequence[str]) -> str:
    return f"{len(packages)} package{'s' * (len(packages) != 1)}"


def _install(packages: list[str], installers: list[list[str]], env: dict[str, str], target: Path) -> None:
    """Install with the first installer that succeeds; end with the last lines of the last one if none does."""
    last = ["The app has neither pip nor uv. Add uv to its dependencies and deploy."]
    count, began = _count(packages), time.monotonic()
    print(f"installing {count}", file=sys.stderr, flush=True)
    for installer in installers:
        shutil.rmtree(target, ignore_errors=True)  # a stopped dyno or another installer may have left a part
        done = subprocess.run(
            [*installer, "--no-deps", "--target", str(target), *packages],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode == 0:
            print(f"installed {count} in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
            return
        said = done.stdout.decode("utf-8", "replace").splitlines()
        last = [line for line in said if line.strip()][-_LAST_LINES:]
    _fail("\n".join([f"{', '.join(packages)}:", *last]))


def _fail(reason: str) -> NoReturn:
    print(f"The dyno cannot install {reason}", file=sys.stderr, flush=True)
    sys.exit(FAILED)


def _installers() -> list[list[str]]:
    """Return the commands that install, without their options."""
    found = []
    if uv := shutil.which("uv"):
        found.append([uv, "pip", "install", "--python", sys.executable])
    if importlib.util.find_spec("pip"):
        found.append([sys.executable, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
    return found
