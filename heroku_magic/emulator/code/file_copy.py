"""Copies files with their modes and times: copy-on-write where the file system can, and never as a hard link."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.emulator.code.source_tree import Stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Linux's ioctl that shares the blocks of a file: https://man7.org/linux/man-pages/man2/ioctl_ficlone.2.html
_FICLONE = 0x40049409
_CHUNK = 1 << 20


# What a copy holds: by path in the copy, the file to copy and its stamp.
Content = dict[str, tuple[str, Stamp]]


def update(folder: Path, before: Content, after: Content, is_wanted: Callable[[], bool]) -> bool:
    """Turn a copy of `before` into one of `after`; False if a source changed meanwhile, or if it is not wanted."""
    outdated = [path for path, entry in before.items() if after.get(path) != entry]
    for path in outdated:
        (folder / path).unlink(missing_ok=True)
    _remove_empty_folders(folder, outdated)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_same = True
    parents = {""}
    for path, (source, expected) in after.items():
        if before.get(path) == (source, expected):
            continue
        if not is_wanted():
            return False
        parent = os.path.dirname(path)
        if parent not in parents:
            (folder / parent).mkdir(parents=True, exist_ok=True)
            parents.add(parent)
        is_same &= _copy_entry(source, f"{folder}/{path}", expected) == expected
    return is_same


def _copy_entry(source: str, target: str, expected: Stamp) -> Stamp | None:
    """Copy a file or a link; return what it was at the end of the copy, None if it is gone or cannot be read."""
    try:
        if stat.S_ISLNK(expected[4]):
            os.symlink(expected[5], target)
            return stamp(os.lstat(source), expected[5])
        return copy_file(source, target)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        return None


def copy_file(source: str, target: str) -> Stamp:
    """Copy one file to a new one; return the source's stamp after the copy."""
    with open(source, "rb", 0) as original, open(target, "xb") as copy:
        if not _clone(original.fileno(), copy.fileno()):
            shutil.copyfileobj(original, copy, _CHUNK)
            copy.flush()
        status = os.fstat(original.fileno())
        os.fchmod(copy.fileno(), stat.S_IMODE(status.st_mode) & 0o777)
        os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    return stamp(status)


def _clone(source: int, target: int) -> bool:
    """Share the blocks of two files until one of them is written; False if the file system cannot."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def remove(folder: Path) -> None:
    """Remove a folder, even one whose permissions a task took away."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                with suppress(OSError):
                    Path(parent, name).chmod(0o700, follow_symlinks=False)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_empty_folders(folder: Path, paths: Iterable[str]) -> None:
    for parent in sorted(
        {parent for path in paths for parent in Path(path).parents}, key=lambda path: -len(path.parts)
    ):
        if parent.parts:
            with suppress(OSError):  # not empty
                (folder / parent).rmdir()
