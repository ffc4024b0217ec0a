"""Account: the verbs about an account's apps: list, create, destroy, and what crashes left over; it runs nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.errors import ApiError, InvalidOptions, NotFound, Unreachable
from heroku_magic.owner import is_app_left, is_token_left
from heroku_magic.safetext import clean_line

if TYPE_CHECKING:
    from heroku_magic.client import HerokuClient
    from heroku_magic.resources import App, Authorization

# https://devcenter.heroku.com/articles/platform-api-reference#app
_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")


@dataclass(frozen=True)
class Leftovers:
    """What processes of this machine made at Heroku and could not take back: names of apps, tokens."""

    apps: list[str]
    tokens: list[Authorization]


class Account:
    """An account on Heroku, or that of the embedded Heroku; made by `heroku_magic.account()`."""

    def __init__(self, client: HerokuClient, *, is_embedded: bool = False) -> None:
        self.client = client
        self.is_embedded = is_embedded

    def __repr__(self) -> str:
        return f"<Account at {'the embedded Heroku' if self.is_embedded else self.client.base_url}>"

    @property
    def email(self) -> str:
        """Whose account it is."""
        return self.client.account().email

    def apps(self) -> list[App]:
        """Return the account's own apps and those it works on."""
        return self.client.apps()

    def create(self, name: str | None = None, *, region: str | None = None, stack: str | None = None) -> App:
        """Create an app and return it; without a name Heroku gives it one.

        It has no code yet, so nothing runs and nothing is billed. Raises Refused for a name that is
        taken, and Unreachable, which says how to find out, where the answer was lost.
        """
        if name is not None and not _NAME.fullmatch(name):
            raise InvalidOptions(
                f"{clean_line(name[:60])!r} is no name of an app: expected 3 to 30 small letters, digits and dashes, "
                "a letter first."
            )
        try:
            return self.client.create_app(name, region=region, stack=stack)
        except Unreachable as error:
            if not error.sent:
                raise
            return self._found(name, error)

    def _found(self, name: str | None, lost: Unreachable) -> App:
        """The app of a create whose answer was lost."""
        if name is None:
            raise Unreachable(f"{lost} An app may have been created all the same: %heroku apps shows it.")
        try:
            return self.client.app(name)
        except NotFound:
            raise Unreachable(f"{lost} No app {name} was created.") from None
        except ApiError:
            raise Unreachable(f"{lost} Whether {name} was created is unknown: %heroku apps shows it.") from None

    def destroy(self, name: str, *, confirm: str) -> None:
        """Destroy an app with all that it has, for good; `confirm` must be its name."""
        if confirm != name:
            raise InvalidOptions(
                f"Destroying {clean_line(name[:60])} cannot be undone. To do it: "
                f"%heroku destroy {clean_line(name[:60])} --confirm {clean_line(name[:60])}"
            )
        self.client.destroy_app(name)

    def leftovers(self) -> Leftovers:
        """Return what crashed processes of this machine left behind; tokens only as far as ours may list them."""
        apps = sorted(app.name for app in self.apps() if is_app_left(app.name))
        try:
            tokens = [one for one in self.client.authorizations() if is_token_left(one.description)]
        except ApiError:
            tokens = []
        return Leftovers(apps, tokens)

    def remove_leftovers(self) -> list[str]:
        """Destroy and revoke what is left over, and return a line on each."""
        left = self.leftovers()
        for name in left.apps:
            self.client.destroy_app(name)
        for token in left.tokens:
            self.client.revoke(token.id)
        return [f"app {name} destroyed" for name in left.apps] + [
            f"token ({clean_line(token.description)}) revoked" for token in left.tokens
        ]
