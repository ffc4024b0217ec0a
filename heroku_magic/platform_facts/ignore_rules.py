"""The files that are not part of an app, by `.slugignore` and git's ignore files, for a deploy and the embedded Heroku.

https://git-scm.com/docs/gitignore
https://devcenter.heroku.com/articles/slug-compiler#ignoring-files-with-slugignore
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from pathspec.pattern import Pattern

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

    gitignores: rules of this folder and those above it with their prefixes, the deepest first.
    """

    def __init__(self, prefix: str, slugignore: list[_Rule], gitignores: dict[str, list[_Rule]]) -> None:
        self._prefix = prefix
        self._slugignore = slugignore
        self._gitignores = gitignores
        self._decisions: dict[str, bool] = {}

    @classmethod
    def of_root(cls, folder: Path) -> IgnoreRules:
        """Return the rules of an app's folder."""
        return cls("", _rules(folder / ".slugignore"), {"": _rules(folder / ".gitignore")})

    def below(self, prefix: str, folder: Path) -> IgnoreRules:
        """Return the rules of a folder below. prefix: its path in the app, with a slash at the end."""
        return IgnoreRules(prefix, self._slugignore, {prefix: _rules(folder / ".gitignore"), **self._gitignores})

    def ignores(self, name: str) -> bool:
        """Whether an entry is ignored; the name of a folder ends with a slash."""
        if name not in self._decisions:
            path = self._prefix + name
            self._decisions[name] = (
                name.rstrip("/") in NEVER
                or _is_ignored(path, {"": self._slugignore})
                or _is_ignored(path, self._gitignores)
            )
        return self._decisions[name]


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
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError:
        return []
    from pathspec import GitIgnoreSpec

    rules = []
    for line in re.split("\r?\n", text):
        # For git, `a/**` does not match the folder itself.
        rule = re.sub(r"/\*\*$", "/*", line)
        try:
            patterns = GitIgnoreSpec.from_lines([rule]).patterns
        except (ValueError, re.error):
            continue
        rules += [_Rule(rule, pattern) for pattern in patterns if pattern.include is not None]
    return rules
