"""Git's smart HTTP protocol: `clone`, `fetch` and `push` of the apps' repositories.

https://git-scm.com/docs/http-protocol
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import READ_PROTECTED, WRITE_PROTECTED
from heroku_magic.emulator.push import Push
from heroku_magic.emulator.web import responses
from heroku_magic.emulator.web.api import LocalHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.runtime import AppRuntime

# https://devcenter.heroku.com/articles/limits#build: 1 GB of source
LARGEST = 1_000_000_000
# Seconds that the upload of a push may take.
PATIENCE = 3600
CHUNK = 65_536

_SCOPES = {"upload-pack": READ_PROTECTED, "receive-pack": WRITE_PROTECTED}
_PROTOCOL = re.compile(r"[\w=:.-]{1,100}", re.ASCII)
# What git writes before a list of refs, a pkt-line: https://git-scm.com/docs/protocol-common
_HEADING = "# service=git-{}\n"


@stream_request_body
class GitHandler(LocalHandler):
    """A request of a git client; errors are texts, which git prints after `remote:`. No body is kept in memory."""

    def set_default_headers(self) -> None:
        """Forbid caching."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-cache, max-age=0, must-revalidate")

    def data_received(self, chunk: bytes) -> None:
        """Discard the body of a request that is refused."""

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Leave out what the client gets as a sentence."""
        if not isinstance(error, errors.BuildError):
            super().log_exception(kind, error, trace)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write an error's sentence."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, errors.BuildError):
            status_code, text = 503, str(error)
        else:
            text = error.body["message"] if isinstance(error, errors.ErrorResponse) else "This is not a git request."
        if status_code == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="embedded Heroku"')
        self.set_status(status_code)
        self.set_header("Content-Type", "text/plain")
        self.finish(f"!\t{text}\n")

    def check_token(self, service: str) -> None:
        """Refuse a request without a token that may use the service."""
        grant = self.find_grant()
        if not _SCOPES[service].intersection(grant.scope):
            raise errors.forbidden(
                f"This token has the scope {', '.join(grant.scope)}, which does not allow this request."
            )

    def find_app(self, name: str) -> AppRuntime:
        """Return an app by name, in the words of Heroku's git if there is none."""
        with suppress(errors.ErrorResponse):
            return self.platform.find(name)
        raise errors.ErrorResponse(404, "not_found", f"No such app as {name}.")

    @property
    def environ(self) -> dict[str, str]:
        """The variables with what the client requests of the protocol."""
        version = self.request.headers.get("Git-Protocol", "")
        return {"GIT_PROTOCOL": version} if _PROTOCOL.fullmatch(version) else {}


class GitNotFoundHandler(GitHandler):
    """Any other path."""

    def prepare(self) -> None:
        """Respond with a 404."""
        super().prepare()
        raise errors.unknown_url()


class RefsHandler(GitHandler):
    """The refs of a repository, with which every clone and push begins."""

    async def get(self, app: str) -> None:
        """`GET /{app}.git/info/refs?service=git-…`."""
        service = self.get_query_argument("service", "").removeprefix("git-")
        if service not in _SCOPES:
            raise errors.forbidden("Only git's smart HTTP protocol is served.")
        self.check_token(service)
        repository = self.find_app(app).repository
        await repository.open()
        process = await repository.start(service, "--advertise-refs", environ=self.environ)
        refs, _ = await process.communicate()
        await repository.end(process)
        heading = _HEADING.format(service)
        self.set_header("Content-Type", f"application/x-git-{service}-advertisement")
        self.finish(f"{len(heading) + 4:04x}{heading}0000".encode() + refs)


class ServiceHandler(GitHandler):
    """The exchange itself: the request goes to git's service, and what that writes is the response."""

    _process: asyncio.subprocess.Process | None = None

    async def prepare(self) -> None:  # type: ignore[override]  # tornado allows both
        """Start the service before its input arrives."""
        super().prepare()
        app, service = self.path_args
        self.check_token(service)
        runtime = self.find_app(app)
        if self.request.method != "POST":
            raise errors.ErrorResponse(405, "not_found", "Only POST is allowed.")
        connection: Any = self.request.connection
        connection.set_body_timeout(PATIENCE)
        await runtime.repository.open()
        if service == "receive-pack":
            addresses = (responses.web_url(self.url, runtime.app), responses.git_url(self.git_url, runtime.app))
            self._push = Push(runtime, *addresses)
            self._process = await self._push.start(self.environ)
        else:
            self._process = await runtime.repository.start(service, environ=self.environ)
        self._repository = runtime.repository

    async def data_received(self, chunk: bytes) -> None:  # type: ignore[override]  # tornado allows both
        """Pass the next bytes on."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(ConnectionError):  # the service has ended, and its output holds the reason
                self._process.stdin.write(chunk)
                await self._process.stdin.drain()

    async def post(self, _app: str, service: str) -> None:
        """`POST /{app}.git/git-…`."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return
        self.set_header("Content-Type", f"application/x-git-{service}-result")
        process.stdin.close()
        while chunk := await process.stdout.read(CHUNK):
            with suppress(StreamClosedError):  # the push continues without its client, as at Heroku
                self.write(chunk)
                await self.flush()
        await self._repository.end(process)

    def on_connection_close(self) -> None:
        """End a service whose input broke off."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._end = asyncio.ensure_future(self._repository.end(self._process))
