"""Asking the user for a text that nobody may see: a hidden prompt, or an error that says what to set instead."""

from __future__ import annotations

import getpass
import sys

from heroku_magic.errors import SettingsError
from heroku_magic.text.secret import Secret


def ask(prompt: str, *, instead: str) -> Secret:
    """Return what the user types without seeing it; in a notebook a password field below the cell.

    instead: what to do where nobody can be asked (nbclient, papermill, a script), as a sentence.
    """
    if not _can_ask():
        raise SettingsError(f"Nobody can be asked here. {instead}")
    try:
        typed = getpass.getpass(f"{prompt}: ")
    except Exception as error:  # noqa: BLE001 - each front end has its own way to refuse, and frames may hold the text
        reason = type(error).__name__
    else:
        if typed.strip():
            return Secret(typed.strip())
        reason = "nothing was typed"
    raise SettingsError(f"{prompt}: {reason}. {instead}")


def _can_ask() -> bool:
    """A kernel asks its front end; else a terminal is needed: getpass would read a pipe, and show what it reads."""
    return "ipykernel" in sys.modules or (sys.stdin is not None and sys.stdin.isatty())
