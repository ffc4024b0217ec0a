"""Writes a worker folder to start from; overwrites nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.errors import SettingsError
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.protocol.helper import shipped_worker

if TYPE_CHECKING:
    import os

STARTER = Path(__file__).resolve().parent / "starter"
_HIDDEN = frozenset({"gitignore", "slugignore"})  # with a dot they would apply to this package


def init(folder: str | os.PathLike[str] = "worker") -> Path:
    """Write a worker folder with one task, the helper and the files that Heroku requires.

    Parameters
    ----------
    folder
        Where to write; created if it does not exist.

    Returns
    -------
    Path
        The folder's absolute path.

    Raises
    ------
    SettingsError
        One of the files exists (nothing is written then), or the folder cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> sorted(path.name for path in init(mkdtemp()).iterdir())[-2:]
    ['requirements.txt', 'task.py']
    """
    path = expanded(folder).resolve()
    files = _files()
    if there := sorted(name for name in files if (path / name).exists()):
        raise SettingsError(f"{path} already has {', '.join(there)}; nothing was written. Choose another folder.")
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (path / name).write_bytes(content)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}).") from None
    return path


def _files() -> dict[str, bytes]:
    """Return the contents of the files by name."""
    starter = {
        f".{file.name}" if file.name in _HIDDEN else file.name: file.read_bytes()
        for file in sorted(STARTER.iterdir())
        if file.is_file()
    }
    # Functions travel between two Pythons of the same minor version.
    version = f"{sys.version_info.major}.{sys.version_info.minor}\n".encode()
    return {**starter, ".python-version": version, "heroku_task.py": (shipped_worker() / "heroku_task.py").read_bytes()}
