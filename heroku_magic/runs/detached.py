"""The files with which another kernel can attach detached runs, one per run in the notebook's folder.

A file holds the run's key. Only its owner can read it, git ignores it, and it is deleted once the result was read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from heroku_magic.api.resources import Dyno  # noqa: TC001 - msgspec reads it
from heroku_magic.errors import InvalidOptions
from heroku_magic.platform_facts.folders import make_private
from heroku_magic.protocol.records import RUN_ID
from heroku_magic.runs.request import RunRequest
from heroku_magic.runs.spec import RunSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.protocol.records import RunKey
    from heroku_magic.text.secret import Secret

FOLDER = Path(".heroku", "runs")


class Detached(msgspec.Struct, frozen=True):
    """One detached run, as its file stores it.

    key: the dyno's RUN_KEY. host: the API's base URL. dyno: as the API described it when it was created. timeout:
    seconds. secrets: the names of the secret parameters, whose values are never stored. is_compound, sends_records,
    request: see RunSpec.
    """

    run: str
    key: str
    host: str
    app: str
    task: str
    command: str
    dyno: Dyno
    started_at: float
    timeout: int
    takes_rows: bool
    secrets: list[str] = []
    is_compound: bool = False
    sends_records: bool = False
    request: RunRequest = RunRequest()

    @property
    def place(self) -> tuple[str, str]:
        """Where it runs: the API's base URL, and the app."""
        return self.host, self.app

    def as_spec(self, app_name: str, secrets: Mapping[str, Secret], *, is_local: bool) -> RunSpec:
        """Return what to follow: app_name is the name to show, secrets the values of the secret parameters."""
        return RunSpec(
            self.app,
            app_name,
            self.task,
            self.command,
            secrets,
            timeout=self.timeout,
            takes_rows=self.takes_rows,
            is_local=is_local,
            is_detached=True,
            is_compound=self.is_compound,
            sends_records=self.sends_records,
            request=self.request,
        )

    def __repr__(self) -> str:
        return f"<Detached {self.run} {self.task} {self.dyno.name} {self.app}>"


def save(spec: RunSpec, dyno: Dyno, key: RunKey, host: str, started_at: float) -> Path:
    """Write the file of a run in one step, and return its path."""
    detached = Detached(
        run=key.run,
        key=key.env(),
        host=host,
        app=spec.app,
        task=spec.task,
        command=spec.command,
        dyno=dyno,
        started_at=started_at,
        timeout=spec.timeout,
        takes_rows=spec.takes_rows,
        secrets=[*spec.secrets],
        is_compound=spec.is_compound,
        sends_records=spec.sends_records,
        request=spec.request,
    )
    folder = FOLDER.absolute()
    make_private(folder)
    part = folder / f"{key.run}.part"
    try:
        data = msgspec.json.encode(detached)
    except UnicodeEncodeError:  # half a character in a parameter: only the history misses it
        data = msgspec.json.encode(msgspec.structs.replace(detached, request=RunRequest()))
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    return part.replace(path(key.run))


def path(run: str) -> Path:
    """Return the path of a run's file, which depends on the current folder."""
    return (FOLDER / f"{run}.json").absolute()


def find(run: str) -> Detached | None:
    """Return a run by its id; None if this folder has none whose result is still to be read."""
    return _read(path(run)) if re.fullmatch(RUN_ID, run) else None


def load(run: str) -> Detached:
    """Return a run by its id, or raise InvalidOptions with the ids that this folder has."""
    found = find(run)
    if found is None:
        names = ", ".join(each.run for each in known()) or "none"
        raise InvalidOptions(
            f'No detached run "{run[:40]}" was found in this folder ({FOLDER}). Attach a run from the folder where '
            f"--detach started it; its result can be read only once. Available here: {names}."
        )
    return found


def load_of(run: str, host: str, app: str) -> Detached:
    """Return a run of an app by its id. Raises InvalidOptions as `load`, or if it is a run of another app."""
    found = load(run)
    if (found.run, *found.place) != (run, host, app):
        raise InvalidOptions(
            f'"{run}" is a run of the app "{found.app}" at {found.host}, not of "{app}". Choose its app with --app.'
        )
    return found


def known() -> list[Detached]:
    """Return the runs that can be attached from this folder, the newest first."""
    found = filter(None, map(_read, FOLDER.glob("hm-*.json")))
    return sorted(found, key=lambda each: each.started_at, reverse=True)


def _read(file: Path) -> Detached | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Detached)
    except (OSError, msgspec.MsgspecError):
        return None  # no such file, or not one of ours
