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
from typing import Iterator, Sequence

KEPT = "HEROKU_MAGIC_PACKAGES"  # set by the embedded Heroku: a folder, and settings of the installer
_LAST_LINES = 3


def install_and_run(packages: Sequence[str], needed: str) -> None:
    """Install exact versions, such as `numpy==2.3.1`, and replace this process by the command of `sys.argv`.

    needed: a pattern of the variables that the installer sees, as the environment also holds the run's key.
    """
    kept = json.loads(os.environ.pop(KEPT, "{}"))
    env = {name: value for name, value in os.environ.items() if re.fullmatch(needed, name)}
    folder = _installed(sorted(packages), {**env, **kept.get("settings", {})}, kept.get("folder"))
    for name, path in (("PYTHONPATH", folder), ("PATH", folder / "bin")):
        os.environ[name] = os.pathsep.join(filter(None, [str(path), os.environ.get(name)]))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the notebook's own command


def _installed(packages: list[str], env: dict[str, str], kept: str | None) -> Path:
    """Return a folder with the packages. kept: a folder for those of all dynos."""
    if kept is None:
        target = Path(tempfile.mkdtemp(prefix="packages-"))
        _install(packages, env, target)
        return target
    target = Path(kept) / hashlib.sha256(repr((packages, sys.version, sys.platform)).encode()).hexdigest()[:16]
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if not (target / "complete").exists():
            shutil.rmtree(target, ignore_errors=True)  # a stopped dyno may have left a part
            _install(packages, env, target)
            (target / "complete").touch()
    return target


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one dyno install at a time; the others find its packages."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(packages: list[str], env: dict[str, str], target: Path) -> None:
    """Install with uv where it is present, else or if it fails with pip; end with the last lines if both fail."""
    last = ["The app has neither pip nor uv, which install packages. Add a line `uv` to its requirements.txt."]
    count, began = f"{len(packages)} package{'s' * (len(packages) != 1)}", time.monotonic()
    print(f"installing {count}", file=sys.stderr, flush=True)
    for command in _installers(target):
        done = subprocess.run(
            [*command, *packages], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode == 0:
            print(f"installed {count} in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
            return
        last = [line for line in done.stdout.splitlines() if line.strip()][-_LAST_LINES:]
    sys.exit("\n".join([f"The dyno cannot install {', '.join(packages)}:", *last]))


def _installers(target: Path) -> Iterator[list[str]]:
    """Yield the commands that install, without the packages."""
    options = ["install", "--no-deps", "--target", str(target)]
    if uv := shutil.which("uv"):
        yield [uv, "pip", *options, "--python", sys.executable, "--link-mode=copy"]
    if importlib.util.find_spec("pip"):
        yield [sys.executable, "-I", "-m", "pip", *options, "--disable-pip-version-check", "--no-input"]
