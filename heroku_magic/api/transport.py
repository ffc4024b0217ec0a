"""Sends requests to the Platform API, and retries them while the API is busy.

The token goes to the API's own host only: never after a redirect, never to another host. Nothing that
`requests` raises leaves this module: its exceptions and their frames hold headers and URLs.
"""

from __future__ import annotations

import platform
import random
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import IO, Any, TypeVar

import requests
import tenacity
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError
from urllib3.util.ssl_match_hostname import CertificateError

from heroku_magic.api import rest
from heroku_magic.api.forks import begins_anew_after_fork
from heroku_magic.api.host import LOOPBACK, parse, sent_by_api
from heroku_magic.errors import ApiError, Conflict, RateLimited, Unreachable
from heroku_magic.text.notifier import notify
from heroku_magic.text.redact import Mask
from heroku_magic.text.sanitize import LINE, clipped
from heroku_magic.text.secret import Secret

T = TypeVar("T")
RetryCondition = Callable[[BaseException], bool]

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 30
LONGEST_WAIT = 60  # seconds, in all, between the tries of one request
TRIES = 4
_CHANCE = random.SystemRandom()  # takes nothing from the generator that a notebook may have seeded
QUOTA = 4500  # requests per hour: https://devcenter.heroku.com/articles/platform-api-reference#rate-limits


def is_transient(error: BaseException) -> bool:
    """Return whether an error is temporary, so that a request that may safely arrive twice can be retried."""
    if isinstance(error, RateLimited):
        return (error.retry_after or 0) <= LONGEST_WAIT
    return isinstance(error, Unreachable) and rest.is_uncertain(error.status)


def is_safe_to_retry(error: BaseException) -> bool:
    """Return whether nothing was started: the release is not visible yet, or the request never arrived."""
    if isinstance(error, Unreachable):
        return not error.sent
    return isinstance(error, Conflict) or (isinstance(error, RateLimited) and is_transient(error))


class Transport:
    """Sends requests to one host with one token; safe to use from several threads."""

    def __init__(self, base_url: str, token: Secret) -> None:
        self.base_url = base_url
        self.token = token
        self._auth = _BearerAuth(token)
        self.requests_left = QUOTA  # of the account in this hour, according to the API's last response
        self.begin_anew()
        begins_anew_after_fork(self)

    def begin_anew(self) -> None:
        """Use new connections, as a forked process must: on those of its parent, each could get the other's answers."""
        address = parse(self.base_url)
        # A sweep stops 50 dynos at once.
        self._session = _session(address.host if address else "", HTTPAdapter(pool_maxsize=64))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        expected: type[T],
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        retry_if: RetryCondition = is_transient,
    ) -> T:
        """Send a request, retrying while `retry_if` accepts its error; return the data or raise the last error."""
        return self._send(method, url, expected, body=body, headers=headers, retry_if=retry_if)[0]

    def get_list(self, url: str, expected: type[list[T]], first: str | None = None) -> list[T]:
        """Return a list to its end, page by page. first: the range of the first page.

        https://devcenter.heroku.com/articles/platform-api-reference#ranges
        """
        items: list[T] = []
        following = first
        while True:
            headers = {"Range": following} if following else None
            page, answered = self._send("GET", url, expected, headers=headers)
            items += page
            if not (next_range := answered.get("Next-Range")):
                return items
            if next_range == following:
                raise ApiError(f"The list {url} has no end: the API answered with the same page again.")
            following = next_range

    def _send(
        self,
        method: str,
        url: str,
        expected: type[T],
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        retry_if: RetryCondition = is_transient,
    ) -> tuple[T, Mapping[str, str]]:
        """Return the data of a response and its headers."""

        def send_once() -> tuple[T, Mapping[str, str]]:
            response = _perform(
                lambda: self._session.request(
                    method,
                    self.base_url + url,
                    json=_revealed(body),
                    headers={"Accept": rest.ACCEPT, **(headers or {})},
                    auth=self._auth,
                    timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                    allow_redirects=False,
                )
            )
            if (left := response.headers.get("RateLimit-Remaining", "")).isdecimal():
                self.requests_left = int(left)
            if not 200 <= response.status_code < 300:
                mask = Mask([self.token, *_secrets(body)])
                raise rest.error(response.status_code, response.headers, response.content, mask, url)
            return rest.data(response.status_code, response.headers, response.content, expected), response.headers

        policy = tenacity.Retrying(
            retry=tenacity.retry_if_exception(retry_if),
            wait=_wait,
            stop=_is_exhausted,
            before_sleep=_notify_of_wait,
            reraise=True,
        )
        return policy(send_once)


def open_stream(url: Secret, *, accept: str, silence: float, offset: int = 0) -> requests.Response:
    """Open a stream whose URL is the secret: the token is not sent with it, and no debug log names it.

    silence: seconds without a byte after which a read times out. offset: the first byte to request; a
    host that ignores it answers 200.
    """
    headers = {"Accept": accept, "Cache-Control": "no-cache"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    response = _send_without_token("GET", url, headers, silence, stream=True)
    if response.status_code not in {requests.codes.ok, requests.codes.partial_content}:
        response.close()
        raise ApiError("The stream has ended.", status=response.status_code)
    return response


def put_blob(url: Secret, content: IO[bytes], size: int) -> None:
    """Upload `size` bytes to a URL, which is the secret: neither the token nor a content type goes with it.

    The signature of the URL covers an empty content type:
    https://devcenter.heroku.com/articles/build-and-release-using-the-api#sources-endpoint
    """
    headers = {"Content-Type": "", "Content-Length": str(size)}
    response = _send_without_token("PUT", url, headers, READ_TIMEOUT, data=content)
    if response.status_code != requests.codes.ok:
        raise Unreachable("The upload was rejected.", status=response.status_code)


def _send_without_token(
    method: str, url: Secret, headers: Mapping[str, str], read_timeout: float, **options: Any
) -> requests.Response:
    """Send a request to a URL that the API has handed out, which is a secret by itself."""
    address = sent_by_api(url)
    with _session(address.host, _ExactTarget(address.target)) as http:
        return _perform(
            lambda: http.request(
                method,
                address.origin,
                headers=headers,
                auth=_no_auth,
                timeout=(CONNECT_TIMEOUT, read_timeout),
                allow_redirects=False,
                **options,
            )
        )


class _BearerAuth(AuthBase):
    """Put the token into a request. An explicit auth object also keeps `requests` from netrc's login."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _ExactTarget(HTTPAdapter):
    """Requests one path and query byte for byte, while `requests`, urllib3 and their logs only see `/`.

    Both would write it their own way, and it is a secret.
    """

    def __init__(self, target: Secret) -> None:
        self._target = target
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._use_target(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._use_target(manager)
        return manager

    def _use_target(self, manager: Any) -> None:
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: _pool_for(pool, self._target) for scheme, pool in pools.items()}


def _pool_for(pool: Any, target: Secret) -> Any:
    """Return a class of connection pools whose connections request the target instead of `/`."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # urllib3 chooses the class
        def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:
            super().putrequest(method, target.reveal() if url == "/" else url, *args, **options)

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def _session(host: str, adapter: HTTPAdapter) -> requests.Session:
    """Return a session that sends no loopback request to a proxy, even if the environment names one."""
    session = requests.Session()
    session.trust_env = host not in LOOPBACK
    session.headers["User-Agent"] = _user_agent()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


@cache
def _user_agent() -> str:
    return f"heroku-magic/{version('heroku-magic')} python/{platform.python_version()}"


def _perform(send: Callable[[], requests.Response]) -> requests.Response:
    """Perform one request; raise errors without their frames, which hold the token and the body."""
    failure: Unreachable | KeyboardInterrupt
    try:
        return send()
    except KeyboardInterrupt:
        failure = KeyboardInterrupt()
    except requests.exceptions.SSLError as error:
        failure = _tls_failure(error)
    except (requests.exceptions.ProxyError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        failure = _proxy_failure(error)
    except requests.exceptions.ConnectTimeout:
        failure = _unreachable(f"no connection within {CONNECT_TIMEOUT} s", sent=False)
    except requests.exceptions.Timeout:
        failure = _unreachable(f"no response within {READ_TIMEOUT} s", sent=True)
    except requests.exceptions.ConnectionError as error:
        refused = isinstance(_reason(error), NewConnectionError)
        failure = _unreachable("no connection" if refused else "the connection broke", sent=not refused)
    except requests.exceptions.RequestException as error:
        failure = _unreachable(type(error).__name__, sent=True)
    except OSError as error:  # a file of certificates, which `requests` looks for before it connects
        failure = _failure(
            f"The request could not be prepared: {clipped(str(error), LINE)}. "
            "Check the environment variables REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.",
            sent=False,
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, its frames hold the token and the body
        failure = _unreachable(type(error).__name__, sent=True)
    raise failure


def _revealed(body: Any) -> Any:
    """Return a request's body with its secrets revealed; only `requests` holds it."""
    if isinstance(body, Secret):
        return body.reveal()
    return {name: _revealed(value) for name, value in body.items()} if isinstance(body, Mapping) else body


def _secrets(body: Any) -> list[Secret]:
    if isinstance(body, Secret):
        return [body]
    return [secret for value in body.values() for secret in _secrets(value)] if isinstance(body, Mapping) else []


def _reason(error: requests.exceptions.RequestException) -> Exception | None:
    """Return the error of urllib3 behind one of `requests`, if there is one."""
    return getattr(error.args[0], "reason", None) if error.args else None


def _proxy_failure(error: requests.exceptions.RequestException) -> Unreachable:
    """The API's own URL was checked before, so that the URL at fault is the proxy's, and nothing was sent to the API.

    It may contain a password, and so may a message about it.
    """
    cause = getattr(_reason(error), "original_error", None)
    if not isinstance(error, requests.exceptions.ProxyError):
        said = "its URL is not valid, or of a kind that is not supported"
    elif type(cause) is OSError:  # of http.client: the proxy's status
        said = clipped(str(cause), LINE)
    else:
        said = "no connection"
    return _failure(
        f"The Platform API was not reached through the proxy ({said}); nothing was sent. Check the environment "
        "variables HTTPS_PROXY and ALL_PROXY, or name the API's host in NO_PROXY.",
        sent=False,
    )


def _tls_failure(error: requests.exceptions.SSLError) -> Unreachable:
    """Only a certificate is refused before anything is sent; other faults of TLS may strike the response."""
    reason: object = error
    while isinstance(reason, BaseException) and not isinstance(reason, CertificateError | ssl.SSLCertVerificationError):
        reason = getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)
    if not isinstance(reason, BaseException):
        return _unreachable("the TLS connection broke", sent=True)
    return _failure(
        "The TLS certificate of the API's host could not be verified; nothing was sent. Behind a company's proxy, set "
        "REQUESTS_CA_BUNDLE to the file of its certificate authorities; else check the computer's date.",
        sent=False,
    )


def _unreachable(reason: str, *, sent: bool) -> Unreachable:
    message = f"The Platform API does not answer ({reason}): check the network and https://status.heroku.com."
    return _failure(message, sent=sent)


def _failure(message: str, *, sent: bool) -> Unreachable:
    failure = Unreachable(message)
    failure.sent = sent
    return failure


def _notify_of_wait(state: tenacity.RetryCallState) -> None:
    seconds = state.next_action.sleep if state.next_action else 0
    if seconds >= 1:
        notify(f"API busy, trying again in {seconds:.0f} s")


def _is_exhausted(state: tenacity.RetryCallState) -> bool:
    """Stop after `TRIES`; if the quota is used up, which refills steadily, after a minute."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        return state.idle_for + (error.retry_after or 0) > LONGEST_WAIT
    return state.attempt_number >= TRIES


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds until the next try: those of the response, else exponential backoff with jitter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        # Many runs wait for one quota: their tries must not coincide.
        return (error.retry_after or 2.0) + _CHANCE.uniform(0, 1)
    return _CHANCE.uniform(0, tenacity.wait_exponential(multiplier=0.2, max=4)(state))
