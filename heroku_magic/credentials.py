"""login and logout: a token for this process: found or asked for, checked, made narrower, and revoked in the end."""

from __future__ import annotations

import atexit
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heroku_magic.asking import ask
from heroku_magic.client import HerokuClient
from heroku_magic.errors import ApiError, Forbidden, HerokuMagicError, Unauthorized
from heroku_magic.owner import token_mark
from heroku_magic.settings import base_url
from heroku_magic.tokens import Kept, NoToken, find_token, forget, is_kept, keep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.secret import Secret

ENOUGH = ("identity", "write-protected")  # for all verbs of an app: its config vars are protected
LIFETIME = 8 * 3600  # seconds that a token made by login lives, if nothing else is asked for
_INSTEAD = "Set HEROKU_API_KEY before the kernel starts (https://dashboard.heroku.com/account holds the key)."


@dataclass(frozen=True)
class Login:
    """Who is logged in where, by which token; scope is empty where the token was not made by login.

    ends_at: seconds since 1970; None: the token does not end, or does not say.
    """

    email: str
    host: str
    source: str
    scope: tuple[str, ...] = ()
    ends_at: float | None = None


@dataclass(frozen=True)
class _Made:
    """A token that login made, and what may revoke it."""

    broad: HerokuClient
    id: str


_made: dict[str, _Made] = {}


def login(*, scope: Sequence[str] = (), expires: int | None = None) -> Login:
    """Find a token or ask for one, check it, and return whose it is.

    scope, expires (seconds): make a token of this scope and life from it, for this process alone;
    it is revoked by logout() and when the process ends. Raises SettingsError or an ApiError.
    """
    url = base_url()
    logout()
    token, source, email = _checked(url)
    host = urlsplit(url).netloc
    if not scope and expires is None:
        return Login(email, host, source)
    broad = HerokuClient(url, token, token_source=source)
    wanted, seconds = tuple(scope) or ENOUGH, expires or LIFETIME
    ends_at = _narrowed(broad, wanted, seconds)
    return Login(email, host, source, wanted, ends_at)


def logout() -> str | None:
    """Forget the token that login was given or made, revoking the latter; return what is used from now on, if any."""
    url = base_url()
    made = _made.pop(url, None)
    if forget(url) is not None and made is not None:
        made.broad.revoke(made.id)
    try:
        return find_token(url)[1]
    except NoToken:
        return None


def is_logged_in() -> bool:
    """Tell whether this process keeps a token of its own."""
    return is_kept(base_url())


def _checked(url: str) -> tuple[Secret, str, str]:
    """A token that the API accepts, where it is from, and whose it is: the one found, or one that is asked for."""
    said = ""
    with suppress(NoToken):
        token, source = find_token(url)
        try:
            return token, source, HerokuClient(url, token).account().email
        except Unauthorized:
            said = f"The token of {source} is not accepted: it is wrong, expired or revoked. "
    typed = ask(f"{said}API key", instead=said + _INSTEAD)
    email = HerokuClient(url, typed).account().email
    keep(url, Kept(typed, "the login of this notebook"))
    return typed, "the login of this notebook", email


def _narrowed(broad: HerokuClient, scope: tuple[str, ...], seconds: int) -> float:
    try:
        made = broad.authorize(token_mark(), scope, seconds)
    except Forbidden as error:
        raise Forbidden(
            f"{error.said} Only a token of the scope global makes others: log in without --scope and --expires.",
            status=error.status,
            id=error.id,
        ) from None
    if made.access_token is None:
        raise HerokuMagicError("Heroku made an authorization without a token: try again.")
    ends_at = time.time() + (made.access_token.expires_in or seconds)
    keep(broad.base_url, Kept(made.access_token.token, f"%heroku login ({', '.join(scope)})", ends_at))
    _made[broad.base_url] = _Made(broad, made.id)
    return ends_at


@atexit.register
def _revoke_all() -> None:
    """The process ends, and so does its token; what cannot be reached ends by itself."""
    while _made:
        _, made = _made.popitem()
        with suppress(ApiError):
            made.broad.revoke(made.id)
