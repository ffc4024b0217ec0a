"""Packs an app's folder into an archive, with the same bytes for the same files.

Files that `.slugignore` or `.gitignore` names are left out. Files that look like secrets are refused: whoever may
deploy an app can read its slug.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import tarfile
import tempfile
import weakref
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import decode_source
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING

from heroku_magic.deploy.credentials import secret_in
from heroku_magic.deploy.syntax import NOT_DECODED
from heroku_magic.errors import DeployRefused
from heroku_magic.platform_facts import requirements
from heroku_magic.platform_facts.folders import suggest_folder
from heroku_magic.platform_facts.ignore_rules import IgnoreRules
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST_FOLDER = 1_000_000_000  # bytes of an app's files: https://devcenter.heroku.com/articles/limits#builds
IN_MEMORY = 16_000_000  # bytes; a larger archive goes to a temporary file
_READ = (".py", ".python-version", "Procfile", "Pipfile.lock", ".txt", ".in")  # files whose content is checked
_LONGEST_TEXT = 1_000_000  # bytes of a file that is checked


@dataclass
class Archive:
    """A packed folder, ready to be sent. checksum: `SHA256:` and hex digits.

    sizes: bytes of each file by its path; names: of all files and links; texts: of sources and settings;
    warnings: about odd links and files that may hold secrets.
    """

    file: IO[bytes]
    checksum: str
    size: int
    sizes: dict[str, int]
    names: list[str]
    texts: dict[str, str] = field(repr=False)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.file.close)

    def largest(self, most: int = 5) -> list[tuple[str, int]]:
        """Return the largest files and folders at the top level, as (name, bytes)."""
        totals = Counter[str]()
        for path, size in self.sizes.items():
            first, slash, _ = path.partition("/")
            totals[first + slash] += size
        return totals.most_common(most)


def pack(folder: Path, *, allow: Iterable[str] = (), committed: Iterable[str] | None = None) -> Archive:
    """Pack a folder; allow: paths in it that are sent although they look like secrets.

    committed: the paths of all files of a commit. Git pushes those that are not packed, too, so all are searched for
    secrets. Raises DeployRefused with all problems at once.
    """
    if not folder.is_dir():
        raise DeployRefused([f"{clean_line(str(folder))} is not a folder.{suggest_folder(os.path.relpath(folder))}"])
    remedy = "name it in .slugignore" if committed is None else "remove it from the commit (git rm --cached)"
    packer = _Packer(folder, frozenset(allow), remedy)
    try:
        paths = sorted(included_files(folder))
    except OSError as error:
        what = f"{clean_line(os.path.relpath(error.filename, folder))} cannot be read ({error.strerror})"
        raise DeployRefused([f"{what}: make it readable, or name it in .slugignore."]) from None
    package = packer.package(paths)
    for path in sorted({*(committed or ())} - {*paths}):
        packer.search(path, (folder / path).read_bytes())
    if packer.issues:
        raise DeployRefused(packer.issues)
    return package


def included_files(
    folder: Path, prefix: str = "", rules: IgnoreRules | None = None, looked_at: list[str] | None = None
) -> Iterator[str]:
    """Yield the paths of all files and links that are not ignored, with `/` between their parts.

    looked_at: gets the paths of the folders that decide what is yielded, besides the ignore files.
    """
    if looked_at is not None:
        looked_at.append(os.path.join(folder, prefix))  # noqa: PTH118 - Path is slow
    rules = rules.below(prefix, folder / prefix) if rules else IgnoreRules.of_root(folder)
    with os.scandir(folder / prefix) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            name = entry.name + "/" * is_folder
            if rules.ignores(name):
                continue
            if not is_folder:
                yield prefix + name
            elif rules.is_commit or not (Path(entry.path) / "pyvenv.cfg").exists():
                yield from included_files(folder, prefix + name, rules, looked_at)
            elif looked_at is not None:
                looked_at.append(entry.path)


class _Packer:
    """Writes one archive; reads each file once, so that the checked bytes are the sent bytes.

    remedy: how a file with secrets is kept out.
    """

    def __init__(self, folder: Path, allowed: frozenset[str], remedy: str) -> None:
        self._folder = folder
        self._allowed = allowed
        self._remedy = remedy
        self._sizes: dict[str, int] = {}
        self._texts: dict[str, str] = {}
        self._warnings: list[str] = []
        self.issues: list[str] = []

    def package(self, paths: list[str]) -> Archive:
        archive = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the caller sends and closes it
        # No name and no time in the gzip header, no owner and no time of files: same folder, same bytes.
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=archive, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in paths:
                self._add(tar, path)
        if sum(self._sizes.values()) > LARGEST_FOLDER:
            self.issues.append(
                f"The folder has {sum(self._sizes.values()):,} bytes, and Heroku accepts at most {LARGEST_FOLDER:,}."
            )
        size = archive.tell()
        archive.seek(0)
        return Archive(archive, f"SHA256:{_digest(archive)}", size, self._sizes, paths, self._texts, self._warnings)

    def _add(self, tar: tarfile.TarFile, path: str) -> None:
        source = self._folder / path
        info = tarfile.TarInfo(path)
        try:
            status = source.lstat()
            if stat.S_ISLNK(status.st_mode):
                self._add_link(tar, info, source)
            elif stat.S_ISREG(status.st_mode):
                self._add_file(tar, info, source, status)
            else:
                self.issues.append(
                    f"{clean_line(path)} is neither a file nor a link: remove it, or name it in .slugignore."
                )
        except OSError as error:
            self.issues.append(f"{clean_line(path)} cannot be read ({error.strerror}).")

    def _add_link(self, tar: tarfile.TarFile, info: tarfile.TarInfo, source: Path) -> None:
        target = source.readlink()
        if not self._stays_within(source, target):
            what = "is a link out of the folder, and only the folder is sent."
            self.issues.append(f"{clean_line(info.name)} {what}")
            return
        try:
            source.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._warnings.append(f"{clean_line(info.name)} is a link that leads back to itself.")
        else:
            self._add_text(info.name, source)
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(target), 0o777
        tar.addfile(info)

    def _stays_within(self, source: Path, target: Path) -> bool:
        """Whether each step to a link's target stays in the folder; the folder itself has another name on Heroku."""
        # Path.resolve would raise an error for links in a circle, which Heroku takes as they are.
        root = os.path.realpath(self._folder)
        steps = accumulate(target.parts, lambda path, part: path / part, initial=source.parent)
        return not target.is_absolute() and all(Path(os.path.realpath(step)).is_relative_to(root) for step in steps)

    def _add_file(self, tar: tarfile.TarFile, info: tarfile.TarInfo, source: Path, before: os.stat_result) -> None:
        with source.open("rb") as file:
            content = file.read()
        after = source.stat()
        if (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, before.st_size) or len(content) != after.st_size:
            self.issues.append(f"{clean_line(info.name)} changed while it was packed. Try again.")
        self.search(info.name, content)
        info.size, info.mode = len(content), 0o755 if before.st_mode & 0o100 else 0o644
        tar.addfile(info, io.BytesIO(content))
        self._sizes[info.name] = info.size
        if info.size <= _LONGEST_TEXT and info.name.endswith(_READ):
            self._texts[info.name] = _text(info.name, content)

    def search(self, path: str, content: bytes) -> None:
        """Note whether a file looks like a secret, unless it is allowed."""
        if path in self._allowed or not (found := secret_in(path, content)):
            return
        name = clean_line(path)
        if found.is_certain:
            self.issues.append(f"{name} {found.text}: {self._remedy}, or send it anyway with --allow {name}.")
        else:
            self._warnings.append(f"{name} {found.text}: if it does, {self._remedy}.")

    def _add_text(self, name: str, source: Path) -> None:
        """Read what a link leads to: the checks follow it as Heroku does."""
        if name.endswith(_READ) and source.is_file() and source.stat().st_size <= _LONGEST_TEXT:
            self._texts[name] = _text(name, source.read_bytes())


def _text(name: str, content: bytes) -> str:
    """Return the text of a file as Python, pip or Heroku's build system decodes it."""
    if name.endswith(".py"):
        try:
            return decode_source(content)
        except (SyntaxError, UnicodeError, LookupError):  # the last one for an encoding that is not one of text
            return NOT_DECODED
    if name in {"Procfile", ".python-version", "runtime.txt"}:
        return content.decode("utf-8", "replace")
    return requirements.decoded(content)


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1_000_000):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
