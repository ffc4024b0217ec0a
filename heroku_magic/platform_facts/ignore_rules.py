"""The files that are not part of an app, by `.slugignore` and git's ignore files, for a deploy and the embedded Heroku.

https://git-scm.com/docs/gitignore
https://devcenter.heroku.com/articles/slug-compiler#ignoring-files-with-slugignore
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from heroku_magic.platform_facts.ignore_pattern import parse

if TYPE_CHECKING:
    from pathlib import Path

    from heroku_magic.platform_facts.ignore_pattern import IgnorePattern

FILES = (".slugignore", ".gitignore")
NEVER = frozenset(
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


class IgnoreRules:
    """The rules for the entries of one folder. Decisions are kept, because matching takes longer than a look at a file.

    gitignores: rules of this folder and those above it with their prefixes, the deepest first. is_commit: the files
    are those of a commit, all of which git pushes; Heroku then removes what `.slugignore` names.
    """

    def __init__(
        self,
        prefix: str,
        slugignore: list[IgnorePattern],
        gitignores: dict[str, list[IgnorePattern]],
        *,
        is_commit: bool = False,
    ) -> None:
        self.is_commit = is_commit
        self._prefix = prefix
        self._slugignore = slugignore
        self._gitignores = gitignores
        self._decisions: dict[str, bool] = {}

    @classmethod
    def of_root(cls, folder: Path) -> IgnoreRules:
        """Return the rules of an app's folder."""
        return cls("", _patterns(folder / ".slugignore"), {"": _patterns(folder / ".gitignore")})

    @classmethod
    def of_commit(cls, folder: Path) -> IgnoreRules:
        """Return the rules of a folder that holds a commit's files."""
        return cls("", _patterns(folder / ".slugignore"), {}, is_commit=True)

    def below(self, prefix: str, folder: Path) -> IgnoreRules:
        """Return the rules of a folder below. prefix: its path in the app, with a slash at the end."""
        gitignores = {} if self.is_commit else {prefix: _patterns(folder / ".gitignore"), **self._gitignores}
        return IgnoreRules(prefix, self._slugignore, gitignores, is_commit=self.is_commit)

    def ignores(self, name: str) -> bool:
        """Whether an entry is ignored; the name of a folder ends with a slash."""
        if name not in self._decisions:
            path = self._prefix + name
            self._decisions[name] = (
                (name.rstrip("/") in NEVER and not self.is_commit)
                or _is_ignored(path, {"": self._slugignore})
                or _is_ignored(path, self._gitignores)
            )
        return self._decisions[name]


def _is_ignored(path: str, files: dict[str, list[IgnorePattern]]) -> bool:
    """Apply git's rule: the last pattern that matches decides, of the deepest file that has one."""
    for prefix, patterns in files.items():
        inner = os.fsencode(path[len(prefix) :])
        for pattern in reversed(patterns):
            if pattern.matches(inner):
                return not pattern.is_negated
    return False


def _patterns(file: Path) -> list[IgnorePattern]:
    """Read an ignore file; as in git, a byte-order mark is skipped."""
    try:
        data = file.read_bytes()
    except OSError:
        return []
    return [pattern for line in data.removeprefix(BOM_UTF8).split(b"\n") if (pattern := parse(line))]
