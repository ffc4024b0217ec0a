"""Builds Platform API paths and bodies, and turns responses into data or errors.

https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

import msgspec

from heroku_magic.api.resources import ONE_OFF
from heroku_magic.errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidOptions,
    NotFound,
    RateLimited,
    Refused,
    Unauthorized,
    Unreachable,
)
from heroku_magic.text.redact import NO_MASK, Mask
from heroku_magic.text.sanitize import clean, clean_line
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

ACCEPT = "application/vnd.heroku+json; version=3"
# The variant that the official CLI uses for log sessions: there the filter is called `dyno`.
ACCEPT_SDK = f"{ACCEPT}.sdk"

_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    402: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Refused,
    429: RateLimited,
}
_PAYMENT = "Heroku asks for a payment method: https://dashboard.heroku.com/account/billing"
_REMEDY_BY_ID = {
    "cannot_run_above_limit": "Wait until one ends, or stop one: `%heroku ps` lists them.",
    "two_factor": "Heroku requires a second factor here: log in with the official CLI in a terminal (`heroku login`), "
    "or set HEROKU_API_KEY to a token of `heroku authorizations:create`.",
    "delinquent": _PAYMENT,
    "verification_needed": _PAYMENT,
    "verification_required": _PAYMENT,
    "suspended": "Heroku has suspended the account or the app: https://help.heroku.com",
    "device_trust_required": "Heroku requires a login in a browser here: run `heroku login` in a terminal.",
}
_REMEDY = {
    401: "The token is wrong, expired or revoked: check HEROKU_API_KEY, or let %heroku login ask for another one.",
    402: _PAYMENT,
    403: "The token is valid but may not do this: use one with the necessary scope (%heroku login --scope). If the app "
    "belongs to a team, ask one of its admins for the permission.",
    409: "Heroku is not ready for this, for example just after a release. Try again in a few seconds.",
    429: "The account's requests for this hour are used up. Wait a few minutes.",
}
_OUTAGE = "The API may be down for a moment: check https://status.heroku.com and try again."


def path(*parts: str) -> str:
    """Join path parts, each quoted, so that a name cannot lead to another path."""
    if nameless := [part for part in parts if part in {"", ".", ".."}]:
        raise InvalidOptions(f"{nameless[0]!r} is not a valid name of an app or a dyno.")
    return "/" + "/".join(quote(part, safe="~") for part in parts)


def data(status: int, headers: Mapping[str, str], body: bytes, expected: type[T]) -> T:
    """Return the body of a successful response as the expected type.

    A response that does not come from the API (a router's HTML page, a body of another shape) is Unreachable.
    """
    try:
        return msgspec.json.decode(body, type=expected, dec_hook=_secret)
    except (msgspec.MsgspecError, RecursionError):
        raise _foreign(status, headers) from None


def error(status: int, headers: Mapping[str, str], body: bytes, mask: Mask = NO_MASK, url: str = "") -> ApiError:
    """Return the error of a response: Heroku's own sentence, which may repeat a secret, then what to do.

    url: the path of the request, which names the app that was not found.

    After a 5xx, a 408 or a redirect it is uncertain whether the request took effect, whoever sent it: Unreachable.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not (isinstance(said, dict) and isinstance(said.get("message"), str)):
        return _foreign(status, headers)
    kind = Unreachable if is_uncertain(status) else _BY_STATUS.get(status, ApiError)
    remedy = _OUTAGE if kind is Unreachable else _REMEDY.get(status)
    message = clean(mask.text(said["message"])[:900]).strip()
    app = re.match(r"/apps/([^/?]+)", url) if status == 404 and said.get("resource") == "app" else None
    if app:
        words = [f"There is no app {clean_line(unquote(app[1])[:60])}, or this account has no access to it."]
        remedy = "%heroku apps lists the account's apps."
    else:
        words = [message]
        remedy = _REMEDY_BY_ID.get(str(said.get("id"))) or remedy
    answer = kind(
        ("\n" if "\n" in message else " ").join(filter(None, [*words, remedy])),
        status=status,
        id=str(said.get("id", "")),
        request_id=headers.get("Request-Id", ""),
    )
    answer.said = message
    if isinstance(answer, NotFound):
        answer.resource = str(said.get("resource", ""))
    if isinstance(answer, RateLimited):
        answer.retry_after = retry_after(headers)
    return answer


def is_uncertain(status: int) -> bool:
    """Return whether the status of an error leaves open whether the request took effect."""
    return status >= 500 or status == 408 or status < 400


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait, if the response says."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def is_listed_as(token: Secret, listed: Secret) -> bool:
    """Return whether a token is the listed one, which may be shown in full or with asterisks in the middle."""
    first, *last = re.split(r"\*{3,}", listed.reveal(), maxsplit=1)
    if not last:
        return token == listed
    text = token.reveal()
    return bool(first and last[0]) and text.startswith(first) and text.endswith(last[0])


def dyno_request(
    command: str, env: Mapping[str, str | Secret], *, size: str | None, time_to_live: int, attach: bool = False
) -> dict[str, Any]:
    """Return the body of a dyno create: https://devcenter.heroku.com/articles/platform-api-reference#dyno-create."""
    body: dict[str, Any] = {
        "command": command,
        "attach": attach,
        **({"force_no_tty": True} if attach else {}),
        "env": dict(env),
        "type": ONE_OFF,
        "time_to_live": time_to_live,
    }
    return {**body, "size": size} if size else body


def _foreign(status: int, headers: Mapping[str, str]) -> Unreachable:
    kind = headers.get("Content-Type", "no content type").partition(";")[0]
    return Unreachable(
        f"The response did not come from the Platform API (status {status}, {clean_line(kind[:80])}). It may be "
        "down for a moment: check https://status.heroku.com and try again.",
        status=status,
        request_id=headers.get("Request-Id", ""),
    )


def _secret(kind: type[Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(kind.__name__)  # msgspec makes its ValidationError of it
