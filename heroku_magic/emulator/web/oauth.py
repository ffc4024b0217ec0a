"""The handlers of OAuth authorizations: tokens with less power or a shorter life than the one at hand."""

from __future__ import annotations

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import ANY, GLOBAL
from heroku_magic.emulator.web import answers, bodies
from heroku_magic.emulator.web.api import ApiHandler


class Authorizations(ApiHandler):
    """The account's authorizations; lists show no token whole."""

    reads = writes = GLOBAL

    def get(self) -> None:
        """`GET /oauth/authorizations`."""
        granted = self.emulator.account.authorizations.valid()
        self.answer_list([answers.authorization(each, token=each.redacted) for each in granted], "id", "created_at")

    def post(self) -> None:
        """`POST /oauth/authorizations`; only this answer shows the token."""
        granted = bodies.authorization_order(self.body())
        self.emulator.account.authorizations.add(granted)
        self.answer(answers.authorization(granted, token=granted.token), 201)


class Authorization(ApiHandler):
    """One authorization."""

    reads = writes = GLOBAL

    def get(self, identity: str) -> None:
        """`GET /oauth/authorizations/{id}`."""
        granted = self.emulator.account.authorizations.find(identity)
        self.answer(answers.authorization(granted, token=granted.redacted))

    def delete(self, identity: str) -> None:
        """`DELETE /oauth/authorizations/{id}`: its token opens nothing any more."""
        granted = self.emulator.account.authorizations.find(identity)
        self.emulator.account.authorizations.revoke(granted)
        self.answer(answers.authorization(granted, token=granted.redacted))


class Session(ApiHandler):
    """The session of a browser login, which nobody has here."""

    writes = ANY

    def delete(self) -> None:
        """`DELETE /oauth/sessions/~`."""
        raise errors.not_found("session")
