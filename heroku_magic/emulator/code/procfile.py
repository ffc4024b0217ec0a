"""A folder's Procfile -> its process types, and a dyno's command -> what bash runs; no process is started here.

https://devcenter.heroku.com/articles/procfile
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from honcho.environ import parse_procfile

from heroku_magic.emulator.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path) -> dict[str, str]:
    """Return the process types of a folder with their commands."""
    try:
        text = (folder / "Procfile").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StartError(
            f"{folder} has no Procfile: write one with a line such as `task: python task.py`. "
            "https://devcenter.heroku.com/articles/procfile"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"The Procfile of {folder} cannot be read: {error}") from None
    try:
        return dict(parse_procfile(text).processes)
    except AssertionError as error:
        raise StartError(f"The Procfile of {folder} names a process type twice: {error}") from None


def substituted(command: str, process_types: dict[str, str]) -> str:
    """Put a process type's command in the place of its name; the rest of the line is kept as it is.

    https://devcenter.heroku.com/articles/one-off-dynos#running-tasks-in-background
    """
    first, blank, rest = command.partition(" ")
    return process_types[first] + blank + rest if first in process_types else command
