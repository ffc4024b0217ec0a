"""The Python environment of an app, built from its requirements alone.

It is kept by the hash of all that it is made from: for a live folder in its `.heroku/`, or in a temporary folder
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
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.emulator.code import file_copy, installer
from heroku_magic.emulator.code.source_tree import SourceTree, stamp
from heroku_magic.emulator.dynos.reaper import kill_group
from heroku_magic.emulator.errors import BuildError
from heroku_magic.emulator.logs.splitter import Splitter
from heroku_magic.platform_facts.installer_variables import installer_variables
from heroku_magic.platform_facts.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from heroku_magic.emulator.code.source_tree import Files, Stamp
    from heroku_magic.emulator.dynos.reaper import Reaper

_CHUNK = 65_536
_MOST_ERROR_LINES = 8
_MOST_KEPT = 8  # environments of a folder, besides those that were used in the last month
_UNUSED_SECONDS = 30 * 86_400  # the dynos that use it have ended with their kernel
# Of a checkout; an installed package has it in site-packages.
_SHIPPED_WORKER = Path(__file__).resolve().parents[3] / "worker"
# An editable project's modules are read where they are: only what its build reads counts.
_BUILD_FILES = re.compile(
    r".*\.(toml|cfg|in|txt|c|cc|cpp|cxx|h|hpp|pyx|pxd|pyi|rs|f|f90|build)|(.*/)?(setup|__init__|__about__|_?version|"
    r"hatch_build|build)\.py|(.*/)?(README|LICENSE|CMakeLists)[^/]*"
)


class Requirements:
    """The requirements of one folder, which name its environment. files: returns its present files."""

    def __init__(self, folder: Path, files: Callable[[], Files]) -> None:
        self._folder = folder
        self._files = files
        self._digests: dict[Path, tuple[Stamp, str]] = {}

    def recipe(self) -> Recipe:
        """Return what the environment is made from now."""
        return Recipe(self._folder, installer_variables(os.environ))

    def key(self) -> str:
        """Return a name that changes with anything that the environment is made from."""
        recipe = self.recipe()
        digest = hashlib.sha256(f"{sys.version} {getattr(sys, '_base_executable', sys.executable)}\n".encode())
        for path, text in recipe.texts.items():
            digest.update(f"{self._name(path)} {len(text)}\n".encode("utf-8", "surrogateescape") + text)
        for path, is_editable in recipe.projects.items():
            for line in self._project(path, is_editable=is_editable):
                digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    def has_own_project(self) -> bool:
        """Whether a project in the folder itself is installed."""
        root = self._folder.resolve()
        return any(path.is_dir() and path.is_relative_to(root) for path in self.recipe().projects)

    def _name(self, path: Path) -> str:
        """Return a path that is the same for every copy of the app."""
        return os.path.relpath(path, self._folder.resolve())

    def _project(self, path: Path, *, is_editable: bool) -> Iterator[str]:
        """Yield a line for each file of a project, or for an archive."""
        if path.is_file():
            yield f"{self._name(path)} {self._content(path, stamp(path.stat()))}\n"
            return
        for name, found in self._files_below(path).items():
            is_read = not is_editable or _BUILD_FILES.fullmatch(name)
            yield f"{self._name(path)}/{name} {self._content(path / name, found) if is_read else ''}\n"

    def _files_below(self, path: Path) -> Files:
        root = self._folder.resolve()
        if path == root:
            return self._files()
        if not path.is_relative_to(root):
            return SourceTree(path).scan()
        prefix = f"{path.relative_to(root).as_posix()}/"
        return {name[len(prefix) :]: found for name, found in self._files().items() if name.startswith(prefix)}

    def _content(self, path: Path, found: Stamp) -> str:
        """Return the hash of a file's content, computed once for each state of it."""
        if self._digests.get(path, (None, ""))[0] != found:
            try:
                content = path.read_bytes()
            except OSError:
                content = b""
            self._digests[path] = (found, hashlib.sha256(content).hexdigest())
        return self._digests[path][1]


class Installation(NamedTuple):
    """A build in progress: how many requirements it has, what the installer printed last, and its age in seconds."""

    packages: int
    line: str
    seconds: float


@dataclass(eq=False)
class Environment:
    """The environment of one app, built on demand when its requirements have changed.

    files: returns the folder's present files. checkout: makes a copy of the folder for a build that writes into
    it; None: the folder may be written.
    """

    folder: Path
    home: Callable[[], Path]
    reaper: Reaper
    log: Callable[[bytes], None]
    files: Callable[[], Files]
    checkout: Callable[[], Awaitable[Path]] | None = None

    def __post_init__(self) -> None:
        self._requirements = Requirements(self.folder, self.files)
        self._build: tuple[Path, asyncio.Task[Path]] | None = None
        self._builds: set[asyncio.Task[Path]] = set()
        self._began_at, self._last_line = time.monotonic(), ""

    def ready(self) -> Path | None:
        """Return the environment if it exists, without waiting."""
        target = self._target()
        if not _is_complete(target):
            return None
        with suppress(OSError):  # the folder need not be writable any more
            os.utime(target / "complete")  # it is needed
        return target

    async def built(self) -> Path:
        """Return the environment, building it if necessary; concurrent callers wait for the same build.

        Raises BuildError, also if the build is ended meanwhile.
        """
        if (environment := self.ready()) is not None:
            return environment
        target = self._target()
        if self._build is None or self._build[0] != target or self._build[1].done():
            self._build = self._start(target)
        build = self._build[1]
        try:
            return await asyncio.shield(build)
        except asyncio.CancelledError:
            if build.cancelled():
                raise BuildError("The installation of the app's requirements was ended.") from None
            raise

    def installation(self) -> Installation | None:
        """Return how far a build is, started if necessary; None if the environment exists or cannot be built."""
        if _is_complete(self._target()):
            return None
        build = self._build
        if build is None or build[0] != self._target() or build[1].cancelled():
            self._build = build = self._start(self._target())
            # The next dyno's creation reports the error, and asyncio need not.
            build[1].add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        if build[1].done():
            return None
        return Installation(self._requirements.recipe().count, self._last_line, time.monotonic() - self._began_at)

    def close(self) -> None:
        """End the builds in progress: an earlier one goes on when the requirements change."""
        for build in self._builds:
            build.cancel()

    def _start(self, target: Path) -> tuple[Path, asyncio.Task[Path]]:
        self._began_at, self._last_line = time.monotonic(), ""
        build = asyncio.ensure_future(self._make(target))
        self._builds.add(build)
        build.add_done_callback(self._builds.discard)
        return target, build

    def _target(self) -> Path:
        return self.home() / self._requirements.key()

    async def _make(self, target: Path) -> Path:
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (target.parent / ".gitignore").write_text("*\n", encoding="ascii")
            # A lock and a mark at the end instead of a rename: scripts and .pyc files hold the path of their build.
            async with _locked(target.with_suffix(".lock")):
                if not _is_complete(target):
                    await self._fill(target)
                    (target / "complete").write_text(sys.executable, encoding="utf-8")
                    await asyncio.to_thread(_remove_unused, target.parent)
        except OSError as error:
            raise BuildError(f"The app's Python environment could not be created: {error}") from None
        return target

    async def _fill(self, target: Path) -> None:
        from venv import EnvBuilder

        shutil.rmtree(target, ignore_errors=True)  # a killed build may have left a part
        EnvBuilder(symlinks=True).create(target)  # without pip it takes about 2 ms
        target.chmod(0o700)  # noqa: ASYNC240 - as quick as the line before
        installer.add_pip(target)
        if self._requirements.recipe().is_empty:
            return
        is_copied = self.checkout is not None and self._requirements.has_own_project()
        folder = await self.checkout() if self.checkout is not None and is_copied else self.folder
        try:
            await self._install(target, folder)
        finally:
            if is_copied:
                await asyncio.to_thread(file_copy.remove, folder)
        installer.move_editable(target, folder)

    async def _install(self, target: Path, folder: Path) -> None:
        """Install with uv where it is present and knows pip's settings; else, or if it fails, with pip."""
        commands = await installer.commands(target)
        for command, variables in commands:
            last = await self._run(command, variables, folder)
            if last is None:
                return
        raise BuildError(installer.describe_failure(folder / "requirements.txt", last or ()))

    async def _run(self, command: list[str], variables: dict[str, str], folder: Path) -> list[str] | None:
        """Run a command with its output in the log; return the last lines of one that fails."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        last: list[str] = []
        with self.reaper.watching(process.pid):
            try:
                async for line in _lines(process.stdout):
                    self.log(line)
                    self._last_line = line.decode("utf-8", "replace").rstrip()
                    last = [*last, self._last_line][-_MOST_ERROR_LINES:]
                await process.wait()
            except BaseException:
                kill_group(process.pid)
                raise
        return last if process.returncode else None


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length, long ones in the pieces of the log."""
    splitter = Splitter()
    while chunk := await output.read(_CHUNK):
        for _, lines in splitter.feed(chunk, b""):
            for line in lines:
                yield line
    for _, lines in splitter.flush(b""):
        for line in lines:
            yield line


def beside(folder: Path, scratch: Callable[[], Path]) -> Path:
    """Return where the environments of a live folder are kept."""
    home = folder / ".heroku"
    is_installed = bool({"site-packages", "dist-packages"} & set(folder.parts)) or folder.resolve() == _SHIPPED_WORKER
    is_writable = os.access(home if home.exists() else folder, os.W_OK)
    if is_writable and not is_installed:
        return home
    return scratch() / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def _is_complete(target: Path) -> bool:
    """Whether the build was finished, and the Pythons that it links to and that runs its pip still exist."""
    try:
        installer = (target / "complete").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return bool(installer) and Path(installer).exists() and (target / "bin" / "python").exists()


def _remove_unused(home: Path) -> None:
    """Remove the environments that were not used for the longest time, their marks first."""
    used: dict[Path, float] = {}
    for mark in home.glob("*/complete"):
        with suppress(OSError):  # another emulator has removed it just now
            if (mark.parent / "pyvenv.cfg").is_file() and not mark.parent.is_symlink():
                used[mark] = mark.stat().st_mtime
    for mark in sorted(used, key=used.__getitem__)[:-_MOST_KEPT]:
        if time.time() - used[mark] > _UNUSED_SECONDS:
            with suppress(OSError):
                mark.unlink()
                shutil.rmtree(mark.parent)


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
