"""The files that are not part of an app: decided as a deploy decides, by `.slugignore` and git's ignore files.

https://git-scm.com/docs/gitignore
https://devcenter.heroku.com/articles/slug-compiler#ignoring-files-with-slugignore
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pathspec import GitIgnoreSpec

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
    """The rules for the entries of one folder. They keep their decisions: matching takes longer than a look at a file.

    gitignores: patterns of this folder and those above it with their prefixes, the deepest first.
    """

    def __init__(self, prefix: str, slugignore: GitIgnoreSpec | None, gitignores: dict[str, GitIgnoreSpec]) -> None:
        self._prefix = prefix
        self._slugignore = slugignore
        self._gitignores = gitignores
        self._decisions: dict[str, bool] = {}

    @classmethod
    def of_root(cls, folder: Path) -> IgnoreRules:
        """Return the rules of an app's folder."""
        patterns = _patterns(folder / ".gitignore")
        return cls("", _patterns(folder / ".slugignore"), {} if patterns is None else {"": patterns})

    def below(self, prefix: str, folder: Path) -> IgnoreRules:
        """Return the rules of a folder below. prefix: its path in the app, with a slash at the end."""
        patterns = _patterns(folder / ".gitignore")
        return IgnoreRules(
            prefix, self._slugignore, self._gitignores if patterns is None else {prefix: patterns, **self._gitignores}
        )

    def ignores(self, name: str) -> bool:
        """Whether an entry is ignored; the name of a folder ends with a slash."""
        if name not in self._decisions:
            self._decisions[name] = name.rstrip("/") in NEVER or self._matches(self._prefix + name)
        return self._decisions[name]

    def _matches(self, path: str) -> bool:
        """Apply git's rule: the deepest file that matches decides, and in it the last pattern that matches."""
        if self._slugignore is not None and self._slugignore.match_file(path):
            return True
        for prefix, patterns in self._gitignores.items():
            decision = patterns.check_file(path[len(prefix) :]).include
            if decision is not None:
                return decision
        return False


def _patterns(file: Path) -> GitIgnoreSpec | None:
    """Return the patterns of an ignore file; a byte-order mark is skipped, a bad pattern matches nothing."""
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError:
        return None
    from pathspec import GitIgnoreSpec

    valid = []
    for line in re.split("\r?\n", text):
        # For git, `a/**` does not match the folder itself.
        pattern = re.sub(r"/\*\*$", "/*", line)
        try:
            GitIgnoreSpec.from_lines([pattern])
        except (ValueError, re.error):
            continue
        valid.append(pattern)
    return GitIgnoreSpec.from_lines(valid)
