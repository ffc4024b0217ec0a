"""Status: what `%heroku status` tells of an account, and how a fact is put into words; each is asked for by itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from heroku_magic.accounts.tokens import end_of
from heroku_magic.errors import Forbidden
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.accounts.apps import Account, Leftovers

# https://devcenter.heroku.com/articles/limits and platform-api-reference#rate-limits
MOST_APPS = 100
MOST_REQUESTS = 4500


def told(fact: Callable[[], str]) -> str:
    """Return a fact; a token too narrow for one hides no other."""
    try:
        return fact()
    except Forbidden:
        return "not told: the token is too narrow"


def account_facts(account: Account) -> dict[str, str]:
    """Return what there is to know of an account, and of the token that opens it."""
    client = account.client
    return {
        "API": told(lambda: f"{client.base_url} as {client.account().email}"),
        "token": client.token_source + _end(client.base_url),
        "requests left": told(lambda: f"{client.rate_limit().remaining} of {MOST_REQUESTS} this hour"),
        "apps": told(lambda: f"{len(account.apps())} (at most {MOST_APPS} of its own)"),
        "leftovers": told(lambda: leftovers(account.leftovers())),
    }


def drains(count: int) -> str:
    """Tell of an app's log drains."""
    if not count:
        return "none"
    return f"{count}: what tasks print, rows too, goes to {'it' if count == 1 else 'them'} as well"


def leftovers(left: Leftovers) -> str:
    """Tell what crashes left, and the commands that take it away."""
    ours = [*left.apps, *(f"token of {clean_line(token.description)}" for token in left.tokens or [])]
    parts = [f"{', '.join(ours)} (%heroku destroy --leftovers takes them away)"] if ours else []
    if left.elsewhere:
        parts.append(
            f"of other machines, perhaps in use: {', '.join(left.elsewhere)} (%heroku destroy NAME --confirm NAME)"
        )
    if left.tokens is None:
        parts.append("tokens are not told: this one is too narrow")
    return "; ".join(parts) or "none"


def _end(url: str) -> str:
    at = end_of(url)
    return "" if at is None else f" until {datetime.fromtimestamp(at).astimezone():%H:%M on %Y-%m-%d}"
