"""requirements.txt -> the app's own Python environment, so that what is missing on Heroku is missing here.

An empty file gives a bare environment in some tens of milliseconds. Environments are kept by the
file's hash in `.heroku/` inside the folder; where that cannot be written, in a temporary folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TAIL = 20  # lines of a failed install that are told


class InstallFailed(Exception):
    """The requirements could not be installed: the last lines of pip's output."""


class Environment:
    """The Python environment of one folder, made when first asked for and again when its file changes."""

    def __init__(self, folder: Path, *, remember: Callable[[Path], None], log: Callable[[str], None]) -> None:
        self._folder = folder
        self._remember = remember
        self._log = log
        self._temporary: Path | None = None
        self._making: dict[str, asyncio.Task[Path]] = {}

    async def path(self) -> Path:
        """Return the environment's `bin` folder. Raises InstallFailed."""
        requirements = self._requirements()
        key = hashlib.sha256(f"{sys.version}\0{requirements}".encode()).hexdigest()[:16]
        task = self._making.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() or not task.result().is_dir())):
            task = self._making[key] = asyncio.ensure_future(self._make(key, requirements))
        return await asyncio.shield(task)

    def _requirements(self) -> str:
        try:
            text = (self._folder / "requirements.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = (line.partition(" #")[0].strip() for line in text.splitlines())
        return "\n".join(line for line in lines if line and not line.startswith("#"))

    async def _make(self, key: str, requirements: str) -> Path:
        home = self._home() / key
        if not home.is_dir():
            # Made beside its place and moved there whole: another server may make the same one.
            unfinished = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=home.parent))
            try:
                await self._fill(unfinished, requirements)
                _move(unfinished, home)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return home / "bin"

    async def _fill(self, home: Path, requirements: str) -> None:
        builder = venv.EnvBuilder(symlinks=True, with_pip=bool(requirements))
        await asyncio.get_running_loop().run_in_executor(None, builder.create, str(home))
        if requirements:
            await self._install(home)

    async def _install(self, home: Path) -> None:
        self._log("Installing requirements.txt into the app's own environment")
        pip = await asyncio.create_subprocess_exec(
            str(home / "bin" / "python"),
            *("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", "requirements.txt"),
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        said: list[str] = []
        assert pip.stdout is not None  # noqa: S101 - asked for two lines above
        async for raw in pip.stdout:
            said.append(raw.decode("utf-8", "replace").rstrip())
            self._log(said[-1])
        if await pip.wait() != 0:
            raise InstallFailed("\n".join(said[-_TAIL:]))

    def _home(self) -> Path:
        """Where environments are kept: inside the folder, or in a temporary one where that is not ours to write."""
        if self._temporary is None and "site-packages" not in self._folder.parts:
            kept = self._folder / ".heroku"
            try:
                kept.mkdir(mode=0o700, exist_ok=True)
                (kept / ".gitignore").write_text("*\n")
            except OSError:
                pass
            else:
                return kept
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="heroku-"))
            self._remember(self._temporary)
        return self._temporary


def _move(source: Path, target: Path) -> None:
    """Put a finished environment in its place, unless somebody else was faster."""
    _relocate(source, target)
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _relocate(source: Path, target: Path) -> None:
    """Let installed scripts name the interpreter where it will be, not where it was made."""
    old, new = os.fsencode(source), os.fsencode(target)
    for script in (source / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if old in content:
            script.write_bytes(content.replace(old, new))
