"""The hash of an app's files, worked out without the embedded Heroku that serves them."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from secrets import token_hex
from stat import S_ISDIR
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.deploy.archive import included_files
from heroku_magic.platform_facts.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DOTENV = ".env"  # the config vars of a served folder
SETTLED = 0.1  # seconds after which a change leaves another time of modification, whatever the file system's clock is


class _KnownFolder(NamedTuple):
    """The hash of a folder, which holds as long as these facts and stamps are the same."""

    facts: tuple[object, ...]
    stamps: dict[str, tuple[int, ...]]
    digest: str


_known: dict[str, tuple[tuple[int, ...], str]] = {}  # by path: what identifies a content, and its hash
_known_folders: dict[Path, _KnownFolder] = {}
_config_changes: dict[str, str] = {}  # by folder


def hash_folder(folder: Path, most: int | None = None) -> str:
    """Return the hash of the files, projects and config vars that a dyno finds; empty for more than `most` files."""
    root, began = Path(os.path.realpath(folder)), time.time()
    recipe, config = Recipe(root, os.environ), _config_stamp(root)
    facts = (recipe.texts, recipe.projects, config, most)
    known = _known_folders.get(root)
    if known and known.facts == facts and known.stamps == _stamps(known.stamps):
        return known.digest
    looked_at: list[str] = []  # folders
    paths = [*islice(_paths(root, recipe, looked_at), None if most is None else most + 1)]
    if most is not None and len(paths) > most:
        return ""
    total, above = sha256(config.encode()), (root,)
    for path in sorted(paths):
        for name, digest in _entries(os.path.join(root, path), path, above):  # noqa: PTH118 - Path is slow
            total.update(f"{name}\0{digest}\0".encode("utf-8", "surrogateescape"))
    files = _stamps(os.path.join(root, path) for path in paths)  # noqa: PTH118
    stamps = {**_stamps(looked_at), **files}
    has_folder = any(stamp and S_ISDIR(stamp[0]) for stamp in files.values())  # that a link names
    changed_at = max((at for stamp in stamps.values() for at in stamp[-2:]), default=math.inf)
    if not has_folder and changed_at < (began - SETTLED) * 1e9:
        _known_folders[root] = _KnownFolder(facts, stamps, total.hexdigest())
    return total.hexdigest()


def last_change(folder: Path) -> float:
    """Return when one of the files that a dyno finds was changed last, in seconds since 1970."""
    root = Path(os.path.realpath(folder))
    known = _known_folders.get(root)
    paths = known.stamps if known else (f"{root}/{path}" for path in _paths(root, Recipe(root, os.environ), []))
    files = [stamp for stamp in _stamps(paths).values() if stamp and not S_ISDIR(stamp[0])]
    return max((at for stamp in files for at in stamp[-2:]), default=0) / 1e9


def note_config_change(folder: Path) -> None:
    """Remember that the config vars of a served folder were changed; they are in no file."""
    _config_changes[os.path.realpath(folder)] = token_hex(8)


def _paths(folder: Path, recipe: Recipe, looked_at: list[str]) -> Iterator[str]:
    """Yield the paths of an app's files, and of those outside its folder that its requirements name."""
    yield from (path for path in included_files(folder, looked_at=looked_at) if path != DOTENV)
    for path in {*recipe.texts, *recipe.projects}:
        if path.is_dir() and not path.is_relative_to(folder):
            yield from (str(path / name) for name in included_files(path, looked_at=looked_at))
        elif not path.is_relative_to(folder):
            yield str(path)


def _config_stamp(folder: Path) -> str:
    """Return what changes with the config vars. It does not depend on their values, as these may be secrets."""
    stamp = [*_stamps([f"{folder}/{DOTENV}"]).values()]
    return f"{stamp} {_config_changes.get(str(folder))}"


def _stamps(paths: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return what identifies the contents of files and folders by path."""
    stamps: dict[str, tuple[int, ...]] = {}
    for path in paths:
        stamps[path] = ()
        with suppress(OSError):
            stamps[path] = _stamp(os.stat(path))  # noqa: PTH116
    return stamps


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    """Return what identifies a content. The last two are the times of its changes."""
    return stat.st_mode, stat.st_ino, stat.st_dev, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _entries(file: str, name: str, above: tuple[Path, ...]) -> list[tuple[str, str]]:
    """Return a file with its hash, or the files of a folder that is linked to. above: folders that have the file."""
    try:
        stat = os.stat(file)  # noqa: PTH116
    except OSError:
        return [(name, "")]
    if not S_ISDIR(stat.st_mode):
        return [(name, _hash_file(file, stat))]
    real = Path(os.path.realpath(file))
    if any(real.is_relative_to(one) or one.is_relative_to(real) for one in above):
        return [(name, f"link {os.readlink(file)}")]  # noqa: PTH115 - the text itself
    below = [(str(real / path), f"{name}/{path}") for path in sorted(included_files(real))]
    return [entry for one, its_name in below for entry in _entries(one, its_name, (*above, real))]


def _hash_file(file: str, stat: os.stat_result) -> str:
    """Return the hash of a file's content, read only if it may have changed since the last time."""
    stamp = _stamp(stat)
    if (known := _known.get(file)) and known[0] == stamp:
        return known[1]
    with suppress(OSError), Path(file).open("rb") as content:
        digest = sha256(content.read() + bytes([stat.st_mode & 0o111 != 0])).hexdigest()
        if time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED:
            _known[file] = (stamp, digest)
        return digest
    return ""
