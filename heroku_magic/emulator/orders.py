"""What clients ask the platform for, as plain values; how a request says it is not known here.

https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DynoOrder:
    """A dyno that somebody wants."""

    command: str
    env: dict[str, str]
    size: str
    type: str
    time_to_live: int | None
    attach: bool = False
    force_no_tty: bool = False


@dataclass(frozen=True)
class AppOrder:
    """An app that somebody wants. name: None for one that nobody else has."""

    name: str | None
    region: str
    stack: str


@dataclass(frozen=True)
class AppChanges:
    """What is to be changed of an app; None: nothing."""

    name: str | None
    maintenance: bool | None
    stack: str | None


@dataclass(frozen=True)
class FormationUpdate:
    """A new scale of a process type. change: a number, to be added if it is relative; size: None for the old one."""

    type: str
    change: int | None
    is_relative: bool
    size: str | None

    def quantity(self, before: int) -> int:
        """Return how many dynos are wanted."""
        if self.change is None:
            return before
        return max(0, before + self.change) if self.is_relative else self.change


@dataclass(frozen=True)
class ReleaseOrder:
    """A release that somebody wants: of a slug, or of what an earlier release ran."""

    slug: str | None
    release: str | None
    description: str | None


@dataclass(frozen=True)
class BuildOrder:
    """A build that somebody wants."""

    url: str
    version: str | None
    version_description: str | None
    checksum: str | None
    buildpacks: list[dict[str, str]] | None
