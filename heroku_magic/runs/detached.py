"""Detached runs: what another kernel needs to attach one, a file a run in the notebook's folder; it asks no API.

A file holds the run's key, so it is readable by its owner alone, git ignores it, and it goes when the
run was read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from heroku_magic.api.resources import Dyno, DynoRelease
from heroku_magic.errors import InvalidOptions

FOLDER = Path(".heroku", "runs")

_RUN = re.compile(r"hm-[0-9a-f]{8}")


class Detached(msgspec.Struct, frozen=True):
    """One detached run. key: what its dyno has as RUN_KEY; host: the API's URL; timeout: seconds.

    secrets: the names of its secret parameters, whose values no file holds.
    """

    run: str
    key: str
    host: str
    app: str
    task: str
    command: str
    dyno: str
    dyno_id: str
    size: str
    release_id: str
    release: int
    created_at: str
    started_at: float
    timeout: int
    takes_rows: bool
    secrets: list[str] = []

    def as_dyno(self) -> Dyno:
        """Return the dyno as it was when it was created."""
        release = DynoRelease(id=self.release_id, version=self.release)
        return Dyno(self.dyno_id, self.dyno, self.command, self.created_at, "starting", self.size, "run", release)

    def __repr__(self) -> str:
        return f"<Detached {self.run} {self.task} {self.dyno} {self.app}>"


def save(detached: Detached) -> Path:
    """Write a run's file, whole or not at all, and return where it lies."""
    folder = FOLDER.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder.parent / ".gitignore").write_text("*\n", encoding="ascii")
    part = folder / f"{detached.run}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(detached))
    return part.replace(path(detached.run))


def path(run: str) -> Path:
    """Return where the file of a run lies, as long as the notebook's folder is the working folder."""
    return (FOLDER / f"{run}.json").absolute()


def find(run: str) -> Detached | None:
    """Return a run by its id, if this folder knows it and nobody read it yet."""
    return _read(path(run)) if _RUN.fullmatch(run) else None


def load(run: str, host: str, app: str) -> Detached:
    """Return a run of this app by its id, or say which ones are known here."""
    found = find(run)
    if found:
        if (found.run, found.host, found.app) == (run, host, app):
            return found
        raise InvalidOptions(f"{run} is a run of {found.app} at {found.host}, not of {app}: choose it with --app.")
    names = ", ".join(each.run for each in known()) or "none"
    raise InvalidOptions(
        f"No detached run {run[:40]!r} is known in this folder ({FOLDER}): a run is attached from the folder where "
        f"--detach started it, and once only. Known here: {names}."
    )


def known() -> list[Detached]:
    """Return the runs that can be attached from this folder, the newest first."""
    found = filter(None, map(_read, FOLDER.glob("hm-*.json")))
    return sorted(found, key=lambda each: each.started_at, reverse=True)


def _read(file: Path) -> Detached | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Detached)
    except (OSError, msgspec.MsgspecError):
        return None  # there is none, or it is not ours
