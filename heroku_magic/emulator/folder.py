"""An app's folder, served live: its Procfile, its `.env`, and a signature that changes with it; it runs nothing."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from honcho.environ import parse_procfile

if TYPE_CHECKING:
    from collections.abc import Iterator

# What changes without the app having changed.
_IGNORED = frozenset({".git", ".heroku", "__pycache__", ".ipynb_checkpoints", ".venv", "node_modules"})
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(\w+)\s*=\s*(.*?)\s*")


class FolderError(Exception):
    """The folder cannot be served: a sentence for the user."""


class Folder:
    """A folder that is an app: read anew each time, so that an edit counts at once."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        if not self.path.is_dir():
            raise FolderError(f"{path} is no folder.")
        self.process_types()

    def process_types(self) -> dict[str, str]:
        """Return the Procfile's process types and their commands, in its order."""
        procfile = self.path / "Procfile"
        try:
            text = procfile.read_text(encoding="utf-8")
        except OSError:
            raise FolderError(
                f"{procfile} cannot be read: it names the app's process types, one `name: command` a line."
            ) from None
        except UnicodeDecodeError:
            raise FolderError(f"{procfile} is no UTF-8 text.") from None
        try:
            return dict(parse_procfile(text).processes)
        except AssertionError as error:
            raise FolderError(f"{procfile}: {error}.") from None

    def config(self) -> dict[str, str]:
        """Return the variables of the folder's `.env`, as `heroku local` reads it."""
        try:
            text = (self.path / ".env").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return {}
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
        found = filter(None, map(_ASSIGNMENT.fullmatch, lines))
        return {match[1]: _unquoted(match[2]) for match in found}

    def signature(self) -> str:
        """Return a text that differs whenever a file in the folder was added, removed or changed."""
        digest = hashlib.sha256()
        for name, stat in sorted(_files(str(self.path)), key=lambda entry: entry[0]):
            digest.update(f"{name}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name in _IGNORED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            try:
                yield entry.path, entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it went while we looked: the next look sees it


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()
