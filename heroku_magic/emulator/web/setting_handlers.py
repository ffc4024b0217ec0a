"""The handlers of an app's settings: features and buildpacks."""

from __future__ import annotations

from heroku_magic.emulator import errors
from heroku_magic.emulator.state import ABSENT_FEATURES, FEATURES
from heroku_magic.emulator.web import requests, responses
from heroku_magic.emulator.web.api import ApiHandler


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
