"""Names an app's environment by everything that it is made from."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import TYPE_CHECKING

from heroku_magic.emulator.code.source_tree import SourceTree, stamp
from heroku_magic.platform_facts.installer_variables import installer_variables
from heroku_magic.platform_facts.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from heroku_magic.emulator.code.source_tree import Files, Stamp

# An editable project's modules are read where they are: only what its build reads counts.
_BUILD_FILES = re.compile(
    r".*\.(toml|cfg|in|txt|c|cc|cpp|cxx|h|hpp|pyx|pxd|pyi|rs|f|f90|build)|(.*/)?(setup|__init__|__about__|_?version|"
    r"hatch_build|build)\.py|(.*/)?(README|LICENSE|CMakeLists)[^/]*"
)


class Requirements:
    """The requirements of one folder. files: returns its present files."""

    def __init__(self, folder: Path, files: Callable[[], Files]) -> None:
        self._folder = folder
        self._files = files
        self._digests: dict[Path, tuple[Stamp, str]] = {}

    def recipe(self) -> Recipe:
        """Return what the environment is made from now."""
        return Recipe(self._folder, installer_variables(os.environ))

    def key(self) -> str:
        """Return a name that changes with anything that the environment is made from."""
        recipe = self.recipe()
        digest = hashlib.sha256(f"{sys.version} {getattr(sys, '_base_executable', sys.executable)}\n".encode())
        for path, text in recipe.texts.items():
            digest.update(f"{self._name(path)} {len(text)}\n".encode("utf-8", "surrogateescape") + text)
        for path, is_editable in recipe.projects.items():
            for line in self._project(path, is_editable=is_editable):
                digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    def has_own_project(self) -> bool:
        """Whether a project in the folder itself is installed."""
        root = self._folder.resolve()
        return any(path.is_dir() and path.is_relative_to(root) for path in self.recipe().projects)

    def _name(self, path: Path) -> str:
        """Return a path that is the same for every copy of the app."""
        return os.path.relpath(path, self._folder.resolve())

    def _project(self, path: Path, *, is_editable: bool) -> Iterator[str]:
        """Yield a line for each file of a project, or for an archive."""
        if path.is_file():
            yield f"{self._name(path)} {self._content(path, stamp(path.stat()))}\n"
            return
        for name, found in self._files_below(path).items():
            is_read = not is_editable or _BUILD_FILES.fullmatch(name)
            yield f"{self._name(path)}/{name} {self._content(path / name, found) if is_read else ''}\n"

    def _files_below(self, path: Path) -> Files:
        root = self._folder.resolve()
        if path == root:
            return self._files()
        if not path.is_relative_to(root):
            return SourceTree(path).scan()
        prefix = f"{path.relative_to(root).as_posix()}/"
        return {name[len(prefix) :]: found for name, found in self._files().items() if name.startswith(prefix)}

    def _content(self, path: Path, found: Stamp) -> str:
        """Return the hash of a file's content, computed once for each state of it."""
        if self._digests.get(path, (None, ""))[0] != found:
            try:
                content = path.read_bytes()
            except OSError:
                content = b""
            self._digests[path] = (found, hashlib.sha256(content).hexdigest())
        return self._digests[path][1]
