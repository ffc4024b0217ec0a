"""The handlers of releases, slugs, sources and builds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heroku_magic.emulator import errors
from heroku_magic.emulator.app_setups import AppSetup
from heroku_magic.emulator.authorizations import READ_PROTECTED, WRITE_PROTECTED
from heroku_magic.emulator.builds import ArchiveSource, FetchedSource, is_on_loopback
from heroku_magic.emulator.web import requests, responses
from heroku_magic.emulator.web.api import ApiHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.builds import BuildSource
    from heroku_magic.emulator.runtime import AppRuntime
    from heroku_magic.emulator.state import EmulatedBuild, EmulatedRelease

# Seconds for which the URLs of a source are valid.
SOURCE_LIFE = 3600


class _ReleaseHandler(ApiHandler):
    reads = READ_PROTECTED
    writes = WRITE_PROTECTED

    def to_json(self, runtime: AppRuntime, release: EmulatedRelease) -> responses.Json:
        """Return a release as the API represents it."""
        can_roll_back = runtime.releases.can_roll_back(release)
        return responses.release(runtime.app, release, base=self.url, can_roll_back=can_roll_back)


class ReleasesHandler(_ReleaseHandler):
    """An app's releases."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/releases`."""
        runtime = self.find_app(app)
        self.respond_with_list([self.to_json(runtime, release) for release in runtime.app.releases], "version", "id")

    def post(self, app: str) -> None:
        """`POST /apps/{app}/releases`: of a slug, or a rollback."""
        runtime = self.find_app(app)
        request = requests.release_request(self.body())
        if request.release:
            release = runtime.releases.roll_back(runtime.app.find_release(request.release))
        else:
            release = runtime.releases.deploy(runtime.app.find_slug(request.slug or ""), request.description)
        self.respond(self.to_json(runtime, release), 201)


class ReleaseHandler(_ReleaseHandler):
    """One release."""

    def get(self, app: str, release: str) -> None:
        """`GET /apps/{app}/releases/{id or version}`."""
        runtime = self.find_app(app)
        self.respond(self.to_json(runtime, runtime.app.find_release(release)))


class ReleaseConfigVarsHandler(_ReleaseHandler):
    """The config vars of a release."""

    def get(self, app: str, release: str) -> None:
        """`GET /apps/{app}/releases/{id or version}/config-vars`."""
        self.respond(self.find_app(app).app.find_release(release).config)


class SlugsHandler(ApiHandler):
    """An app's slugs."""

    writes = WRITE_PROTECTED

    def post(self, app: str) -> None:
        """`POST /apps/{app}/slugs`; the response has the URL to put its archive to."""
        runtime = self.find_app(app)
        slug = requests.slug_request(self.body())
        runtime.app.slugs[slug.id] = slug
        blob = self.platform.blobs.at(runtime.releases.archive(slug.id))
        self.respond(responses.slug(slug, method="put", url=responses.blob_url(self.url, blob.put_token)), 201)


class SlugHandler(ApiHandler):
    """One slug."""

    reads = READ_PROTECTED

    def get(self, app: str, slug: str) -> None:
        """`GET /apps/{app}/slugs/{slug}`; the response has the URL of its archive."""
        runtime = self.find_app(app)
        found = runtime.app.find_slug(slug)
        blob = self.platform.blobs.at(runtime.releases.archive(found.id))
        self.respond(responses.slug(found, method="get", url=responses.blob_url(self.url, blob.get_token)))


class SourcesHandler(ApiHandler):
    """URLs for the source archive of a build."""

    def post(self, app: str | None = None) -> None:
        """`POST /sources`, or the deprecated `POST /apps/{app}/sources`."""
        if app is not None:
            self.find_app(app)
        blobs = self.platform.blobs
        blob = blobs.new()
        asyncio.get_running_loop().call_later(SOURCE_LIFE, blobs.forget, blob)
        self.respond(responses.source(self.url, blob), 201)


class _SourceHandler(ApiHandler):
    """A handler whose requests name the source of a build."""

    def find_source(self, build: EmulatedBuild) -> BuildSource:
        """Return the source of a URL. A client must not reach the network through this machine."""
        url, prefix = build.source_url, responses.blob_url(self.url, "")
        blob = self.platform.blobs.readable(url[len(prefix) :]) if url.startswith(prefix) else None
        if blob is not None:
            return ArchiveSource(blob.path, blob.checksum, build.checksum)
        if not url.startswith(f"{self.url}/") and is_on_loopback(url):
            return FetchedSource(url, build.checksum)
        raise errors.invalid_params(
            "source_blob.url must be the get_url of a POST /sources, after its archive has been put, or the URL of an "
            "archive on 127.0.0.1 or localhost. The embedded Heroku does not fetch sources from anywhere else."
        )


class BuildsHandler(_SourceHandler):
    """An app's builds."""

    writes = WRITE_PROTECTED

    def get(self, app: str) -> None:
        """`GET /apps/{app}/builds`."""
        found = self.find_app(app).app
        builds = [responses.build(found, build, base=self.url) for build in found.builds]
        self.respond_with_list(builds, "created_at", "id")

    def post(self, app: str) -> None:
        """`POST /apps/{app}/builds`: the response does not wait for the build."""
        runtime = self.find_app(app)
        build = requests.build_request(self.body())
        runtime.builds.start(build, self.find_source(build))
        self.respond(responses.build(runtime.app, build, base=self.url), 201)


class AppSetupsHandler(_SourceHandler):
    """Apps that are created from a source with an app.json."""

    writes = WRITE_PROTECTED

    def post(self) -> None:
        """`POST /app-setups`: the response does not wait for the build."""
        request = requests.app_setup(self.body())
        source = self.find_source(request.build)
        runtime = self.platform.create(request.name, request.region, request.stack)
        setup = AppSetup(runtime, request.build, source, request.env, requests.config_changes)
        self.platform.setups[setup.id] = setup
        runtime.builds.start(setup.build, setup)
        self.respond(responses.app_setup(setup, base=self.url), 202)


class AppSetupHandler(ApiHandler):
    """One app setup."""

    def get(self, setup: str) -> None:
        """`GET /app-setups/{id}`."""
        found = self.platform.setups.get(setup)
        if found is None:
            raise errors.not_found("app setup")
        self.respond(responses.app_setup(found, base=self.url))


class BuildHandler(ApiHandler):
    """One build."""

    absent = dict.fromkeys(["DELETE"], "cancellation of builds")

    def get(self, app: str, build: str) -> None:
        """`GET /apps/{app}/builds/{build}`."""
        found = self.find_app(app).app
        self.respond(responses.build(found, found.find_build(build), base=self.url))
