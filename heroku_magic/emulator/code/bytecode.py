"""The compiled modules of a served folder: its own, and modules that its dynos compiled, compiled again here.

Nothing that a dyno wrote is used but the names of the modules that it imported.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from typing import TYPE_CHECKING

from heroku_magic.emulator.code.source_tree import stamp, stamp_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from heroku_magic.emulator.code.file_copy import Content
    from heroku_magic.emulator.code.source_tree import Files, Stamp

_ENDING = f".{sys.implementation.cache_tag}.pyc"
_COMPILE = """
import os, py_compile, sys
os.nice(10)
for source, target in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        py_compile.compile(source, target, doraise=True)
    except (OSError, py_compile.PyCompileError):
        pass
"""
_MOST_AT_ONCE = 100


class Bytecode:
    """The bytecode for the modules in a folder. home: where what is compiled here is kept."""

    def __init__(self, root: str, home: Callable[[], Path]) -> None:
        self._root = root
        self._home = home

    def content(self, files: Files) -> Content:
        """Return the valid bytecode of these files: Python itself compares only whole seconds and sizes."""
        compiled = _names(str(self._home()))
        found: Content = {}
        listed: dict[str, set[str]] = {}
        for path, source in files.items():
            if path.endswith(".py"):
                kept = _kept_name(path, source)
                own = _cached(path)
                folder = os.path.dirname(own)
                if folder not in listed:
                    listed[folder] = _names(f"{self._root}/{folder}")
                candidate = f"{self._root}/{own}"
                if kept in compiled:
                    candidate = str(self._home() / kept)
                elif os.path.basename(own) not in listed[folder] or not _is_valid(candidate, source):
                    continue
                found[own] = (candidate, stamp(os.stat(candidate)))
        return found

    def missing(self, files: Files, copy: Path, present: Content) -> list[str]:
        """Return the files whose bytecode a dyno had to compile in its copy of the folder."""
        folders = {os.path.dirname(path) for path in files if path.endswith(".py")}
        names = (f"{folder}/{name}".lstrip("/") for folder in folders for name in _compiled(copy / folder))
        return [path for path in names if path in files and _cached(path) not in present]

    async def compile(self, files: Files, paths: list[str]) -> None:
        """Compile files in a process of its own, and keep the results of those that did not change meanwhile."""
        home = self._home()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        targets = {path: home / f"{_kept_name(path, files[path])}.part{os.getpid()}" for path in paths[:_MOST_AT_ONCE]}
        pairs = [text for path, target in targets.items() for text in (f"{self._root}/{path}", str(target))]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _COMPILE, *pairs), stdin=asyncio.subprocess.DEVNULL, cwd="/"
        )
        await process.wait()
        for path, target in targets.items():
            if target.exists():
                self._keep(target, path, files[path])

    def _keep(self, target: Path, path: str, expected: Stamp) -> None:
        if stamp_or_none(f"{self._root}/{path}") != expected:
            target.unlink()
            return
        name = _kept_name(path, expected)
        for old in self._home().glob(f"{name.partition('-')[0]}-*{_ENDING}"):
            old.unlink(missing_ok=True)
        target.rename(target.with_name(name))


def _cached(path: str) -> str:
    """Return where Python looks for the bytecode of a file: https://peps.python.org/pep-3147/."""
    folder, name = os.path.split(path)
    return os.path.join(folder, "__pycache__", name[: -len(".py")] + _ENDING)


def _compiled(folder: Path) -> Iterator[str]:
    for name in _names(str(folder / "__pycache__")):
        if name.endswith(_ENDING):
            yield name[: -len(_ENDING)] + ".py"


def _names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _kept_name(path: str, source: Stamp) -> str:
    return f"{_hash(path)}-{_hash(repr(source))}{_ENDING}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _is_valid(candidate: str, source: Stamp) -> bool:
    """Whether bytecode was compiled from this very state of its source, and not earlier in the same second."""
    _, size, modified, changed, _, _ = source
    try:
        with open(candidate, "rb") as file:
            header = file.read(16)
            compiled_at = os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return False
    numbers = [int.from_bytes(header[start : start + 4], "little") for start in (4, 8, 12)]
    expected = [0, modified // 1_000_000_000 & 0xFFFFFFFF, size & 0xFFFFFFFF]
    return numbers == expected and compiled_at > max(modified, changed)
