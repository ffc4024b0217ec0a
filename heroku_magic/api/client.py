"""The endpoints of the Platform API that this package uses, one method each."""

from __future__ import annotations

import ssl
from typing import IO, TYPE_CHECKING, Any, TypeVar

from heroku_magic.api import rest
from heroku_magic.api.host import parse
from heroku_magic.api.resources import (
    AccountInfo,
    App,
    AttachedDyno,
    Authority,
    Authorization,
    Build,
    Dyno,
    InstallationProgress,
    InstallationReport,
    LogSession,
    NewSource,
    ProcessType,
    RateLimit,
    Release,
    Slug,
    Source,
)
from heroku_magic.api.transport import Transport, is_safe_to_retry, open_stream, put_blob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

    from heroku_magic.text.secret import Secret

T = TypeVar("T")

BACKLOG = 1500  # lines that Logplex keeps per app: https://devcenter.heroku.com/articles/log-runtime-metrics
# No heartbeat for this long: the log stream is dead, whatever TCP believes.
SILENCE_TIMEOUT = 45


class HerokuClient:
    """The Platform API at one host with one token; safe to use from several threads."""

    def __init__(self, base_url: str, token: Secret, *, token_source: str = "") -> None:
        self.base_url = base_url
        self.token_source = token_source
        self._transport = Transport(base_url, token)

    @property
    def requests_left(self) -> int:
        """How many requests the account had left in this hour, according to the API's last response."""
        return self._transport.requests_left

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def account(self) -> AccountInfo:
        """Return the account that the token belongs to."""
        return self._get(rest.path("account"), AccountInfo)

    def rate_limit(self) -> RateLimit:
        """Return the requests left in this hour; this request does not count."""
        return self._get(rest.path("account", "rate-limits"), RateLimit)

    @property
    def token(self) -> Secret:
        """The token that the client sends."""
        return self._transport.token

    def token_expires_in(self) -> float | None:
        """Return in how many seconds the token expires; None if it never does, or is not listed."""
        tokens = [one.access_token for one in self.authorizations() if one.access_token]
        return next((one.expires_in for one in tokens if rest.is_listed_as(self._transport.token, one.token)), None)

    def authorizations(self) -> list[Authorization]:
        """Return the account's authorizations; needs a token of the scope `global`."""
        return self._transport.get_list(rest.path("oauth", "authorizations"), list[Authorization])

    def authorize(self, description: str, scope: Sequence[str], expires_in: int) -> Authorization:
        """Create an authorization, which has a new token. expires_in: seconds."""
        body = {"description": description, "scope": list(scope), "expires_in": expires_in}
        return self._create(rest.path("oauth", "authorizations"), Authorization, body)

    def revoke(self, authorization: str) -> None:
        """Revoke an authorization and its token."""
        self._transport.send("DELETE", rest.path("oauth", "authorizations", authorization), Any)

    def apps(self) -> list[App]:
        """Return the account's own apps and those it collaborates on."""
        return self._transport.get_list(rest.path("apps"), list[App], "name ..; max=1000")

    def app(self, app: str) -> App:
        """Return an app by name or id."""
        return self._get(rest.path("apps", app), App)

    def create_app(self, name: str | None, *, region: str | None, stack: str | None) -> App:
        """Create an app. After a lost response there is no retry: the app may exist."""
        given = {"name": name, "region": region, "stack": stack}
        body = {key: value for key, value in given.items() if value}
        return self._create(rest.path("apps"), App, body)

    def destroy_app(self, app: str) -> None:
        """Destroy an app with all its resources."""
        self._transport.send("DELETE", rest.path("apps", app), Any)

    def log_drains(self, app: str) -> int:
        """Return how many drains receive the app's log; their URLs are secrets."""
        return len(self._transport.get_list(rest.path("apps", app, "log-drains"), list[Any]))

    def set_config_vars(self, app: str, values: Mapping[str, Secret | None]) -> None:
        """Set config vars, or unset them where it is None; Heroku creates a release and restarts the formation."""
        self._transport.send("PATCH", rest.path("apps", app, "config-vars"), Any, body=values)

    def config_vars(self, app: str) -> dict[str, str | None]:
        """Return the app's config vars, values included."""
        return self._get(rest.path("apps", app, "config-vars"), dict[str, str | None])

    def formation(self, app: str) -> list[ProcessType]:
        """Return the app's process types."""
        return self._transport.get_list(rest.path("apps", app, "formation"), list[ProcessType])

    def current_release(self, app: str) -> Release | None:
        """Return the newest release, or None for an app that has none."""
        newest = {"Range": "version ..; order=desc,max=1"}
        releases = self._get(rest.path("apps", app, "releases"), list[Release], newest)
        return releases[0] if releases else None

    def releases(self, app: str) -> list[Release]:
        """Return the app's releases, the newest first."""
        newest = "version ..; order=desc,max=1000"
        return self._transport.get_list(rest.path("apps", app, "releases"), list[Release], newest)

    def release(self, app: str, release: str) -> Release:
        """Return a release by id or version."""
        return self._get(rest.path("apps", app, "releases", release), Release)

    def rollback(self, app: str, release: str) -> Release:
        """Create a release from an earlier one, by its id."""
        return self._create(rest.path("apps", app, "releases"), Release, {"release": release})

    def slug(self, app: str, slug: str) -> Slug:
        """Return a slug by id."""
        return self._get(rest.path("apps", app, "slugs", slug), Slug)

    def scale(self, app: str, quantities: Mapping[str, int]) -> None:
        """Set how many dynos of each process type run."""
        body = {"updates": [{"type": name, "quantity": quantity} for name, quantity in quantities.items()]}
        self._transport.send("PATCH", rest.path("apps", app, "formation"), Any, body=body)

    def create_source(self) -> Source:
        """Create a source, to which an archive can be uploaded for about an hour."""
        return self._transport.send("POST", rest.path("sources"), NewSource).source_blob

    def upload(self, source: Source, archive: IO[bytes], size: int) -> None:
        """Upload an archive of `size` bytes, without retries."""
        put_blob(source.put_url, archive, size)

    def create_build(self, app: str, source: Source, checksum: str, version: str) -> Build:
        """Start a build of an archive. After a lost response there is no retry: the build may be under way."""
        blob = {"url": source.get_url.reveal(), "checksum": checksum, "version": version}
        return self._create(rest.path("apps", app, "builds"), Build, {"source_blob": blob})

    def build(self, app: str, build: str) -> Build:
        """Return a build by id."""
        return self._get(rest.path("apps", app, "builds", build), Build)

    def builds(self, app: str) -> list[Build]:
        """Return the app's builds, the newest first."""
        newest = "created_at ..; order=desc,max=1000"
        return self._transport.get_list(rest.path("apps", app, "builds"), list[Build], newest)

    def open_output(self, url: Secret, offset: int) -> requests.Response:
        """Open the output of a build or a release command at a byte offset. The URL is the secret.

        It ends with the build. NUL bytes are heartbeats, and not part of the output.
        """
        return open_stream(url, accept="text/plain", silence=SILENCE_TIMEOUT, offset=offset)

    def dynos(self, app: str) -> list[Dyno]:
        """Return the app's current dynos."""
        return self._transport.get_list(rest.path("apps", app, "dynos"), list[Dyno])

    def dyno(self, app: str, dyno: str) -> Dyno:
        """Return a dyno by name or id; NotFound once it is over."""
        return self._get(rest.path("apps", app, "dynos", dyno), Dyno)

    def create_dyno(
        self, app: str, command: str, env: Mapping[str, str | Secret], *, size: str | None, time_to_live: int
    ) -> Dyno:
        """Start a one-off dyno and return it. time_to_live: seconds.

        Retries only if the API reports that nothing was started, or no connection was made. After a lost
        response it raises Unreachable with `sent`, because a blind retry might be billed twice.
        """
        body = rest.dyno_request(command, env, size=size, time_to_live=time_to_live)
        return self._create(rest.path("apps", app, "dynos"), Dyno, body)

    def attach_dyno(
        self, app: str, command: str, env: Mapping[str, str | Secret], *, size: str | None, time_to_live: int
    ) -> tuple[Dyno, Secret]:
        """Start a one-off dyno that waits for a client, and return it with the URL to connect to; as `create_dyno`."""
        body = rest.dyno_request(command, env, size=size, time_to_live=time_to_live, attach=True)
        dyno = self._create(rest.path("apps", app, "dynos"), AttachedDyno, body)
        return dyno, dyno.attach_url

    def installation(self, app: str) -> InstallationProgress | None:
        """Return the state of an emulator's installation of an app's requirements; None if it is not installing."""
        return self._transport.send("POST", rest.path("emulator", "environments", app), InstallationReport).installing

    def cancel_installation(self, app: str) -> None:
        """End an emulator's installation of an app's requirements."""
        self._transport.send("DELETE", rest.path("emulator", "environments", app), InstallationReport)

    def tls_authority(self) -> str | None:
        """Return the certificate of the authority that an emulator has for itself, as PEM; None for Heroku."""
        address = parse(self.base_url)
        if address is None or not address.is_loopback:
            return None
        return self._get(rest.path("emulator", "authority"), Authority).certificate

    def tls_context(self) -> ssl.SSLContext:
        """Return the TLS context that checks an attached dyno's certificate."""
        return ssl.create_default_context(cadata=self.tls_authority())

    def stop_dyno(self, app: str, dyno: str) -> None:
        """Ask Heroku to stop a dyno: SIGTERM, 30 seconds, SIGKILL."""
        self._transport.send("POST", rest.path("apps", app, "dynos", dyno, "actions", "stop"), Any)

    def create_log_session(self, app: str, *, dyno: str, tail: bool = True) -> LogSession:
        """Open a log session of a dyno (`run.1234`), of a type (`run`), or of the whole app (an empty text)."""
        body = {**({"dyno": dyno} if dyno else {}), "lines": BACKLOG, "tail": tail}
        url = rest.path("apps", app, "log-sessions")
        return self._transport.send("POST", url, LogSession, body=body, headers={"Accept": rest.ACCEPT_SDK})

    def open_log(self, session: LogSession) -> requests.Response:
        """Open a log session's stream. The URL is the secret; the token is not sent with it."""
        return open_stream(session.logplex_url, accept="text/event-stream", silence=SILENCE_TIMEOUT)

    def _get(self, url: str, expected: type[T], headers: Mapping[str, str] | None = None) -> T:
        return self._transport.send("GET", url, expected, headers=headers)

    def _create(self, url: str, expected: type[T], body: Mapping[str, Any]) -> T:
        """Send a POST that creates something. It is sent again only if nothing can have been created."""
        return self._transport.send("POST", url, expected, body=body, retry_if=is_safe_to_retry)
