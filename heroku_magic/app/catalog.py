"""The tasks of an app and their declared parameters, with as few requests as possible."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from heroku_magic.display.call_display import watch_if_slow
from heroku_magic.errors import ApiError, NotFound, Refused
from heroku_magic.protocol.helper import helper_task
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.task import RESERVED_TYPES, Task, choose
from heroku_magic.runs.run import Run
from heroku_magic.runs.spec import RunSpec
from heroku_magic.runs.started_by_call import cancelled_on_error
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.api.resources import ProcessType, Release, Slug
    from heroku_magic.app.connection import AppConnection

FRESH = 5.0  # seconds between two requests for the current release
DESCRIBE_TIMEOUT = 60  # seconds

_DESCRIBES = re.compile(r"\bpython[\d.]*\b.* -m heroku_task --describe\b")


@dataclass(frozen=True)
class Snapshot:
    """An app's release and process types at one moment."""

    release: Release | None
    types: Mapping[str, ProcessType]

    @property
    def slug(self) -> str:
        """The id of the code that the release runs: the key of its declarations."""
        return _slug_id(self.release)

    @property
    def describes(self) -> bool:
        """Whether the process type `describe` lists the parameters of the tasks."""
        return "describe" in self.types and bool(_DESCRIBES.search(self.types["describe"].command))

    def undeclared(self, name: str) -> Task:
        """Return a task without declared parameters, or one whose declaration nothing lists."""
        command = self.types[name].command
        return Task(name, command, None, is_unlisted=not self.describes and helper_task(command) is not None)

    def tasks(self, declared: Mapping[str, Task]) -> list[Task]:
        """Return the process types that are tasks."""
        names = [name for name, kind in self.types.items() if kind.quantity == 0 and name not in RESERVED_TYPES]
        return [declared.get(name) or self.undeclared(name) for name in names]


class Catalog:
    """The tasks of one app."""

    def __init__(self, connection: AppConnection) -> None:
        self._connection = connection
        self.known_release: Release | None = None  # the one that was seen last
        self._requested_at = -inf
        self._snapshot: Snapshot | None = None
        self._slugs: dict[str, Slug] = {}
        self._checksums: dict[str, str] = {}
        self._declared: dict[str, dict[str, Task]] = {}

    def tasks(self) -> list[Task]:
        """Return all tasks with their declared parameters; runs the process type `describe` if there is one."""
        snapshot = self.refresh()
        return snapshot.tasks(self._declarations(snapshot))

    def known_tasks(self) -> list[Task]:
        """Return the tasks that are known already, without any request."""
        known = self._snapshot
        return known.tasks(self._declared.get(known.slug, {})) if known else []

    def task(self, name: str | None, *, any_type: bool, may_run: bool = True) -> Task:
        """Return a task by name, or the default one for None. Raises InvalidOptions.

        may_run: run `describe` if the declared parameters are not known yet.
        """
        snapshot = self.refresh()
        types = {type_: (kind.command, kind.quantity) for type_, kind in snapshot.types.items()}
        chosen = choose(name, types, any_type=any_type)
        declared = self._declarations(snapshot) if may_run else self._declared.get(snapshot.slug, {})
        return declared.get(chosen) or snapshot.undeclared(chosen)

    def declared(self, name: str) -> Task | None:
        """Return a task whose declared parameters are known already, without any request."""
        return self._declared.get(self.slug, {}).get(name)

    @property
    def slug(self) -> str:
        """The id of the code of the release that was seen last, without any request."""
        return _slug_id(self.known_release)

    def code(self) -> Slug | None:
        """Return the slug of the release that was seen last, requested once; None if there is none."""
        if self.known_release is None or self.known_release.slug is None:
            return None
        if self.slug not in self._slugs:
            self._slugs[self.slug] = self._connection.client.slug(self._connection.app, self.slug)
        return self._slugs[self.slug]

    def checksum(self) -> str:
        """Return the checksum of that slug, requested at most once; its id if Heroku gives none."""
        if self.slug not in self._checksums:
            slug = None
            with suppress(ApiError):
                slug = self.code()
            self._checksums[self.slug] = slug.checksum if slug and slug.checksum else self.slug
        return self._checksums[self.slug]

    def release(self) -> Release | None:
        """Return the release, requested again after `FRESH` seconds; None before the first one."""
        now = time.monotonic()
        if now - self._requested_at >= FRESH:
            try:
                self.known_release = self._connection.client.current_release(self._connection.app)
            except NotFound:
                raise self.unknown_app() from None
            self._requested_at = now
        return self.known_release

    def expire(self) -> None:
        """Request the release again when it is needed next."""
        self._requested_at = -inf

    def invalidate(self) -> None:
        """Forget the release, which may have changed."""
        self._requested_at, self.known_release, self._snapshot = -inf, None, None

    def refresh(self) -> Snapshot:
        """Return the app's release and process types, which are requested once per release."""
        release, known = self.release(), self._snapshot
        if known is None or known.release is None or release is None or known.release.id != release.id:
            try:
                types = {kind.type: kind for kind in self._connection.client.formation(self._connection.app)}
            except NotFound:
                raise self.unknown_app() from None
            self._snapshot = known = Snapshot(release, types)
        return known

    def unknown_app(self) -> NotFound:
        """Return the error for an app that does not exist, listing the account's apps."""
        names = ", ".join(app.name for app in self._connection.client.apps()) or "none"
        return NotFound(
            f"There is no app {self._connection.app!r} (from {self._connection.settings.app_source}), or this account "
            f"has no access to it. The account's apps: {names}.",
            status=404,
        )

    def _declarations(self, snapshot: Snapshot) -> dict[str, Task]:
        """The declared parameters, read once per slug with the process type `describe` if the helper provides it."""
        if snapshot.slug not in self._declared:
            if not snapshot.describes:
                return {}
            self._declared[snapshot.slug] = self._describe(snapshot)
        return self._declared[snapshot.slug]

    def _describe(self, snapshot: Snapshot) -> dict[str, Task]:
        connection = self._connection
        if not connection.settings.is_local:
            notify(f"Reading the parameters of {connection.app}'s tasks (one short dyno, task `describe`).")
        spec = RunSpec(
            connection.app,
            connection.app_name,
            "Reading parameters",
            "describe",
            {},
            timeout=DESCRIBE_TIMEOUT,
            is_local=connection.settings.is_local,
            requirements=connection.requirements,
        )
        with cancelled_on_error():
            run = Run(connection.client, spec).start()
            watch_if_slow(run)
            error = run.exception()
        if isinstance(error, Refused) and connection.settings.is_local:  # so would be any run
            raise error
        if error is not None:
            reason = str(error).partition("\n")[0]  # the run ends with the whole error
            notify(f"The parameters of the tasks could not be read, so they are not checked before the start: {reason}")
            return {}
        return _read(run, snapshot)


def _slug_id(release: Release | None) -> str:
    """Return the id of the code that a release runs, or its own if it has no code; empty without a release."""
    if release is None:
        return ""
    return release.slug.id if release.slug else release.id


def _read(run: Run, snapshot: Snapshot) -> dict[str, Task]:
    """The tasks that a run of `describe` listed and that are process types of the app."""
    tasks = (
        Task.from_row(row, snapshot.types[row["task"]].command)
        for part in run.parts or []
        for row in (part.rows if isinstance(part, Rows) else [])
        if row.get("task") in snapshot.types
    )
    return {task.name: task for task in tasks}
