"""Saves apps with config, releases, slugs and builds in the folder of `--state`, for the next start.

The state file is replaced atomically, so a kill at any moment leaves the old state or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.state import EmulatedApp  # noqa: TC001 - msgspec needs it at run time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FORMAT = 1


class _State(msgspec.Struct):
    format: int
    apps: list[EmulatedApp]


class Store:
    """A state folder, locked for one emulator at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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

    def load(self) -> list[EmulatedApp]:
        """Return the saved apps and remove files that no app refers to."""
        apps = self._read()
        ids = {app.id for app in apps}
        for path in (self._folder / "repositories").glob("*"):
            if path.name not in ids:
                shutil.rmtree(path, ignore_errors=True)
        names_by_app = {app.id: {name for slug in app.slugs for name in (slug, f"{slug}.tgz")} for app in apps}
        for path in (self._folder / "slugs").glob("*"):
            if path.name not in names_by_app:
                shutil.rmtree(path, ignore_errors=True)
                continue
            # A build that was killed before it made a slug leaves files behind.
            for left in (left for left in path.glob("*") if left.name not in names_by_app[path.name]):
                with suppress(OSError):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        shutil.rmtree(self._folder / "blobs", ignore_errors=True)
        return apps

    def save(self, apps: Iterable[EmulatedApp]) -> None:
        """Replace the saved state."""
        part = self._file.with_name("state.json.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(_State(_FORMAT, list(apps))))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._file)

    def close(self) -> None:
        """Release the folder for another emulator."""
        self._lock.close()

    def _read(self) -> list[EmulatedApp]:
        try:
            state = msgspec.json.decode(self._file.read_bytes(), type=_State)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise StartError(f"The state in {self._file} cannot be read: {error}.") from None
        if state.format != _FORMAT:
            raise StartError(f"The state in {self._file} has format {state.format}; this version reads {_FORMAT}.")
        return state.apps
