"""What the emulated platform stores about an app: releases, slugs, builds, scale, config.

The fields are those of the Platform API: https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar

from heroku_magic.emulator.errors import not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

# Nobody can own a domain under `.invalid`: https://www.rfc-editor.org/rfc/rfc2606
EMAIL = "notebook@embedded.invalid"
STACKS = ("heroku-22", "heroku-24", "heroku-26")
STACK = "heroku-24"
REGIONS = ("us", "eu")
# The labs that an app can switch on: https://devcenter.heroku.com/categories/labs
FEATURES = {
    "log-runtime-metrics": "Emit dyno resource usage information into app logs",
    "runtime-dyno-metadata": "Provide metadata about the dyno and app in environment variables",
}
# The features of Heroku that stay switched off here, and what they are.
ABSENT_FEATURES = {
    "http-session-affinity": "session affinity",
    "preboot": "preboot",
    "runtime-heroku-exec": "Heroku Exec",
    "runtime-heroku-metrics": "language metrics",
}
APP_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")

PENDING, SUCCEEDED, FAILED = "pending", "succeeded", "failed"

_ahead = timedelta()


def now() -> datetime:
    """Return the platform's current time in UTC, the one clock behind all responses and log lines."""
    return datetime.now(timezone.utc) + _ahead


def when(moment: datetime) -> str:
    """Return a time in the API's format."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def set_clock_ahead(seconds: float) -> None:
    """Set how far the platform's clock is ahead of the machine's."""
    global _ahead  # noqa: PLW0603 - there is one clock per process
    _ahead = timedelta(seconds=seconds)


def new_id() -> str:
    """Return an id for a new resource."""
    return str(uuid.uuid4())


def fixed_id(name: str) -> str:
    """Return the id of a resource that is the same after every start, such as a dyno size."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.embedded.invalid"))


def first_match(matching: Iterable[T], kind: str) -> T:
    """Return the first of the resources that match, or raise a 404 that names their kind."""
    for one in matching:
        return one
    raise not_found(kind)


@dataclass(kw_only=True)
class Resource:
    """What all resources have."""

    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)


@dataclass(kw_only=True)
class Attempt(Resource):
    """What succeeds or fails after a while."""

    status: str = PENDING
    updated_at: datetime = field(default_factory=now)

    def end(self, status: str) -> None:
        """Record how it ended."""
        self.status, self.updated_at = status, now()


@dataclass
class EmulatedSlug(Resource):
    """The code of a release. is_live: it is a folder served directly, not an archive."""

    process_types: dict[str, str]
    stack: str = STACK
    checksum: str | None = None
    commit: str | None = None
    commit_description: str | None = None
    buildpack_provided_description: str | None = None
    size: int | None = None
    is_live: bool = False


@dataclass
class EmulatedRelease(Attempt):
    """One release of an app. slug: the id of its code, None before the first deploy; config: a copy at the time."""

    version: int
    description: str
    slug: str | None
    config: dict[str, str]
    output: str | None = None


@dataclass
class EmulatedBuild(Attempt):
    """A build from a source blob to a slug. output: the secret in its output's URL."""

    source_url: str
    version: str | None
    version_description: str | None
    checksum: str | None
    buildpacks: list[dict[str, str]] | None
    output: str = ""
    stack: str = STACK
    slug: str | None = None
    release: str | None = None


@dataclass
class Scale:
    """How many dynos of a process type are kept running, and of which size."""

    quantity: int
    size: str
    updated_at: datetime = field(default_factory=now)


@dataclass
class EmulatedDyno(Resource):
    """A dyno from its creation to its end. is_kept: it belongs to the formation.

    has_terminal: its client, if one is attached, is its terminal.
    """

    name: str
    type: str
    command: str
    size: str
    release: EmulatedRelease
    is_kept: bool = False
    has_terminal: bool = False
    attach_url: str | None = None
    state: str = "starting"
    updated_at: datetime = field(default_factory=now)

    def change(self, state: str) -> None:
        """Record a new state and its time."""
        self.state, self.updated_at = state, now()


@dataclass
class EmulatedApp(Resource):
    """An app as it is saved: everything except what runs."""

    name: str
    region: str = "us"
    stack: str = STACK
    maintenance: bool = False
    updated_at: datetime = field(default_factory=now)
    config: dict[str, str] = field(default_factory=dict)
    slugs: dict[str, EmulatedSlug] = field(default_factory=dict)
    releases: list[EmulatedRelease] = field(default_factory=list)
    builds: list[EmulatedBuild] = field(default_factory=list)
    scales: dict[str, Scale] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    buildpacks: list[str] = field(default_factory=list)

    @property
    def current(self) -> EmulatedRelease:
        """The release that new dynos run: the last successful one."""
        return next(release for release in reversed(self.releases) if release.status == SUCCEEDED)

    @property
    def slug(self) -> EmulatedSlug | None:
        """The code of the current release."""
        return self.slugs[self.current.slug] if self.current.slug else None

    @property
    def process_types(self) -> dict[str, str]:
        """The process types of the current release and their commands."""
        return self.slug.process_types if self.slug else {}

    def release(
        self, description: str, *, slug: str | None, config: dict[str, str], status: str = SUCCEEDED
    ) -> EmulatedRelease:
        """Create the next release."""
        release = EmulatedRelease(len(self.releases) + 1, description, slug, dict(config), status=status)
        self.releases.append(release)
        self.updated_at = now()
        return release

    def find_release(self, identity: str) -> EmulatedRelease:
        """Return a release by id or version."""
        return first_match((one for one in self.releases if identity in {one.id, str(one.version)}), "release")

    def find_slug(self, identity: str) -> EmulatedSlug:
        """Return a slug by id."""
        return first_match((slug for slug in self.slugs.values() if slug.id == identity), "slug")

    def find_build(self, identity: str) -> EmulatedBuild:
        """Return a build by id."""
        return first_match((build for build in self.builds if build.id == identity), "build")

    def find_type(self, identity: str) -> str:
        """Return a process type by its name or the id of its formation."""
        known = self.process_types
        return first_match((kind for kind in known if identity in {kind, self.formation_id(kind)}), "formation")

    def formation_id(self, kind: str) -> str:
        """Return the id of a process type's formation."""
        return fixed_id(f"{kind}.{self.id}")

    def set_config(self, changes: dict[str, str | None]) -> bool:
        """Set config vars, remove them where the value is None, and return whether anything changed."""
        before = self.config
        self.config = {name: value for name, value in {**before, **changes}.items() if value is not None}
        return self.config != before
