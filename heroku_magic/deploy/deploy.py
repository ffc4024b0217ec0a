"""Uploads a packed folder, builds it at Heroku and releases it, and reports each step as an event.

A separate thread talks to the API, so that an interrupt never loses a response.
https://devcenter.heroku.com/articles/build-and-release-using-the-api
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import requests
import urllib3.exceptions

from heroku_magic.api.log_lines import LogLine
from heroku_magic.errors import ApiError, BuildFailed, HerokuMagicError, Interrupted, Unreachable
from heroku_magic.protocol.records import Progress
from heroku_magic.protocol.task import RESERVED_TYPES
from heroku_magic.runs.event_log import EventLog
from heroku_magic.runs.events import StateChange
from heroku_magic.text.notifier import notifications_to
from heroku_magic.text.plural import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.resources import Build, Release
    from heroku_magic.deploy.archive import Archive
    from heroku_magic.runs.events import Event
    from heroku_magic.text.secret import Secret

POLL = 1.0  # seconds between two requests for a state
UPLOAD_TRIES = 2  # tries of an upload, which is harmless to repeat
MAX_REOPENINGS = 10  # times that a build's output is reopened
LAST_LINES = 8  # of a failed build's output, shown by its error
BAR = 0.1  # seconds between two progress events of an upload


@dataclass(frozen=True)
class Deployed:
    """The result of a deploy.

    Attributes
    ----------
    app, version
        The app's name and the number of its release.
    tasks
        Names of the process types that cells can run.
    slug_size
        In bytes; None if Heroku does not report it.
    heaviest
        The largest files and folders that were sent, as (name, bytes).
    is_new
        False if the app was already running exactly this folder.
    """

    app: str
    version: int
    tasks: tuple[str, ...]
    slug_size: int | None
    heaviest: tuple[tuple[str, int], ...]
    is_new: bool = True

    def __str__(self) -> str:
        if not self.is_new:
            return f"Nothing to do: v{self.version} of {self.app} was built from exactly this folder."
        size = f" · slug {size_text(self.slug_size)}" if self.slug_size else ""
        heavy = ", ".join(f"{name} {size_text(size)}" for name, size in self.heaviest[:3])
        return (
            f"Released v{self.version} of {self.app} · tasks: {', '.join(self.tasks) or 'none'}{size} · mostly {heavy}"
        )


class Deploy:
    """One deploy, started by `heroku.start_deploy()`; `events()` reports its steps, like those of a run."""

    def __init__(self, client: HerokuClient, app: str, app_name: str, archive: Archive) -> None:
        self._client = client
        self._app = app
        self._app_name = app_name
        self._archive = archive
        self._events = EventLog()
        self._state = "requested"
        self._output: list[str] = []
        self._is_given_up, self._deciding = threading.Event(), threading.Lock()
        self._is_first = False  # Heroku starts a web dyno after it
        self._deployed: Deployed | None = None
        self._error: HerokuMagicError | None = None
        self._began = time.monotonic()

    def start(self) -> Deploy:
        """Begin the deploy and return immediately."""
        self._change("requested", task="deploy", app=self._app_name)
        threading.Thread(target=self._live, name=f"heroku-deploy-{self._app}", daemon=True).start()
        return self

    def events(self, timeout: float | None = None) -> Iterator[Event | None]:
        """Yield all events from the first one; None after every `timeout` seconds without one."""
        return self._events.events(timeout)

    def result(self) -> Deployed:
        """Wait, and return the result. Raises BuildFailed or an ApiError."""
        for _ in self.events():
            pass
        if self._error:
            raise self._error.with_traceback(None)
        if self._deployed is None:
            message = "a deploy that is over has a result or an error"
            raise RuntimeError(message)
        return self._deployed

    @property
    def _nothing_built(self) -> str:
        return f"The upload was stopped; {self._app_name} is unchanged."

    def give_up(self) -> str:
        """Stop waiting; return what continues, because a build at Heroku cannot be stopped."""
        with self._deciding:
            self._is_given_up.set()
            if self._state in {"requested", "uploading"}:
                return self._nothing_built
        text = f"The build continues at Heroku and will be released: %heroku releases --app {self._app} shows it."
        if self._is_first:
            text += f" It is the app's first release: if {self._web_is_billed}"
        return text

    @property
    def _web_is_billed(self) -> str:
        stop = f"`heroku ps:scale web=0 --app {self._app}` in a terminal stops it."
        return f"the app has a web process, Heroku then starts and bills it. {stop}"

    # -- in its own thread ------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            with notifications_to(self._note):
                self._deployed = self._deploy()
            self._end("done", note=str(self._deployed), release=self._deployed.version)
        except HerokuMagicError as error:
            self._error = error
            self._end("failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait forever for a thread that died
            self._error = HerokuMagicError(f"Internal error in heroku_magic: {type(error).__name__}.")
            self._end("failed", error=str(self._error))
        finally:
            self._events.close()

    def _deploy(self) -> Deployed:
        before = self._release_before()
        if before and self._is_built(before):
            return self._facts(before, is_new=False)
        source = self._client.create_source()
        self._upload(source)
        version = self._archive.checksum.rpartition(":")[2][:12]
        self._begin_building()
        build = self._started(source, version)
        with self._errors_say_what_continues():
            self._follow(build.output_stream_url, lambda: self._client.build(self._app, build.id).status == "pending")
            release = self._released(self._client.build(self._app, build.id))
        return self._concluded(release)

    @contextmanager
    def _errors_say_what_continues(self) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            error.args = (f"{error} {self.give_up()}",)
            raise

    def _release_before(self) -> Release | None:
        before = self._client.current_release(self._app)
        self._is_first = before is None or before.slug is None
        return before

    def _is_built(self, release: Release) -> bool:
        """Whether the release runs what was built from these very bytes."""
        if release.slug is None or release.status != "succeeded":
            return False
        builds = self._client.builds(self._app)
        slugs = [one.slug.id for one in builds if one.slug and one.source_blob.checksum == self._archive.checksum]
        return release.slug.id in slugs

    def _upload(self, source: Any) -> None:
        self._change("uploading")
        for attempt in range(UPLOAD_TRIES):
            self._archive.file.seek(0)
            archive = _UploadFile(self._archive.file, self._archive.size, self._events, self._is_given_up)
            try:
                self._client.upload(source, archive, self._archive.size)  # type: ignore[arg-type]  # it reads, no more
            except Unreachable as error:
                if self._is_given_up.is_set() or attempt + 1 == UPLOAD_TRIES:
                    raise Unreachable(
                        f"The upload was interrupted, and {self._app_name} is unchanged. {error}"
                    ) from None
                self._note("The upload was interrupted: trying again")
            else:
                return

    def _begin_building(self) -> None:
        """Raise Interrupted if the user was told that nothing will be built."""
        with self._deciding:
            if self._is_given_up.is_set():
                raise Interrupted(self._nothing_built)
            self._change("building")

    def _started(self, source: Any, version: str) -> Build:
        try:
            return self._client.create_build(self._app, source, self._archive.checksum, version)
        except Unreachable as error:
            if not error.sent:
                raise
            with suppress(ApiError):
                for build in self._client.builds(self._app):
                    if build.status == "pending" and build.source_blob.checksum == self._archive.checksum:
                        return build
            raise Unreachable(
                f"{error} Whether a build of {self._app_name} was started is unknown: "
                "%heroku releases shows what it released."
            ) from None

    def _follow(self, url: Secret, goes_on: Callable[[], bool]) -> None:
        """Report an output to its end; if it is cut, reopen it at the same byte."""
        output, opened = _LineSplitter(), 0
        while opened < MAX_REOPENINGS:
            has_ended = self._read(url, output)
            if has_ended and not goes_on():
                return
            opened += not has_ended
            time.sleep(POLL)
        self._note("The build's output was interrupted too often: the rest is not shown")
        while goes_on():
            time.sleep(POLL)

    def _read(self, url: Secret, output: _LineSplitter) -> bool:
        """Report the output until it ends or is cut; return whether it ended."""
        try:
            with self._client.open_output(url, output.offset) as response:
                skipped = 0 if response.status_code == requests.codes.partial_content else output.offset
                for chunk in response.raw.stream(65_536):
                    fresh = chunk.replace(b"\0", b"")
                    taken, skipped = fresh[skipped:], max(0, skipped - len(fresh))
                    self._print(output.feed(taken))
        except (ApiError, urllib3.exceptions.HTTPError, OSError):
            return False
        self._print(output.rest())
        return True

    def _released(self, build: Build) -> Release:
        """Return the release of a build, once its release command has ended."""
        if build.status != "succeeded" or build.release is None:
            raise self._failed("The build failed")
        release = self._client.release(self._app, build.release.id)
        if release.output_stream_url:
            self._change("releasing")
            self._follow(
                release.output_stream_url, lambda: self._client.release(self._app, release.id).status == "pending"
            )
            release = self._client.release(self._app, release.id)
        return release

    def _concluded(self, release: Release) -> Deployed:
        """Return the facts of a new release, whose release command has ended."""
        if release.status == "failed":
            raise self._failed("The release command failed")
        if self._is_first:
            self._scale_to_nothing()
        return self._facts(release)

    def _failed(self, what: str) -> BuildFailed:
        last = "".join(f"\n  {line}" for line in self._output[-LAST_LINES:])
        return BuildFailed(f"{what}; the previous release stays active.{last}", "\n".join(self._output))

    def _scale_to_nothing(self) -> None:
        """Stop the web dyno that Heroku starts with the first deploy: an app must cost nothing until a cell runs."""
        try:
            running = [kind.type for kind in self._client.formation(self._app) if kind.quantity]
            if running:
                self._client.scale(self._app, dict.fromkeys(running, 0))
        except ApiError as error:
            error.args = (f"{error} {self._app_name} is released: if {self._web_is_billed}",)
            raise
        if running:
            self._note(f"{', '.join(running)} scaled to 0: nothing is billed until a cell runs")

    def _facts(self, release: Release, *, is_new: bool = True) -> Deployed:
        slug = self._client.slug(self._app, release.slug.id) if release.slug else None
        types = slug.process_types if slug else {}
        tasks = tuple(name for name in types if name not in RESERVED_TYPES)
        size = slug.size if slug else None
        return Deployed(self._app_name, release.version, tasks, size, tuple(self._archive.largest()), is_new)

    # -- events -----------------------------------------------------------------------------------

    def _change(self, state: str, **facts: Any) -> None:
        self._state = state
        self._events.add(StateChange(state, time.time(), **facts))

    def _note(self, text: str) -> None:
        self._change(self._state, note=text)

    def _print(self, lines: list[str]) -> None:
        self._output += lines
        self._events.add(*(LogLine("", "app", "build", line) for line in lines))

    def _end(self, state: str, **facts: Any) -> None:
        self._change(state, seconds=time.monotonic() - self._began, **facts)


class _LineSplitter:
    """Splits an output into lines; `offset` counts its bytes."""

    def __init__(self) -> None:
        self.offset = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Return the lines that this chunk completes."""
        self.offset += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [_line(line) for line in whole]

    def rest(self) -> list[str]:
        """Return the text after the last newline."""
        rest, self._rest = self._rest, b""
        return [_line(rest)] if rest else []


def _line(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


class _UploadFile:
    """The archive's file; reading it reports the progress, and fails after `give_up()`."""

    def __init__(self, archive: IO[bytes], size: int, events: EventLog, given_up: threading.Event) -> None:
        self._archive = archive
        self._size = size
        self._events = events
        self._given_up = given_up
        self._read = 0
        self._reported_at = 0.0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        if self._given_up.is_set():
            raise requests.exceptions.ConnectionError
        chunk = self._archive.read(size)
        self._read += len(chunk)
        now = time.monotonic()
        if now - self._reported_at >= BAR or self._read == self._size:
            self._reported_at = now
            self._events.add(Progress(self._read, self._size, "bytes sent"))
        return chunk
