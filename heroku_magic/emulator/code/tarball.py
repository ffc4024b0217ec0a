"""A gzipped tarball -> a folder, and back; what would reach outside the folder is refused, whole.

Members are written before any link exists and none through a link, so that no link can lead a file
astray; afterwards each link must end inside.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from heroku_magic.emulator.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# https://devcenter.heroku.com/articles/limits#build: 1 GB of source
LARGEST = 1_000_000_000
MOST_MEMBERS = 200_000


def unpack(archive: Path, folder: Path, *, within: str = "") -> None:
    """Unpack into a folder that does not exist yet, whole or not at all. within: take only what lies in this one."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        with gzip.open(archive) as content, tarfile.open(fileobj=content, mode="r:") as tar:
            _write(tar, part)
            _read_to_end(content)
        _check_links(part)
        (part / within).resolve(strict=True).replace(folder)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        raise BuildFailed(f"The source archive is no gzipped tarball that can be unpacked: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def pack(folder: Path, archive: Path, *, within: str) -> None:
    """Pack a folder's content below a name, whole or not at all."""
    part = archive.with_name(f"{archive.name}.part")
    with tarfile.open(part, "w:gz", compresslevel=1) as tar:
        tar.add(folder, arcname=within)
    part.replace(archive)


def unwrapped(folder: Path) -> Path:
    """Return the folder itself, or the one folder that wraps everything, as in GitHub's tarballs."""
    inside = list(folder.iterdir())
    is_wrapped = len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink()
    return inside[0] if is_wrapped else folder


def _read_to_end(content: gzip.GzipFile) -> None:
    """Read what follows the last member: a broken end shows only in the checksum there."""
    size = 0
    while chunk := content.read(1 << 20):
        size += len(chunk)
        if size > LARGEST:
            raise BuildFailed(f"The source archive is too large: at most {LARGEST} bytes.")


def _write(tar: tarfile.TarFile, folder: Path) -> None:
    links: list[tuple[Path, tarfile.TarInfo]] = []
    for member in _counted(tar):
        path = folder / _inside(member.name)
        if member.issym():
            links.append((path, member))
        elif member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.isfile():
            _write_file(tar, member, path)
        elif member.islnk():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / _inside(member.linkname), path, follow_symlinks=False)
        else:
            raise BuildFailed(f"The source archive holds {member.name[:200]!r}, which is no file, folder or link.")
    for path, member in links:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(member.linkname)


def _counted(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    size = 0
    for count, member in enumerate(tar):
        size += member.size
        if size > LARGEST or count >= MOST_MEMBERS:
            raise BuildFailed(f"The source archive is too large: at most {LARGEST} bytes in {MOST_MEMBERS} members.")
        yield member


def _write_file(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    if content is not None:
        path.unlink(missing_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(0o755 if member.mode & 0o111 else 0o644)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BuildFailed(f"The source archive holds {name[:200]!r}, a path that leads outside the app.")
    return path


def _check_links(folder: Path) -> None:
    root = folder.resolve()
    for path in _links(folder):
        # Not strict: a link to nowhere is as harmless here as it is on Heroku.
        if not path.resolve().is_relative_to(root):
            raise BuildFailed(f"The source archive holds a link that leads outside the app: {path.relative_to(folder)}")


def _links(folder: Path) -> Iterable[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(parent, name)).is_symlink())
