"""Archives that are put to one secret URL and fetched from another, kept as files in a folder."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

# https://devcenter.heroku.com/articles/limits#build: the largest slug
LARGEST = 500_000_000


def _secret() -> str:
    return secrets.token_hex(16)


@dataclass
class Blob:
    """One archive. checksum: None until it has been put."""

    path: Path
    put_token: str = field(default_factory=_secret)
    get_token: str = field(default_factory=_secret)
    checksum: str | None = None


class Blobs:
    """All blobs of an emulator."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._by_token: dict[str, Blob] = {}
        self._by_path: dict[Path, Blob] = {}

    def new(self) -> Blob:
        """Return a blob in a new file."""
        return self.at(self._folder() / f"{_secret()}.tgz")

    def at(self, path: Path) -> Blob:
        """Return the blob of a file, which may not exist yet."""
        if path not in self._by_path:
            blob = self._by_path[path] = Blob(path)
            self._by_token[blob.put_token] = self._by_token[blob.get_token] = blob
        return self._by_path[path]

    def writable(self, token: str) -> Blob | None:
        """Return the blob that this secret allows to put; that of a slug ends with its app."""
        blob = self._by_token.get(token)
        return blob if blob is not None and blob.put_token == token and blob.path.parent.is_dir() else None

    def readable(self, token: str) -> Blob | None:
        """Return the blob that this secret allows to fetch, once it has been put."""
        blob = self._by_token.get(token)
        return blob if blob is not None and blob.get_token == token and blob.path.exists() else None

    def forget(self, blob: Blob) -> None:
        """Remove a blob and its file."""
        for token in (blob.put_token, blob.get_token):
            self._by_token.pop(token, None)
        self._by_path.pop(blob.path, None)
        blob.path.unlink(missing_ok=True)


def checksum(path: Path) -> str:
    """Return the checksum of a file as the API writes it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"SHA256:{digest.hexdigest()}"


class Upload:
    """One PUT of a blob, which replaces the blob when it is complete."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._part = blob.path.with_name(f"{blob.path.name}.{_secret()}.part")
        self._file: IO[bytes] = self._part.open("xb")
        self._hash = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Append the next bytes."""
        self._file.write(chunk)
        self._hash.update(chunk)

    def finish(self) -> None:
        """Replace the blob."""
        self._file.close()
        self._part.replace(self._blob.path)
        self._blob.checksum = f"SHA256:{self._hash.hexdigest()}"

    def abandon(self) -> None:
        """Remove what arrived of an upload that broke off."""
        self._file.close()
        self._part.unlink(missing_ok=True)
