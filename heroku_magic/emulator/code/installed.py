"""Code that can run: a folder and the Python environment of its requirements; it starts nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import folder as live
from heroku_magic.emulator.code import procfile, tarball

if TYPE_CHECKING:
    from pathlib import Path

    from heroku_magic.emulator.code.environment import Environment


@dataclass(frozen=True)
class Installed:
    """A folder with an app's code. is_live: it is the user's own, served as it stands."""

    folder: Path
    environment: Environment
    is_live: bool = False

    @property
    def dotenv(self) -> dict[str, str]:
        """The variables of `.env`, which `heroku local` reads and a deployed app does not."""
        return live.dotenv(self.folder) if self.is_live else {}

    def copied(self, folder: Path) -> Path:
        """Return a copy for one dyno, whose file system is thrown away with it; a live folder is used itself.

        https://devcenter.heroku.com/articles/dynos#ephemeral-filesystem
        """
        if self.is_live:
            return self.folder
        shutil.copytree(self.folder, folder, symlinks=True)
        return folder


class LiveFolder:
    """A folder that is served live: what is saved in it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process_types = procfile.read(folder)
        self._signature = live.signature(folder)

    def changed(self) -> bool:
        """Whether a file changed since the last look; the process types are read anew, or StartError is raised."""
        signature = live.signature(self.folder)
        if signature == self._signature:
            return False
        self._signature = signature
        self.process_types = procfile.read(self.folder)
        return True


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a slug, whose archive holds everything below `app/`, unless it already is."""
    if not folder.exists():
        tarball.unpack(archive, folder, within="app")
