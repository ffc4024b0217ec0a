"""The bare git repository of an app, which `git push heroku main` writes to.

https://git-scm.com/docs/git-receive-pack
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from heroku_magic.emulator.code import tarball
from heroku_magic.emulator.dynos.reaper import kill_group
from heroku_magic.emulator.errors import BuildError
from heroku_magic.platform_facts.installer_variables import installer_variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heroku_magic.emulator.dynos.reaper import Reaper

NO_GIT = "git was not found on the PATH of the embedded Heroku. Install git there, and push again."
# The variables that give the hook its two pipes.
UPDATES, ANSWER = "EMBEDDED_HEROKU_UPDATES", "EMBEDDED_HEROKU_ANSWER"
# Sends the folder of the quarantine and the pushed refs to the emulator, prints its lines (each after a `>`), and
# ends with its verdict, the line without one. An empty line ends the refs: other processes hold the pipe open, too.
_HOOK = f"""\
#!/bin/sh
{{ printf '%s\\n' "$GIT_OBJECT_DIRECTORY"; cat; echo; }} >"/dev/fd/${UPDATES}"
while IFS= read -r line; do
  case "$line" in
    ">"*) printf '%s\\n' "${{line#>}}" ;;
    *) exit "$line" ;;
  esac
done <"/dev/fd/${ANSWER}"
exit 1
"""
# The user's own settings must not change a push: a filter of git-lfs would replace the pointers that Heroku keeps.
# HOME also has the attributes that git applies without any setting, and the passwords in .netrc.
_SETTINGS = {
    "HOME": os.devnull,
    "XDG_CONFIG_HOME": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    # A build at Heroku has neither the user's SSH keys nor files of this machine to fetch submodules with.
    "GIT_ALLOW_PROTOCOL": "https:http:git",
    # A server of a submodule that sends nothing for a minute does not keep a push waiting.
    "GIT_HTTP_LOW_SPEED_LIMIT": "1",
    "GIT_HTTP_LOW_SPEED_TIME": "60",
    "LC_ALL": "C.UTF-8",
}


class Repository:
    """The repository in a folder, created when it is first used. is_pushed_to: held while a push is built."""

    def __init__(self, folder: Path, reaper: Reaper) -> None:
        self.folder = folder
        self.is_pushed_to, self._is_created = asyncio.Lock(), asyncio.Lock()
        self._reaper = reaper

    async def open(self) -> None:
        """Create the repository with the hook of this version, unless it has it already."""
        hook = self.folder / "hooks" / "pre-receive"
        async with self._is_created:  # of two requests at once, one waits for the other
            if hook.exists() and hook.read_text(encoding="ascii") == _HOOK:
                return
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            await self._git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(self.folder))
            hook.parent.mkdir(exist_ok=True)
            # Half a hook would accept a push without a build.
            part = hook.with_suffix(".part")
            part.write_text(_HOOK, encoding="ascii")
            part.chmod(0o755)
            part.replace(hook)

    async def start(
        self, service: str, *options: str, environ: Mapping[str, str], pipes: tuple[int, ...] = ()
    ) -> asyncio.subprocess.Process:
        """Start one of git's two services, "upload-pack" or "receive-pack", for one request."""
        process = await asyncio.create_subprocess_exec(
            *(_executable(), "-c", "receive.autogc=false", service, "--stateless-rpc", *options, str(self.folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**installer_variables(os.environ), **_SETTINGS, **environ},
            cwd=self.folder,
            pass_fds=pipes,
            start_new_session=True,
        )
        self._reaper.add_group(process.pid)
        return process

    async def end(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the end of a service."""
        await process.wait()
        self._reaper.forget_group(process.pid)

    async def commit_at(self, ref: str) -> str:
        """Return the commit of a ref, "" if there is none."""
        return await self._git("for-each-ref", "--format=%(objectname)", ref, within=self.folder)

    async def choose_head(self, ref: str) -> None:
        """Make a branch the one that clones check out."""
        await self._git("symbolic-ref", "HEAD", ref, within=self.folder)

    async def checkout(self, commit: str, quarantine: str, folder: Path) -> str:
        """Write the files of a commit, which may still be in the quarantine, to a folder; return the commit's subject.

        Submodules are fetched, as at Heroku; pointers of Git LFS are left as they are.
        """
        await self._git("init", "--quiet", "--template=", str(folder))
        alternates = folder / ".git" / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        sources = {self.folder / "objects", self.folder / (quarantine or "objects")}
        alternates.write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
        if (kind := await self._git("cat-file", "-t", commit, within=folder)) != "commit":
            raise BuildError(f"A branch takes commits only, not a {kind}. Push TAG^{{}}:main for the commit of a tag.")
        await self._git("checkout", "--quiet", "--detach", commit, within=folder)
        subject = await self._git("show", "--no-patch", "--format=%s", commit, within=folder)
        if (folder / ".gitmodules").is_file():
            await self._fetch_submodules(folder)
        await asyncio.to_thread(_keep_files_only, folder)
        return subject

    async def _fetch_submodules(self, folder: Path) -> None:
        try:
            await self._git("submodule", "--quiet", "update", "--init", "--recursive", within=folder)
        except BuildError as error:
            raise BuildError(
                f"The submodules cannot be fetched: {error}. As at Heroku, their URLs must start with https:// "
                "and need no login."
            ) from None

    async def _git(self, *arguments: str, within: Path | None = None) -> str:
        """Run git to its end and return its output. Raises BuildError with git's last line."""
        process = await asyncio.create_subprocess_exec(
            *(_executable(), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**installer_variables(os.environ), **_SETTINGS},
            cwd=within,
            start_new_session=True,
        )
        with self._reaper.watching(process.pid):
            try:
                output, errors = (part.decode("utf-8", "replace").strip() for part in await process.communicate())
            except asyncio.CancelledError:
                kill_group(process.pid)
                raise
        if process.returncode:
            raise BuildError(errors.splitlines()[-1] if errors else f"git {arguments[0]} failed")
        return output


def _keep_files_only(folder: Path) -> None:
    """Remove what belongs to git; refuse links that lead outside."""
    for inside in list(folder.rglob(".git")):
        shutil.rmtree(inside) if inside.is_dir() and not inside.is_symlink() else inside.unlink()
    tarball.check_links(folder)


def _executable() -> str:
    if found := shutil.which("git"):
        return found
    raise BuildError(NO_GIT)
