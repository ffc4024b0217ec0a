"""An account's apps: lists, creates (also temporary ones) and destroys them, and cleans up after crashes."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.accounts.leftovers import (
    is_app_of_other_machine,
    is_leftover_app,
    is_leftover_token,
    temporary_app_name,
)
from heroku_magic.accounts.settings import APP_NAME
from heroku_magic.accounts.tokens import clock_time, end_of
from heroku_magic.api.transport import QUOTA
from heroku_magic.errors import ApiError, Forbidden, InvalidOptions, NotFound, Refused, Unreachable
from heroku_magic.runs.exit_hooks import Step, at_end
from heroku_magic.runs.registry import forget_app
from heroku_magic.text.notifier import notifies_owner, notify
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import App, Authorization
    from heroku_magic.text.notifier import MessageCallback

MOST_APPS = 100  # https://devcenter.heroku.com/articles/limits
# What to do, by a word of Heroku's refusal, which has no id of its own.
_REMEDIES = {
    "taken": "Names are unique across Heroku: choose another one, or none (Heroku then makes one up). "
    "If the app is yours: %heroku use {name}",
    "limit": "%heroku apps lists them, %heroku destroy NAME --confirm NAME makes room.",
}


@dataclass(frozen=True)
class Leftovers:
    """Apps (by name) and tokens that crashed processes of this machine left at Heroku.

    tokens: None if ours may not list them. elsewhere: temporary apps of other machines, perhaps in use.
    """

    apps: list[str]
    tokens: list[Authorization] | None
    elsewhere: list[str]

    def __str__(self) -> str:
        ours = [*self.apps, *(f"token of {clean_line(token.description)}" for token in self.tokens or [])]
        parts = [f"{', '.join(ours)} (%heroku destroy --leftovers removes them)"] if ours else []
        if self.elsewhere:
            names = ", ".join(self.elsewhere)
            parts.append(f"of other machines, perhaps in use: {names} (%heroku destroy NAME --confirm NAME)")
        if self.tokens is None:
            parts.append("tokens: unknown, because the scope of this token does not allow listing them")
        return "; ".join(parts) or "none"


@notifies_owner
class Account:
    """An account on Heroku, or that of the embedded Heroku; `heroku_magic.account()` returns it.

    Parameters
    ----------
    client
        The API with the account's token.
    is_embedded
        Whether it is the embedded Heroku's account, whose apps end with this process.
    on_message
        Receives one sentence whenever the account waits, or cannot destroy a temporary app.

    Examples
    --------
    >>> from heroku_magic import account
    >>> [app.name for app in account().apps()]  # doctest: +SKIP
    ['my-app']
    """

    def __init__(self, client: HerokuClient, *, is_embedded: bool = False, on_message: MessageCallback = print) -> None:
        self.client = client
        self.on_message = on_message
        self.is_embedded = is_embedded

    def __repr__(self) -> str:
        return f"<Account at {'the embedded Heroku' if self.is_embedded else self.client.base_url}>"

    @property
    def email(self) -> str:
        """The account's e-mail address."""
        return self.client.account().email

    def status(self) -> dict[str, str]:
        """Return API, token, quota, number of apps and leftovers as short texts."""
        return {
            "API": unless_forbidden(lambda: f"{self.client.base_url} as {self.email}"),
            "token": self.client.token_source + _expiry(self.client.base_url),
            "requests left": unless_forbidden(lambda: f"{self.client.rate_limit().remaining} of {QUOTA} this hour"),
            "apps": unless_forbidden(lambda: f"{len(self.apps())} (at most {MOST_APPS} of its own)"),
            "leftovers": unless_forbidden(lambda: str(self.leftovers())),
        }

    def apps(self) -> list[App]:
        """Return the account's own apps and those it collaborates on."""
        return self.client.apps()

    def create(self, name: str | None = None, *, region: str | None = None, stack: str | None = None) -> App:
        """Create an app, which has no code yet, so nothing runs and nothing is billed.

        Parameters
        ----------
        name
            3 to 30 lowercase letters, digits and dashes; Heroku makes one up by default.
        region, stack
            As `heroku create` takes them, such as "eu" and "heroku-24".

        Returns
        -------
        App
            The app's name, URL, region and other facts.

        Raises
        ------
        Refused
            The name is taken, or the account has reached its limit of apps.
        Unreachable
            The response was lost; the message says whether the app was created, or how to find out.

        Examples
        --------
        >>> from heroku_magic import account
        >>> account().create("my-app").name  # doctest: +SKIP
        'my-app'
        """
        if name is not None and not APP_NAME.fullmatch(name):
            raise InvalidOptions(
                f"{clean_line(name[:60])!r} is not a valid app name. Use 3 to 30 lowercase letters, digits and dashes, "
                "beginning with a letter."
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
        """Create an app that is destroyed when this process ends at the latest."""
        name = temporary_app_name()
        _temporary[name] = self  # before the request: its response may be lost, or interrupted
        try:
            return self.create(name, region=region, stack=stack)
        except ApiError as error:
            if not isinstance(error, Unreachable):
                del _temporary[name]
            raise

    def destroy(self, name: str, *, confirm: str) -> None:
        """Destroy an app with all its resources, irrevocably; `confirm` must equal its name."""
        shown = clean_line(name[:60])
        if confirm != name:
            raise InvalidOptions(
                f"Destroying {shown} cannot be undone. To do it: %heroku destroy {shown} --confirm {shown}"
            )
        self._destroy(name)

    def discard(self, name: str) -> None:
        """Destroy a temporary app; if that fails, notify the user, and try again when this process ends."""
        try:
            self._destroy(name)
        except NotFound:
            _temporary.pop(name, None)
        except ApiError as error:
            notify(f"{name} could not be destroyed: {error} heroku_magic tries again when this process ends.")

    def leftovers(self) -> Leftovers:
        """Return what crashed processes of this machine left at Heroku."""
        names = sorted(app.name for app in self.apps())
        tokens: list[Authorization] | None = None
        with suppress(Forbidden):
            tokens = [one for one in self.client.authorizations() if is_leftover_token(one.description)]
        return Leftovers([*filter(is_leftover_app, names)], tokens, [*filter(is_app_of_other_machine, names)])

    def remove_leftovers(self) -> Iterator[str]:
        """Destroy and revoke the leftovers, and yield a line about each one that is gone."""
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
        """Return the app of a create whose response was lost."""
        if name is None:
            raise Unreachable(f"{lost} An app may have been created anyway. If so, %heroku apps lists it.")
        try:
            app = self.client.app(name)
        except NotFound:
            raise Unreachable(f"{lost} No app {name} was created.") from None
        except ApiError:
            raise Unreachable(
                f"{lost} It is not known whether {name} was created. If so, %heroku apps lists it."
            ) from None
        if app.slug_size is None:
            return app
        raise Refused(
            f"The app {name} already exists and has code. Use it with %heroku use {name}, or choose another name."
        )

    def _destroy(self, name: str) -> None:
        app = self.client.app(name)
        try:
            self.client.destroy_app(app.id)
        except NotFound:
            pass  # the response to a first try was lost
        except Unreachable as error:
            said = f"{error} It is not known whether {app.name} was destroyed. If not, %heroku apps lists it."
            raise Unreachable(said) from None
        _temporary.pop(app.name, None)
        forget_app(self.client.base_url, app.name)


_temporary: dict[str, Account] = {}


def temporary(url: str) -> list[str]:
    """Return the names of this process's temporary apps at an API's host."""
    return [name for name, account in _temporary.items() if account.client.base_url == url]


def unless_forbidden(fact: Callable[[], str]) -> str:
    """Return a fact, or that the token may not read it, so that the other facts are still shown."""
    try:
        return fact()
    except Forbidden:
        return "unknown: the token's scope does not allow reading them"


def describe_drains(count: int) -> str:
    """Return an app's log drains as text."""
    if not count:
        return "none"
    return f"{count}: what tasks print, including rows, also goes to {'it' if count == 1 else 'them'}"


def _expiry(url: str) -> str:
    at = end_of(url)
    return "" if at is None else f" until {clock_time(at)}"


def _sentence(said: str) -> str:
    return said if said.endswith(".") else f"{said}."


def _destroy_temporary() -> None:
    """Destroy this process's temporary apps at its end; those of the embedded Heroku need no request."""
    for name, account in list(_temporary.items()):
        if account.is_embedded:
            continue
        try:
            account.destroy(name, confirm=name)
        except NotFound:
            continue
        except ApiError as error:
            print(  # noqa: T201 - no cell is left to show it
                f"heroku_magic: the temporary app {name} could not be destroyed ({error.said}): in a new kernel "
                "%heroku destroy --leftovers does it.",
                file=sys.stderr,
            )


at_end(Step.APPS, _destroy_temporary)
