"""login and logout: a token for this process: found or asked for, checked, made narrower, and revoked in the end."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heroku_magic.accounts.apps import temporary
from heroku_magic.accounts.asking import ask
from heroku_magic.accounts.leftovers import token_mark
from heroku_magic.accounts.tokens import Kept, NoToken, find_token, forget, forget_cli, keep, read
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
from heroku_magic.runs.running import still_running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.text.secret import Secret

ENOUGH = ("identity", "write-protected")  # for all verbs of an app: its config vars are protected
LIFETIME = 8 * 3600  # seconds that a token made by login lives, if nothing else is asked for
_ASKED = "the login of this notebook"
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
    """A token that login made, what may revoke it, and when it ends by itself (seconds since 1970)."""

    broad: HerokuClient
    id: str
    ends_at: float


_made: dict[str, _Made] = {}


def login(*, scope: Sequence[str] = (), expires: int | None = None) -> Login:
    """Find a token or ask for one, check it, and return whose it is.

    scope, expires (seconds): make a token of this scope and life from it, for this process alone;
    it is revoked by logout() and when the process ends. Raises SettingsError or an ApiError.
    """
    url = base_url()
    _take_back(url)
    forget_cli()
    token, source, email = _checked(url)
    host = urlsplit(url).netloc
    if not scope and expires is None:
        return Login(email, host, source)
    broad = HerokuClient(url, token, token_source=source)
    wanted, seconds = tuple(scope) or ENOUGH, expires or LIFETIME
    ends_at = _narrowed(broad, wanted, seconds)
    made = f"a token of the scope {', '.join(wanted)}, made with the one of {source}"
    return Login(email, host, made, wanted, ends_at)


def logout() -> str | None:
    """Forget the token that login was given or made, revoking the latter; return what is used from now on, if any.

    Raises SettingsError while runs need the token, and Unreachable where it could not be revoked.
    """
    url = base_url()
    _take_back(url)
    try:
        return find_token(url)[1]
    except NoToken:
        return None


def _take_back(url: str) -> None:
    """Forget the token of this process and revoke it, if login made it and nothing needs it."""
    made = _made.get(url)
    if made and (needing := [*(run.id for run in still_running(url)), *temporary(url)]):
        raise SettingsError(
            f"Without the token {', '.join(needing)} would be out of reach: wait for runs or stop them, and "
            "destroy temporary apps first (%heroku stop, %heroku destroy)."
        )
    forget(url)
    if made is None:
        return
    del _made[url]
    try:
        _revoke(made)
    except ApiError as error:
        at = datetime.fromtimestamp(made.ends_at).astimezone()
        raise Unreachable(
            f"The token is forgotten here, but it could not be revoked: {error.said} It ends by itself at "
            f"{at:%H:%M on %Y-%m-%d}; in a new kernel %heroku destroy --leftovers revokes it."
        ) from None


def _revoke(made: _Made) -> None:
    with suppress(NotFound):  # it has ended, or the answer to a first try was lost
        made.broad.revoke(made.id)


def _checked(url: str) -> tuple[Secret, str, str]:
    """A token that the API accepts, where it is from, and whose it is: the one found, or one that is asked for."""
    said = ""
    with suppress(NoToken):
        token, source = find_token(url)
        try:
            return token, source, _email(url, token, source)
        except Unauthorized:
            said = f"The token of {source} is not accepted: it is wrong, expired or revoked. "
    typed = read(ask(f"{said}API key", instead=said + _INSTEAD).reveal(), "the prompt")
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
            f"{error.said} The token of {source} is good, but too narrow to tell whose it is: login needs one with "
            "the scope identity or global.",
            status=error.status,
            id=error.id,
        ) from None


def _narrowed(broad: HerokuClient, scope: tuple[str, ...], seconds: int) -> float:
    try:
        made = broad.authorize(token_mark(), scope, seconds)
    except Unreachable as error:
        if error.sent:
            _revoke_unseen(broad)
        raise
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
    _made[broad.base_url] = _Made(broad, made.id, ends_at)
    return ends_at


def _revoke_unseen(broad: HerokuClient) -> None:
    """The answer was lost that held a token: if it was made, it is the one with our mark; else it ends by itself."""
    with suppress(ApiError):
        for one in broad.authorizations():
            if one.description == token_mark():
                broad.revoke(one.id)


def _revoke_all() -> None:
    """The process ends, and so does its token; what cannot be reached ends by itself."""
    while _made:
        _, made = _made.popitem()
        with suppress(ApiError):
            _revoke(made)


at_end(Step.TOKENS, _revoke_all)
