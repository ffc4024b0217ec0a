"""What every request goes through: origin, token, version, scope and budget; and errors as JSON."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import re
import socket
import struct
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from tornado.web import Finish, HTTPError, RequestHandler

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import READ, WRITE
from heroku_magic.emulator.web import cors, ranges, requests, responses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from tornado.httputil import HTTPServerRequest

    from heroku_magic.emulator.authorizations import Grant
    from heroku_magic.emulator.platform import Platform
    from heroku_magic.emulator.request_journal import JournalEntry
    from heroku_magic.emulator.runtime import AppRuntime
    from heroku_magic.emulator.state import EmulatedApp

_ACCEPT = re.compile(r"application/vnd\.heroku\+json\s*;\s*version=3(\.[\w-]+)*\s*(?:[,;]|$)")
_NUMBER = re.compile(r"[0-9]{1,18}")
# What Heroku's routers send when the API does not respond: https://github.com/heroku/cli/issues/1737
_PAGE = b"<!DOCTYPE html><html><head><title>Application Error</title></head><body>Application Error</body></html>"
# Close with RST instead of FIN, so that the client sees a broken connection and not an end.
_NO_LINGER = struct.pack("ii", 1, 0)


def _sent_token(request: HTTPServerRequest) -> bytes:
    """Return the token of a request: a bearer token or the password of HTTP Basic, empty if there is none."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return text.strip().encode("utf-8", "replace")
    try:
        return base64.b64decode(text.strip()).partition(b":")[2] if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def _etag(data: Any) -> str:
    """Return the ETag that tornado gives a response."""
    return f'"{hashlib.sha1(json.dumps(data).encode(), usedforsecurity=False).hexdigest()}"'


class LocalHandler(RequestHandler):
    """A handler for programs on this machine only, and for web pages whose origins were named at the start."""

    def initialize(self) -> None:
        """Take what the server passes to its handlers."""
        self.platform: Platform = self.settings["platform"]
        self.url: str = self.settings["url"]
        self.git_url: str = self.settings["git_url"]

    def prepare(self) -> None:
        """Refuse a foreign name for our address (DNS rebinding) and requests from web pages that were not named."""
        headers = self.request.headers
        host = headers.get("Host", "")
        if host.endswith(f".localhost:{self.url.rpartition(':')[2]}"):
            raise errors.unsupported("the routing of requests to web dynos")
        if host not in self.settings["hosts"]:
            raise errors.forbidden("The embedded Heroku accepts requests to its own address only.")
        if "Origin" not in headers:
            return
        if headers["Origin"] not in self.settings["origins"]:
            raise errors.forbidden(
                "The embedded Heroku does not accept requests from this web page. "
                "To allow it, start the embedded Heroku with --allow-origin and the page's origin."
            )
        if self.request.method == "OPTIONS" and "Access-Control-Request-Method" in headers:
            is_private = "Access-Control-Request-Private-Network" in headers
            for name, value in cors.preflight_headers(is_private=is_private).items():
                self.set_header(name, value)
            raise Finish

    def find_grant(self) -> Grant:
        """Return what the request's token may do. Raises a 401 for a missing or wrong one."""
        grant = self.platform.authorizations.for_token(_sent_token(self.request))
        if grant is None:
            raise errors.unauthorized()
        self.trust()
        return grant

    @property
    def last_event_id(self) -> int | None:
        """The last event that the reader of a stream got before its connection broke."""
        text = self.request.headers.get("Last-Event-ID", "")
        return int(text) if _NUMBER.fullmatch(text) else None

    def trust(self) -> None:
        """Keep the connection: this request had a token, or a secret in its URL."""
        connection: Any = self.request.connection
        self.settings["trust"](connection.stream)

    def set_default_headers(self) -> None:
        """Give the request an id, as Heroku does, and let a web page that was named read the response."""
        self.set_header("Request-Id", str(uuid.uuid4()))
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "private, no-cache")
        origin = self.request.headers.get("Origin", "")
        if origin in self.settings["origins"]:
            for name, value in cors.response_headers(origin).items():
                self.set_header(name, value)
        if self.settings["origins"]:
            self.set_header("Vary", "Origin")

    def respond(self, data: Any, status: int = 200) -> None:
        """Respond with JSON."""
        self.set_status(status)
        self.finish(json.dumps(data))

    def reset(self) -> None:
        """Break the connection without a response (a fault)."""
        stream = self.detach()
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        stream.close()

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log what failed, without the request: its path may hold a secret."""
        if not isinstance(error, HTTPError):
            logging.getLogger("tornado.application").error("%s", type(self).__name__, exc_info=(kind, error, trace))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write an error as Heroku does: `{"id", "message"}`."""
        error = kwargs.get("exc_info", (None, None))[1]
        if status_code in {404, 405} and not isinstance(error, errors.ErrorResponse):
            error = errors.no_endpoint()
        if isinstance(error, errors.ErrorResponse):
            self.respond(error.body, error.status_code)
        elif isinstance(error, HTTPError) and status_code < 500:
            self.respond(errors.bad_request(error.reason or "The request cannot be read.").body, status_code)
        else:
            self.respond(errors.internal().body, 500)


class ApiHandler(LocalHandler):
    """A handler of the Platform API. is_free: it costs no budget; is_spared: no fault strikes it."""

    is_free = False
    is_spared = False
    # What Heroku supports by these methods, and the emulator does not.
    absent: ClassVar[Mapping[str, str]] = {}
    _is_comparing = False
    _entry: JournalEntry | None = None
    # The scopes for reading (GET) and for everything else; https://devcenter.heroku.com/articles/oauth#scopes
    reads = READ
    writes = WRITE

    def prepare(self) -> None:
        """Check origin, token, version, scope and budget, in this order."""
        super().prepare()
        if not self.request.path.startswith("/emulator/"):
            self._entry = self.platform.journal.add(self.request)
        grant = self.find_grant()
        if not _ACCEPT.search(self.request.headers.get("Accept", "")):
            raise errors.not_acceptable()
        self._check_scope(grant)
        if not self.is_free and not self.platform.rate_limit.spend():
            raise errors.rate_limited()
        self._set_rate_headers()
        if self.request.method in self.absent:
            raise errors.unsupported(self.absent[self.request.method])
        if not self.is_spared:
            self._strike()
        if "If-Match" in self.request.headers:
            self._check_precondition(self.request.headers["If-Match"])

    def on_finish(self) -> None:
        """Note the status in the journal."""
        if self._entry is not None:
            self._entry.status = self.get_status()

    def head(self, *arguments: str) -> Awaitable[None] | None:
        """`HEAD`: the headers of a GET."""
        return self.get(*arguments)

    def respond(self, data: Any, status: int = 200) -> None:
        """Respond with JSON, or keep it to compare its ETag."""
        if self._is_comparing:
            self._compared = _etag(data)
        else:
            super().respond(data, status)

    def _strike(self) -> None:
        """Apply the faults that can strike any request."""
        faults = self.platform.faults
        if faults.strikes("rate-limit"):
            raise errors.rate_limited()
        if faults.strikes("json-500"):
            raise errors.internal()
        if faults.strikes("html-503"):
            self.set_status(503)
            self.set_header("Content-Type", "text/html")
            self.finish(_PAGE)

    def _check_precondition(self, wanted: str) -> None:
        """Refuse a request for a resource that has another ETag: https://www.rfc-editor.org/rfc/rfc9110#name-if-match."""
        if type(self).get is RequestHandler.get:
            return
        self._is_comparing, self._compared = True, ""
        try:
            self.get(*self.path_args)
        finally:
            self._is_comparing = False
        known = [each.strip().removeprefix("W/") for each in wanted.split(",")]
        if "*" not in known and self._compared not in known:
            raise errors.precondition_failed()

    def set_default_headers(self) -> None:
        """Report the remaining budget with every response."""
        super().set_default_headers()
        self._set_rate_headers()

    def body(self) -> dict[str, Any]:
        """Return the request's JSON object."""
        return requests.json_object(self.request.body)

    def find_app(self, identity: str) -> AppRuntime:
        """Return an app by name or id, with the present content of its folder."""
        runtime = self.platform.find(identity)
        runtime.releases.refresh()
        return runtime

    def app_json(self, app: EmulatedApp) -> dict[str, Any]:
        """Return an app as the API represents it."""
        return responses.app(app, base=self.url, git=self.git_url)

    def respond_with_list(self, items: Sequence[dict[str, Any]], *keys: str) -> None:
        """Respond with the part of a list that the Range header requests."""
        page = ranges.page(items, self.request.headers.get("Range"), keys)
        for name, value in page.headers.items():
            self.set_header(name, value)
        self.respond(page.items, page.status)

    def _set_rate_headers(self) -> None:
        self.set_header("RateLimit-Remaining", str(self.settings["platform"].rate_limit.remaining))
        self.set_header("RateLimit-Multiplier", "1")

    def _check_scope(self, grant: Grant) -> None:
        accepted = self.reads if self.request.method in {"GET", "HEAD"} else self.writes
        names = sorted(accepted)
        self.set_header("Oauth-Scope", " ".join(grant.scope))
        self.set_header("Oauth-Scope-Accepted", " ".join(names))
        if not accepted.intersection(grant.scope):
            raise errors.forbidden(
                f"This token has the scope {', '.join(grant.scope)}. This request needs one of {', '.join(names)}."
            )
