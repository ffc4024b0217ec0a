"""Code that dynos can run: a folder and the Python environment of its requirements."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import file_copy, live_folder

if TYPE_CHECKING:
    from pathlib import Path

    from heroku_magic.emulator.code.environment import Environment
    from heroku_magic.emulator.code.working_copies import WorkingCopies


@dataclass(frozen=True)
class SlugDir:
    """A folder with an app's code. copies: those of the user's own folder, which is served live."""

    folder: Path
    environment: Environment
    copies: WorkingCopies | None = None

    @property
    def dotenv(self) -> dict[str, str]:
        """The variables of `.env`, which `heroku local` reads and a deployed app does not."""
        return live_folder.dotenv(self.folder) if self.copies is not None else {}

    def take_copy(self, target: Path) -> bool:
        """Move a spare copy of the code to `target` for one dyno; False if there is none."""
        return self.copies is not None and self.copies.take(target)

    async def make_copy(self, target: Path) -> None:
        """Copy the code for one dyno, whose file system is discarded with it.

        https://devcenter.heroku.com/articles/dynos#ephemeral-filesystem
        """
        if self.copies is not None:
            await self.copies.make(target)
            return
        await asyncio.to_thread(shutil.copytree, self.folder, target, symlinks=True, copy_function=file_copy.copy_file)
