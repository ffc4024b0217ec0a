"""Vault: where the value of a secret parameter comes from: environment, keyring, hidden prompt; it keeps none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from heroku_magic.accounts.asking import ask
from heroku_magic.errors import SettingsError
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "heroku_magic"  # what the keyring keeps our secrets under


def find(name: str, source: str | None = None) -> Secret:
    """Return the value of a secret from the first source that has it, or from the one named.

    source: one of `SOURCES`. Raises SettingsError where there is none and nobody can be asked.
    """
    for one in SOURCES if source is None else (source,):
        if (found := _FINDERS[one](name)) is not None:
            return found
    raise SettingsError(f"{name} is not in the {source}. {_remedy(name)}")


def likely_source(name: str) -> str:
    """Return the source that probably has a secret; nothing is read for it, for a keyring may ask its user."""
    return "environment" if os.environ.get(name) else "prompt"


def _in_environment(name: str) -> Secret | None:
    value = os.environ.get(name)
    return Secret(value) if value else None


def asked(name: str) -> Secret:
    """Return the value of a config var from a hidden prompt, and from nowhere else."""
    return ask(f"Value of {name}", instead=f"Set it in a terminal: heroku config:set {name}=…")


def _in_keyring(name: str) -> Secret | None:
    """Ask the system's keyring, if the package for it is there."""
    try:
        import keyring

        value = keyring.get_password(SERVICE, name)
    except Exception:  # noqa: BLE001 - a backend raises what it likes, and its frames hold the environment
        return None  # it is locked, broken, or there is none: the prompt is left
    return Secret(value) if value else None


def _asked_for(name: str) -> Secret:
    return ask(f"Value of {name}", instead=_remedy(name))


def _remedy(name: str) -> str:
    return (
        f"Set the environment variable {name} before the kernel starts, or keep it in the keyring "
        f"(`keyring set {SERVICE} {name}`, with `pip install heroku-magic[keyring]`)."
    )


_FINDERS: dict[str, Callable[[str], Secret | None]] = {
    "environment": _in_environment,
    "keyring": _in_keyring,
    "prompt": _asked_for,
}
SOURCES = tuple(_FINDERS)  # in the order in which they are looked at
