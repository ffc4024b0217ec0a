"""The handlers of apps, their settings, formation, dynos and what the platform offers, one class per resource."""

from __future__ import annotations

from asyncio import sleep
from typing import TYPE_CHECKING

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import ANY, IDENTITY, READ_PROTECTED, WRITE_PROTECTED
from heroku_magic.emulator.state import ABSENT_FEATURES, FEATURES, STACKS, first_match
from heroku_magic.emulator.web import requests, responses
from heroku_magic.emulator.web.api import ApiHandler
from heroku_magic.platform_facts.dyno_sizes import DYNO_SIZES

if TYPE_CHECKING:
    from heroku_magic.emulator.runtime import AppRuntime

# Longer than a client waits before it sends a lost request again.
LATE = 6.0  # seconds


class AccountHandler(ApiHandler):
    """The account behind the token."""

    reads = IDENTITY
    absent = dict.fromkeys(("PATCH", "DELETE"), "account changes")

    def get(self) -> None:
        """`GET /account`."""
        self.respond(responses.account(self.platform.started_at))


class RateLimitsHandler(ApiHandler):
    """The request budget; this request costs none of it."""

    is_free = True
    reads = ANY

    def get(self) -> None:
        """`GET /account/rate-limits`."""
        self.respond({"remaining": self.platform.rate_limit.remaining})


class AppsHandler(ApiHandler):
    """The apps of the account."""

    def get(self) -> None:
        """`GET /apps`, and `GET /users/~/apps`: there are no shared apps."""
        apps = [self.app_json(runtime.app) for runtime in self.platform.apps]
        self.respond_with_list(apps, "name", "id", "updated_at")

    def post(self) -> None:
        """`POST /apps`."""
        runtime = self.platform.create(*requests.app_request(self.body()))
        self.respond(self.app_json(runtime.app), 201)


class AppHandler(ApiHandler):
    """One app."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}`."""
        self.respond(self.app_json(self.find_app(app).app))

    def patch(self, app: str) -> None:
        """`PATCH /apps/{app}`."""
        runtime = self.find_app(app)
        self.platform.change(runtime.app, **requests.app_changes(self.body()))
        self.respond(self.app_json(runtime.app))

    async def delete(self, app: str) -> None:
        """`DELETE /apps/{app}`: with the response the app and its dynos are gone."""
        runtime = self.find_app(app)
        response = self.app_json(runtime.app)
        await self.platform.delete(runtime)
        self.respond(response)


class ConfigVarsHandler(ApiHandler):
    """An app's config vars."""

    reads = READ_PROTECTED
    writes = WRITE_PROTECTED

    def get(self, app: str) -> None:
        """`GET /apps/{app}/config-vars`."""
        self.respond(self.find_app(app).releases.config)

    def patch(self, app: str) -> None:
        """`PATCH /apps/{app}/config-vars`; responds with all of them."""
        runtime = self.find_app(app)
        runtime.releases.set_config(requests.config_changes(self.body()))
        self.respond(runtime.releases.config)


class FormationHandler(ApiHandler):
    """An app's process types."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/formation`."""
        runtime = self.find_app(app)
        self.respond_with_list([_scaled(runtime, kind) for kind in runtime.app.process_types], "type", "id")

    def patch(self, app: str) -> None:
        """`PATCH /apps/{app}/formation`: all of the updates or none; responds with the updated types."""
        runtime = self.find_app(app)
        kinds = runtime.formation.update(requests.formation_updates(self.body()))
        self.respond([_scaled(runtime, kind) for kind in kinds])


class ProcessTypeHandler(ApiHandler):
    """One process type."""

    def get(self, app: str, kind: str) -> None:
        """`GET /apps/{app}/formation/{type}`."""
        runtime = self.find_app(app)
        self.respond(_scaled(runtime, runtime.app.find_type(kind)))

    def patch(self, app: str, kind: str) -> None:
        """`PATCH /apps/{app}/formation/{type}`."""
        runtime = self.find_app(app)
        update = requests.formation_update(self.body(), runtime.app.find_type(kind))
        self.respond(_scaled(runtime, runtime.formation.update([update])[0]))


def _scaled(runtime: AppRuntime, kind: str) -> responses.Json:
    return responses.formation(runtime.app, kind, runtime.formation.scale(kind))


class FeaturesHandler(ApiHandler):
    """The features that an app can switch on."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/features`."""
        found = self.find_app(app).app
        self.respond_with_list([responses.feature(found, name) for name in FEATURES], "name", "id")


class FeatureHandler(ApiHandler):
    """One feature of an app; dynos that start later have it."""

    def get(self, app: str, feature: str) -> None:
        """`GET /apps/{app}/features/{name or id}`."""
        self.respond(self._find(app, feature))

    def patch(self, app: str, feature: str) -> None:
        """`PATCH /apps/{app}/features/{name or id}`."""
        name = self._find(app, feature)["name"]
        runtime = self.find_app(app)
        is_on = requests.feature_change(self.body())
        if is_on and name in ABSENT_FEATURES:
            raise errors.unsupported(ABSENT_FEATURES[name])
        self.platform.set_feature(runtime.app, name, is_on=is_on)
        self.respond(responses.feature(runtime.app, name))

    def _find(self, app: str, feature: str) -> responses.Json:
        found = self.find_app(app).app
        names = [*FEATURES, *ABSENT_FEATURES]
        return responses.named(feature, (responses.feature(found, name) for name in names), "app feature")


class BuildpacksHandler(ApiHandler):
    """The buildpacks of an app. They are kept and shown; a build is always that of Python."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/buildpack-installations`."""
        found = self.find_app(app).app
        self.respond(responses.buildpack_installations(found))

    def put(self, app: str) -> None:
        """`PUT /apps/{app}/buildpack-installations`: replace them."""
        found = self.find_app(app).app
        self.platform.set_buildpacks(found, requests.buildpack_updates(self.body()))
        self.respond(responses.buildpack_installations(found))


class DynosHandler(ApiHandler):
    """An app's dynos."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/dynos`."""
        runtime = self.find_app(app)
        self.respond_with_list(
            [responses.dyno(runtime.app, dyno) for dyno in runtime.fleet.dynos.values()], "name", "id"
        )

    async def post(self, app: str) -> None:
        """`POST /apps/{app}/dynos`: the response does not wait for the process."""
        runtime, faults = self.find_app(app), self.platform.faults
        if faults.strikes("reset-before-create"):
            self.reset()
            return
        if faults.takes("conflict-after-release", runtime.app.current.id):
            raise errors.conflict()
        if faults.strikes("late-create"):
            request = requests.dyno_request(self.body())
            self.reset()
            await sleep(LATE)
            await runtime.create(request)
            return
        dyno = await runtime.create(requests.dyno_request(self.body()))
        if faults.strikes("reset-after-create"):
            self.reset()
            return
        if faults.strikes("json-500-after-create"):
            raise errors.internal()
        self.respond(responses.dyno(runtime.app, dyno), 201)

    def delete(self, app: str) -> None:
        """`DELETE /apps/{app}/dynos`: restarts all."""
        runtime = self.find_app(app)
        runtime.restart(runtime.fleet.dynos.values())
        self.respond({}, 202)


class DynoHandler(ApiHandler):
    """One dyno."""

    absent = dict.fromkeys(["POST"], "commands inside a running dyno")

    def get(self, app: str, dyno: str) -> None:
        """`GET /apps/{app}/dynos/{dyno}`."""
        runtime = self.find_app(app)
        found = runtime.fleet.find(dyno)
        if self.platform.faults.takes("dyno-not-visible", found.id):
            raise errors.not_found("dyno")
        self.respond(responses.dyno(runtime.app, found))

    def delete(self, app: str, dyno: str) -> None:
        """`DELETE /apps/{app}/dynos/{dyno or type}`: restarts it, which ends a one-off."""
        runtime = self.find_app(app)
        runtime.restart(runtime.named(dyno))
        self.respond({}, 202)


class DynoStopHandler(ApiHandler):
    """The stop action of one dyno."""

    def post(self, app: str, dyno: str) -> None:
        """`POST /apps/{app}/dynos/{dyno or type}/actions/stop`."""
        runtime = self.find_app(app)
        runtime.stop(runtime.named(dyno))
        self.respond({}, 202)


class DynosOfTypeHandler(ApiHandler):
    """The dynos of one type."""

    def delete(self, app: str, kind: str) -> None:
        """`DELETE /apps/{app}/formations/{type}`: restarts them."""
        runtime = self.find_app(app)
        runtime.restart(runtime.of_type(kind))
        self.respond({}, 202)


class DynosOfTypeStopHandler(ApiHandler):
    """The stop action of the dynos of one type."""

    def post(self, app: str, kind: str) -> None:
        """`POST /apps/{app}/formations/{type}/actions/stop`."""
        runtime = self.find_app(app)
        runtime.stop(runtime.of_type(kind))
        self.respond({}, 202)


class DynoSizesHandler(ApiHandler):
    """The dyno sizes, for any token."""

    reads = ANY

    def get(self) -> None:
        """`GET /dyno-sizes`."""
        self.respond_with_list([responses.dyno_size(size) for size in DYNO_SIZES.values()], "id", "name")


class DynoSizeHandler(ApiHandler):
    """One dyno size."""

    reads = ANY

    def get(self, size: str) -> None:
        """`GET /dyno-sizes/{size}`."""
        sizes = map(responses.dyno_size, DYNO_SIZES.values())
        matching = (each for each in sizes if size == each["id"] or size.lower() == each["name"].lower())
        self.respond(first_match(matching, "dyno size"))


class StacksHandler(ApiHandler):
    """The stacks, for any token."""

    reads = ANY

    def get(self) -> None:
        """`GET /stacks`."""
        self.respond_with_list([responses.stack(name) for name in STACKS], "name", "id")


class StackHandler(ApiHandler):
    """One stack."""

    reads = ANY

    def get(self, stack: str) -> None:
        """`GET /stacks/{stack}`."""
        self.respond(responses.named(stack, map(responses.stack, STACKS), "stack"))


class NotFoundHandler(ApiHandler):
    """A path that the API does not have."""

    reads = writes = ANY

    def prepare(self) -> None:
        """Respond with a 404 to a valid token."""
        super().prepare()
        raise errors.no_endpoint()
