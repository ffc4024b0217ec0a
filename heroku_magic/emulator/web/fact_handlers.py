"""Handlers of what never changes or follows from an app alone: regions, domains, collaborators, the API's own links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import ANY, IDENTITY
from heroku_magic.emulator.state import EMAIL, REGIONS, STACKS, fixed_id
from heroku_magic.emulator.web import requests, responses
from heroku_magic.emulator.web.api import ApiHandler
from heroku_magic.platform_facts.dyno_sizes import DYNO_SIZES

if TYPE_CHECKING:
    from collections.abc import Iterator

_METHODS = ("get", "post", "patch", "put", "delete")


class RegionsHandler(ApiHandler):
    """The regions, for any token."""

    reads = ANY

    def get(self) -> None:
        """`GET /regions`."""
        self.respond_with_list([responses.region(name) for name in REGIONS], "name", "id")


class RegionHandler(ApiHandler):
    """One region."""

    reads = ANY

    def get(self, region: str) -> None:
        """`GET /regions/{region}`."""
        self.respond(responses.named(region, map(responses.region, REGIONS), "region"))


class GenerationsHandler(ApiHandler):
    """The platform's generations; there is one."""

    reads = ANY

    def get(self) -> None:
        """`GET /generations`."""
        self.respond_with_list([responses.generation()], "name", "id")


class GenerationHandler(ApiHandler):
    """One generation."""

    reads = ANY

    def get(self, generation: str) -> None:
        """`GET /generations/{generation}`."""
        self.respond(responses.named(generation, [responses.generation()], "generation"))


class AvailableStacksHandler(ApiHandler):
    """The stacks that an app can use."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/available-stacks`: all of them."""
        self.find_app(app)
        self.respond_with_list([responses.stack(name) for name in STACKS], "name", "id")


class AvailableSizesHandler(ApiHandler):
    """The dyno sizes that an app can use."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/available-dyno-sizes`: all of them."""
        self.find_app(app)
        self.respond_with_list([responses.dyno_size(size) for size in DYNO_SIZES.values()], "id", "name")


class UserHandler(ApiHandler):
    """The account by another address."""

    reads = IDENTITY
    absent = dict.fromkeys(("PATCH", "DELETE"), "account changes")

    def get(self, user: str) -> None:
        """`GET /users/{~, e-mail or id}`."""
        if user not in {"~", EMAIL, fixed_id("account")}:
            raise errors.not_found("user")
        self.respond(responses.account(self.platform.started_at))


class DelinquencyHandler(ApiHandler):
    """What happens to an account that does not pay."""

    reads = IDENTITY

    def get(self) -> None:
        """`GET /account/delinquency`: nothing."""
        self.respond({"scheduled_suspension_time": None, "scheduled_deletion_time": None})


class UsageHandler(ApiHandler):
    """What the add-ons of an app used."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/usage`: nothing."""
        found = self.find_app(app).app
        self.respond({"id": found.id, "name": found.name, "addons": []})


class DomainsHandler(ApiHandler):
    """The domains of an app."""

    absent = dict.fromkeys(["POST"], "custom domains")

    def get(self, app: str) -> None:
        """`GET /apps/{app}/domains`: the app's own one."""
        found = self.find_app(app).app
        self.respond([responses.domain(found)])  # in one piece: heroku3 sorts by a key that domains do not have


class DomainHandler(ApiHandler):
    """One domain."""

    absent = dict.fromkeys(("PATCH", "DELETE"), "custom domains")

    def get(self, app: str, domain: str) -> None:
        """`GET /apps/{app}/domains/{hostname or id}`."""
        own = responses.domain(self.find_app(app).app)
        if domain not in {own["hostname"], own["id"]}:
            raise errors.not_found("domain")
        self.respond(own)


class CollaboratorsHandler(ApiHandler):
    """The users of an app."""

    absent = dict.fromkeys(["POST"], "collaborators")

    def get(self, app: str) -> None:
        """`GET /apps/{app}/collaborators`: you."""
        self.respond_with_list([responses.collaborator(self.find_app(app).app)], "id")


class CollaboratorHandler(ApiHandler):
    """One user of an app."""

    absent = dict.fromkeys(["DELETE"], "collaborators")

    def get(self, app: str, user: str) -> None:
        """`GET /apps/{app}/collaborators/{e-mail or id}`."""
        own = responses.collaborator(self.find_app(app).app)
        if user not in {own["id"], EMAIL, own["user"]["id"]}:
            raise errors.not_found("collaborator")
        self.respond(own)


class AppFilterHandler(ApiHandler):
    """A list of some apps."""

    writes = ApiHandler.reads

    def post(self) -> None:
        """`POST /filters/apps`: those with these ids."""
        wanted = requests.app_filter(self.body())
        apps = [self.app_json(each.app) for each in self.platform.apps if wanted is None or each.app.id in wanted]
        self.respond_with_list(apps, "name", "id", "updated_at")


class SchemaHandler(ApiHandler):
    """A hyper-schema of the links that the emulator serves; Heroku's own schema describes the data types.

    https://devcenter.heroku.com/articles/platform-api-reference#schema
    """

    reads = ANY

    def get(self) -> None:
        """`GET /schema`."""
        self.respond(
            {
                "$schema": "http://interagent.github.io/interagent-hyper-schema",
                "title": "The part of the Platform API that the embedded Heroku serves",
                "type": ["object"],
                "definitions": {},
                "links": [
                    link
                    for path, handler in self.settings["table"].items()
                    if issubclass(handler, ApiHandler)
                    for link in _links(path, handler)
                ],
            }
        )


def _links(path: str, handler: type[ApiHandler]) -> Iterator[dict[str, Any]]:
    for method in _METHODS:
        if function := vars(handler).get(method):
            title = (function.__doc__ or "").partition("`: ")[2] or handler.__doc__ or ""
            yield {"method": method.upper(), "href": path.replace("([^/]+)", "{identity}"), "title": title.strip()}
