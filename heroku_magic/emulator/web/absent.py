"""The parts of the Platform API that the embedded Heroku does not support: empty lists, and refused writes."""

from __future__ import annotations

from typing import Any

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import ANY, IDENTITY, READ
from heroku_magic.emulator.web.api import ApiHandler

_APP = "/apps/([^/]+)"

# The paths of empty lists, and what they would list.
_LISTS = {
    "/account/app-transfers": "app transfer",
    "/account/credits": "credit",
    "/account/features": "account feature",
    "/account/invoices": "invoice",
    "/account/keys": "SSH key",
    "/addon-attachments": "add-on attachment",
    "/addon-region-capabilities": "add-on region",
    "/regions/[^/]+/addon-region-capabilities": "add-on region",
    "/addon-services": "add-on service",
    "/addons": "add-on",
    "/users/[^/]+/addons": "add-on",
    f"{_APP}/addon-attachments": "add-on attachment",
    f"{_APP}/addons": "add-on",
    f"{_APP}/log-drains": "log drain",
    f"{_APP}/sni-endpoints": "SNI endpoint",
    f"{_APP}/telemetry-drains": "telemetry drain",
    f"{_APP}/webhook-deliveries": "webhook",
    f"{_APP}/webhook-events": "webhook",
    f"{_APP}/webhooks": "webhook",
    "/enterprise-accounts": "enterprise account",
    "/oauth/clients": "OAuth client",
    "/oauth/sessions": "session",
    "/pipeline-couplings": "pipeline coupling",
    "/pipelines": "pipeline",
    "/spaces": "space",
    "/teams": "team",
    "/users/[^/]+/pipeline-couplings": "pipeline coupling",
    "/user/notifications": "notification",
    "/favorites": "favorite",
}
# All other paths of these kinds, the first match counts.
_KINDS = {
    f"{_APP}/acm": "automated certificate",
    f"{_APP}/github": "GitHub connection",
    f"{_APP}/oci-images(?:/.*)?": "container image",
    f"{_APP}/pipeline-couplings": "pipeline coupling",
    f"{_APP}/pre-authorizations": "second factor",
    f"{_APP}/review-app": "review app",
    f"{_APP}/formation/[^/]+/monitors(?:/.*)?": "autoscaling monitor",
    f"{_APP}/build-cache": "build cache",
    "/account/invoice-address": "invoice",
    "/actions/addon-attachments/.*": "add-on attachment",
    "/actions/addons/.*": "add-on",
    "/oauth/tokens(?:/.*)?": "OAuth token",
    "/password-resets(?:/.*)?": "password reset",
    "/pipeline-promotions(?:/.*)?": "pipeline promotion",
    "/pipeline-transfers": "pipeline transfer",
    "/plans/.*": "add-on plan",
    "/reports(?:/.*)?": "report",
    "/review-apps(?:/.*)?": "review app",
    "/telemetry-drains(?:/.*)?": "telemetry drain",
    "/users/[^/]+/(?:preferences|sms-number)(?:/.*)?": "user preference",
    "/users/[^/]+/.+": "user",
    "/test-runs(?:/.*)?": "test run",
    "/(?:client|postgres|redis|data|kafka)/.*": "add-on",
    **{f"{path}/.+": noun for path, noun in _LISTS.items()},
}


class AbsentHandler(ApiHandler):
    """A resource of a kind that the account has none of."""

    reads = READ | IDENTITY

    def initialize(self, noun: str) -> None:  # type: ignore[override]  # tornado passes what the route holds
        """Take the kind."""
        super().initialize()
        self.noun = noun

    def get(self, *_: str) -> None:
        """`GET`: there is none."""
        self._check_app()
        raise errors.not_found(self.noun)

    def post(self, *_: str) -> None:
        """Refuse to change anything."""
        self._check_app()
        raise errors.unsupported(f"{self.noun}s")

    patch = put = delete = post

    def _check_app(self) -> None:
        if self.request.path.startswith("/apps/") and self.path_args:
            self.find_app(self.path_args[0])


class EmptyListHandler(AbsentHandler):
    """A list of a kind that the account has none of."""

    def get(self, *_: str) -> None:
        """`GET`: the empty list."""
        self._check_app()
        self.respond_with_list([], "id", "name", "created_at", "updated_at", "seq")


class ResolveHandler(AbsentHandler):
    """The search for add-ons or attachments by name, which finds none."""

    writes = ANY

    def post(self, *_: str) -> None:
        """`POST /actions/…/resolve`."""
        body = self.body()
        name = "addon_attachment" if "attachment" in self.noun else "addon"
        if not isinstance(body.get(name), str):
            raise errors.invalid_params(f"Require params: {name}.")
        self.respond([])


ROUTES: list[tuple[str, type[ApiHandler], dict[str, Any]]] = [
    ("/actions/addons/resolve", ResolveHandler, {"noun": "add-on"}),
    ("/actions/addon-attachments/resolve", ResolveHandler, {"noun": "add-on attachment"}),
    *((path, EmptyListHandler, {"noun": noun}) for path, noun in _LISTS.items()),
    *((pattern, AbsentHandler, {"noun": noun}) for pattern, noun in _KINDS.items()),
]
