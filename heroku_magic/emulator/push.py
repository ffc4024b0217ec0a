"""One `git push`: reads what the pre-receive hook reports, builds the pushed commit, and accepts or rejects it.

https://devcenter.heroku.com/articles/git
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.emulator.code.repository import ANSWER, UPDATES
from heroku_magic.emulator.errors import BuildError
from heroku_magic.emulator.state import SUCCEEDED, EmulatedBuild

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heroku_magic.emulator.code.build_output import BuildOutput
    from heroku_magic.emulator.runtime import AppRuntime

# The branches that Heroku builds.
BUILT = ("refs/heads/main", "refs/heads/master")
# Seconds between two looks at an output that does not grow.
PATIENCE = 60


class RefUpdate(NamedTuple):
    """What a push does to one ref; a commit of zeros stands for none."""

    old: str
    new: str
    ref: str

    @property
    def branch(self) -> str:
        """The ref's name without its prefix."""
        return self.ref.rpartition("/")[2]

    @property
    def is_deletion(self) -> bool:
        """Whether the ref is removed."""
        return not self.new.strip("0")


@dataclass
class PushedCommit:
    """The source of a build: a commit in the quarantine of a push."""

    runtime: AppRuntime
    build: EmulatedBuild
    commit: str
    quarantine: str

    async def unpack(self, folder: Path, _output: BuildOutput) -> Path:
        """Write the commit's files."""
        subject = await self.runtime.repository.checkout(self.commit, self.quarantine, folder)
        self.build.version_description = subject
        return folder


class Push:
    """A push to an app. app_url, git_url: the addresses that the app has in the API."""

    def __init__(self, runtime: AppRuntime, app_url: str, git_url: str) -> None:
        self._runtime = runtime
        self._app_url = app_url
        self._git_url = git_url

    async def start(self, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
        """Start git's side of the push; the hook is answered in the background."""
        updates, updates_end = os.pipe()
        answer_end, answer = os.pipe()
        pipes = {UPDATES: updates_end, ANSWER: answer_end}
        try:
            process = await self._runtime.repository.start(
                "receive-pack",
                environ={**environ, **{name: str(number) for name, number in pipes.items()}},
                pipes=tuple(pipes.values()),
            )
        except BaseException:
            os.close(updates)
            os.close(answer)
            raise
        finally:
            os.close(updates_end)
            os.close(answer_end)
        self._task = asyncio.ensure_future(self._answer(process, updates, answer))
        return process

    async def _answer(self, process: asyncio.subprocess.Process, updates: int, answer: int) -> None:
        """Answer the hook; the lock is held until git has moved the refs."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        incoming, _ = await loop.connect_read_pipe(partial(asyncio.StreamReaderProtocol, reader), os.fdopen(updates))
        self._hook, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(answer, "wb"))
        try:
            quarantine = (await reader.readline()).decode().rstrip("\n")
            refs = await _updates(reader)
            if refs:
                async with self._runtime.repository.is_pushed_to:
                    try:
                        is_accepted = await self._judge(refs, quarantine)
                    except BuildError as error:
                        is_accepted = self._reject(str(error))
                    self._hook.write(b"0\n" if is_accepted else b"1\n")
                    await process.wait()
        finally:
            incoming.close()
            self._hook.close()

    async def _judge(self, updates: list[RefUpdate], quarantine: str) -> bool:
        """Return whether git may move the refs."""
        built = sorted((update for update in updates if update.ref in BUILT), key=lambda update: update.ref)
        if not built:
            self._line("Pushed to branch other than [main, master], skipping build.")
            return True
        update, repository = built[0], self._runtime.repository
        if any(each.is_deletion for each in built):
            return self._reject(f"Push rejected, cannot delete {update.branch} branch")
        if (await repository.commit_at(update.ref) or "0" * len(update.old)) != update.old:
            return self._reject(f"Push rejected, {update.branch} was pushed to meanwhile: fetch it, and push again")
        if not await self._build(update.new, quarantine):
            return self._reject(f"Push rejected to {self._runtime.app.name}.")
        await repository.choose_head(update.ref)
        return True

    async def _build(self, commit: str, quarantine: str) -> bool:
        self._line("Compressing source files... done.", "Building source:", "")
        build = EmulatedBuild(self._git_url, commit, None, None, None)
        await self._relay(self._runtime.builds.start(build, PushedCommit(self._runtime, build, commit, quarantine)))
        if build.status != SUCCEEDED:
            self._line("")
            return False
        self._line(f"       {self._app_url} deployed to Heroku", "", "Verifying deploy... done.")
        release = self._runtime.app.find_release(build.release or "")
        if release.output:
            self._line("Running release command...", "")
            await self._relay(self._runtime.context.outputs[release.output])
            self._line(f"Waiting for release.... {'done' if release.status == SUCCEEDED else 'failed'}.")
        return True

    async def _relay(self, output: BuildOutput) -> None:
        """Print an output while it grows, line by line."""
        offset, rest = 0, b""
        while (chunk := await output.after(offset, PATIENCE)) is not None:
            offset = output.end
            *lines, rest = (rest + chunk).split(b"\n")
            self._write(*lines)
        if rest:
            self._write(rest)

    def _reject(self, message: str) -> bool:
        self._line("", f" !\t{message}", "")
        return False

    def _line(self, *lines: str) -> None:
        self._write(*(line.encode() for line in lines))

    def _write(self, *lines: bytes) -> None:
        with suppress(OSError):  # git was ended
            self._hook.write(b"".join(b">%b\n" % line.replace(b"\0", b"") for line in lines))


async def _updates(reader: asyncio.StreamReader) -> list[RefUpdate]:
    """Return the hook's lines up to the empty one; none if git ended before its hook."""
    updates = []
    while line := (await reader.readline()).strip():
        updates.append(RefUpdate(*line.decode("utf-8", "surrogateescape").split(" ", 2)))
    return updates
