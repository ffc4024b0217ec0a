"""The resources of the Platform API, with the names of its schema.

Only fields that are read are declared; others are ignored, so Heroku may add more.
https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

from typing import Any

import msgspec

from heroku_magic.text.secret import Secret  # noqa: TC001 - msgspec reads the annotations

ONE_OFF = "run"  # the process type of one-off dynos, and the part before the dot of their names


class InstallationProgress(msgspec.Struct, frozen=True):
    """The installation of an app's requirements on an emulator, with the last line of the installer."""

    packages: int
    line: str
    seconds: float


class InstallationReport(msgspec.Struct, frozen=True):
    """What an emulator reports of an app's requirements; null if there is nothing to wait for."""

    installing: InstallationProgress | None = None


class AccountInfo(msgspec.Struct, frozen=True):
    """The account that the token belongs to."""

    email: str


class Space(msgspec.Struct, frozen=True):
    """The private space that an app runs in."""

    shield: bool = False


class Named(msgspec.Struct, frozen=True):
    """A resource that an app refers to by name: a region, a stack, or the generation of the platform.

    Generations are `cedar` and `fir`: https://devcenter.heroku.com/articles/generations
    """

    name: str


class App(msgspec.Struct, frozen=True):
    """An app."""

    id: str
    name: str
    generation: Named | None = None
    space: Space | None = None
    region: Named | None = None
    stack: Named | None = None
    created_at: str = ""
    released_at: str | None = None
    slug_size: int | None = None
    git_url: str = ""


class AccessToken(msgspec.Struct, frozen=True):
    """A token and the seconds until it expires; null if it never does."""

    token: Secret
    expires_in: int | None = None


class Authorization(msgspec.Struct, frozen=True):
    """An OAuth authorization: its scope and its token."""

    id: str = ""
    description: str = ""
    scope: list[str] = []
    access_token: AccessToken | None = None


class RateLimit(msgspec.Struct, frozen=True):
    """How many requests the account has left in this hour."""

    remaining: int


class Slug(msgspec.Struct, frozen=True):
    """The compiled code that a release runs. size: in bytes; it and the checksum are null if Heroku reports none."""

    id: str
    size: int | None = None
    process_types: dict[str, str] = {}
    commit: str | None = None
    checksum: str | None = None
    buildpack_provided_description: str | None = None


class Identity(msgspec.Struct, frozen=True):
    """A reference to another resource."""

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
    """The URLs to upload and to download an archive; they are secrets, because anybody who has them can use them."""

    put_url: Secret
    get_url: Secret


class NewSource(msgspec.Struct, frozen=True):
    """The response to a request for a source."""

    source_blob: Source


class BuiltSource(msgspec.Struct, frozen=True):
    """The source that a build was made from."""

    checksum: str | None = None


class Build(msgspec.Struct, frozen=True):
    """A build. status: `pending`, `succeeded` or `failed`; release and slug are null until they exist."""

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
    """A process type in an app's formation."""

    type: str
    command: str
    quantity: int
    size: Any = None


class Dyno(msgspec.Struct, frozen=True):
    """A dyno. `attach_url` is omitted on purpose: it is a secret that is never needed.

    `state` is a string, not an enumeration, because Heroku adds states without notice.
    """

    id: str
    name: str
    command: str
    created_at: str
    state: str
    size: str
    type: str
    release: DynoRelease


class Authority(msgspec.Struct, frozen=True):
    """The certificate authority that the embedded Heroku's TLS connections are checked against."""

    certificate: str


class AttachedDyno(Dyno, frozen=True):
    """A dyno whose input and output a client connects to. The URL is a secret: whoever has it can be that client."""

    attach_url: Secret


class LogSession(msgspec.Struct, frozen=True):
    """A log session. Its URL is a secret, because anybody who has it can read the app's log."""

    id: str
    logplex_url: Secret
