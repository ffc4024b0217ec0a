"""The Python environment of an app, built from its requirements.txt alone.

It is kept by the hash of the requirements: for a live folder in its `.heroku/`, or in a temporary folder
where that is not writable or belongs to an installed package.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from heroku_magic.emulator.dynos.reaper import kill_group
from heroku_magic.emulator.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from heroku_magic.emulator.dynos.reaper import Reaper

_OTHER_FILE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]*(\S+)", re.MULTILINE)
_COMMENT = re.compile(r"(^|\s)#.*", re.MULTILINE)
# `-m pip` would look for modules in the app's folder first.
_PIP = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; import runpy; runpy.run_module('pip', run_name='__main__')"
)
# PIP_QUIET of the caller would empty the build's output.
_PIP_SETTINGS = {
    "PIP_QUIET": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
}
_MOST_ERROR_LINES = 8


class Environment:
    """The environment of one app, built on demand when its requirements have changed."""

    def __init__(self, folder: Path, home: Callable[[], Path], reaper: Reaper, log: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._home = home
        self._reaper = reaper
        self._log = log
        self._build: tuple[Path, asyncio.Task[Path]] | None = None
        self._pip: asyncio.subprocess.Process | None = None

    def ready(self) -> Path | None:
        """Return the environment if it exists, without waiting."""
        target = self._target()
        return target if _is_complete(target) else None

    async def built(self) -> Path:
        """Return the environment, building it if necessary; concurrent callers wait for the same build."""
        target = self._target()
        if _is_complete(target):
            return target
        if self._build is None or self._build[0] != target or self._build[1].done():
            self._build = target, asyncio.ensure_future(self._make(target))
        return await asyncio.shield(self._build[1])

    def close(self) -> None:
        """End a build in progress."""
        if self._build is not None:
            self._build[1].cancel()
        if self._pip is not None and self._pip.returncode is None:
            kill_group(self._pip.pid)

    def _target(self) -> Path:
        return self._home() / _key(_requirements(self._folder))

    async def _make(self, target: Path) -> Path:
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (target.parent / ".gitignore").write_text("*\n", encoding="ascii")
            # A lock and a mark at the end instead of a rename: scripts and .pyc files hold the path of their build.
            async with _locked(target.with_suffix(".lock")):
                if not _is_complete(target):
                    await self._fill(target)
                    (target / "complete").touch()
        except OSError as error:
            raise BuildError(f"The app's Python environment could not be created: {error}") from None
        return target

    async def _fill(self, target: Path) -> None:
        from importlib.util import find_spec
        from venv import EnvBuilder

        shutil.rmtree(target, ignore_errors=True)  # a killed build may have left a part
        EnvBuilder(symlinks=True).create(target)  # without pip it takes about 2 ms
        target.chmod(0o700)  # noqa: ASYNC240 - as quick as the line before
        if not _COMMENT.sub("", _requirements(self._folder)).strip():
            return
        python = str(target / "bin" / "python")
        if find_spec("pip") is not None:
            pip = [sys.executable, "-c", _PIP, "--python", python]
        else:
            await self._run([python, "-I", "-m", "ensurepip"])
            pip = [python, "-I", "-m", "pip"]
        await self._run([*pip, "install", "-r", str(self._folder / "requirements.txt")])

    async def _run(self, command: list[str]) -> None:
        self._pip = process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self._folder,
            env={**os.environ, **_PIP_SETTINGS},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 20,
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        last: list[str] = []
        with self._reaper.watching(process.pid):
            async for line in process.stdout:
                self._log(line.rstrip(b"\n"))
                last = [*last, line.decode("utf-8", "replace").rstrip()][-_MOST_ERROR_LINES:]
            await process.wait()
        if process.returncode:
            raise BuildError("The app's requirements.txt could not be installed:\n" + "\n".join(last))


def beside(folder: Path, scratch: Callable[[], Path]) -> Path:
    """Return where the environments of a live folder are kept."""
    home = folder / ".heroku"
    is_installed = bool({"site-packages", "dist-packages"} & set(folder.parts))
    is_writable = os.access(home if home.exists() else folder, os.W_OK)
    return home if is_writable and not is_installed else scratch() / _key(str(folder))


def _requirements(folder: Path) -> str:
    """Return requirements.txt with the files that it includes."""
    text = _text(folder / "requirements.txt")
    return text + "".join(_text(folder / name) for name in _OTHER_FILE.findall(text))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _key(requirements: str) -> str:
    python = f"{sys.version} {getattr(sys, '_base_executable', sys.executable)}"
    return hashlib.sha256(f"{python}\n{requirements}".encode()).hexdigest()[:16]


def _is_complete(target: Path) -> bool:
    """Whether the build was finished, and the Python that it links to still exists."""
    return (target / "complete").exists() and (target / "bin" / "python").exists()


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Hold a lock between processes; waiting for it does not block the event loop."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.05)
        yield
