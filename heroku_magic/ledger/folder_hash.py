"""The hash of an app's files, worked out without the embedded Heroku that serves them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path

from heroku_magic.deploy.archive import included_files

SETTLED = 0.1  # seconds after which a change leaves another time of modification, whatever the file system's clock is

_known: dict[str, tuple[tuple[int, ...], str]] = {}  # by path: what identifies a content, and its hash


def hash_folder(folder: Path, most: int | None = None) -> str:
    """Return the hash of all files that a dyno sees, with their names; empty if there are more than `most`."""
    paths = [*islice(included_files(folder), None if most is None else most + 1)]
    if most is not None and len(paths) > most:
        return ""
    total = sha256()
    for path in sorted(paths):
        for name, digest in _entries(folder / path, path):
            total.update(f"{name}\0{digest}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _entries(file: Path, name: str) -> list[tuple[str, str]]:
    """Return a file with its hash, or the files of a folder that is linked to."""
    if file.is_dir():
        real = Path(os.path.realpath(file))
        if file.resolve().is_relative_to(Path(os.path.realpath(file.parent))):
            return [(name, f"link {os.readlink(file)}")]  # noqa: PTH115 - the text itself
        return [(f"{name}/{path}", _hash_file(real / path)) for path in sorted(included_files(real))]
    return [(name, _hash_file(file))]


def _hash_file(file: Path) -> str:
    """Return the hash of a file's content, read only if it may have changed since the last time."""
    with suppress(OSError):
        stat = file.stat()
        stamp = (stat.st_ino, stat.st_dev, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode & 0o111)
        path = str(file)
        if (known := _known.get(path)) and known[0] == stamp:
            return known[1]
        with file.open("rb") as content:
            digest = sha256(content.read() + bytes([stat.st_mode & 0o111 != 0])).hexdigest()
        if time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED:
            _known[path] = (stamp, digest)
        return digest
    return ""
