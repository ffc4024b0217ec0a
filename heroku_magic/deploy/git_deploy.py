"""Deploys by `git push`, as in Heroku's own tutorials: the build's output arrives as git's `remote:` lines.

https://devcenter.heroku.com/articles/git
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heroku_magic.deploy.commit import SHORT, Commit, git_environ
from heroku_magic.deploy.deploy import Deploy, Deployed
from heroku_magic.errors import DeployRefused, HerokuMagicError, Interrupted
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import Release
    from heroku_magic.deploy.archive import Archive

_BRANCHES = ("main", "master")
_REMOTE = re.compile(r"remote: ?(.*)")
# Answers git from the environment: the token is in no URL, no list of processes and no file.
_HELPER = '!f() { test "$1" != get || printf "username=heroku\\npassword=%s\\n" "$HEROKU_API_KEY"; }; f'


class GitDeploy(Deploy):
    """One deploy of a commit. archive: the commit's files, which were checked."""

    def __init__(self, client: HerokuClient, app: str, app_name: str, archive: Archive, commit: Commit) -> None:
        super().__init__(client, app, app_name, archive)
        self._commit = commit
        self._process: subprocess.Popen[str] | None = None

    def give_up(self) -> str:
        """Stop waiting, and stop the push unless its build has begun."""
        message = super().give_up()
        if self._process is not None and message == self._nothing_built:
            self._process.terminate()
        return message

    def _deploy(self) -> Deployed:
        before = self._release_before()
        with tempfile.TemporaryDirectory() as scratch:
            url = self._client.app(self._app).git_url
            environ = self._environ(url, Path(scratch))
            branch, pushed = self._remote_branch(url, environ)
            if pushed == self._commit.id:
                return self._without_push(before)
            self._change("uploading")
            self._push(url, branch, environ)
        with self._errors_say_what_continues():
            release = max(self._client.releases(self._app), key=lambda release: release.version)
        return self._concluded(release)

    def _without_push(self, current: Release | None) -> Deployed:
        """Return the facts of an app that has the commit already."""
        slug = self._client.slug(self._app, current.slug.id) if current and current.slug else None
        if current is None or slug is None or slug.commit != self._commit.id:
            running = f"v{current.version}" if current else "no release"
            raise HerokuMagicError(
                f"Commit {self._commit.id[:SHORT]} was already pushed to {self._app_name}, but the app runs {running}, "
                "which is not built from it. %heroku rollback releases it again; a new commit, or a deploy without "
                "--git, builds it again."
            )
        return self._facts(current, is_new=False)

    def _push(self, url: str, branch: str, environ: dict[str, str]) -> None:
        lines = []
        for line in self._git(
            environ, "push", "--recurse-submodules=no", url, f"{self._commit.id}:refs/heads/{branch}"
        ):
            if match := _REMOTE.fullmatch(line):
                if self._state == "uploading":
                    self._begin_building()
                self._print([match[1].rstrip()])
            else:
                lines.append(clean_line(line))
        if self._process is None or not self._process.returncode:
            return
        if self._is_given_up.is_set():
            raise Interrupted(f"The push was stopped; {self._app_name} is unchanged.")
        if any("hook declined" in line for line in lines):
            raise self._failed("The build failed")
        if any("[rejected]" in line for line in lines):
            raise HerokuMagicError(
                f"{self._app_name} has commits on {branch} that HEAD does not have, so git refuses the push. "
                f"To replace them: git push --force {url} {self._commit.id[:SHORT]}:refs/heads/{branch}"
            )
        raise HerokuMagicError(f"git push failed: {' '.join(lines[-2:]) or 'it printed nothing'}")

    def _remote_branch(self, url: str, environ: dict[str, str]) -> tuple[str, str]:
        """Return the branch to push to, and its commit; `master` only where there is no `main`."""
        refs = {}
        lines = list(self._git(environ, "ls-remote", url, *(f"refs/heads/{name}" for name in _BRANCHES)))
        if self._process is not None and self._process.returncode:
            raise HerokuMagicError(f"git cannot read {url}: {clean_line(' '.join(lines[-2:]))}")
        for line in lines:
            commit, tab, ref = line.partition("\t")
            if tab:
                refs[ref.rpartition("/")[2]] = commit
        branch = next((name for name in _BRANCHES if name in refs), _BRANCHES[0])
        return branch, refs.get(branch, "")

    def _git(self, environ: dict[str, str], *arguments: str) -> Iterator[str]:
        """Run git and yield the lines that it prints."""
        with subprocess.Popen(
            ["git", "-C", str(self._commit.folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C must not end a push whose build has begun
        ) as self._process:
            if self._is_given_up.is_set():  # before there was a process to stop
                self._process.terminate()
            yield from (line.rstrip("\n") for line in self._process.stdout or ())

    def _environ(self, url: str, scratch: Path) -> dict[str, str]:
        """Return git's environment with the token, and settings for this URL only."""
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise DeployRefused([f"{self._app_name} has no address that git can push to over HTTPS."])
        site = f"https://{parts.netloc}/"
        # An empty helper removes the user's own, which would store the token.
        settings = [(f"credential.{site}.helper", ""), (f"credential.{site}.helper", _HELPER)]
        environ = {
            **git_environ(),
            "HEROKU_API_KEY": self._client.token.reveal(),
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        if authority := self._client.tls_authority():
            file = scratch / "authority.pem"
            file.write_text(authority, encoding="ascii")
            settings += [(f"http.{site}.sslCAInfo", str(file)), (f"http.{site}.proxy", "")]
            environ.pop("GIT_SSL_CAINFO", None)  # it would come before the setting
        count = os.environ.get("GIT_CONFIG_COUNT", "")
        first = int(count) if count.isdecimal() and count.isascii() else 0
        for number, (key, value) in enumerate(settings, first):
            environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return {**environ, "GIT_CONFIG_COUNT": str(first + len(settings))}
