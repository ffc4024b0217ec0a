"""Remembers the warm dynos of this process, so that the next kernel in its folder can report their end."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from heroku_magic.platform_facts.folders import make_private
from heroku_magic.text.plural import quantity

FOLDER = Path(".heroku", "warm")

_names: set[str] = set()
_file: Path | None = None


def add(dyno: str) -> None:
    """Remember a dyno."""
    _names.add(dyno)
    _write()


def discard(dyno: str) -> None:
    """Forget a dyno that has ended before this process."""
    _names.discard(dyno)
    _write()


def _write() -> None:
    global _file  # noqa: PLW0603 - a process has one file, wherever it is by now
    with suppress(OSError):
        if not _names:
            if _file is not None:
                _file.unlink(missing_ok=True)
            return
        if _file is None:
            folder = FOLDER.absolute()
            make_private(folder)
            _file = folder / str(os.getpid())
        _file.write_text("\n".join(sorted(_names)), encoding="ascii")


def message() -> str:
    """Return, once, a sentence about the warm dynos of processes of this folder that have ended; empty if none had."""
    names: list[str] = []
    for file in FOLDER.glob("[0-9]*"):
        with suppress(OSError, ValueError):  # a file that is not ours
            if not _is_running(int(file.name)):
                names += file.read_text(encoding="ascii").split()
                file.unlink()
    if not names:
        return ""
    return f"The previous kernel stopped {quantity(len(names), 'warm dyno')} when it ended: {', '.join(names)}."


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere the question would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
