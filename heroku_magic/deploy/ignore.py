"""Finds the files of a folder that are sent: all but those that `.slugignore` or git's ignore files name.

https://git-scm.com/docs/gitignore
https://devcenter.heroku.com/articles/slug-compiler#ignoring-files-with-slugignore
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pathspec.pattern import Pattern

_NEVER = frozenset(
    [
        ".git",
        ".heroku",
        ".venv",
        "__pycache__",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".DS_Store",
    ]
)


class _Rule(NamedTuple):
    """One line of an ignore file."""

    text: str
    pattern: Pattern

    def decides(self, path: str) -> bool:
        """Whether the pattern names this very path; pathspec also matches what is below, which git never looks at."""
        inner = self.text.lstrip("!").removeprefix("**/").rstrip("/ ")
        if "/" not in inner:
            name = path.rstrip("/").rpartition("/")[2]
            return self.pattern.match_file(name + "/" * path.endswith("/")) is not None
        is_as_deep = "**" in inner or inner.strip("/").count("/") == path.rstrip("/").count("/")
        return is_as_deep and self.pattern.match_file(path) is not None


def included_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files and links that are not ignored, with `/` between their parts."""
    yield from _walk(folder, "", {"": _rules(folder / ".slugignore")}, {})


def _walk(
    folder: Path, prefix: str, slugignore: dict[str, list[_Rule]], gitignores: dict[str, list[_Rule]]
) -> Iterator[str]:
    gitignores = {prefix: _rules(folder / prefix / ".gitignore"), **gitignores}
    for entry in os.scandir(folder / prefix):
        is_folder = entry.is_dir(follow_symlinks=False)
        path = prefix + entry.name + "/" * is_folder
        if entry.name in _NEVER or _is_ignored(path, slugignore) or _is_ignored(path, gitignores):
            continue
        if not is_folder:
            yield path
        elif not (Path(entry.path) / "pyvenv.cfg").exists():
            yield from _walk(folder, path, slugignore, gitignores)


def _is_ignored(path: str, files: dict[str, list[_Rule]]) -> bool:
    """Apply git's rule: the last pattern that matches decides, of the deepest file that has one."""
    matching = (
        rule.pattern.include
        for prefix, rules in files.items()
        for rule in reversed(rules)
        if rule.decides(path[len(prefix) :])
    )
    return bool(next(matching, False))


def _rules(file: Path) -> list[_Rule]:
    """Read an ignore file; as in git, a byte-order mark is skipped, and a bad pattern matches nothing."""
    from pathspec import GitIgnoreSpec

    text = file.read_bytes().decode("utf-8-sig", "surrogateescape") if file.is_file() else ""
    rules = []
    for line in re.split("\r?\n", text):
        with suppress(ValueError):
            patterns = GitIgnoreSpec.from_lines([line]).patterns
            rules += [_Rule(line, pattern) for pattern in patterns if pattern.include is not None]
    return rules
