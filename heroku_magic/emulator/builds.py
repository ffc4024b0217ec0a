"""The builds of one app: turns a source archive into a slug and a release, with Heroku's build output.

https://devcenter.heroku.com/articles/build-and-release-using-the-api
"""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from heroku_magic.emulator.code import blobs, procfile, tarball
from heroku_magic.emulator.errors import BuildError, StartError
from heroku_magic.emulator.state import EMAIL, FAILED, SUCCEEDED, EmulatedBuild, EmulatedSlug

if TYPE_CHECKING:
    from pathlib import Path

    from heroku_magic.emulator.code.build_output import BuildOutput
    from heroku_magic.emulator.context import Context
    from heroku_magic.emulator.logs.logplex import Logplex
    from heroku_magic.emulator.releases import Releases
    from heroku_magic.emulator.state import EmulatedApp

# Seconds that fetching a source may take: https://devcenter.heroku.com/articles/limits#build
FETCH_PATIENCE = 900
_HEX = re.compile(r"[0-9a-f]{40}$|[0-9a-f-]{36}$")


class BuildSource(Protocol):
    """Where a build gets its files from."""

    async def unpack(self, folder: Path, output: BuildOutput) -> Path:
        """Write the files to a new folder; return the app's folder in it. Raises BuildError."""


@dataclass
class ArchiveSource:
    """An archive in a file. checksum: its own; expected: the one that was announced, if any."""

    path: Path
    checksum: str | None
    expected: str | None

    async def unpack(self, folder: Path, _output: BuildOutput) -> Path:
        """Unpack the archive, without a folder that wraps all files."""
        if self.expected and self.expected.lower() != (self.checksum or "").lower():
            raise BuildError(f"The source archive's checksum is {self.checksum}, not {self.expected}.")
        await asyncio.to_thread(tarball.unpack, self.path, folder)
        return tarball.without_wrapper(folder)


@dataclass
class FetchedSource:
    """An archive at a URL of this machine. expected: the checksum that was announced, if any."""

    url: str
    expected: str | None

    async def unpack(self, folder: Path, output: BuildOutput) -> Path:
        """Fetch the archive and unpack it. Redirects could lead elsewhere and are not followed."""
        archive = folder.with_name(f"{folder.name}.tgz")
        client = AsyncHTTPClient(force_instance=True, max_body_size=tarball.LARGEST)
        try:
            with archive.open("xb") as file:

                def take(chunk: bytes) -> None:
                    file.write(chunk)

                fetching = client.fetch(
                    self.url, streaming_callback=take, follow_redirects=False, request_timeout=FETCH_PATIENCE
                )
                # tornado logs the error of a fetch that was cancelled. This one ends by itself after a cancelled build.
                fetching.add_done_callback(lambda ended: ended.exception())
                await asyncio.shield(fetching)
            checksum = await asyncio.to_thread(blobs.checksum, archive)
            return await ArchiveSource(archive, checksum, self.expected).unpack(folder, output)
        except (OSError, ValueError, HTTPClientError) as error:
            raise BuildError(f"The source cannot be fetched from {self.url.partition('?')[0]}: {error}") from None
        finally:
            client.close()
            archive.unlink(missing_ok=True)


def is_on_loopback(url: str) -> bool:
    """Whether an HTTP URL is one of this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.hostname in {"127.0.0.1", "localhost", "::1"}


class Builds:
    """Runs builds one at a time, so that releases are created in their order."""

    def __init__(self, app: EmulatedApp, context: Context, logplex: Logplex, releases: Releases) -> None:
        self._app = app
        self._context = context
        self._logplex = logplex
        self._releases = releases
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, build: EmulatedBuild, source: BuildSource) -> BuildOutput:
        """Begin a build, which continues after the response; return its output."""
        output = self._context.new_output()
        build.output, build.stack = output.token, self._app.stack
        self._app.builds.append(build)
        self._logplex.log("app", "api", f"Build started by user {EMAIL}")
        task = asyncio.ensure_future(self._run(build, source, output))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return output

    def close(self) -> None:
        """End the builds in progress."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, build: EmulatedBuild, source: BuildSource, output: BuildOutput) -> None:
        try:
            async with self._one_at_a_time:
                slug = await self._make_slug(build, source, output)
                self._release(build, slug, output)
        except BuildError as error:
            output.line(f" !     {str(error).splitlines()[0]}")  # the output already holds pip's lines
            output.line(" !     Push rejected, failed to build.")
            self._logplex.log("app", "api", "Build failed")
        finally:
            if build.status != SUCCEEDED:
                build.end(FAILED)
            output.close()
            self._context.save()

    def _release(self, build: EmulatedBuild, slug: EmulatedSlug, output: BuildOutput) -> None:
        name = build.version or build.id
        if _HEX.match(name):
            name = name[:8]  # as Heroku shows commits
        self._logplex.log("app", "api", f"Deploy {name} by user {EMAIL}")
        output.line("-----> Launching...")
        release = self._releases.create(f"Deploy {name}", slug.id)
        build.slug, build.release = slug.id, release.id
        build.end(SUCCEEDED)
        condition = " once its release command has succeeded" if release.output else ""
        output.line(f"       Released v{release.version}{condition}")
        self._logplex.log("app", "api", "Build succeeded")

    async def _make_slug(self, build: EmulatedBuild, source: BuildSource, output: BuildOutput) -> EmulatedSlug:
        """Return the slug of a source; a failure leaves nothing behind."""
        output.line(f"-----> Building on the {build.stack.title()} stack")
        folder = self._context.scratch / f"build-{build.id}"
        try:
            return await self._compile(build, await source.unpack(folder, output), output)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _compile(self, build: EmulatedBuild, app: Path, output: BuildOutput) -> EmulatedSlug:
        output.line("-----> Installing requirements.txt with pip")
        await self._releases.environment(app, output.indent).built()
        output.line("-----> Discovering process types")
        slug = EmulatedSlug(
            _process_types(app),
            stack=build.stack,
            commit=build.version,
            commit_description=build.version_description,
            buildpack_provided_description="Python",
        )
        output.line(f"       Procfile declares types -> {', '.join(slug.process_types) or '(none)'}")
        output.line("-----> Compressing...")
        await asyncio.to_thread(self._store, slug, app)
        output.line(f"       Done: {(slug.size or 0) / 1000:.1f}K")
        self._app.slugs[slug.id] = slug
        return slug

    def _store(self, slug: EmulatedSlug, app: Path) -> None:
        # The archive comes first: a slug with a complete archive can always be unpacked again.
        archive = self._releases.archive(slug.id)
        tarball.pack(app, archive, within="app")
        slug.size = archive.stat().st_size
        shutil.move(app, self._releases.folder(slug.id))


def _process_types(folder: Path) -> dict[str, str]:
    """Return the process types of the Procfile, which a build does not require."""
    if not (folder / "Procfile").exists():
        return {}
    try:
        return procfile.read(folder)
    except StartError as error:
        raise BuildError(str(error).replace(str(folder), "the app")) from None
