"""Reads and writes paths as users type them, suggests a worker folder for a mistyped one, and makes private folders."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path


def expanded(typed: str | os.PathLike[str]) -> Path:
    """Return a path with `~` replaced, unless no such user exists: then the folder of that name is missing."""
    return Path(os.path.expanduser(typed))  # noqa: PTH111 - Path.expanduser() raises a RuntimeError


def shown_path(path: Path) -> str:
    """Return a path as a user would write it in the current folder; a saved notebook then names no home folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def make_private(folder: Path) -> None:
    """Create `.heroku` or a folder in it, for files of this package; only its owner can read it, and git ignores it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignored = (folder.parent if folder.parent.name == ".heroku" else folder) / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="ascii")


def suggest_folder(typed: str | os.PathLike[str]) -> str:
    """Return a hint that names the nearest worker folder beside or in a folder, as it was typed; or an empty text."""
    text = os.fspath(typed).rstrip("/")
    parent, slash, name = text.rpartition("/")
    try:
        if (expanded(text) / "worker" / "Procfile").is_file():
            return f" Did you mean {text}/worker?"
        beside = sorted(file.parent.name for file in expanded(parent + slash or ".").glob("*/Procfile"))
    except OSError:
        return ""
    near = get_close_matches(name, beside, 1)
    return f" Did you mean {parent}{slash}{near[0]}?" if near else ""
