"""What the emulated platform knows: account, apps, releases, dynos, as plain values; no I/O, no processes.

The names are those of the Platform API's schema:
https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

import secrets
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timezone

from heroku_magic.emulator.errors import not_found


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(timezone.utc)


def new_id() -> str:
    """Return an id for a new resource."""
    return str(uuid.uuid4())


def fixed_id(name: str) -> str:
    """Return the id of something that is the same on every start, such as a dyno size."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.embedded.invalid"))


# `.invalid` is no domain that anybody can own: https://www.rfc-editor.org/rfc/rfc2606
EMAIL = "notebook@embedded.invalid"


@dataclass(frozen=True)
class Release:
    """One release of an app; slug: the id of the code that it runs, or None before there is any."""

    version: int
    description: str
    slug: str | None
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)


@dataclass
class Dyno:
    """A dyno from its creation to its end; it is forgotten once it is over."""

    name: str
    type: str
    command: str
    size: str
    release: Release
    state: str = "starting"
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    def change(self, state: str) -> None:
        """Note a new state and its time."""
        self.state, self.updated_at = state, now()


@dataclass
class App:
    """An app: its releases, config vars and the dynos that are there now."""

    name: str
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)
    config: dict[str, str] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    dynos: dict[str, Dyno] = field(default_factory=dict)
    _names: deque[str] = field(default_factory=lambda: deque(maxlen=1500))

    @property
    def current(self) -> Release:
        """The release that new dynos run."""
        return self.releases[-1]

    def release(self, description: str, *, slug: str | None) -> Release:
        """Make the next release."""
        release = Release(len(self.releases) + 1, description, slug)
        self.releases.append(release)
        return release

    def find_release(self, identity: str) -> Release:
        """Return a release by id or version."""
        for release in self.releases:
            if identity in {release.id, str(release.version)}:
                return release
        raise not_found("release")

    def find_dyno(self, identity: str) -> Dyno:
        """Return a dyno by id or name."""
        for dyno in self.dynos.values():
            if identity in {dyno.id, dyno.name}:
                return dyno
        raise not_found("dyno")

    def set_config(self, changes: dict[str, str | None]) -> None:
        """Set config vars and take away those that are None; a change makes a release."""
        before = dict(self.config)
        self.config.update({name: value for name, value in changes.items() if value is not None})
        for name in [name for name, value in changes.items() if value is None]:
            self.config.pop(name, None)
        if self.config != before:
            self.release(_describe(changes), slug=self.current.slug)

    def new_dyno_name(self, kind: str) -> str:
        """Return `run.NNNN` with a number that is not in use, nor was lately: its old lines are in the log."""
        while (name := f"{kind}.{secrets.randbelow(9000) + 1000}") in self.dynos or name in self._names:
            pass
        self._names.append(name)
        return name


def _describe(changes: dict[str, str | None]) -> str:
    given = [name for name, value in changes.items() if value is not None]
    verb = "Set" if given else "Remove"
    return f"{verb} {', '.join(given or changes)} config vars"
