"""Suggests a worker folder for a mistyped one."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path


def suggest_folder(typed: str | os.PathLike[str]) -> str:
    """Return a hint that names the nearest worker folder beside or in a folder, as it was typed; or an empty text."""
    text = os.fspath(typed).rstrip("/")
    parent, slash, name = text.rpartition("/")
    try:
        if (Path(text).expanduser() / "worker" / "Procfile").is_file():
            return f" Did you mean {text}/worker?"
        beside = sorted(file.parent.name for file in Path(parent + slash or ".").expanduser().glob("*/Procfile"))
    except (OSError, RuntimeError):  # no such folder, no such user
        return ""
    near = get_close_matches(name, beside, 1)
    return f" Did you mean {parent}{slash}{near[0]}?" if near else ""
