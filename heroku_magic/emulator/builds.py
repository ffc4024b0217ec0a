"""The builds of one app: a source archive becomes a slug and a release, and tells what happens on the way.

https://devcenter.heroku.com/articles/build-and-release-using-the-api
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import procfile, tarball
from heroku_magic.emulator.errors import BuildFailed, StartError
from heroku_magic.emulator.state import EMAIL, FAILED, SUCCEEDED, Build, Slug

if TYPE_CHECKING:
    from pathlib import Path

    from heroku_magic.emulator.code.blobs import Blob
    from heroku_magic.emulator.code.output import Output
    from heroku_magic.emulator.host import Host
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.orders import BuildOrder
    from heroku_magic.emulator.releases import Releases
    from heroku_magic.emulator.state import App


class Builds:
    """Builds, one after the other: each release has the version after the one before."""

    def __init__(self, app: App, host: Host, logplex: Logplex, releases: Releases) -> None:
        self._app = app
        self._host = host
        self._logplex = logplex
        self._releases = releases
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, order: BuildOrder, source: Blob) -> Build:
        """Begin a build; it goes on after the answer."""
        output = self._host.new_output()
        build = Build(
            order.url, order.version, order.version_description, order.checksum, order.buildpacks, output.token,
            stack=self._app.stack,
        )  # fmt: skip
        self._app.builds.append(build)
        self._logplex.say("app", "api", f"Build started by user {EMAIL}")
        task = asyncio.ensure_future(self._run(build, source, output))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return build

    def close(self) -> None:
        """End the builds that are under way."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, build: Build, source: Blob, output: Output) -> None:
        try:
            async with self._one_at_a_time:
                slug = await self._slug(build, source, output)
                self._release(build, slug, output)
        except BuildFailed as error:
            output.line(f" !     {str(error).splitlines()[0]}")  # what pip said stands above
            output.line(" !     Push rejected, failed to build.")
            build.end(FAILED)
            self._logplex.say("app", "api", "Build failed")
        finally:
            if build.status not in {FAILED, SUCCEEDED}:
                build.end(FAILED)
            output.close()
            self._host.save()

    def _release(self, build: Build, slug: Slug, output: Output) -> None:
        self._logplex.say("app", "api", f"Deploy {build.version or build.id[:8]} by user {EMAIL}")
        output.line("-----> Launching...")
        release = self._releases.make(f"Deploy {build.version or build.id[:8]}", slug.id)
        build.slug, build.release = slug.id, release.id
        build.end(SUCCEEDED)
        waits = " once its release command has succeeded" if release.output else ""
        output.line(f"       Released v{release.version}{waits}")
        self._logplex.say("app", "api", "Build succeeded")

    async def _slug(self, build: Build, source: Blob, output: Output) -> Slug:
        """Return the slug of a source; what fails leaves nothing behind."""
        output.line(f"-----> Building on the {build.stack.title()} stack")
        if build.checksum and build.checksum.lower() != (source.checksum or "").lower():
            raise BuildFailed(f"The source archive's checksum is {source.checksum}, not {build.checksum}.")
        folder = self._host.scratch() / f"build-{build.id}"
        try:
            await asyncio.to_thread(tarball.unpack, source.path, folder)
            return await self._compiled(build, tarball.unwrapped(folder), output)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _compiled(self, build: Build, app: Path, output: Output) -> Slug:
        output.line("-----> Installing requirements.txt with pip")
        await self._releases.environment(app, lambda line: output.lines([line])).built()
        output.line("-----> Discovering process types")
        slug = Slug(
            _process_types(app), stack=build.stack, commit=build.version, buildpack_provided_description="Python"
        )
        slug.commit_description = build.version_description
        output.line(f"       Procfile declares types -> {', '.join(slug.process_types) or '(none)'}")
        output.line("-----> Compressing...")
        await asyncio.to_thread(self._store, slug, app)
        output.line(f"       Done: {(slug.size or 0) / 1000:.1f}K")
        self._app.slugs[slug.id] = slug
        return slug

    def _store(self, slug: Slug, app: Path) -> None:
        """Write the archive first: a slug whose archive is whole can always be unpacked again."""
        archive = self._releases.archive(slug.id)
        tarball.pack(app, archive, within="app")
        slug.size = archive.stat().st_size
        shutil.move(app, self._releases.folder(slug.id))


def _process_types(folder: Path) -> dict[str, str]:
    """Return what the Procfile declares; a build works without one, too."""
    if not (folder / "Procfile").exists():
        return {}
    try:
        return procfile.read(folder)
    except StartError as error:
        raise BuildFailed(str(error).replace(str(folder), "the app")) from None
