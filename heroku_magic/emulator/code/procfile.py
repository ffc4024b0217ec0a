"""Reads a folder's Procfile, and expands a process type at the start of a command.

https://devcenter.heroku.com/articles/procfile
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.emulator.errors import StartError
from heroku_magic.platform_facts.procfile import process_types

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path) -> dict[str, str]:
    """Return the process types of a folder with their commands."""
    try:
        text = (folder / "Procfile").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StartError(
            f"{folder} has no Procfile. Write one with a line such as `task: python task.py`. "
            "https://devcenter.heroku.com/articles/procfile"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"The Procfile of {folder} cannot be read: {error}") from None
    return process_types(text)


def expand(command: str, commands: dict[str, str]) -> str:
    """Replace a process type at the start of a command by its own command.

    https://devcenter.heroku.com/articles/one-off-dynos#running-tasks-in-background
    """
    first, blank, rest = command.partition(" ")
    return commands[first] + blank + rest if first in commands else command
