"""HerokuClient: the verbs of the Platform API over HTTP, with one retry policy; it keeps no state of an app.

The token goes to the API's own host only: never after a redirect, never to the log's host. Nothing
that `requests` raises leaves this module: its exceptions and their frames hold headers and URLs.
"""

from __future__ import annotations

import copy
import logging
import platform
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from heroku_magic import rest
from heroku_magic.errors import ApiError, Conflict, RateLimited, Unreachable
from heroku_magic.resources import Account, App, Authorization, Dyno, LogSession, ProcessType, RateLimit, Release
from heroku_magic.settings import LOOPBACK
from heroku_magic.version import VERSION

if TYPE_CHECKING:
    from heroku_magic.secret import Secret

T = TypeVar("T")
Say = Callable[[str], None]

BACKLOG = 1500  # lines that Logplex keeps an app: https://devcenter.heroku.com/articles/log-runtime-metrics
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 30
# No heartbeat for this long: the log stream is dead, whatever TCP believes.
SILENCE_TIMEOUT = 45
LONGEST_WAIT = 60  # seconds, in all, that a busy API is asked again
TRIES = 4
QUOTA = 4500  # requests an hour: https://devcenter.heroku.com/articles/platform-api-reference#rate-limits


def _say_nothing(_: str) -> None:
    """Wait without a word."""


class HerokuClient:
    """The Platform API at one host with one token; safe to use from several threads.

    `say` gets one quiet line when a request is tried again, so that a wait is never without a word.
    """

    def __init__(self, base_url: str, token: Secret, *, token_source: str = "", say: Say = _say_nothing) -> None:
        self.base_url = base_url
        self.token_source = token_source
        self._say = say
        self._session = _session(base_url)
        self._token = token
        self._left = deque([QUOTA], maxlen=1)  # shared by the copies that `with_say` makes
        self._auth = _BearerAuth(token)

    def with_say(self, say: Say) -> HerokuClient:
        """Return a client of the same connections that tells somebody else when it waits."""
        other = copy.copy(self)
        other._say = say  # noqa: SLF001 - another of us
        return other

    @property
    def requests_left(self) -> int:
        """How many requests the account had left in this hour when the API last answered."""
        return self._left[0]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def account(self) -> Account:
        """Return the account behind the token."""
        return self._get(rest.path("account"), Account)

    def rate_limit(self) -> RateLimit:
        """Return the requests left in this hour; documented as free of charge."""
        return self._get(rest.path("account", "rate-limits"), RateLimit)

    def token_expires_in(self) -> float | None:
        """Return how many seconds the token still has; None: it does not end, or is not listed."""
        granted = self._get(rest.path("oauth", "authorizations"), list[Authorization])
        tokens = [one.access_token for one in granted if one.access_token]
        return next((one.expires_in for one in tokens if one.token.reveal() == self._token.reveal()), None)

    def apps(self) -> list[App]:
        """Return the account's own apps and those it works on."""
        return self._get(rest.path("apps"), list[App])

    def app(self, app: str) -> App:
        """Return an app by name or id."""
        return self._get(rest.path("apps", app), App)

    def config_vars(self, app: str) -> dict[str, str | None]:
        """Return the app's config vars, values included."""
        return self._get(rest.path("apps", app, "config-vars"), dict[str, str | None])

    def formation(self, app: str) -> list[ProcessType]:
        """Return the app's process types."""
        return self._get(rest.path("apps", app, "formation"), list[ProcessType])

    def current_release(self, app: str) -> Release | None:
        """Return the newest release, or None for an app that has none."""
        newest = {"Range": "version ..; order=desc,max=1"}
        releases = self._get(rest.path("apps", app, "releases"), list[Release], newest)
        return releases[0] if releases else None

    def dynos(self, app: str) -> list[Dyno]:
        """Return the app's dynos that are there now."""
        return self._get(rest.path("apps", app, "dynos"), list[Dyno])

    def dyno(self, app: str, dyno: str) -> Dyno:
        """Return a dyno by name or id; NotFound once it is over."""
        return self._get(rest.path("apps", app, "dynos", dyno), Dyno)

    def create_dyno(
        self, app: str, command: str, env: Mapping[str, str], *, size: str | None, time_to_live: int
    ) -> Dyno:
        """Start a one-off dyno and return it. time_to_live: seconds.

        Tried again only where the API itself said that nothing was started, or no connection was
        made; a lost answer raises Unreachable with `sent`, for a blind second try would be billed.
        """
        body = rest.dyno_request(command, env, size=size, time_to_live=time_to_live)
        url = rest.path("apps", app, "dynos")
        return self._retry(_nothing_started, lambda: self._send("POST", url, Dyno, body=body))

    def stop_dyno(self, app: str, dyno: str) -> None:
        """Ask Heroku to stop a dyno: SIGTERM, 30 seconds, SIGKILL."""
        url = rest.path("apps", app, "dynos", dyno, "actions", "stop")
        self._retry(_passing, lambda: self._send("POST", url, Any))

    def create_log_session(self, app: str, *, dyno: str, lines: int = BACKLOG, tail: bool = True) -> LogSession:
        """Open a log session of a dyno (`run.1234`), of a type (`run`), or of the whole app (an empty text)."""
        body = {**({"dyno": dyno} if dyno else {}), "lines": lines, "tail": tail}
        url = rest.path("apps", app, "log-sessions")
        return self._retry(
            _passing,
            lambda: self._send("POST", url, LogSession, body=body, headers={"Accept": rest.ACCEPT_SDK}),
        )

    def open_log(self, session: LogSession) -> requests.Response:
        """Open a log session's stream. The URL is the secret; the token is not sent with it."""
        url = session.logplex_url.reveal()
        _hide(url)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        with _session(url) as http:
            response = _ask(
                lambda: http.get(
                    url,
                    headers=headers,
                    auth=_no_auth,
                    stream=True,
                    timeout=(CONNECT_TIMEOUT, SILENCE_TIMEOUT),
                    allow_redirects=False,
                )
            )
        if response.status_code != requests.codes.ok:
            response.close()
            raise ApiError("The log session is not there any more.", status=response.status_code)
        return response

    def _get(self, url: str, expected: type[T], headers: Mapping[str, str] | None = None) -> T:
        return self._retry(_passing, lambda: self._send("GET", url, expected, headers=headers))

    def _send(
        self,
        method: str,
        url: str,
        expected: type[T],
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        response = _ask(
            lambda: self._session.request(
                method,
                self.base_url + url,
                json=body,
                headers={"Accept": rest.ACCEPT, **(headers or {})},
                auth=self._auth,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
            )
        )
        if (left := response.headers.get("RateLimit-Remaining", "")).isdecimal():
            self._left.append(int(left))
        return rest.data(response.status_code, response.headers, response.content, expected)

    def _retry(self, again: Callable[[BaseException], bool], send: Callable[[], T]) -> T:
        """Send, and send again while the error is one that passes; the last error is raised."""
        policy = tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            wait=_wait,
            stop=_is_enough,
            before_sleep=self._tell,
            reraise=True,
        )
        return policy(send)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        seconds = state.next_action.sleep if state.next_action else 0
        if seconds >= 1:
            self._say(f"API busy, trying again in {seconds:.0f} s")


class _BearerAuth(AuthBase):
    """Put the token into a request. An explicit auth object also keeps `requests` from netrc's login."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class _HideLogUrls(logging.Filter):
    """Keep log URLs out of urllib3's debug log, which writes the path of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: deque[str] = deque(maxlen=1000)

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(secret in message for secret in tuple(self.secrets))


_hidden = _HideLogUrls()


def _hide(url: str) -> None:
    """From now on no debug line that names this URL is written."""
    parts = urlsplit(url)
    _hidden.secrets.append(parts.query or parts.path)
    logging.getLogger("urllib3.connectionpool").addFilter(_hidden)  # a second time changes nothing


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _session(url: str) -> requests.Session:
    """A session that never sends loopback calls to a proxy, whatever the environment says."""
    session = requests.Session()
    session.trust_env = urlsplit(url).hostname not in LOOPBACK
    session.headers["User-Agent"] = f"heroku-magic/{VERSION} python/{platform.python_version()}"
    adapter = HTTPAdapter(pool_maxsize=32)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _ask(send: Callable[[], requests.Response]) -> requests.Response:
    """Send one request; whatever `requests` raises becomes one error without its frames."""
    failure: Unreachable
    try:
        return send()
    except requests.exceptions.SSLError:
        failure = Unreachable("The TLS certificate of the API's host could not be verified; nothing was sent.")
        failure.sent = False
    except requests.exceptions.ConnectTimeout:
        failure = _unreachable("no connection within 10 s", sent=False)
    except requests.exceptions.Timeout:
        failure = _unreachable("no answer within 30 s", sent=True)
    except requests.exceptions.ConnectionError as error:
        refused = _never_connected(error)
        failure = _unreachable("no connection" if refused else "the connection broke", sent=not refused)
    except requests.exceptions.RequestException as error:
        failure = _unreachable(type(error).__name__, sent=True)
    raise failure


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


def _unreachable(reason: str, *, sent: bool) -> Unreachable:
    failure = Unreachable(
        f"The Platform API does not answer ({reason}): check the network and https://status.heroku.com."
    )
    failure.sent = sent
    return failure


def _passing(error: BaseException) -> bool:
    """Errors that pass, for requests that do no harm when they arrive twice."""
    if isinstance(error, RateLimited):
        return (error.retry_after or 0) <= LONGEST_WAIT
    return isinstance(error, Unreachable) and not 300 <= error.status < 500


def _nothing_started(error: BaseException) -> bool:
    """Errors that say that no dyno was started: the release is not visible yet, or nothing was sent."""
    if isinstance(error, Unreachable):
        return not error.sent
    return isinstance(error, Conflict) or (isinstance(error, RateLimited) and _passing(error))


def _is_enough(state: tenacity.RetryCallState) -> bool:
    """Four tries; of a busy API as many as fit into a minute, for its quota comes back bit by bit."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        return state.idle_for + (error.retry_after or 0) > LONGEST_WAIT
    return state.attempt_number >= TRIES


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: what the answer says, else a random part of a doubling from 0.2 s."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        # Many runs wait for one quota: they must not ask in step.
        return (error.retry_after or 2.0) + random.uniform(0, 1)  # noqa: S311 - no secret
    return float(tenacity.wait_random_exponential(multiplier=0.2, max=4)(state))
