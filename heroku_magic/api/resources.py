"""The Platform API's resources as its schema names them: values without behaviour; nothing is fetched here.

Only fields that are read are declared; unknown ones are ignored, so that Heroku may add more.
https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

from typing import Any

import msgspec

from heroku_magic.text.secret import Secret  # noqa: TC001 - msgspec reads the annotations


class Account(msgspec.Struct, frozen=True):
    """The account behind the token."""

    email: str


class Generation(msgspec.Struct, frozen=True):
    """The platform that an app runs on: `cedar` or `fir`."""

    name: str


class Space(msgspec.Struct, frozen=True):
    """The private space of an app."""

    shield: bool = False


class Named(msgspec.Struct, frozen=True):
    """What an app refers to by its name: a region, a stack."""

    name: str


class App(msgspec.Struct, frozen=True):
    """An app."""

    id: str
    name: str
    generation: Generation | None = None
    space: Space | None = None
    region: Named | None = None
    stack: Named | None = None
    created_at: str = ""
    released_at: str | None = None
    slug_size: int | None = None


class AccessToken(msgspec.Struct, frozen=True):
    """A token and how many seconds it still has; null: it does not end."""

    token: Secret
    expires_in: int | None = None


class Authorization(msgspec.Struct, frozen=True):
    """What somebody may do, and the token for it."""

    id: str = ""
    description: str = ""
    scope: list[str] = []
    access_token: AccessToken | None = None


class RateLimit(msgspec.Struct, frozen=True):
    """How many requests the account has left in this hour."""

    remaining: int


class Slug(msgspec.Struct, frozen=True):
    """What a release runs. size: bytes; null where it is not told."""

    id: str
    size: int | None = None
    process_types: dict[str, str] = {}


class Identity(msgspec.Struct, frozen=True):
    """What another resource is referred to by."""

    id: str


class Release(msgspec.Struct, frozen=True):
    """A release of an app; `slug` is null before the first deploy.

    status: `pending`, `succeeded`, `failed` or `expired`.
    """

    id: str
    version: int
    slug: Identity | None = None
    status: str = "succeeded"
    description: str = ""
    created_at: str = ""
    current: bool = False
    output_stream_url: Secret | None = None


class Source(msgspec.Struct, frozen=True):
    """Where an archive is put, and where a build gets it; whoever has the URLs can do the same."""

    put_url: Secret
    get_url: Secret


class NewSource(msgspec.Struct, frozen=True):
    """The answer to a request for a source."""

    source_blob: Source


class BuiltSource(msgspec.Struct, frozen=True):
    """What a build was made from."""

    checksum: str | None = None


class Build(msgspec.Struct, frozen=True):
    """A build. status: `pending`, `succeeded` or `failed`; release and slug are null until it has them."""

    id: str
    status: str
    output_stream_url: Secret
    source_blob: BuiltSource
    release: Identity | None = None
    slug: Identity | None = None


class DynoRelease(msgspec.Struct, frozen=True):
    """The release that a dyno runs."""

    id: str
    version: int


class ProcessType(msgspec.Struct, frozen=True):
    """One entry of an app's formation."""

    type: str
    command: str
    quantity: int
    size: Any = None


class Dyno(msgspec.Struct, frozen=True):
    """A dyno. `attach_url` is left out on purpose: it is a secret that we never use.

    `state` is text, not an enumeration: Heroku adds states without notice.
    """

    id: str
    name: str
    command: str
    created_at: str
    state: str
    size: str
    type: str
    release: DynoRelease


class LogSession(msgspec.Struct, frozen=True):
    """A log session; whoever has its URL can read the app's log, so it is a Secret."""

    id: str
    logplex_url: Secret
