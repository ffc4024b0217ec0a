"""Code that dynos can run: a folder and the Python environment of its requirements."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import live_folder

if TYPE_CHECKING:
    from pathlib import Path

    from heroku_magic.emulator.code.environment import Environment


@dataclass(frozen=True)
class SlugDir:
    """A folder with an app's code. is_live: it is the user's own folder, served directly."""

    folder: Path
    environment: Environment
    is_live: bool = False

    @property
    def dotenv(self) -> dict[str, str]:
        """The variables of `.env`, which `heroku local` reads and a deployed app does not."""
        return live_folder.dotenv(self.folder) if self.is_live else {}

    def copy_to(self, folder: Path) -> Path:
        """Copy the code for one dyno, whose file system is discarded with it; a live folder is not copied.

        https://devcenter.heroku.com/articles/dynos#ephemeral-filesystem
        """
        if self.is_live:
            return self.folder
        shutil.copytree(self.folder, folder, symlinks=True)
        return folder
