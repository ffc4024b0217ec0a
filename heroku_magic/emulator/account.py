"""The one account: its apps by name and id, its tokens, its blobs; it knows no HTTP."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from heroku_magic.emulator.code.blobs import Blobs
from heroku_magic.emulator.errors import invalid_params, not_found
from heroku_magic.emulator.runtime import AppRuntime
from heroku_magic.emulator.state import App, now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heroku_magic.emulator.authorizations import Authorizations
    from heroku_magic.emulator.host import Host
    from heroku_magic.emulator.orders import AppChanges, AppOrder

# https://devcenter.heroku.com/articles/limits: of a verified account
MOST_APPS = 100
_ADJECTIVES = (
    "calm",
    "dry",
    "early",
    "frozen",
    "gentle",
    "hidden",
    "lively",
    "misty",
    "quiet",
    "still",
    "warm",
    "wild",
)
_NOUNS = ("brook", "cliff", "dawn", "field", "forest", "island", "lake", "meadow", "river", "shore", "stone", "wind")


class Account:
    """All that the tokens open."""

    def __init__(self, host: Host, authorizations: Authorizations) -> None:
        self.authorizations = authorizations
        self.apps: list[AppRuntime] = []
        self.blobs = Blobs(self._blob_folder)
        self.started_at = now()
        self._host = host

    def open(self, saved: list[App], folders: Mapping[str, Path]) -> None:
        """Begin with the apps that were saved and those that folders are served as."""
        known = {app.name: app for app in saved}
        for name in [*known, *(name for name in folders if name not in known)]:
            runtime = AppRuntime(known.get(name) or App(name), self._host, folders.get(name))
            self.apps.append(runtime)
        for runtime in self.apps:
            runtime.open()

    def find(self, identity: str) -> AppRuntime:
        """Return an app by name or id."""
        for runtime in self.apps:
            if identity in {runtime.app.name, runtime.app.id}:
                return runtime
        raise not_found("app")

    def create(self, order: AppOrder) -> AppRuntime:
        """Create an app; without a name it gets one that nobody else has."""
        if len(self.apps) >= MOST_APPS:
            raise invalid_params(f"You've reached the limit of {MOST_APPS} apps for your account.")
        app = App(self._free(order.name or self._new_name()), region=order.region, stack=order.stack)
        runtime = AppRuntime(app, self._host)
        self.apps.append(runtime)
        runtime.open()
        self._host.save()
        return runtime

    def change(self, runtime: AppRuntime, changes: AppChanges) -> None:
        """Rename an app, or change its stack or maintenance."""
        app = runtime.app
        if changes.name is not None and changes.name != app.name:
            app.name = self._free(changes.name)
        app.maintenance = app.maintenance if changes.maintenance is None else changes.maintenance
        app.stack = changes.stack or app.stack
        app.updated_at = now()
        self._host.save()

    async def delete(self, runtime: AppRuntime, patience: float) -> None:
        """Delete an app with all that it has; it is gone at once, its dynos soon."""
        self.apps.remove(runtime)
        self._host.save()
        await runtime.delete(patience)

    async def close(self, patience: float) -> None:
        """End all apps."""
        await asyncio.gather(*(runtime.close(patience) for runtime in self.apps))

    def _free(self, name: str) -> str:
        if any(runtime.app.name == name for runtime in self.apps):
            raise invalid_params("Name is already taken")
        return name

    def _new_name(self) -> str:
        words = (secrets.choice(_ADJECTIVES), secrets.choice(_NOUNS), f"{secrets.randbelow(90000) + 10000}")
        return "-".join(words)

    def _blob_folder(self) -> Path:
        folder = self._host.home() / "blobs"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
