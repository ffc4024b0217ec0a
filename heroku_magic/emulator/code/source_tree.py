"""The files of a served folder that are the app: what a deploy would send."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from heroku_magic.platform_facts.ignore_rules import FILES, IgnoreRules

# Bounds the cost of a look at a folder that is not an app, such as a home folder.
MOST_FILES = 50_000

# Inode, size, times of modification and change in nanoseconds, mode, target of a link. The time of change cannot be
# set, so it reveals an edit that keeps the size and restores the time of modification.
Stamp = tuple[int, int, int, int, int, str]
# By path, with `/` between its parts.
Files = dict[str, Stamp]


class SourceTree:
    """The files of one folder.

    A link within the folder stays a link. The content of a link out of the folder counts as the app's, because a
    copy that holds the link would let a dyno write to its target.
    """

    def __init__(self, folder: Path) -> None:
        self.root = os.path.realpath(folder)
        self._rules: dict[str, tuple[object, IgnoreRules]] = {}

    def scan(self) -> Files:
        """Return the present files; at most one more than MOST_FILES."""
        found: Files = {}
        self._add_folder(found, self.root, "", (self.root,), None)
        return found

    def _add_folder(
        self, found: Files, folder: str, prefix: str, above: tuple[str, ...], parent: IgnoreRules | None
    ) -> None:
        try:
            with os.scandir(folder) as listed:
                entries = list(listed)
        except OSError:
            return
        if prefix and any(entry.name == "pyvenv.cfg" for entry in entries):
            return
        rules = self._rules_of(folder, prefix, entries, parent)
        for entry in entries:
            if len(found) > MOST_FILES:
                return
            is_folder = entry.is_dir(follow_symlinks=False)
            if rules.ignores(entry.name + "/" if is_folder else entry.name):
                continue
            path = prefix + entry.name
            if is_folder:
                self._add_folder(found, entry.path, path + "/", above, rules)
            elif entry.is_symlink():
                self._add_link(found, entry.path, path, above, rules)
            else:
                _add_file(found, entry.path, path)

    def _rules_of(
        self, folder: str, prefix: str, entries: list[os.DirEntry[str]], parent: IgnoreRules | None
    ) -> IgnoreRules:
        """Return the rules of a folder, unchanged as long as its ignore files and the rules above are."""
        stamps = [(entry.name, stamp_or_none(entry.path)) for entry in entries if entry.name in FILES]
        known = self._rules.get(prefix)
        origin = (parent, stamps)
        if known is None or known[0] != origin:
            path = Path(folder)
            known = (origin, IgnoreRules.of_root(path) if parent is None else parent.below(prefix, path))
            self._rules[prefix] = known
        return known[1]

    def _add_link(self, found: Files, source: str, path: str, above: tuple[str, ...], rules: IgnoreRules) -> None:
        real = os.path.realpath(source)
        if real == self.root or real.startswith(self.root + os.sep):
            try:
                found[path] = stamp(os.lstat(source), self._target_within(source, path, real))
            except OSError:
                return
        elif os.path.isdir(real):
            # A folder that contains the app or this link would never end.
            if not any(folder == real or folder.startswith(real + os.sep) for folder in above):
                self._add_folder(found, source, path + "/", (*above, real), rules)
        else:
            _add_file(found, source, path)

    def _target_within(self, source: str, path: str, real: str) -> str:
        """Return a target that stays in a copy of the folder."""
        target = os.readlink(source)
        parent = os.path.dirname(path)
        lexical = os.path.normpath(os.path.join(parent, target))
        is_within = os.path.realpath(os.path.dirname(source)) == os.path.join(self.root, parent).rstrip(os.sep)
        if is_within and not os.path.isabs(target) and lexical.partition(os.sep)[0] != os.pardir:
            return target
        return os.path.relpath(os.path.join(self.root, real), os.path.join(self.root, parent))


def stamp(status: os.stat_result, target: str = "") -> Stamp:
    """Return what changes when a file does."""
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode, target)


def stamp_or_none(path: str) -> Stamp | None:
    """Return the stamp of a file; None if there is none, or it cannot be read."""
    try:
        return stamp(os.stat(path))
    except OSError:
        return None


def _add_file(found: Files, source: str, path: str) -> None:
    """Add a file; sockets, pipes, devices and links without a target are not part of an app."""
    found_stamp = stamp_or_none(source)
    if found_stamp is not None and stat.S_ISREG(found_stamp[4]):
        found[path] = found_stamp
