"""The handlers of what makes an app run: releases, slugs, sources and builds; what they do is done elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import READ_PROTECTED, WRITE_PROTECTED
from heroku_magic.emulator.web import answers, bodies
from heroku_magic.emulator.web.api import ApiHandler

if TYPE_CHECKING:
    from heroku_magic.emulator import state
    from heroku_magic.emulator.code.blobs import Blob
    from heroku_magic.emulator.runtime import AppRuntime

# Seconds that the URLs of a source are good for.
SOURCE_LIFE = 3600


class _ReleaseHandler(ApiHandler):
    reads = READ_PROTECTED
    writes = WRITE_PROTECTED

    def told(self, runtime: AppRuntime, release: state.Release) -> answers.Json:
        """Return a release as the API tells of it."""
        can_roll_back = runtime.releases.can_roll_back(release)
        return answers.release(runtime.app, release, base=self.emulator.url, can_roll_back=can_roll_back)


class Releases(_ReleaseHandler):
    """An app's releases."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/releases`."""
        runtime = self.served(app)
        self.answer_list([self.told(runtime, release) for release in runtime.app.releases], "version", "id")

    def post(self, app: str) -> None:
        """`POST /apps/{app}/releases`: of a slug, or a rollback."""
        runtime = self.served(app)
        order = bodies.release_order(self.body())
        if order.release:
            release = runtime.releases.roll_back(runtime.app.find_release(order.release))
        else:
            release = runtime.releases.deploy(runtime.app.find_slug(order.slug or ""), order.description)
        self.answer(self.told(runtime, release), 201)


class Release(_ReleaseHandler):
    """One release."""

    def get(self, app: str, release: str) -> None:
        """`GET /apps/{app}/releases/{id or version}`."""
        runtime = self.served(app)
        self.answer(self.told(runtime, runtime.app.find_release(release)))


class ReleaseConfigVars(_ReleaseHandler):
    """The config vars that a release was made with."""

    def get(self, app: str, release: str) -> None:
        """`GET /apps/{app}/releases/{id or version}/config-vars`."""
        self.answer(self.served(app).app.find_release(release).config)


class Slugs(ApiHandler):
    """An app's slugs."""

    writes = WRITE_PROTECTED

    def post(self, app: str) -> None:
        """`POST /apps/{app}/slugs`; its archive is put to the URL of the answer."""
        runtime = self.served(app)
        slug = bodies.slug_order(self.body())
        runtime.app.slugs[slug.id] = slug
        blob = self.emulator.account.blobs.at(runtime.releases.archive(slug.id))
        self.answer(answers.slug(slug, method="put", url=answers.blob_url(self.emulator.url, blob.put_token)), 201)


class Slug(ApiHandler):
    """One slug."""

    reads = READ_PROTECTED

    def get(self, app: str, slug: str) -> None:
        """`GET /apps/{app}/slugs/{slug}`; its archive is got from the URL of the answer."""
        runtime = self.served(app)
        found = runtime.app.find_slug(slug)
        blob = self.emulator.account.blobs.at(runtime.releases.archive(found.id))
        self.answer(answers.slug(found, method="get", url=answers.blob_url(self.emulator.url, blob.get_token)))


class Sources(ApiHandler):
    """Where an app's source is put for a build."""

    def post(self, app: str | None = None) -> None:
        """`POST /sources`, or `POST /apps/{app}/sources` as it once was."""
        if app is not None:
            self.served(app)
        blobs = self.emulator.account.blobs
        blob = blobs.new()
        asyncio.get_running_loop().call_later(SOURCE_LIFE, blobs.forget, blob)
        self.answer(answers.source(self.emulator.url, blob), 201)


class Builds(ApiHandler):
    """An app's builds."""

    writes = WRITE_PROTECTED

    def get(self, app: str) -> None:
        """`GET /apps/{app}/builds`."""
        served = self.served(app).app
        told = [answers.build(served, build, base=self.emulator.url) for build in served.builds]
        self.answer_list(told, "created_at", "id", "started_at")

    def post(self, app: str) -> None:
        """`POST /apps/{app}/builds`: the answer does not wait for the build."""
        runtime = self.served(app)
        order = bodies.build_order(self.body())
        build = runtime.builds.start(order, self._source(order.url))
        self.answer(answers.build(runtime.app, build, base=self.emulator.url), 201)

    def _source(self, url: str) -> Blob:
        """Return the source of a URL. Nothing is fetched: what this machine can reach is nobody's to ask for."""
        prefix = answers.blob_url(self.emulator.url, "")
        blob = self.emulator.account.blobs.readable(url[len(prefix) :]) if url.startswith(prefix) else None
        if blob is None:
            raise errors.invalid_params(
                "source_blob.url is no get_url of POST /sources whose archive has been put; "
                "the embedded Heroku fetches sources from nowhere else."
            )
        return blob


class Build(ApiHandler):
    """One build."""

    def get(self, app: str, build: str) -> None:
        """`GET /apps/{app}/builds/{build}`."""
        served = self.served(app).app
        self.answer(answers.build(served, served.find_build(build), base=self.emulator.url))
