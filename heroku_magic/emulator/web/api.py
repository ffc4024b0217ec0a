"""What every request goes through: who asks, with which token and version; errors as JSON. It knows no routes."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, RequestHandler

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import READ, WRITE
from heroku_magic.emulator.web import bodies, mishaps, ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.emulator.authorizations import Authorization
    from heroku_magic.emulator.runtime import AppRuntime
    from heroku_magic.emulator.server import Emulator

_ACCEPT = re.compile(r"application/vnd\.heroku\+json\s*;\s*version=3(\.[\w-]+)*\s*(?:[,;]|$)")


class LocalHandler(RequestHandler):
    """A handler that answers programs on this machine only: no website can make a browser ask it."""

    @property
    def emulator(self) -> Emulator:
        """The emulator that is asked."""
        emulator: Emulator = self.settings["emulator"]
        return emulator

    def prepare(self) -> None:
        """Refuse a foreign name for our address (DNS rebinding) and whatever a web page sends."""
        if self.request.headers.get("Host", "") not in self.emulator.hosts:
            raise errors.forbidden("The embedded Heroku answers to its own address only.")
        if "Origin" in self.request.headers:
            raise errors.forbidden("The embedded Heroku answers no web pages.")

    def set_default_headers(self) -> None:
        """Name the request, as Heroku does."""
        self.set_header("Request-Id", str(uuid.uuid4()))
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "private, no-cache")

    def answer(self, data: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.finish(json.dumps(data))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write an error as Heroku does: `{"id", "message"}`."""
        error = kwargs.get("exc_info", (None, None))[1]
        if status_code in {404, 405} and not isinstance(error, errors.ApiError):
            error = errors.no_endpoint()
        if isinstance(error, errors.ApiError):
            self.answer(error.body, error.status_code)
        elif isinstance(error, HTTPError) and status_code < 500:
            self.answer(errors.bad_request(error.reason or "The request cannot be read.").body, status_code)
        else:
            self.answer({"id": "internal_server_error", "message": "Internal server error."}, 500)


class ApiHandler(LocalHandler):
    """A handler of the Platform API. is_free: it costs nothing of the budget; is_spared: no fault strikes it."""

    is_free = False
    is_spared = False
    # Who may read (GET) and who may change (all else); https://devcenter.heroku.com/articles/oauth#scopes
    reads = READ
    writes = WRITE

    def prepare(self) -> None:
        """Check origin, token, version, scope and budget, in this order."""
        super().prepare()
        granted = self.emulator.account.authorizations.of(self._token())
        if granted is None:
            raise errors.unauthorized()
        if not _ACCEPT.search(self.request.headers.get("Accept", "")):
            raise errors.not_acceptable()
        self._check_scope(granted)
        if not self.is_free and not self.emulator.rate_limit.spend():
            raise errors.rate_limited()
        self._set_rate_headers()
        if not self.is_spared:
            mishaps.strike(self, self.emulator.faults)

    def set_default_headers(self) -> None:
        """Tell the rest of the budget with every answer."""
        super().set_default_headers()
        self._set_rate_headers()

    def body(self) -> dict[str, Any]:
        """Return the request's JSON object."""
        return bodies.json_object(self.request.body)

    def served(self, identity: str) -> AppRuntime:
        """Return an app by name or id, as its folder is now."""
        runtime = self.emulator.account.find(identity)
        runtime.releases.refresh()
        return runtime

    def answer_list(self, items: Sequence[dict[str, Any]], *keys: str) -> None:
        """Answer the part of a list that is asked for."""
        page = ranges.page(items, self.request.headers.get("Range"), keys)
        for name, value in page.headers.items():
            self.set_header(name, value)
        self.answer(page.items, page.status)

    def _set_rate_headers(self) -> None:
        self.set_header("RateLimit-Remaining", str(self.emulator.rate_limit.remaining))
        self.set_header("RateLimit-Multiplier", "1")

    def _token(self) -> bytes:
        kind, _, text = self.request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            return _password(text)
        return text.strip().encode("utf-8", "replace") if kind.lower() == "bearer" else b""

    def _check_scope(self, granted: Authorization) -> None:
        accepted = self.reads if self.request.method in {"GET", "HEAD"} else self.writes
        self.set_header("Oauth-Scope", " ".join(granted.scope))
        self.set_header("Oauth-Scope-Accepted", " ".join(sorted(accepted)))
        if not accepted.intersection(granted.scope):
            raise errors.forbidden(
                f"This token's scope is {', '.join(granted.scope)}; this needs one of {', '.join(sorted(accepted))}."
            )


def _password(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip()).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
