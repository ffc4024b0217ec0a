"""The releases of one app: deploys, rollbacks, config changes and the release phase.

https://devcenter.heroku.com/articles/release-phase
"""

from __future__ import annotations

import secrets
from dataclasses import InitVar, dataclass
from functools import cache
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import blobs, tarball
from heroku_magic.emulator.code import environment as environments
from heroku_magic.emulator.code.bytecode import Bytecode
from heroku_magic.emulator.code.environment import Environment
from heroku_magic.emulator.code.live_folder import LiveFolder
from heroku_magic.emulator.code.slug_dir import SlugDir
from heroku_magic.emulator.code.source_tree import SourceTree
from heroku_magic.emulator.code.working_copies import WorkingCopies
from heroku_magic.emulator.errors import BuildError, StartError, invalid_params
from heroku_magic.emulator.state import EMAIL, FAILED, PENDING, SUCCEEDED, EmulatedRelease, EmulatedSlug

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.context import Context
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.state import EmulatedApp

# https://devcenter.heroku.com/articles/config-vars: 64 kB of names and values
LONGEST_CONFIG = 65_536


@dataclass(eq=False)
class Releases:
    """Creates releases. live: the folder served as this app, if any.

    run_phase: starts a release command. on_current: called when a release becomes the current one.
    """

    app: EmulatedApp
    context: Context
    logplex: Logplex
    live: InitVar[Path | None]
    run_phase: Callable[[EmulatedRelease, str], None]
    on_current: Callable[[], None]

    def __post_init__(self, live: Path | None) -> None:
        self._codes: dict[str, SlugDir] = {}
        self._live_slug: str | None = None
        self._live: LiveFolder | None = None
        self._live_code: SlugDir | None = None
        if live is not None:
            self._live, self._live_code = self._serve(live)

    def _serve(self, folder: Path) -> tuple[LiveFolder, SlugDir]:
        context = self.context
        live = LiveFolder(folder)

        def home() -> Path:
            return environments.beside(folder, lambda: context.scratch)

        copies = WorkingCopies(
            live, Bytecode(live.root, lambda: home() / "bytecode"), lambda: context.scratch / f"copies-{self.app.id}"
        )

        async def checkout() -> Path:
            target = context.scratch / f"build-{secrets.token_hex(8)}"
            await copies.make(target)
            return target

        environment = Environment(folder, home, context.reaper, self._log, files=lambda: live.files, checkout=checkout)
        return live, SlugDir(folder, environment, copies)

    @property
    def config(self) -> dict[str, str]:
        """The config vars: a live folder's .env, overridden by the config vars that were set."""
        code = self._live_code if self.app.slug is not None and self.app.slug.is_live else None
        return {**(code.dotenv if code else {}), **self.app.config}

    def open(self) -> None:
        """Create the first release of a new app, and one of a live folder's present content."""
        if not self.app.releases:
            self.app.release("Initial release", slug=None, config={})
        for release in self.app.releases:
            if release.status == PENDING:
                release.end(FAILED)  # the emulator ended during its release phase
        self._release_live()

    def refresh(self) -> None:
        """Create a new release if a file in the live folder changed."""
        try:
            has_changed = self._live is not None and self._live.has_changed()
        except StartError as error:
            self.logplex.log("app", "build", f"{error} The process types stay unchanged.")
            has_changed = True
        if has_changed:
            self._release_live()

    def code(self, slug: EmulatedSlug) -> SlugDir:
        """Return the code of a slug, unpacked if necessary."""
        if slug.is_live:
            if self._live_code is None:
                raise invalid_params("This app's folder is no longer served. Start the embedded Heroku with --app.")
            if not self._live_code.folder.is_dir():
                raise invalid_params(f"This app's folder no longer exists: {self._live_code.folder}")
            return self._live_code
        if slug.id not in self._codes:
            folder = self.folder(slug.id)
            try:
                if not folder.exists():
                    tarball.unpack(self.archive(slug.id), folder, within="app")
            except BuildError as error:
                raise invalid_params(str(error)) from None
            self._codes[slug.id] = SlugDir(folder, self.environment(folder, self._log))
        return self._codes[slug.id]

    def archive(self, slug_id: str) -> Path:
        """Return the path of a slug's archive."""
        return self._slugs() / f"{slug_id}.tgz"

    def folder(self, slug_id: str) -> Path:
        """Return the path of an unpacked slug."""
        return self._slugs() / slug_id

    def environment(self, folder: Path, log: Callable[[bytes], None]) -> Environment:
        """Return the environment of a folder, shared by all folders with the same requirements."""
        files = cache(SourceTree(folder).scan)
        return Environment(folder, lambda: self.context.home / "environments", self.context.reaper, log, files=files)

    def set_config(self, changes: dict[str, str | None]) -> None:
        """Change config vars; a change creates a release."""
        self.refresh()
        values = {**self.app.config, **changes}.items()
        if sum(len(name) + len(value.encode()) for name, value in values if value is not None) > LONGEST_CONFIG:
            raise invalid_params(f"Config vars are too large: at most {LONGEST_CONFIG} bytes of names and values.")
        if self.app.set_config(changes):
            names = [name for name, value in changes.items() if value is not None]
            verb = "Set" if names else "Remove"
            self.create(f"{verb} {', '.join(names or changes)} config vars", self.app.current.slug)

    def deploy(self, slug: EmulatedSlug, description: str | None) -> EmulatedRelease:
        """Create a release of a slug whose archive has been put; one that cannot be unpacked is refused here."""
        if not slug.is_live:
            archive = self.archive(slug.id)
            if not archive.exists():
                raise invalid_params("The slug's archive has not been put to its blob URL.")
            checksum = blobs.checksum(archive)
            if slug.checksum and slug.checksum.lower() != checksum.lower():
                raise invalid_params(f"The slug's archive has the checksum {checksum}, not {slug.checksum}.")
            slug.size = archive.stat().st_size
        self.code(slug)
        return self.create(description or f"Deploy {(slug.commit or slug.id)[:8]}", slug.id)

    def roll_back(self, to: EmulatedRelease) -> EmulatedRelease:
        """Create a release with the code and the config vars of an earlier one."""
        if not self.can_roll_back(to):
            raise invalid_params(f"Cannot roll back to v{to.version}: its code never ran or is no longer stored.")
        # What the .env of a live folder gives stays there, and is not set as a config var.
        given = self._live_code.dotenv if self._live_code and to.slug == self._live_slug else {}
        self.app.config = {name: value for name, value in to.config.items() if given.get(name) != value}
        return self.create(f"Rollback to v{to.version}", to.slug)

    def can_roll_back(self, to: EmulatedRelease) -> bool:
        """Whether a rollback to a release is possible; a live folder holds only its present code."""
        if to.status != SUCCEEDED or to.slug is None:
            return False
        return not self.app.slugs[to.slug].is_live or to.slug == self._live_slug

    def create(self, description: str, slug_id: str | None) -> EmulatedRelease:
        """Create a release; if its code has a release command, the release is pending until that ends."""
        slug = self.app.slugs[slug_id] if slug_id else None
        command = slug.process_types.get("release") if slug and not slug.is_live else None
        status = PENDING if command else SUCCEEDED
        release = self.app.release(description, slug=slug_id, config=self.config, status=status)
        self.logplex.log("app", "api", f"Release v{release.version} created by user {EMAIL}")
        if command:
            self.run_phase(release, command)
        else:
            self.on_current()
        self.context.save()
        return release

    def end_phase(self, release: EmulatedRelease, status: int) -> None:
        """The release command has ended: the release becomes the current one, or the old one stays."""
        release.end(FAILED if status else SUCCEEDED)
        if not status:
            self.on_current()
        self.context.save()

    def close(self) -> None:
        """End a build of the live folder's environment."""
        if self._live_code is not None:
            self._live_code.environment.close()
            if self._live_code.copies is not None:
                self._live_code.copies.close()

    def _release_live(self) -> None:
        if self._live is not None:
            slug = EmulatedSlug(self._live.process_types, is_live=True)
            self._live_slug = slug.id
            self.app.slugs[slug.id] = slug
            self.create(f"Deploy {slug.id[:8]}", slug.id)

    def _log(self, line: bytes) -> None:
        self.logplex.publish("app", "build", [line])

    def _slugs(self) -> Path:
        folder = self.context.home / "slugs" / self.app.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
