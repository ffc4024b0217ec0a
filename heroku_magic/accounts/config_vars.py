"""The names of config vars that may be set, and the hidden prompt for a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heroku_magic.accounts.secret_sources import ask
from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.environ import VARIABLE_NAME
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from heroku_magic.text.secret import Secret

# https://devcenter.heroku.com/articles/config-vars#config-var-policies
_NAME = re.compile(rf"(?!__|HEROKU_){VARIABLE_NAME.pattern}")


def ask_for_value(name: str) -> Secret:
    """Return the value of a config var from a hidden prompt. Raises SettingsError."""
    return ask(f"Value of {name}", instead=f"Set it in a terminal: `heroku config:set {name}=…`")


def check_name(name: str) -> None:
    """Raise InvalidOptions for an invalid name; a value after `=` is not repeated in the message."""
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
