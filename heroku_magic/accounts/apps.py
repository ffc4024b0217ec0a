"""Account: the verbs about an account's apps: list, create for good or for a while, destroy, and leftovers.

It runs nothing and ships nothing.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.accounts.leftovers import app_mark, is_app_left, is_app_of_elsewhere, is_token_left
from heroku_magic.accounts.status import account_facts
from heroku_magic.errors import ApiError, Forbidden, InvalidOptions, NotFound, Refused, Unreachable
from heroku_magic.runs.exit_hooks import Step, at_end
from heroku_magic.text.notifier import notifies_owner, notify
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import App, Authorization
    from heroku_magic.text.notifier import MessageCallback

# https://devcenter.heroku.com/articles/platform-api-reference#app
_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
# What to do, by a word of Heroku's refusal, which has no id of its own.
_REMEDIES = {
    "taken": "All apps of Heroku share one space of names: choose another one, or none (Heroku then makes one up). "
    "If the app is yours: %heroku use {name}",
    "limit": "%heroku apps lists them, %heroku destroy NAME --confirm NAME makes room.",
}


@dataclass(frozen=True)
class Leftovers:
    """What processes of this machine made at Heroku and could not take back: names of apps, tokens.

    tokens: None where ours may not list them. elsewhere: temporary apps of other machines, perhaps in use.
    """

    apps: list[str]
    tokens: list[Authorization] | None
    elsewhere: list[str]


@notifies_owner
class Account:
    """An account on Heroku, or that of the embedded Heroku; made by `heroku_magic.account()`."""

    def __init__(self, client: HerokuClient, *, is_embedded: bool = False, on_message: MessageCallback = print) -> None:
        self.client = client
        self.on_message = on_message
        self.is_embedded = is_embedded

    def __repr__(self) -> str:
        return f"<Account at {'the embedded Heroku' if self.is_embedded else self.client.base_url}>"

    @property
    def email(self) -> str:
        """Whose account it is."""
        return self.client.account().email

    def status(self) -> dict[str, str]:
        """Return what a user wants to know: API, token, quota, number of apps, leftovers."""
        return account_facts(self)

    def apps(self) -> list[App]:
        """Return the account's own apps and those it works on."""
        return self.client.apps()

    def create(self, name: str | None = None, *, region: str | None = None, stack: str | None = None) -> App:
        """Create an app and return it; without a name Heroku gives it one.

        It has no code yet, so nothing runs and nothing is billed. Raises Refused for a name that is
        taken or an account that is full, and Unreachable, which says how to find out, where the answer was lost.
        """
        if name is not None and not _NAME.fullmatch(name):
            raise InvalidOptions(
                f"{clean_line(name[:60])!r} is no name of an app: expected 3 to 30 small letters, digits and dashes, "
                "a letter first."
            )
        try:
            return self.client.create_app(name, region=region, stack=stack)
        except Refused as error:
            refused = error
        except Unreachable as error:
            if not error.sent:
                raise
            return self._found(name, error)
        remedies = [text.format(name=name) for word, text in _REMEDIES.items() if word in refused.said]
        raise Refused(" ".join([_sentence(str(refused)), *remedies]), status=refused.status, id=refused.id)

    def create_temporary(self, *, region: str | None = None, stack: str | None = None) -> App:
        """Create an app that is destroyed when this process ends, if discard() or destroy() did not do it before."""
        name = app_mark()
        _temporary[name] = self  # before it is asked for: an answer may be lost, or an interrupt may come
        return self.create(name, region=region, stack=stack)

    def destroy(self, name: str, *, confirm: str) -> None:
        """Destroy an app with all that it has, for good; `confirm` must be its name."""
        shown = clean_line(name[:60])
        if confirm != name:
            raise InvalidOptions(
                f"Destroying {shown} cannot be undone. To do it: %heroku destroy {shown} --confirm {shown}"
            )
        try:
            self._destroy(name)
        except NotFound:
            raise NotFound(
                f"There is no app {shown}, or this account has no access to it: %heroku apps lists them.", status=404
            ) from None

    def discard(self, name: str) -> None:
        """Destroy a temporary app; if that fails, notify the user, and try again when this process ends."""
        try:
            self._destroy(name)
        except NotFound:
            _temporary.pop(name, None)
        except ApiError as error:
            notify(f"{name} could not be destroyed: {error} It is tried again when this process ends.")

    def leftovers(self) -> Leftovers:
        """Return what crashed processes of this machine left behind."""
        names = sorted(app.name for app in self.apps())
        tokens: list[Authorization] | None = None
        with suppress(Forbidden):
            tokens = [one for one in self.client.authorizations() if is_token_left(one.description)]
        return Leftovers([*filter(is_app_left, names)], tokens, [*filter(is_app_of_elsewhere, names)])

    def remove_leftovers(self) -> Iterator[str]:
        """Destroy and revoke what is left over, and yield a line on each when it is gone."""
        left = self.leftovers()
        for name in left.apps:
            with suppress(NotFound):
                self._destroy(name)
            yield f"Destroyed {name}."
        for token in left.tokens or []:
            with suppress(NotFound):
                self.client.revoke(token.id)
            yield f"Revoked the token of {clean_line(token.description)}."

    def _found(self, name: str | None, lost: Unreachable) -> App:
        """The app of a create whose answer was lost."""
        if name is None:
            raise Unreachable(f"{lost} An app may have been created all the same: %heroku apps shows it.")
        try:
            app = self.client.app(name)
        except NotFound:
            raise Unreachable(f"{lost} No app {name} was created.") from None
        except ApiError:
            raise Unreachable(f"{lost} Whether {name} was created is unknown: %heroku apps shows it.") from None
        if app.slug_size is None:
            return app
        raise Refused(f"There was an app {name} before, with code in it: %heroku use {name}, or another name.")

    def _destroy(self, name: str) -> None:
        app = self.client.app(name)
        try:
            self.client.destroy_app(app.id)
        except NotFound:
            pass  # it was there: the answer to a first try was lost
        except Unreachable as error:
            said = f"{error} Whether {app.name} was destroyed is unknown: %heroku apps shows it."
            raise Unreachable(said) from None
        _temporary.pop(app.name, None)


_temporary: dict[str, Account] = {}


def temporary(url: str) -> list[str]:
    """Return the names of this process's temporary apps at an API's host."""
    return [name for name, account in _temporary.items() if account.client.base_url == url]


def _sentence(said: str) -> str:
    return said if said.endswith(".") else f"{said}."


def _destroy_temporary() -> None:
    """The process ends, and so do its temporary apps; those of the embedded Heroku end with it."""
    for name, account in list(_temporary.items()):
        if account.is_embedded:
            continue
        try:
            account.destroy(name, confirm=name)
        except NotFound:
            continue
        except ApiError as error:
            print(  # noqa: T201 - nobody else is there any more
                f"heroku_magic: the temporary app {name} could not be destroyed ({error.said}): in a new kernel "
                "%heroku destroy --leftovers does it.",
                file=sys.stderr,
            )


at_end(Step.APPS, _destroy_temporary)
