"""The emulator as a whole: its apps behind one HTTP server on loopback, from start to stop."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from heroku_magic.emulator.account import Account
from heroku_magic.emulator.authorizations import Authorizations
from heroku_magic.emulator.dynos import memory
from heroku_magic.emulator.dynos.guard import Guard
from heroku_magic.emulator.dynos.rendezvous import Rendezvous
from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.host import Host
from heroku_magic.emulator.state import set_clock_ahead
from heroku_magic.emulator.store import Store
from heroku_magic.emulator.web.handlers import NotFound
from heroku_magic.emulator.web.ratelimit import CAPACITY, RateLimit
from heroku_magic.emulator.web.routes import routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.times import Times

LARGEST_PORT = 65_535
LARGEST_BODY = 4 * 1024 * 1024
# Seconds that the dynos have when the emulator itself is ended.
END_PATIENCE = 2.0
# Seconds in which the log's readers may take its last lines.
LAST_WORDS = 0.5
_APP_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")


class Emulator:
    """The embedded Heroku: the account, and where it listens. state: the folder that it is kept in."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        *,
        one_offs: int | None,
        times: Times,
        faults: Faults,
        token: str | None = None,
        state: Path | None = None,
        requests_left: int = CAPACITY,
    ) -> None:
        self.token = token or secrets.token_hex(20)
        self.times = times
        self.faults = faults
        set_clock_ahead(faults["clock-skew"])
        self.rate_limit = RateLimit(requests_left)
        self.opened_streams = 0
        self.url = ""
        self.hosts: frozenset[str] = frozenset()
        self.readers: set[asyncio.Task[Any]] = set()
        self._guard = Guard()
        self._temporary: Path | None = None
        self._server: HTTPServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        checked = {_checked_name(name): _checked_folder(folder) for name, folder in folders.items()}
        self._store = Store(state) if state is not None else None
        self.rendezvous = Rendezvous(self._scratch)
        host = Host(
            _bash(),
            self._guard,
            times,
            faults,
            one_offs,
            self.rendezvous,
            self._scratch,
            self._home,
            self._save,
        )
        self.outputs = host.outputs
        self.account = Account(host, Authorizations(self.token))
        self.account.open(self._store.load() if self._store else [], checked)
        self._save()

    def start(self, port: int) -> None:
        """Listen, and begin to build what the apps need."""
        if not 0 <= port <= LARGEST_PORT:
            raise StartError(f"Port {port} is no port: 0 to {LARGEST_PORT}.")
        try:
            listening = bind_sockets(port, "127.0.0.1", family=socket.AF_INET)
        except OSError as error:
            raise StartError(f"Port {port} on 127.0.0.1 cannot be used: {error.strerror}") from None
        self._guard.start()
        port = listening[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._serve(listening)
        self._tasks = [asyncio.ensure_future(runtime.warm_up()) for runtime in self.account.apps]
        self._watch = asyncio.ensure_future(self._watch_memory())

    async def stop(self) -> None:
        """Take no more requests, end the dynos, clean up."""
        self._watch.cancel()
        self.rendezvous.close()
        if self._server is not None:
            self._server.stop()
        await self.account.close(END_PATIENCE)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.readers:
            await asyncio.wait(self.readers, timeout=LAST_WORDS)
        self._guard.stop()
        if self._store is not None:
            self._store.close()

    @staticmethod
    def clock() -> float:
        """Return the time that time-outs are counted in."""
        return asyncio.get_running_loop().time()

    def _serve(self, listening: list[socket.socket]) -> None:
        application = Application(routes(), default_handler_class=NotFound, log_function=_no_log, emulator=self)
        for each in listening:
            # Connections inherit it: a log line never waits for the next one.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = HTTPServer(
            application,
            max_body_size=LARGEST_BODY,
            max_buffer_size=LARGEST_BODY,
            idle_connection_timeout=self.times.request,
            body_timeout=self.times.request,
        )
        self._server.add_sockets(listening)

    def _scratch(self) -> Path:
        """Return a temporary folder, made when it is first needed; the guard removes it at the end."""
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="embedded-heroku-"))
            self._guard.keep_folder(self._temporary)
        return self._temporary

    async def _watch_memory(self) -> None:
        """Look at the dynos' memory, again and again, as long as there are any."""
        while True:
            await asyncio.sleep(self.times.memory)
            if any(runtime.fleet.dynos for runtime in self.account.apps):
                used = memory.by_group()
                for runtime in self.account.apps:
                    runtime.fleet.measured(used)

    def _home(self) -> Path:
        """Return the folder that slugs lie in."""
        return self._store.folder if self._store is not None else self._scratch()

    def _save(self) -> None:
        if self._store is not None:
            self._store.save(runtime.app for runtime in self.account.apps)


def _no_log(_: object) -> None:
    """Requests are not logged: their paths hold the log sessions' tokens."""


def _bash() -> Path:
    bash = shutil.which("bash")
    if bash is None:
        raise StartError(
            "The embedded Heroku needs bash, and there is none on PATH: install it (on Windows use WSL), "
            "or use an app on Heroku."
        )
    return Path(bash)


def _checked_name(name: str) -> str:
    if not _APP_NAME.fullmatch(name):
        raise StartError(f"{name!r} is no app name: 3 to 30 of a-z, 0-9 and -, beginning with a letter.")
    return name


def _checked_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise StartError(f"There is no folder {folder}.")
    return folder.resolve()
