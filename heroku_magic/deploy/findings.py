"""What the checks find in an app's files, and whether it is certain to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Finding(NamedTuple):
    """A message about an app. is_certain: the build or the run must fail; otherwise it is a warning."""

    text: str
    is_certain: bool = True


class AppFiles(NamedTuple):
    """An app's files. names: all paths; texts: the content of the files that the checks read."""

    names: frozenset[str]
    texts: Mapping[str, str]

    def has(self, path: str) -> bool:
        """Whether a path is a file or a folder, or may be one behind a link."""
        parts = path.split("/")
        above = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
        return bool(above & self.names) or any(name.startswith(f"{path}/") for name in self.names)
