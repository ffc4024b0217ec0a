"""Catalogue: what an app runs and what its tasks take, each asked for as rarely as can be; it starts no task."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from heroku_magic.errors import NotFound
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.task import NO_TASKS, Task, choose
from heroku_magic.runs.run import Run
from heroku_magic.runs.spec import RunSpec
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import ProcessType, Release

FRESH = 5.0  # seconds: the current release is asked for at most once in this time
DESCRIBE_TIMEOUT = 60  # seconds of life of the dyno that tells what the tasks take

_DESCRIBES = re.compile(r"\bpython[\d.]*\b.* -m heroku_task --describe\b")


@dataclass(frozen=True)
class Snapshot:
    """An app's release and process types, as they were at one moment."""

    release: Release | None
    types: Mapping[str, ProcessType]
    taken_at: float

    @property
    def slug(self) -> str:
        """What the release runs: declarations are remembered by it."""
        if self.release is None:
            return ""
        return self.release.slug.id if self.release.slug else self.release.id

    def undeclared(self, name: str) -> Task:
        """Return a task of which nothing is known but its command."""
        return Task(name, self.types[name].command, None)

    def tasks(self, declared: Mapping[str, Task]) -> list[Task]:
        """Return the process types that cells run."""
        names = [name for name, kind in self.types.items() if kind.quantity == 0 and name not in NO_TASKS]
        return [declared.get(name) or self.undeclared(name) for name in names]


class Place(Protocol):
    """An app and how it is reached, as a connection knows it at the moment."""

    @property
    def client(self) -> HerokuClient:
        """What asks the API."""

    @property
    def app(self) -> str:
        """The app's name or id."""

    @property
    def app_name(self) -> str:
        """What to show for it."""

    @property
    def settings(self) -> Settings:
        """What was chosen, and why."""


class Catalogue:
    """The tasks of one app."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._snapshot: Snapshot | None = None
        self._declared: dict[str, dict[str, Task]] = {}

    def tasks(self) -> list[Task]:
        """Return all tasks with what they declare to take; asks `describe` where there is one."""
        snapshot = self.look()
        return snapshot.tasks(self._declarations(snapshot))

    def known_tasks(self) -> list[Task]:
        """Return the tasks as far as they are known already: nobody is asked, nothing runs."""
        known = self._snapshot
        return known.tasks(self._declared.get(known.slug, {})) if known else []

    def task(self, name: str | None, *, any_type: bool, may_run: bool = True) -> Task:
        """Return a task by name, or the one that runs when none is named. Raises InvalidOptions.

        may_run: let the app tell what its tasks take, where that is not known yet.
        """
        snapshot = self.look()
        types = {type_: (kind.command, kind.quantity) for type_, kind in snapshot.types.items()}
        chosen = choose(name, types, any_type=any_type)
        declared = self._declarations(snapshot) if may_run else self._declared.get(snapshot.slug, {})
        return declared.get(chosen) or snapshot.undeclared(chosen)

    def release(self) -> Release | None:
        """Return the release, None before the first one."""
        return self.look().release

    def forget(self) -> None:
        """There may be a new release: look again before the next answer."""
        self._snapshot = None

    def look(self) -> Snapshot:
        """Return the app's release and process types; the release is asked for at most once in `FRESH` seconds."""
        known, now = self._snapshot, time.monotonic()
        if known and now - known.taken_at < FRESH:
            return known
        try:
            release = self._place.client.current_release(self._place.app)
            if known and known.release and release and known.release.id == release.id:
                types: Mapping[str, ProcessType] = known.types
            else:
                types = {kind.type: kind for kind in self._place.client.formation(self._place.app)}
        except NotFound:
            raise self.unknown_app() from None
        self._snapshot = Snapshot(release, types, now)
        return self._snapshot

    def unknown_app(self) -> NotFound:
        """Return the error for an app that is not there, with those that are."""
        names = ", ".join(app.name for app in self._place.client.apps()) or "none"
        return NotFound(
            f"There is no app {self._place.app!r} (from {self._place.settings.app_source}), or this account has no "
            f"access to it. The account's apps: {names}.",
            status=404,
        )

    def _declarations(self, snapshot: Snapshot) -> dict[str, Task]:
        """What the app's tasks take: asked once a slug by the process type `describe`, if it is the helper's."""
        if snapshot.slug not in self._declared:
            describe = snapshot.types.get("describe")
            if describe is None or not _DESCRIBES.search(describe.command):
                return {}
            self._declared[snapshot.slug] = self._described(snapshot)
        return self._declared[snapshot.slug]

    def _described(self, snapshot: Snapshot) -> dict[str, Task]:
        if not self._place.settings.is_local:
            notify(f"Asking {self._place.app} what its tasks take (one short dyno, process type `describe`).")
        run = Run(self._place.client, self._describing()).start()
        try:
            error = run.exception()
        except KeyboardInterrupt:
            run.cancel()
            raise
        if error is not None:
            notify(f"The tasks did not tell what they take, so nothing is checked before the start: {error}")
            return {}
        return _read(run, snapshot)

    def _describing(self) -> RunSpec:
        return RunSpec(
            self._place.app,
            self._place.app_name,
            "describe",
            "describe",
            {},
            timeout=DESCRIBE_TIMEOUT,
            is_local=self._place.settings.is_local,
        )


def _read(run: Run, snapshot: Snapshot) -> dict[str, Task]:
    """The tasks that a run of `describe` told of, as far as there are process types of these names."""
    tasks = (
        Task.from_row(row, snapshot.types[row["task"]].command)
        for part in run.parts or []
        for row in (part.rows if isinstance(part, Rows) else [])
        if row.get("task") in snapshot.types
    )
    return {task.name: task for task in tasks}
