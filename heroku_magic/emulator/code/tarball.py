"""Unpacks and packs gzipped tarballs; an archive that would write outside its folder is refused.

Files are written before any link exists, so no link can redirect a file; afterwards every link has to end
inside the folder. Python's own data filter is not enough: it strips leading slashes instead of refusing them,
is missing before 3.10.12, and could be led outside until mid-2025 (CVE-2025-4517).
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from errno import ELOOP
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from heroku_magic.emulator.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://devcenter.heroku.com/articles/limits#build: 1 GB of source
LARGEST = 1_000_000_000
MOST_MEMBERS = 200_000
# tarfile reads files in smaller pieces than this, and a long name or a member's other properties in one.
_LONGEST_READ = 1 << 20


class _BoundedContent(gzip.GzipFile):
    """The content of an archive, of which no member's properties can fill the memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _LONGEST_READ:
            raise BuildError("The source archive is too large: the properties of a member have more than a megabyte.")
        return super().read(size)


def unpack(archive: Path, folder: Path, *, within: str = "") -> None:
    """Unpack into a new folder, completely or not at all. within: take only this subfolder's content."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        with _BoundedContent(archive) as content, tarfile.open(fileobj=content, mode="r:") as tar:
            _write(tar, part)
            _read_to_end(content)
        check_links(part)
        (part / within).resolve(strict=True).replace(folder)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        raise BuildError(f"The source archive is not a gzipped tarball that can be unpacked: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def pack(folder: Path, archive: Path, *, within: str) -> None:
    """Pack a folder's content below a name, completely or not at all."""
    part = archive.with_name(f"{archive.name}.part")
    with tarfile.open(part, "w:gz", compresslevel=1) as tar:
        tar.add(folder, arcname=within)
    part.replace(archive)


def without_wrapper(folder: Path) -> Path:
    """Return the folder itself, or the one folder that wraps all files, as in GitHub's tarballs."""
    inside = list(folder.iterdir())
    is_wrapped = len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink()
    return inside[0] if is_wrapped else folder


def _read_to_end(content: gzip.GzipFile) -> None:
    """Read what follows the last member: only the checksum there reveals a damaged end."""
    size = 0
    while chunk := content.read(1 << 20):
        size += len(chunk)
        if size > LARGEST:
            raise BuildError(f"The source archive is too large: at most {LARGEST} bytes.")


def _write(tar: tarfile.TarFile, folder: Path) -> None:
    links: list[tuple[Path, str]] = []
    for member in _within_limits(tar):
        path = folder / _checked(member.name)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.issym():
            links.append((path, member.linkname))
        elif member.islnk():
            os.link(folder / _checked(member.linkname), path, follow_symlinks=False)
        elif member.isfile() and (content := tar.extractfile(member)) is not None:
            path.unlink(missing_ok=True)
            with path.open("xb") as file:
                shutil.copyfileobj(content, file)
            path.chmod(0o755 if member.mode & 0o111 else 0o644)
        else:
            raise BuildError(f"The source archive holds {member.name[:200]!r}, which is not a file, folder or link.")
    for path, target in links:
        path.symlink_to(target)


def _within_limits(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    size = 0
    for count, member in enumerate(tar):
        size += member.size
        if size > LARGEST or count >= MOST_MEMBERS:
            raise BuildError(f"The source archive is too large: at most {LARGEST} bytes in {MOST_MEMBERS} members.")
        yield member


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BuildError(f"The source archive holds {name[:200]!r}, a path that leads outside the app.")
    return path


def check_links(folder: Path) -> None:
    """Refuse links that lead to themselves or outside of a folder. Raises BuildError."""
    root = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            if path.is_symlink() and _is_loop(path):
                raise BuildError(f"The source holds a link that leads to itself: {path.relative_to(folder)}")
            # Not strict: a dangling link is as harmless here as it is on Heroku.
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise BuildError(f"The source holds a link that leads outside the app: {path.relative_to(folder)}")


def _is_loop(link: Path) -> bool:
    try:
        link.stat()
    except OSError as error:
        return error.errno == ELOOP
    return False
