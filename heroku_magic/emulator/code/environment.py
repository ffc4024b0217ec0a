"""The Python environment of an app: its requirements.txt and nothing else; it runs none of the app's code.

It is kept by the hash of the requirements: for a folder that is served live in `.heroku/` inside it,
or in a temporary folder where that cannot be written or belongs to an installed package.
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

from heroku_magic.emulator.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from heroku_magic.emulator.dynos.guard import Guard

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


class Environment:
    """The environment of one app, built when it is asked for and its requirements changed."""

    def __init__(self, folder: Path, home: Callable[[], Path], guard: Guard, log: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._home = home
        self._guard = guard
        self._log = log
        self._build: tuple[Path, asyncio.Task[Path]] | None = None
        self._pip: asyncio.subprocess.Process | None = None

    def ready(self) -> Path | None:
        """Return the environment if it is there, without waiting."""
        place = self._place()
        return place if _is_complete(place) else None

    async def built(self) -> Path:
        """Return the environment, built if need be; those who ask at the same time wait for one build."""
        place = self._place()
        if _is_complete(place):
            return place
        if self._build is None or self._build[0] != place or self._build[1].done():
            self._build = place, asyncio.ensure_future(self._make(place))
        return await asyncio.shield(self._build[1])

    def close(self) -> None:
        """End a build that is under way."""
        if self._build is not None:
            self._build[1].cancel()
        if self._pip is not None and self._pip.returncode is None:
            self._guard.kill(self._pip.pid)

    def _place(self) -> Path:
        return self._home() / _key(_requirements(self._folder))

    async def _make(self, place: Path) -> Path:
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (place.parent / ".gitignore").write_text("*\n", encoding="ascii")
            await self._make_once(place)
        except OSError as error:
            raise BuildFailed(f"The app's Python environment could not be made: {error}") from None
        return place

    async def _make_once(self, place: Path) -> None:
        # A lock and a mark at the end, not a rename: scripts and .pyc files hold the path they were built at.
        async with _locked(place.with_suffix(".lock")):
            if not _is_complete(place):
                await self._fill(place)
                (place / "complete").touch()

    async def _fill(self, place: Path) -> None:
        _make_bare(place)
        if _COMMENT.sub("", _requirements(self._folder)).strip():
            await self._install(place / "bin" / "python")

    async def _install(self, python: Path) -> None:
        install = ["install", "-r", str(self._folder / "requirements.txt")]
        if _has_pip():
            pip = [sys.executable, "-c", _PIP, "--python", str(python)]
        else:
            await self._run([str(python), "-I", "-m", "ensurepip"])
            pip = [str(python), "-I", "-m", "pip"]
        await self._run([*pip, *install])

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
        with self._guard.keeping(process.pid):
            said = await self._follow(process)
        if process.returncode:
            raise BuildFailed("requirements.txt of the app could not be installed:\n" + "\n".join(said[-8:]))

    async def _follow(self, process: asyncio.subprocess.Process) -> list[str]:
        said: list[str] = []
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        async for line in process.stdout:
            self._log(line.rstrip(b"\n"))
            said = [*said[-20:], line.decode("utf-8", "replace").rstrip()]
        await process.wait()
        return said


def _make_bare(place: Path) -> None:
    """Make an environment with nothing in it, in about 2 ms; what a killed build left goes first."""
    import venv

    shutil.rmtree(place, ignore_errors=True)
    venv.EnvBuilder(symlinks=True).create(place)
    place.chmod(0o700)


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


def _is_complete(place: Path) -> bool:
    """Built to its end, and the Python that it points to is still there."""
    return (place / "complete").exists() and (place / "bin" / "python").exists()


def beside(folder: Path, scratch: Callable[[], Path]) -> Path:
    """Return where the environments of a live folder are kept."""
    home = folder / ".heroku"
    is_installed = bool({"site-packages", "dist-packages"} & set(folder.parts))
    is_writable = os.access(home if home.exists() else folder, os.W_OK)
    return home if is_writable and not is_installed else scratch() / _key(str(folder))


def _has_pip() -> bool:
    from importlib.util import find_spec

    return find_spec("pip") is not None


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Hold a lock among processes; waited for without blocking the loop."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.05)
        yield
