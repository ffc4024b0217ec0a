"""What the emulated platform remembers of an app: releases, slugs, builds, scale, config; no I/O, no processes.

The names are those of the Platform API's schema:
https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from heroku_magic.emulator.errors import not_found

# `.invalid` is no domain that anybody can own: https://www.rfc-editor.org/rfc/rfc2606
EMAIL = "notebook@embedded.invalid"
STACKS = ("heroku-22", "heroku-24", "heroku-26")
STACK = "heroku-24"
REGIONS = ("us", "eu")

PENDING, SUCCEEDED, FAILED = "pending", "succeeded", "failed"


_ahead = timedelta()


def now() -> datetime:
    """Return the platform's present moment in UTC: the one clock of all that it tells."""
    return datetime.now(timezone.utc) + _ahead


def set_clock_ahead(seconds: float) -> None:
    """Let the platform's clock be so much ahead of the machine's."""
    global _ahead  # noqa: PLW0603 - one clock a process
    _ahead = timedelta(seconds=seconds)


def new_id() -> str:
    """Return an id for a new resource."""
    return str(uuid.uuid4())


def fixed_id(name: str) -> str:
    """Return the id of something that is the same on every start, such as a dyno size."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.embedded.invalid"))


@dataclass
class Slug:
    """The code of a release. is_live: it is a folder as it stands, not an archive."""

    process_types: dict[str, str]
    stack: str = STACK
    checksum: str | None = None
    commit: str | None = None
    commit_description: str | None = None
    buildpack_provided_description: str | None = None
    size: int | None = None
    is_live: bool = False
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)


@dataclass
class Release:
    """One release of an app. slug: the id of its code, or None before there is any; config: as it was then."""

    version: int
    description: str
    slug: str | None
    config: dict[str, str]
    status: str = SUCCEEDED
    output: str | None = None
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    def end(self, status: str) -> None:
        """Note how its release phase ended."""
        self.status, self.updated_at = status, now()


@dataclass
class Build:
    """A build from a source blob to a slug. output: the secret of its output's URL."""

    source_url: str
    version: str | None
    version_description: str | None
    checksum: str | None
    buildpacks: list[dict[str, str]] | None
    output: str
    stack: str = STACK
    status: str = PENDING
    slug: str | None = None
    release: str | None = None
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    def end(self, status: str) -> None:
        """Note how it ended."""
        self.status, self.updated_at = status, now()


@dataclass
class Scale:
    """How many dynos of a process type are kept running, and of which size."""

    quantity: int
    size: str
    updated_at: datetime = field(default_factory=now)


@dataclass
class Dyno:
    """A dyno from its creation to its end; it is forgotten once it is over. is_kept: one of the formation.

    has_terminal: its client, if it is attached, is its terminal.
    """

    name: str
    type: str
    command: str
    size: str
    release: Release
    is_kept: bool = False
    has_terminal: bool = False
    attach_url: str | None = None
    state: str = "starting"
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    def change(self, state: str) -> None:
        """Note a new state and its time."""
        self.state, self.updated_at = state, now()


@dataclass
class App:
    """An app, as it is saved: everything but what runs."""

    name: str
    region: str = "us"
    stack: str = STACK
    maintenance: bool = False
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    config: dict[str, str] = field(default_factory=dict)
    slugs: dict[str, Slug] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    scales: dict[str, Scale] = field(default_factory=dict)

    @property
    def current(self) -> Release:
        """The release that new dynos run: the last one that succeeded."""
        return next(release for release in reversed(self.releases) if release.status == SUCCEEDED)

    @property
    def slug(self) -> Slug | None:
        """The code of the current release."""
        return self.slugs[self.current.slug] if self.current.slug else None

    @property
    def process_types(self) -> dict[str, str]:
        """The process types of the current release, and their commands."""
        return self.slug.process_types if self.slug else {}

    def release(
        self, description: str, *, slug: str | None, config: dict[str, str], status: str = SUCCEEDED
    ) -> Release:
        """Make the next release."""
        release = Release(len(self.releases) + 1, description, slug, dict(config), status)
        self.releases.append(release)
        self.updated_at = now()
        return release

    def find_release(self, identity: str) -> Release:
        """Return a release by id or version."""
        for release in self.releases:
            if identity in {release.id, str(release.version)}:
                return release
        raise not_found("release")

    def find_slug(self, identity: str) -> Slug:
        """Return a slug by id."""
        if identity not in self.slugs:
            raise not_found("slug")
        return self.slugs[identity]

    def find_build(self, identity: str) -> Build:
        """Return a build by id."""
        for build in self.builds:
            if build.id == identity:
                return build
        raise not_found("build")

    def find_type(self, identity: str) -> str:
        """Return a process type by its name or the id of its formation."""
        for kind in self.process_types:
            if identity in {kind, self.formation_id(kind)}:
                return kind
        raise not_found("formation")

    def formation_id(self, kind: str) -> str:
        """Return the id of a process type's formation."""
        return fixed_id(f"{kind}.{self.id}")

    def set_config(self, changes: dict[str, str | None]) -> bool:
        """Set config vars and take away those that are None; tell whether something changed."""
        before = dict(self.config)
        self.config.update({name: value for name, value in changes.items() if value is not None})
        for name in [name for name, value in changes.items() if value is None]:
            self.config.pop(name, None)
        return self.config != before


def described(changes: dict[str, str | None]) -> str:
    """Return the description of the release that a change of config vars makes."""
    given = [name for name, value in changes.items() if value is not None]
    verb = "Set" if given else "Remove"
    return f"{verb} {', '.join(given or changes)} config vars"
