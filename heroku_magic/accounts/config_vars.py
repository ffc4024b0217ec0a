"""Lists, sets and removes an app's config vars; their values are never shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heroku_magic.accounts.secret_sources import ask_for_config_var
from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.environ import VARIABLE_NAME
from heroku_magic.text.notifier import notify
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.text.secret import Secret

# https://devcenter.heroku.com/articles/config-vars#config-var-policies
_NAME = re.compile(rf"(?!__|HEROKU_){VARIABLE_NAME.pattern}")


class ConfigVars:
    """The config vars of one app. Each change notifies the user first, because it makes a release."""

    def __init__(self, client: HerokuClient, app: str, app_name: str) -> None:
        self._client = client
        self._app = app
        self._app_name = app_name

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._client.config_vars(self._app))

    def set(self, name: str, value: Secret | None) -> None:
        """Set one; without a value a hidden prompt asks for it. Raises InvalidOptions, SettingsError or an ApiError."""
        _check(name)
        self._change({name: value or ask_for_config_var(name)})

    def unset(self, *names: str) -> None:
        """Remove config vars; none if one of them does not exist."""
        if not names:
            raise InvalidOptions("Name the config var to remove: %heroku config --unset NAME")
        known = self.names()
        if unknown := [name for name in names if name not in known]:
            raise InvalidOptions(
                f"{self._app_name} has no config var {clean_line(', '.join(unknown)[:200])}. %heroku config lists them."
            )
        self._change(dict.fromkeys(names))

    def _change(self, values: Mapping[str, Secret | None]) -> None:
        names = ", ".join(values)
        notify(f"Changing {names} makes a release of {self._app_name} and restarts what its formation runs.")
        self._client.set_config_vars(self._app, values)


def _check(name: str) -> None:
    """Refuse an invalid name before the prompt; a value after `=` is not repeated in the message."""
    before, equals, _ = name.partition("=")
    shown = clean_line(before[:60])
    if equals:
        raise InvalidOptions(
            f"A value on the line stays in the notebook and in the history. Remove it, and if it is a secret, replace "
            f"it. %heroku config {shown} prompts for it without showing it."
        )
    if not _NAME.fullmatch(name):
        raise InvalidOptions(
            f"{shown!r} is not a valid name of a config var. Use letters, digits and _. It cannot begin with "
            "a digit, __ or HEROKU_."
        )
