"""Logs in and out: finds or requests a token, checks it, and can create a more restricted one, revoked at the end."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heroku_magic.accounts.apps import temporary
from heroku_magic.accounts.leftovers import token_description
from heroku_magic.accounts.secret_sources import NothingTyped, ask
from heroku_magic.accounts.tokens import Kept, NoToken, clock_time, find_token, forget, forget_cli, keep, read
from heroku_magic.api.client import HerokuClient
from heroku_magic.api.host import base_url
from heroku_magic.errors import (
    ApiError,
    Forbidden,
    HerokuMagicError,
    NotFound,
    SettingsError,
    Unauthorized,
    Unreachable,
)
from heroku_magic.runs.exit_hooks import Step, at_end
from heroku_magic.runs.options import as_list, check_count
from heroku_magic.runs.registry import still_running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.text.secret import Secret

ENOUGH = ("identity", "write-protected")  # enough for all commands; config vars are protected
LIFETIME = 8 * 3600  # default lifetime of a token that login creates, in seconds
_ASKED = "the login of this notebook"
_INSTEAD = "Set HEROKU_API_KEY before the kernel starts (https://dashboard.heroku.com/account holds the key)."


@dataclass(frozen=True)
class Login:
    """Who is logged in where, with which token; scope is empty if login did not create it.

    ends_at: seconds since 1970; None if the token does not expire, or if that is unknown.
    """

    email: str
    host: str
    source: str
    scope: tuple[str, ...] = ()
    ends_at: float | None = None


@dataclass(frozen=True)
class _Made:
    """A token that login created, the client that can revoke it, and when it expires (seconds since 1970)."""

    broad: HerokuClient
    id: str
    ends_at: float


_made: dict[str, _Made] = {}


def login(*, scope: Sequence[str] = (), expires: int | None = None) -> Login:
    """Find a token or ask for one, check it, and return whose it is.

    Parameters
    ----------
    scope
        Create a token of this scope for this process, such as `("identity", "write-protected")`;
        logout() revokes it, and so does the end of the process.
    expires
        Lifetime of the created token in seconds; 8 hours by default.

    Returns
    -------
    Login
        Account, host and source of the token.

    Raises
    ------
    InvalidOptions
        `scope` is not a list of texts, or `expires` not a positive number.
    SettingsError
        No prompt is possible, or runs of this process still need the current token.
    ApiError
        Heroku does not accept the token, or may not create another one with it.

    Examples
    --------
    >>> login(scope=["identity", "write-protected"], expires=3600).email  # doctest: +SKIP
    'me@example.com'
    """
    url, wanted, seconds = base_url(), as_list("scope", scope) or ENOUGH, check_count("expires", expires) or LIFETIME
    _drop_token(url)
    forget_cli()
    token, source, email = _checked(url)
    host = urlsplit(url).netloc
    if not scope and expires is None:
        return Login(email, host, source)
    broad = HerokuClient(url, token, token_source=source)
    ends_at = _narrowed(broad, wanted, seconds)
    made = f"a token with the scope {', '.join(wanted)}, created with the token from {source}"
    return Login(email, host, made, wanted, ends_at)


def logout() -> str | None:
    """Forget the token of login(), and revoke it if login() created it.

    Returns
    -------
    str or None
        The source of the token that is used from now on; None if there is none.

    Raises
    ------
    SettingsError
        Runs or temporary apps of this process still need the token.
    Unreachable
        The token could not be revoked; it is forgotten here, and expires by itself.
    """
    url = base_url()
    _drop_token(url)
    try:
        return find_token(url)[1]
    except NoToken:
        return None


def _drop_token(url: str) -> None:
    """Forget the token of this process, and revoke it if login created it; refuse while something needs it."""
    made = _made.get(url)
    if made and (needing := [*(run.id for run in still_running(url)), *temporary(url)]):
        raise SettingsError(
            f"The token is still needed for {', '.join(needing)}. Wait for runs or stop them, and destroy temporary "
            "apps, before you log out (%heroku stop, %heroku destroy)."
        )
    forget(url)
    if made is None:
        return
    del _made[url]
    try:
        _revoke(made)
    except ApiError as error:
        raise Unreachable(
            f"The token is forgotten here, but it could not be revoked: {error.said} It expires at "
            f"{clock_time(made.ends_at)}; in a new kernel %heroku destroy --leftovers revokes it."
        ) from None


def _revoke(made: _Made) -> None:
    with suppress(NotFound):  # it has expired, or the response to a first try was lost
        made.broad.revoke(made.id)


def _checked(url: str) -> tuple[Secret, str, str]:
    """Return a token that the API accepts, its source, and the account's email; ask for one if necessary."""
    said = ""
    with suppress(NoToken):
        token, source = find_token(url)
        try:
            return token, source, _email(url, token, source)
        except Unauthorized:
            said = f"The token from {source} was rejected: it is wrong, expired or revoked. "
    try:
        typed = read(ask(f"{said}API key", instead=said + _INSTEAD).reveal(), "the prompt")
    except NothingTyped as error:
        raise (SettingsError(str(error)) if said else error) from None
    email = _email(url, typed, "the prompt")
    keep(url, Kept(typed, _ASKED))
    return typed, _ASKED, email


def _email(url: str, token: Secret, source: str) -> str:
    try:
        return HerokuClient(url, token).account().email
    except Forbidden as error:
        if error.id != "forbidden":
            raise
        raise Forbidden(
            f"{error.said} The token from {source} is valid, but its scope does not show whose it is. Log in "
            "with a token that has the scope identity or global.",
            status=error.status,
            id=error.id,
        ) from None


def _narrowed(broad: HerokuClient, scope: tuple[str, ...], seconds: int) -> float:
    try:
        made = broad.authorize(token_description(), scope, seconds)
    except Unreachable as error:
        if error.sent:
            _revoke_unseen(broad)
        raise
    except Forbidden as error:
        raise Forbidden(
            f"{error.said} Only a token with the scope global can create others. Log in without --scope and --expires.",
            status=error.status,
            id=error.id,
        ) from None
    if made.access_token is None:
        raise HerokuMagicError("Heroku created an authorization without a token. Try again.")
    ends_at = time.time() + (made.access_token.expires_in or seconds)
    keep(broad.base_url, Kept(made.access_token.token, f"%heroku login ({', '.join(scope)})", ends_at))
    _made[broad.base_url] = _Made(broad, made.id, ends_at)
    return ends_at


def _revoke_unseen(broad: HerokuClient) -> None:
    """Revoke a token whose response was lost; our description identifies it."""
    with suppress(ApiError):
        for one in broad.authorizations():
            if one.description == token_description():
                broad.revoke(one.id)


def _revoke_all() -> None:
    """Revoke the token at the end of the process; if that fails, it expires by itself."""
    while _made:
        _, made = _made.popitem()
        with suppress(ApiError):
            _revoke(made)


at_end(Step.TOKENS, _revoke_all)
