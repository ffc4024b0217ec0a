"""Accounts, apps, releases and dynos as plain values, with Heroku's rules for them; no HTTP, no processes."""

from __future__ import annotations

import random
import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from heroku_magic.emulator.logplex import Logplex

if TYPE_CHECKING:
    from heroku_magic.emulator.dynos import Dyno
    from heroku_magic.emulator.folder import Folder

EMAIL = "you@embedded.example"
RATE_LIMIT = 4500  # requests an hour: https://devcenter.heroku.com/articles/platform-api-reference#rate-limits
DEFAULT_SIZE = "Standard-1X"
# Name, memory in GB, compute units, cents a month: what the API's dyno-size lists.
SIZES = {
    "Eco": (0.5, 1, 500),
    "Basic": (0.5, 1, 700),
    "Standard-1X": (0.5, 1, 2500),
    "Standard-2X": (1.0, 2, 5000),
    "Performance-M": (2.5, 12, 25000),
    "Performance-L": (14.0, 50, 50000),
    "Performance-L-RAM": (30.0, 24, 50000),
    "Performance-XL": (62.0, 50, 75000),
    "Performance-2XL": (126.0, 100, 150000),
}
_APP_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
_CONFIG_NAME = re.compile(r"\w+")


class Refusal(Exception):
    """A request that Heroku refuses: status, id and message of the answer."""

    def __init__(self, status: int, id: str, message: str, **more: str | int) -> None:  # noqa: A002 - Heroku's name
        super().__init__(message)
        self.status = status
        self.body = {**more, "id": id, "message": message}


def now() -> datetime:
    """Return the time as the API stamps it."""
    return datetime.now(timezone.utc)


def new_id() -> str:
    """Return a new UUID."""
    return str(uuid.uuid4())


def canonical_size(name: str | None) -> str:
    """Return a size as Heroku spells it, however it was typed."""
    wanted = (name or DEFAULT_SIZE).lower()
    for size in SIZES:
        if size.lower() == wanted:
            return size
    raise Refusal(422, "invalid_params", f"No such size as {name}. Choose one of {', '.join(SIZES)}.")


@dataclass(frozen=True)
class Release:
    """One release: which slug with which config."""

    version: int
    slug: str
    description: str
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)


class App:
    """An app served from a folder: a change of a file makes the next release."""

    def __init__(self, name: str, folder: Folder) -> None:
        if not _APP_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no app name: 3 to 30 characters, a-z, 0-9 and -, a letter first.")
        self.id = new_id()
        self.name = name
        self.folder = folder
        self.created_at = now()
        self.logplex = Logplex()
        self.dynos: dict[str, Dyno] = {}
        self.config: dict[str, str] = {}
        self.releases: list[Release] = []
        self._process_ids: dict[str, str] = {}
        self._signature = ""
        self.release()

    def release(self) -> Release:
        """Return the current release, a new one if the folder has changed since."""
        signature = self.folder.signature()
        if signature != self._signature:
            self._signature = signature
            self._add(new_id(), "Deploy " + signature[:8])
        return self.releases[-1]

    def find_release(self, name: str) -> Release:
        """Return a release by its id or its version."""
        self.release()
        for release in self.releases:
            if name in {release.id, str(release.version), f"v{release.version}"}:
                return release
        raise Refusal(404, "not_found", "Couldn't find that release.", resource="release")

    def process_id(self, name: str) -> str:
        """Return the id of a process type's place in the formation."""
        return self._process_ids.setdefault(name, new_id())

    def set_config(self, changes: dict[str, str | None]) -> None:
        """Set config vars, null unsets: makes a release."""
        for name, value in changes.items():
            if not _CONFIG_NAME.fullmatch(name) or not isinstance(value, str | None):
                raise Refusal(
                    422, "invalid_params", f"Config var {name!r}: a name of letters, digits and _, and a text or null."
                )
        merged = {**self.config, **changes}
        self.config = {name: value for name, value in merged.items() if value is not None}
        verb = "Set" if any(value is not None for value in changes.values()) else "Unset"
        self._add(self.release().slug, f"{verb} {', '.join(sorted(changes))} config vars")

    def all_config(self) -> dict[str, str]:
        """Return the config vars, those of the folder's `.env` below them."""
        return {**self.folder.config(), **self.config}

    def find_dyno(self, name: str) -> Dyno:
        """Return a dyno by its name or id; one that is over is not there any more."""
        for dyno in self.dynos.values():
            if name in {dyno.name, dyno.id}:
                return dyno
        raise Refusal(404, "not_found", "Couldn't find that dyno.", resource="dyno")

    def free_name(self, kind: str) -> str:
        """Return a name such as `run.4821` that no living dyno has; old ones are used again."""
        while (name := f"{kind}.{random.randint(1000, 9999)}") in self.dynos:  # noqa: S311 - a name, no secret
            continue
        return name

    def command_of(self, command: str) -> str:
        """Return what a dyno runs: a process type in the first place stands for its command."""
        first, blank, rest = command.partition(" ")
        return self.folder.process_types().get(first, first) + blank + rest

    def _add(self, slug: str, description: str) -> None:
        self.releases.append(Release(len(self.releases) + 1, slug, description))


class Account:
    """The one account: its apps, and its requests of this hour."""

    def __init__(self, apps: list[App], *, one_offs: int | None = None) -> None:
        self.id = new_id()
        self.email = EMAIL
        self.created_at = now()
        self.apps = {app.name: app for app in apps}
        self.one_offs = one_offs
        self._tokens = float(RATE_LIMIT)
        self._counted_at = time.monotonic()

    def app(self, name: str) -> App:
        """Return an app by its name or id."""
        for app in self.apps.values():
            if name in {app.name, app.id}:
                return app
        raise Refusal(404, "not_found", "Couldn't find that app.", resource="app")

    def check_limit(self, size: str) -> None:
        """Refuse a one-off more than may run at once."""
        running = sum(dyno.type == "run" for app in self.apps.values() for dyno in app.dynos.values())
        if self.one_offs is not None and running >= self.one_offs:
            message = f"Cannot run more than {self.one_offs} {size} size dynos."
            url = "https://devcenter.heroku.com/articles/dyno-size#default-scaling-limits"
            raise Refusal(422, "cannot_run_above_limit", message, limit=self.one_offs, size=size, url=url)

    @property
    def remaining(self) -> int:
        """How many requests are left: a bucket that fills evenly over an hour."""
        moment = time.monotonic()
        self._tokens = min(RATE_LIMIT, self._tokens + (moment - self._counted_at) * RATE_LIMIT / 3600)
        self._counted_at = moment
        return int(self._tokens)

    def count_request(self) -> None:
        """Take one request from the bucket."""
        if self.remaining < 1:
            message = "Your account reached the API rate limit\nPlease wait a few minutes before making new requests"
            raise Refusal(429, "rate_limit", message)
        self._tokens -= 1
