"""What outlives the emulator, with `--state FOLDER`: apps with config, releases, slugs and builds, as one file.

The file is replaced whole, so that one can be killed at any moment: there is the old state or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.state import App  # noqa: TC001 - msgspec looks it up

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FORMAT = 1


class _State(msgspec.Struct):
    format: int
    apps: list[App]


class Store:
    """A folder that one emulator at a time keeps its state in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "state.json"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._lock = (folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"{folder} is in use by another embedded Heroku.") from None
        except OSError as error:
            raise StartError(f"The state cannot be kept in {folder}: {error.strerror}.") from None

    def load(self) -> list[App]:
        """Return the apps that were saved; what no app refers to is removed."""
        apps = self._read()
        for place in (self.folder / "slugs").glob("*"):
            if place.name not in {app.id for app in apps}:
                shutil.rmtree(place, ignore_errors=True)
        for app in apps:
            self._prune(app)
        shutil.rmtree(self.folder / "blobs", ignore_errors=True)
        return apps

    def save(self, apps: Iterable[App]) -> None:
        """Replace what was saved."""
        text = msgspec.json.encode(_State(_FORMAT, list(apps)))
        part = self._file.with_name("state.json.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._file)

    def close(self) -> None:
        """Let another emulator have the folder."""
        self._lock.close()

    def _read(self) -> list[App]:
        try:
            state = msgspec.json.decode(self._file.read_bytes(), type=_State)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise StartError(f"The state in {self._file} cannot be read: {error}.") from None
        if state.format != _FORMAT:
            raise StartError(f"The state in {self._file} is of another version: {state.format}, not {_FORMAT}.")
        return state.apps

    def _prune(self, app: App) -> None:
        """Remove what a build left that was killed before it made a slug."""
        known = {name for slug in app.slugs for name in (slug, f"{slug}.tgz")}
        for place in (self.folder / "slugs" / app.id).glob("*"):
            if place.name not in known:
                with suppress(OSError):
                    shutil.rmtree(place) if place.is_dir() else place.unlink()
