"""A folder that is served live: what changed in it, its `.env` and its start-up scripts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.code import procfile
from heroku_magic.emulator.code.source_tree import SourceTree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = re.compile(r"\w+", re.ASCII)


class LiveFolder:
    """A folder that is served live: a saved file runs without a deploy. files: what it held at the last look."""

    def __init__(self, folder: Path) -> None:
        self.process_types = procfile.read(folder)
        self._folder = folder
        self._tree = SourceTree(folder)
        self.files = self._tree.scan()

    @property
    def root(self) -> str:
        """The folder without links in its path."""
        return self._tree.root

    def has_changed(self) -> bool:
        """Whether a file changed since the last call; reads the process types again, or raises StartError."""
        files = self._tree.scan()
        if files == self.files:
            return False
        self.files = files
        self.process_types = procfile.read(self._folder)
        return True


def dotenv(folder: Path) -> dict[str, str]:
    """Return the variables of `.env`, read as `heroku local` does: NAME=VALUE lines, or one JSON object.

    https://devcenter.heroku.com/articles/heroku-local#set-up-your-local-environment-variables
    """
    try:
        text = (folder / ".env").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    pairs = _flatten(found) if isinstance(found, dict) else _assignments(text)
    return {name: value for name, value in pairs if _KEY.fullmatch(name) and "\0" not in value}


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            yield name.removeprefix("export ").strip(), value[1:-1] if is_quoted else value


def _flatten(found: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        key = f"{prefix}{name}".upper()
        if isinstance(value, dict):
            yield from _flatten(value, f"{key}_")
        else:
            yield key, value if isinstance(value, str) else json.dumps(value)


def start_up_scripts(folder: Path) -> list[str]:
    """Return what bash sources before a command: https://devcenter.heroku.com/articles/dynos#the-profile-file."""
    scripts = sorted((folder / ".profile.d").glob("*.sh"))
    return [str(script) for script in [*scripts, folder / ".profile"] if script.is_file()]
