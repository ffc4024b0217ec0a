"""Requests -> answers of the Platform API: checks, then one call into the state; it keeps nothing itself.

Error bodies are Heroku's: https://devcenter.heroku.com/articles/platform-api-reference#errors
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, RequestHandler

from heroku_magic.emulator import answers
from heroku_magic.emulator.dynos import Dyno
from heroku_magic.emulator.environment import InstallFailed
from heroku_magic.emulator.folder import FolderError
from heroku_magic.emulator.logplex import BUFFER, Filter
from heroku_magic.emulator.state import Refusal, canonical_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.emulator.server import Server
    from heroku_magic.emulator.state import App

LONGEST_LIFE = 86400  # seconds
DEFAULT_LINES = 100
_ACCEPT = re.compile(r"application/vnd\.heroku\+json;\s*version=3(\.[\w-]+)?")
_ENV_NAME = re.compile(r"\w+")
_TYPE = re.compile(r"[-\w]{1,128}")
_RANGE = re.compile(r"\s*(\w+)\s+(\S*?)\.\.(\S*?)\s*(?:;(.*))?")
_PAGE, _LONGEST_PAGE = 200, 1000


class LocalHandler(RequestHandler):
    """A request from this machine, meant for this server and from no web page."""

    server: Server

    def initialize(self, server: Server) -> None:
        """Take the server that this request is for."""
        self.server = server

    def set_default_headers(self) -> None:
        """Name no server software."""
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse a foreign Host (DNS rebinding) and any Origin: no web page may start a process here."""
        if self.request.host not in self.server.hosts:
            raise Refusal(403, "forbidden", "This server answers to 127.0.0.1 and localhost alone.")
        if "Origin" in self.request.headers:
            raise Refusal(403, "forbidden", "This server answers to no web page.")

    def write_error(self, status_code: int, **about: Any) -> None:
        """Answer as Heroku does: id and message."""
        error = about["exc_info"][1] if "exc_info" in about else None
        if isinstance(error, Refusal):
            self.set_status(error.status)
            body: Mapping[str, Any] = error.body
        elif isinstance(error, HTTPError) or error is None:
            body = {
                "id": {404: "not_found", 405: "method_not_allowed"}.get(status_code, "bad_request"),
                "message": self._reason,
            }
        else:
            body = {"id": "internal_server_error", "message": "Internal server error."}
        self.finish_json(body)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what is a bug; a refusal is an answer."""
        if not isinstance(value, Refusal):
            super().log_exception(typ, value, tb)

    def finish_json(self, body: Any) -> None:
        """End with a JSON answer, never compressed: the official CLI does not ask for it."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))


class ApiHandler(LocalHandler):
    """A request of the Platform API: token, version, rate limit."""

    def prepare(self) -> None:
        """Check who asks, in which version, how often."""
        self.set_header("Request-Id", str(uuid.uuid4()))
        super().prepare()
        if not self._has_token():
            raise Refusal(401, "unauthorized", "Invalid credentials provided.")
        if not _ACCEPT.search(self.request.headers.get("Accept", "")):
            raise Refusal(406, "not_acceptable", "Specify a version: Accept: application/vnd.heroku+json; version=3")
        self._count()
        self.set_header("RateLimit-Remaining", str(self.server.account.remaining))
        self.set_header("RateLimit-Multiplier", "1")
        self.set_header("Cache-Control", "private, no-cache")

    def _count(self) -> None:
        self.server.account.count_request()

    def _has_token(self) -> bool:
        """Whether the token came, as Bearer or as Basic's password."""
        kind, _, given = self.request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        return kind.lower() in {"bearer", "basic"} and hmac.compare_digest(
            given.strip().encode(), self.server.token.encode()
        )

    def app_named(self, name: str) -> App:
        """Return the app of the URL."""
        return self.server.account.app(name)

    def body_object(self) -> dict[str, Any]:
        """Return the body, a JSON object; an empty one is an empty object."""
        if not self.request.body:
            return {}
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise Refusal(400, "bad_request", "The request's body is no JSON.") from None
        if not isinstance(body, dict):
            raise Refusal(400, "bad_request", "The request's body is no JSON object.")
        return body

    def finish_list(self, items: list[dict[str, Any]], key: str) -> None:
        """End with a page of a list, as the Range header asks: `version ..; order=desc,max=1`."""
        field, after, options = _range(self.request.headers.get("Range", ""), key)
        if options.get("order") == "desc":
            items = items[::-1]
        if after:
            values = [str(item.get(field)) for item in items]
            items = items[values.index(after) + (1 if field != key else 1) :] if after in values else items
        size = min(int(options.get("max", _PAGE)), _LONGEST_PAGE)
        page = items[:size]
        self.set_header("Accept-Ranges", key)
        if page:
            self.set_header("Content-Range", f"{field} {page[0].get(field)}..{page[-1].get(field)}")
        if len(items) > size and page:
            self.set_status(206)
            rest = "".join(f"; {name}={value}" for name, value in options.items())
            self.set_header("Next-Range", f"{field} ]{page[-1].get(field)}..{rest}")
        self.finish_json(page)


class AccountHandler(ApiHandler):
    """GET /account."""

    def get(self) -> None:
        """Return the account."""
        self.finish_json(answers.account(self.server.account))


class RateLimitsHandler(ApiHandler):
    """GET /account/rate-limits, free of charge."""

    def _count(self) -> None:
        """Count nothing."""

    def get(self) -> None:
        """Return the requests left."""
        self.finish_json({"remaining": self.server.account.remaining})


class AppsHandler(ApiHandler):
    """GET /apps."""

    def get(self) -> None:
        """Return all apps."""
        account = self.server.account
        self.finish_list([answers.app(app, account) for app in account.apps.values()], "id")


class AppHandler(ApiHandler):
    """GET /apps/{app}."""

    def get(self, app: str) -> None:
        """Return an app."""
        self.finish_json(answers.app(self.app_named(app), self.server.account))


class ConfigVarsHandler(ApiHandler):
    """GET and PATCH /apps/{app}/config-vars."""

    def get(self, app: str) -> None:
        """Return the config vars."""
        self.finish_json(self.app_named(app).all_config())

    def patch(self, app: str) -> None:
        """Set config vars and return them all."""
        found = self.app_named(app)
        found.set_config(self.body_object())
        self.finish_json(found.all_config())


class FormationHandler(ApiHandler):
    """GET /apps/{app}/formation and /apps/{app}/formation/{type}."""

    def get(self, app: str, kind: str | None = None) -> None:
        """Return the process types, or one."""
        entries = answers.formation(self.app_named(app))
        if kind is None:
            self.finish_list(entries, "id")
            return
        for entry in entries:
            if kind in {entry["type"], entry["id"]}:
                self.finish_json(entry)
                return
        raise Refusal(404, "not_found", "Couldn't find that process type.", resource="formation")


class ReleasesHandler(ApiHandler):
    """GET /apps/{app}/releases."""

    def get(self, app: str) -> None:
        """Return the releases."""
        found = self.app_named(app)
        found.release()
        self.finish_list([answers.release(one, found, self.server.account) for one in found.releases], "version")


class ReleaseHandler(ApiHandler):
    """GET /apps/{app}/releases/{release}."""

    def get(self, app: str, release: str) -> None:
        """Return a release by its id or version."""
        found = self.app_named(app)
        self.finish_json(answers.release(found.find_release(release), found, self.server.account))


class DynosHandler(ApiHandler):
    """GET and POST /apps/{app}/dynos."""

    def get(self, app: str) -> None:
        """Return the dynos that are there."""
        found = self.app_named(app)
        self.finish_list([answers.dyno(dyno, found) for dyno in found.dynos.values()], "id")

    async def post(self, app: str) -> None:
        """Start a one-off dyno; the answer does not wait for its process."""
        found = self.app_named(app)
        wanted = dyno_request(self.body_object())
        await self._environment(found)
        if wanted["kind"] == "run":
            self.server.account.check_limit(wanted["size"])
        dyno = Dyno(found, **wanted, grace=self.server.grace)
        found.logplex.write("app", "api", [_start_line(dyno.command, self.server.account.email)])
        self.server.start(dyno, found)
        self.set_status(201)
        self.finish_json(answers.dyno(dyno, found))

    async def _environment(self, app: App) -> None:
        """Have the app's requirements installed before a dyno is promised."""
        try:
            await self.server.environment(app).path()
        except InstallFailed as error:
            raise Refusal(422, "invalid_params", f"requirements.txt could not be installed:\n{error}") from None
        except (FolderError, OSError) as error:
            raise Refusal(422, "invalid_params", f"The app's environment could not be made: {error}") from None


class DynoHandler(ApiHandler):
    """GET and DELETE /apps/{app}/dynos/{dyno}."""

    def get(self, app: str, dyno: str) -> None:
        """Return a dyno by its name or id."""
        found = self.app_named(app)
        self.finish_json(answers.dyno(found.find_dyno(dyno), found))

    def delete(self, app: str, dyno: str) -> None:
        """Restart a dyno, which for a one-off is its end."""
        self.app_named(app).find_dyno(dyno).stop()
        self.set_status(202)
        self.finish_json({})


class StopHandler(ApiHandler):
    """POST /apps/{app}/dynos/{dyno}/actions/stop."""

    def post(self, app: str, dyno: str) -> None:
        """Stop a dyno; the answer does not wait for its end."""
        self.app_named(app).find_dyno(dyno).stop()
        self.set_status(202)
        self.finish_json({})


class LogSessionsHandler(ApiHandler):
    """POST /apps/{app}/log-sessions."""

    def post(self, app: str) -> None:
        """Make a log session; the filter is `dyno`, or `dyno_name` as the published schema calls it."""
        found = self.app_named(app)
        body = self.body_object()
        dyno = _text(body, "dyno") or _text(body, "dyno_name") or _text(body, "type")
        lines = _integer(body, "lines", DEFAULT_LINES, low=0, high=BUFFER)
        session = found.logplex.session(Filter(dyno, _text(body, "source")), lines=lines, tail=bool(body.get("tail")))
        self.server.sessions[session.token] = found.logplex
        self.set_status(201)
        self.finish_json(answers.log_session(session, self.server.url))


class DynoSizesHandler(ApiHandler):
    """GET /dyno-sizes."""

    def get(self) -> None:
        """Return the sizes."""
        self.finish_list(answers.dyno_sizes(), "id")


class NotFoundHandler(ApiHandler):
    """Every other URL."""

    def prepare(self) -> None:
        """Say so, once the token is there: without it nothing is told."""
        super().prepare()
        raise Refusal(404, "not_found", "The requested API endpoint was not found. Are you using the right HTTP verb?")


def dyno_request(body: dict[str, Any]) -> dict[str, Any]:
    """Return what a create asks for, checked as the schema has it."""
    known = {"attach", "command", "env", "force_no_tty", "size", "time_to_live", "type"}
    if unknown := sorted(body.keys() - known):
        raise Refusal(422, "invalid_params", f"Unknown attribute: {', '.join(unknown)}.")
    command = _text(body, "command")
    if not command:
        raise Refusal(422, "invalid_params", "Command can't be blank.")
    if body.get("attach"):
        raise Refusal(422, "invalid_params", "The embedded Heroku runs detached dynos only: send attach: false.")
    kind = _text(body, "type") or "run"
    if not _TYPE.fullmatch(kind):
        raise Refusal(422, "invalid_params", f"Type {kind!r} is no process type.")
    life = _integer(body, "time_to_live", None, low=1, high=LONGEST_LIFE)
    return {
        "kind": kind,
        "command": command,
        "size": canonical_size(_text(body, "size")),
        "env": _env(body.get("env")),
        "time_to_live": life,
    }


def _env(given: Any) -> dict[str, str]:
    """The `env` of a create; the CLI sends numbers for some, which become text."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Refusal(422, "invalid_params", "Env is no object of names and texts.")
    env = {}
    for name, value in given.items():
        if not _ENV_NAME.fullmatch(name) or isinstance(value, bool) or not isinstance(value, str | int):
            raise Refusal(422, "invalid_params", f"Env {name!r}: a name of letters, digits and _, and a text.")
        if "\0" in str(value) or not _encodable(str(value)):
            raise Refusal(422, "invalid_params", f"Env {name!r} holds a character that no environment can.")
        env[name] = str(value)
    return env


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or "\0" in value or not _encodable(value)):
        raise Refusal(422, "invalid_params", f"{name} is no text.")
    return value


def _integer(body: Mapping[str, Any], name: str, default: Any, *, low: int, high: int) -> Any:
    value = body.get(name, default)
    if value is default or value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refusal(422, "invalid_params", f"{name} is no whole number from {low} to {high}.")
    return value


def _range(header: str, key: str) -> tuple[str, str, dict[str, str]]:
    """Read `version ]12..; max=1, order=desc`: the field, what to begin after, and the options."""
    match = _RANGE.fullmatch(header) if header else None
    if header and match is None:
        raise Refusal(416, "requested_range_not_satisfiable", "The Range header cannot be read.")
    if match is None:
        return key, "", {}
    options = dict(re.findall(r"(\w+)=(\w+)", match[4] or ""))
    if not options.get("max", "1").isdecimal():
        raise Refusal(416, "requested_range_not_satisfiable", "The Range header's max is no number.")
    return match[1], match[2].lstrip("]"), options


def _start_line(command: str, email: str) -> bytes:
    return f"Starting process with command `{command}` by user {email}".encode()
