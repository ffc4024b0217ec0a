"""A live folder: whether a file in it changed, its `.env`, its start-up scripts; nothing is written to it here."""

from __future__ import annotations

import json
import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A change in a folder that is no app (a home folder) costs no more than a look at so many files.
MOST_FILES = 20_000
_NOT_CODE = {"__pycache__", "node_modules"}
_KEY = re.compile(r"\w+", re.ASCII)

Signature = frozenset[tuple[str, int, int]]


def signature(folder: Path) -> Signature:
    """Return what changes when a file does: path, modification time and size of each."""
    return frozenset(islice(_files(str(folder)), MOST_FILES))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if _is_code(entry.name):
                yield from _files(entry.path)
        else:
            yield _seen(entry)


def _is_code(name: str) -> bool:
    """Hidden folders hold what tools keep (.git, .heroku, .venv, a dyno's own ~/.cache), not the app."""
    return name == ".profile.d" or not (name.startswith(".") or name in _NOT_CODE)


def _seen(entry: os.DirEntry[str]) -> tuple[str, int, int]:
    try:
        status = entry.stat()
    except OSError:
        return entry.path, 0, 0
    return entry.path, status.st_mtime_ns, status.st_size


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
    pairs = _flat(found) if isinstance(found, dict) else _assignments(text)
    return {name: value for name, value in pairs if _KEY.fullmatch(name) and "\0" not in value}


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            yield name.removeprefix("export ").strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def _flat(found: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        key = f"{prefix}{name}".upper()
        if isinstance(value, dict):
            yield from _flat(value, f"{key}_")
        else:
            yield key, value if isinstance(value, str) else json.dumps(value)


def start_up_scripts(folder: Path) -> list[str]:
    """Return what bash sources before a command: https://devcenter.heroku.com/articles/dynos#the-profile-file."""
    scripts = sorted((folder / ".profile.d").glob("*.sh"))
    profile = folder / ".profile"
    return [str(script) for script in [*scripts, profile] if script.is_file()]
