"""Files of runs as pictures and as links that download them from the page, within a limit of bytes."""

from __future__ import annotations

from binascii import b2a_base64
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.text.plural import size_text
from heroku_magic.text.sanitize import clipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# All files of one output, encoded: Jupyter drops outputs that come faster than a megabyte per second.
MOST_BYTES = 700_000
MOST_FILES = 20  # of one run
_LONGEST_NAME = 100
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class Attachment(NamedTuple):
    """A file: its name and size, safe to show, and data URLs, empty if it has none or they do not fit."""

    name: str
    size: str
    link: str = ""
    picture: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.size})"


class AttachmentEncoder:
    """Makes attachments of files until the limit is used up."""

    def __init__(self, limit: int = MOST_BYTES) -> None:
        self._left = limit

    def encode(self, files: Mapping[str, bytes], *, with_pictures: bool) -> Iterator[Attachment]:
        """Yield the first files, pictures as such if wanted; a link never opens anything, it only downloads."""
        for name, content in islice(files.items(), MOST_FILES):
            picture = self.picture(content) if with_pictures else ""
            link = self._url("application/octet-stream", content)
            yield Attachment(clipped(name, _LONGEST_NAME), size_text(len(content)), link, picture)

    def picture(self, content: bytes) -> str:
        """Return a picture as a data URL; empty for other content, and where it does not fit."""
        kind = picture_type(content)
        return self._url(kind, content) if kind else ""

    def _url(self, kind: str, content: bytes) -> str:
        size = 4 * len(content) // 3 + 50
        if size > self._left:
            return ""
        self._left -= size
        return data_url(kind, content)


def data_url(kind: str, content: bytes) -> str:
    """Return content of a media type as a URL that holds all of it."""
    return f"data:{kind};base64,{b2a_base64(content, newline=False).decode('ascii')}"


def picture_type(content: bytes) -> str | None:
    """Return the media type of a picture by its first bytes; None for other content. SVG may contain scripts."""
    return next((kind for start, kind in _PICTURES.items() if content.startswith(start)), None)
