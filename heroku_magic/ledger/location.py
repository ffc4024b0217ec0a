"""Where the ledger is, and whether runs are written to it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from heroku_magic.platform_facts.folders import expanded

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = Path(".heroku", "history.db")
NETWORK = ("nfs", "cifs", "smb", "afs", "9p", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.")

Setting: TypeAlias = "bool | str | None"


def _nothing_set() -> Setting:
    return None


def _no_cache() -> bool:
    return False


_setting: Callable[[], Setting] = _nothing_set
_cache: Callable[[], bool] = _no_cache


def _current_folder() -> Path | None:
    """Return the current folder; None if it was deleted."""
    with suppress(FileNotFoundError):
        return Path.cwd()
    return None


_first_folder = _current_folder()


def follow_notebook(setting: Callable[[], Setting] = _nothing_set, cache: Callable[[], bool] = _no_cache) -> None:
    """Let the notebook's settings decide. Without an argument, nothing is set any more.

    setting: a folder, True, False, or None, which writes anywhere but in the home folder. cache: whether tasks and
    functions that declare `cache=True` are answered from the ledger.
    """
    global _setting, _cache
    _setting, _cache = setting, cache


def caches_declared() -> bool:
    """Return whether tasks and functions that declare `cache=True` are answered from the ledger."""
    return _cache()


def ledger_path() -> Path | None:
    """Return the path of the ledger's file; None if nothing is to be written."""
    setting = _setting()
    if setting is False:
        return None
    if isinstance(setting, str) and setting:
        return expanded(setting).absolute() / NAME
    folder = start_folder()
    if folder is None or (setting is not True and _is_home(folder)):
        return None
    return folder / NAME


def start_folder() -> Path | None:
    """Return the folder in which the kernel started, or else this process; None if it is gone."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    started_in = getattr(shell, "starting_dir", None)
    return Path(started_in) if started_in else _first_folder


def is_network(folder: Path) -> bool:
    """Return whether a folder is on a network file system, which does not have the shared memory that WAL needs.

    https://www.sqlite.org/wal.html
    """
    import psutil

    kinds: dict[str, str] = {}
    with suppress(OSError, RuntimeError):
        kinds = {one.mountpoint: one.fstype.lower() for one in psutil.disk_partitions(all=True)}
    mount = next((str(path) for path in (folder, *folder.parents) if str(path) in kinds), "")
    return kinds.get(mount, "").startswith(NETWORK)


def _is_home(folder: Path) -> bool:
    with suppress(OSError, RuntimeError):
        return os.path.samefile(folder, os.path.expanduser("~"))  # noqa: PTH111, PTH121 - Path is slow
    return False
