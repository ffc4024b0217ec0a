"""Finds the values of secrets: in the environment, the keyring, or by a hidden prompt."""

from __future__ import annotations

import getpass
import os
import sys
from typing import TYPE_CHECKING

from heroku_magic.errors import Interrupted, SettingsError
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "heroku_magic"  # the keyring's service name


class NothingTyped(SettingsError):
    """No prompt is possible, or its answer is empty."""


def ask(prompt: str, *, instead: str) -> Secret:
    """Return what the user types without seeing it; in a notebook a password field below the cell.

    instead: a sentence on what to do where no prompt is possible (nbclient, papermill, a script). Raises NothingTyped,
    or Interrupted.
    """
    if not _can_ask():
        raise NothingTyped(f"No prompt is possible here. {instead}")
    try:
        typed = getpass.getpass(f"{prompt}: ")
    except KeyboardInterrupt:
        raise Interrupted(f"{prompt}: nothing was typed, so nothing was changed or started.") from None
    except Exception as error:  # noqa: BLE001 - each front end refuses in its own way, and frames may hold the text
        is_impossible = isinstance(error, NotImplementedError)  # IPython raises a subclass
        reason = "no prompt is possible here" if is_impossible else type(error).__name__
    else:
        if typed.strip():
            return Secret(typed.strip())
        reason = "nothing was typed"
    raise NothingTyped(f"{prompt}: {reason}. {instead}")


def find(name: str, source: str | None = None) -> Secret:
    """Return the value of a secret from the first source that has it, or from the one named.

    source: one of `SOURCES`. Raises SettingsError if no source has it and no prompt is possible.
    """
    for one in SOURCES if source is None else (source,):
        if (found := _FINDERS[one](name)) is not None:
            return found
    raise SettingsError(f"{name} is not in the {source}. {_remedy(name)}")


def likely_source(name: str) -> str:
    """Return the source that probably has a secret, without opening the keyring, which may ask its user."""
    return "environment" if os.environ.get(name) else "prompt"


def _can_ask() -> bool:
    """A kernel asks its front end. Else a terminal is needed: getpass would read a pipe, and show what it reads."""
    return "ipykernel" in sys.modules or (sys.stdin is not None and sys.stdin.isatty())


def _in_environment(name: str) -> Secret | None:
    value = os.environ.get(name)
    return Secret(value) if value else None


def _in_keyring(name: str) -> Secret | None:
    """Look in the system's keyring, if the package `keyring` is installed."""
    try:
        import keyring

        value = keyring.get_password(SERVICE, name)
    except Exception:  # noqa: BLE001 - a backend raises what it likes, and its frames hold the environment
        return None  # it is locked, broken, or missing: the prompt remains
    return Secret(value) if isinstance(value, str) and value else None  # some backends return bytes


def _from_prompt(name: str) -> Secret:
    return ask(f"Value of {name}", instead=_remedy(name))


def _remedy(name: str) -> str:
    return (
        f"Set the environment variable {name} before the kernel starts, or keep it in the keyring "
        f"(`keyring set {SERVICE} {name}`, with `pip install heroku-magic[keyring]`)."
    )


_FINDERS: dict[str, Callable[[str], Secret | None]] = {
    "environment": _in_environment,
    "keyring": _in_keyring,
    "prompt": _from_prompt,
}
SOURCES = tuple(_FINDERS)  # in order of precedence
