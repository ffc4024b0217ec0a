"""The handlers of OAuth authorizations: tokens with narrower scopes or a shorter life than the present one."""

from __future__ import annotations

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import ANY, GLOBAL
from heroku_magic.emulator.web import requests, responses
from heroku_magic.emulator.web.api import ApiHandler


class AuthorizationsHandler(ApiHandler):
    """The account's authorizations; lists redact the tokens."""

    reads = writes = GLOBAL

    def get(self) -> None:
        """`GET /oauth/authorizations`."""
        grants = self.platform.authorizations.valid()
        self.respond_with_list([responses.authorization(each) for each in grants], "id", "created_at")

    def post(self) -> None:
        """`POST /oauth/authorizations`; only this response shows the complete token."""
        grant = requests.authorization_request(self.body())
        self.platform.authorizations.add(grant)
        self.respond(responses.authorization(grant, token=grant.token), 201)


class AuthorizationHandler(ApiHandler):
    """One authorization."""

    reads = writes = GLOBAL

    def get(self, identity: str) -> None:
        """`GET /oauth/authorizations/{id}`."""
        self.respond(responses.authorization(self.platform.authorizations.find(identity)))

    def patch(self, identity: str) -> None:
        """`PATCH /oauth/authorizations/{id}`: its description."""
        grant = self.platform.authorizations.find(identity)
        grant.description = requests.authorization_change(self.body()) or grant.description
        self.respond(responses.authorization(grant))

    def delete(self, identity: str) -> None:
        """`DELETE /oauth/authorizations/{id}`: the token becomes useless."""
        grant = self.platform.authorizations.find(identity)
        self.platform.authorizations.revoke(grant)
        self.respond(responses.authorization(grant))


class RegenerationHandler(ApiHandler):
    """The action that replaces a token."""

    reads = writes = GLOBAL

    def post(self, identity: str) -> None:
        """`POST /oauth/authorizations/{id}/actions/regenerate-tokens`; only this response shows the new token."""
        grant = self.platform.authorizations.find(identity)
        self.platform.authorizations.regenerate(grant)
        self.respond(responses.authorization(grant, token=grant.token))


class SessionHandler(ApiHandler):
    """The session of a browser login, which does not exist here."""

    writes = ANY

    def delete(self) -> None:
        """`DELETE /oauth/sessions/~`."""
        raise errors.not_found("session")
