"""The working copies of a served folder: each dyno has its own, and what it writes is gone with it.

https://devcenter.heroku.com/articles/dynos#ephemeral-filesystem
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import file_copy
from heroku_magic.emulator.code.source_tree import MOST_FILES
from heroku_magic.emulator.code.tarball import LARGEST
from heroku_magic.emulator.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.code.bytecode import Bytecode
    from heroku_magic.emulator.code.file_copy import Content
    from heroku_magic.emulator.code.live_folder import LiveFolder
    from heroku_magic.emulator.code.source_tree import Files

MOST_SPARES = 8
# Seconds that a starting dyno has before spares are made.
_DELAY = 0.1
# Seconds after which a further change of a file has another time: file systems count in ticks of up to 10 ms.
_TICK = 0.05


@dataclass
class _Copy:
    folder: Path
    files: Files | None = None
    content: Content = field(default_factory=dict)


class WorkingCopies:
    """Copies of one folder, some of them made before a dyno needs them. home: the folder for spares."""

    def __init__(self, live: LiveFolder, bytecode: Bytecode, home: Callable[[], Path]) -> None:
        self._live = live
        self._bytecode = bytecode
        self._home = home
        self._spares: list[_Copy] = []
        self._wanted = 0
        self._content: tuple[Files, Content] | None = None
        self._work: asyncio.Task[None] | None = None
        self._underway: tuple[Files, asyncio.Task[bool]] | None = None
        self._waiting = 0
        self._is_compiling = self._is_closed = False

    def take(self, target: Path) -> bool:
        """Move a spare of the folder's present state; False if there is none."""
        for index, spare in enumerate(self._spares):
            if spare.files is self._live.files:
                del self._spares[index]
                spare.folder.rename(target)
                return True
        return False

    async def make(self, target: Path) -> None:
        """Make a copy now, from an outdated spare if there is one; a spare that is being made is awaited."""
        self._waiting += 1
        try:
            if self._underway is not None and self._underway[0] is self._live.files:
                await asyncio.wait([self._underway[1]])
                if self.take(target):
                    return
            copy = self._spares.pop() if self._spares else self._new()
            await self._update(copy)
            copy.folder.rename(target)
        finally:
            self._waiting -= 1

    def fill(self, wanted: int) -> None:
        """Make spares in the background until there are so many, at most MOST_SPARES."""
        self._wanted = min(wanted, MOST_SPARES)
        if self._work is None or self._work.done():
            self._work = asyncio.ensure_future(self._fill())

    async def learn(self, copy: Path) -> None:
        """Compile what a dyno had to compile in its copy, for the next ones."""
        if self._content is None or self._content[0] is not self._live.files or self._is_compiling:
            return
        files, present = self._content
        self._is_compiling = True
        try:
            paths = await asyncio.to_thread(self._bytecode.missing, files, copy, present)
            if paths:
                await self._bytecode.compile(files, paths)
                self._content = None
        except OSError:
            return  # without bytecode a dyno only starts more slowly
        finally:
            self._is_compiling = False

    def close(self) -> None:
        """Stop making copies."""
        self._wanted, self._is_closed = 0, True
        if self._work is not None:
            self._work.cancel()

    async def _fill(self) -> None:
        await asyncio.sleep(_DELAY)
        while (copy := self._next()) is not None:
            update = asyncio.ensure_future(self._update(copy, settle=True))
            self._underway = self._live.files, update
            try:
                is_same = await update
            except (OSError, BuildError):
                return  # reported when a dyno needs a copy
            finally:
                self._underway = None
            if not is_same:
                await asyncio.to_thread(file_copy.remove, copy.folder)
                return  # the next request notices the change
            self._spares.append(copy)
            while self._waiting:  # noqa: ASYNC110 - dynos come first
                await asyncio.sleep(_DELAY)

    def _next(self) -> _Copy | None:
        """Return a copy that is worth an update: an outdated spare, or a new one."""
        for index, spare in enumerate(self._spares):
            is_current = self._content is not None and spare.content is self._content[1]
            if spare.files is not self._live.files or not is_current:
                return self._spares.pop(index)
        return self._new() if len(self._spares) < self._wanted else None

    def _new(self) -> _Copy:
        return _Copy(self._home() / secrets.token_hex(8))

    async def _update(self, copy: _Copy, *, settle: bool = False) -> bool:
        files = self._live.files
        _check_limits(files)
        if settle and (rest := _TICK - _age(files)) > 0:
            await asyncio.sleep(rest)
        try:
            return await asyncio.to_thread(self._update_now, copy, files)
        except BaseException:
            await asyncio.to_thread(file_copy.remove, copy.folder)
            raise

    def _update_now(self, copy: _Copy, files: Files) -> bool:
        known = self._content
        if known is None or known[0] is not files:
            sources = {path: (f"{self._live.root}/{path}", found) for path, found in files.items()}
            known = self._content = (files, {**sources, **self._bytecode.content(files)})
        is_same = file_copy.update(copy.folder, copy.content, known[1], lambda: not self._is_closed)
        copy.files, copy.content = known
        return is_same


def _age(files: Files) -> float:
    """Return the seconds since the last change of a file."""
    return time.time() - max((found[3] for found in files.values()), default=0) / 1e9


def _check_limits(files: Files) -> None:
    size = sum(found[1] for found in files.values())
    if len(files) > MOST_FILES or size > LARGEST:
        raise BuildError(
            f"The folder is too large for an app: {size:,} bytes in {len(files):,} files, and at most {LARGEST:,} "
            f"bytes in {MOST_FILES:,} files can be served. Name what the app does not need in .slugignore."
        )
