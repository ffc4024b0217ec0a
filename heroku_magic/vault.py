"""Vault: where the value of a secret parameter comes from: environment, keyring, hidden prompt; it keeps none."""

from __future__ import annotations

import os

from heroku_magic.asking import ask
from heroku_magic.secret import Secret

SERVICE = "heroku_magic"  # what the keyring keeps our secrets under


def find(name: str) -> Secret:
    """Return the value of a secret. Raises SettingsError where there is none and nobody can be asked."""
    if value := os.environ.get(name):
        return Secret(value)
    return _in_keyring(name) or ask(
        f"Value of {name}",
        instead=f"Set the environment variable {name} before the kernel starts, or keep it in the keyring "
        f"(`keyring set {SERVICE} {name}`, with `pip install heroku-magic[keyring]`).",
    )


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
