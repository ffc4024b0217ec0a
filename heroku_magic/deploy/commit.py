"""The commit that a deploy with git pushes: a folder's part of its repository's HEAD."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.deploy.archive import included_files, pack
from heroku_magic.errors import DeployRefused
from heroku_magic.platform_facts.folders import suggest_folder
from heroku_magic.platform_facts.ignore_rules import IgnoreRules
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heroku_magic.deploy.archive import Archive

SHORT = 8  # digits of a commit, as Heroku's releases show it
# What git sets for its hooks: `git rev-parse --local-env-vars` without the settings of the user.
_OF_ONE_REPOSITORY = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
}


@dataclass(frozen=True)
class Commit:
    """What is pushed. folder: where git runs; branch: its name, empty for a detached HEAD.

    changes: the files of the folder that differ from HEAD.
    """

    folder: Path
    id: str
    branch: str
    changes: int

    @property
    def notes(self) -> list[str]:
        """Sentences about what is pushed and what is not."""
        source = f"branch {clean_line(self.branch)}" if self.branch else "a detached HEAD"
        found = [f"Pushing {source}, commit {self.id[:SHORT]}"]
        if self.changes == 1:
            found.append("1 changed file is not in HEAD and is not pushed")
        elif self.changes:
            found.append(f"{self.changes} changed files are not in HEAD and are not pushed")
        return found


def read_commit(folder: Path) -> Commit:
    """Return the commit of a folder: HEAD, or for a folder inside a repository its `git subtree split`.

    Raises DeployRefused if there is none.
    """
    shown = clean_line(str(folder))
    if not folder.is_dir():
        raise DeployRefused([f"{shown} is not a folder.{suggest_folder(str(folder))}"])
    root = Path(_git(folder, "rev-parse", "--show-toplevel", problem=f"{shown} is not in a git repository."))
    head = _git(folder, "rev-parse", "--verify", "HEAD^{commit}", problem="The repository has no commit yet.")
    prefix = _git(folder, "rev-parse", "--show-prefix")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", ".")
    branch = _git(folder, "branch", "--show-current")
    if prefix:
        _git(root, "rev-parse", "--verify", f"HEAD:{prefix.rstrip('/')}", problem=f"HEAD has no files of {shown}.")
        head = _split(root, prefix.rstrip("/"))
    return Commit(root, head, branch, len(changes.split("\0")) if changes else 0)


def pack_commit(commit: Commit, *, allow: Iterable[str] = ()) -> Archive:
    """Return the archive of a commit's files, which are checked as those of a folder. Raises DeployRefused."""
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch).resolve() / "files"
        files.mkdir()
        environ = {"GIT_INDEX_FILE": f"{scratch}/index", "GIT_LFS_SKIP_SMUDGE": "1"}
        reset = ("read-tree", "--reset", "-u", "--no-sparse-checkout", commit.id)
        _git(commit.folder, f"--work-tree={files}", *reset, environ=environ)
        committed = sorted(included_files(files, rules=IgnoreRules.of_commit(files)))
        for ignored in files.rglob(".gitignore"):
            ignored.unlink()  # git pushes what is committed, ignored or not
        everything = [path for path in files.rglob("*") if path.is_file() and not path.is_symlink()]
        archive = pack(files, allow=allow, committed=[path.relative_to(files).as_posix() for path in everything])
        archive.names = committed  # with what the archive of a folder leaves out, such as a virtual environment
        return archive


def git_environ() -> dict[str, str]:
    """Return the environment of git in the repository of a folder, and in no other; reading changes nothing there."""
    return {name: value for name, value in os.environ.items() if name not in _OF_ONE_REPOSITORY} | {
        "GIT_OPTIONAL_LOCKS": "0"
    }


def _split(root: Path, prefix: str) -> str:
    """Return the commit that a folder has in a history of its own; git would leave its cache in the repository."""
    cache = Path(_git(root, "rev-parse", "--absolute-git-dir")) / "subtree-cache"
    others = set(cache.glob("*"))
    try:
        return _git(root, "subtree", "split", "-q", f"--prefix={prefix}", "HEAD")
    finally:
        for folder in set(cache.glob("*")) - others:
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # it does not exist, or holds other files
            cache.rmdir()


def _git(folder: Path, *arguments: str, problem: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Run git and return its output. Raises DeployRefused with the problem, or with git's last line."""
    done = subprocess.run(
        [_executable(), "-C", str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        env={**git_environ(), **(environ or {})},
    )
    if done.returncode:
        last = clean_line((done.stderr.strip().splitlines() or ["it printed nothing"])[-1])
        hint = " Commit the files to deploy, or deploy without --git."
        raise DeployRefused([f"{problem}{hint}" if problem else f"git {arguments[0]} failed: {last}"])
    return done.stdout.strip("\n\0")


def _executable() -> str:
    if found := shutil.which("git"):
        return found
    raise DeployRefused(["git was not found on PATH. Install it, or deploy without --git."])
