"""The releases of one app: what makes one, the code that it runs, its release phase; no dyno is started here.

https://devcenter.heroku.com/articles/release-phase
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import environment as environments
from heroku_magic.emulator.code.environment import Environment
from heroku_magic.emulator.code.installed import Installed, LiveFolder, unpack
from heroku_magic.emulator.errors import BuildFailed, StartError, invalid_params
from heroku_magic.emulator.state import EMAIL, FAILED, PENDING, SUCCEEDED, Release, Slug, described

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.host import Host
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.state import App


class Releases:
    """Makes releases. phase: starts a release command; took_effect: a release is current now."""

    def __init__(
        self,
        app: App,
        host: Host,
        logplex: Logplex,
        *,
        live: Path | None,
        phase: Callable[[Release, str], None],
        took_effect: Callable[[], None],
    ) -> None:
        self._app = app
        self._host = host
        self._logplex = logplex
        self._phase = phase
        self._took_effect = took_effect
        self._codes: dict[str, Installed] = {}
        self._live = LiveFolder(live) if live is not None else None
        self._live_slug: str | None = None
        self._live_code = self._served(live) if live is not None else None

    @property
    def config(self) -> dict[str, str]:
        """The config vars: those of a live folder's .env, and those that were set over them."""
        code = self._live_code if self._app.slug is not None and self._app.slug.is_live else None
        return {**(code.dotenv if code else {}), **self._app.config}

    def open(self) -> None:
        """Make the first releases of an app that has none, and one of what a live folder holds now."""
        if not self._app.releases:
            self._app.release("Initial release", slug=None, config={})
        for release in self._app.releases:
            if release.status == PENDING:
                release.end(FAILED)  # the emulator was ended meanwhile
        if self._live is not None:
            self._release_live()

    def refresh(self) -> None:
        """Make a new release if a file in the live folder changed."""
        try:
            is_new = self._live is not None and self._live.changed()
        except StartError as error:
            self._logplex.say("app", "build", f"{error} The process types stay as they were.")
            is_new = True
        if is_new:
            self._release_live()

    def code(self, slug: Slug) -> Installed:
        """Return the code of a slug, unpacked if need be."""
        if slug.is_live:
            return self._served_now()
        if slug.id not in self._codes:
            folder = self.folder(slug.id)
            try:
                unpack(self.archive(slug.id), folder)
            except BuildFailed as error:
                raise invalid_params(str(error)) from None
            self._codes[slug.id] = Installed(folder, self.environment(folder, self._log))
        return self._codes[slug.id]

    def archive(self, slug_id: str) -> Path:
        """Return where the archive of a slug lies."""
        return self._slugs() / f"{slug_id}.tgz"

    def folder(self, slug_id: str) -> Path:
        """Return where a slug is unpacked."""
        return self._slugs() / slug_id

    def environment(self, folder: Path, log: Callable[[bytes], None]) -> Environment:
        """Return the environment of a folder, shared by all that have the same requirements."""
        return Environment(folder, lambda: self._host.home() / "environments", self._host.guard, log)

    def set_config(self, changes: dict[str, str | None]) -> None:
        """Change config vars; a change makes a release."""
        self.refresh()
        if self._app.set_config(changes):
            self.make(described(changes), self._app.current.slug)

    def deploy(self, slug: Slug, description: str | None) -> Release:
        """Make a release of a slug whose archive has been put; one that cannot run is refused here, not at boot."""
        archive = self.archive(slug.id)
        if not slug.is_live:
            if not archive.exists():
                raise invalid_params("The slug's archive has not been put to its blob URL.")
            checksum = _checksum(archive)
            if slug.checksum and slug.checksum.lower() != checksum.lower():
                raise invalid_params(f"The slug's archive has the checksum {checksum}, not {slug.checksum}.")
            slug.size = archive.stat().st_size
        self.code(slug)
        return self.make(description or f"Deploy {(slug.commit or slug.id)[:8]}", slug.id)

    def roll_back(self, to: Release) -> Release:
        """Make a release of the code and the config vars of an earlier one."""
        if not self.can_roll_back(to):
            raise invalid_params(f"Cannot roll back to v{to.version}: it never ran code that is still kept.")
        self._app.config = dict(to.config)
        return self.make(f"Rollback to v{to.version}", to.slug)

    def can_roll_back(self, to: Release) -> bool:
        """Whether a release can be gone back to; a live folder holds one state of the code only, its present one."""
        if to.status != SUCCEEDED or to.slug is None:
            return False
        return not self._app.slugs[to.slug].is_live or to.slug == self._live_slug

    def make(self, description: str, slug_id: str | None) -> Release:
        """Make a release; one whose code has a release command waits for that to end."""
        slug = self._app.slugs[slug_id] if slug_id else None
        command = slug.process_types.get("release") if slug and not slug.is_live else None
        status = PENDING if command else SUCCEEDED
        release = self._app.release(description, slug=slug_id, config=self.config, status=status)
        self._logplex.say("app", "api", f"Release v{release.version} created by user {EMAIL}")
        if command:
            self._phase(release, command)
        else:
            self._took_effect()
        self._host.save()
        return release

    def phase_ended(self, release: Release, status: int) -> None:
        """The release command has ended: the release is current, or the old one stays."""
        release.end(FAILED if status else SUCCEEDED)
        if not status:
            self._took_effect()
        self._host.save()

    def _release_live(self) -> None:
        if self._live is not None:
            slug = Slug(self._live.process_types, is_live=True)
            self._live_slug = slug.id
            self._app.slugs[slug.id] = slug
            self.make(f"Deploy {slug.id[:8]}", slug.id)

    def _served_now(self) -> Installed:
        if self._live_code is None:
            raise invalid_params("The folder that this app was served from is not served any more: use --app.")
        if not self._live_code.folder.is_dir():
            raise invalid_params(
                f"The folder that this app is served from is not there any more: {self._live_code.folder}"
            )
        return self._live_code

    def _served(self, folder: Path) -> Installed:
        def home() -> Path:
            return environments.beside(folder, self._host.scratch)

        return Installed(folder, Environment(folder, home, self._host.guard, self._log), is_live=True)

    def _log(self, line: bytes) -> None:
        self._logplex.publish("app", "build", [line])

    def _slugs(self) -> Path:
        folder = self._host.home() / "slugs" / self._app.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def _checksum(archive: Path) -> str:
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"SHA256:{digest.hexdigest()}"
