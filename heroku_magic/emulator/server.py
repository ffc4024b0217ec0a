"""The tornado application on its socket, with the dynos that it started; who may end it is __main__'s."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from heroku_magic.emulator.dynos import GRACE
from heroku_magic.emulator.environment import Environment
from heroku_magic.emulator.guard import Guard
from heroku_magic.emulator.routes import routes
from heroku_magic.emulator.state import Account

if TYPE_CHECKING:
    from heroku_magic.emulator.dynos import Dyno
    from heroku_magic.emulator.logplex import Logplex
    from heroku_magic.emulator.state import App

HOST = "127.0.0.1"
LONGEST_BODY = 1024 * 1024
SHUTDOWN = 3.0  # seconds for the dynos to end when the server does


class Server:
    """One embedded Heroku: made, opened, closed."""

    def __init__(self, apps: list[App], *, one_offs: int | None = None, grace: float = GRACE, token: str = "") -> None:
        self.account = Account(apps, one_offs=one_offs)
        self.token = token or f"HRKU-{secrets.token_urlsafe(32)}"
        self.grace = grace
        self.sessions: dict[str, Logplex] = {}
        self.port = 0
        self._guard = Guard()
        self._environments = {app.id: self._new_environment(app) for app in apps}
        self._lives: set[asyncio.Task[None]] = set()
        self._http = HTTPServer(
            Application(routes(self), log_function=lambda _: None),
            max_body_size=LONGEST_BODY,
            max_header_size=64 * 1024,
            # A client that says nothing, or one word a minute, keeps no place.
            idle_connection_timeout=120,
            body_timeout=30,
        )

    @property
    def url(self) -> str:
        """The API's base URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def hosts(self) -> set[str]:
        """The Host headers that are answered."""
        return {f"{HOST}:{self.port}", f"localhost:{self.port}"}

    def open(self, port: int) -> None:
        """Listen on loopback alone (0: on a free port), and have the environments made meanwhile."""
        sockets = bind_sockets(port, HOST)
        self.port = sockets[0].getsockname()[1]
        self._http.add_sockets(sockets)
        for environment in self._environments.values():
            making = asyncio.ensure_future(environment.path())
            making.add_done_callback(_look_at)

    def environment(self, app: App) -> Environment:
        """Return the Python environment of an app."""
        return self._environments[app.id]

    def start(self, dyno: Dyno, app: App) -> None:
        """Let a dyno live."""
        app.dynos[dyno.name] = dyno
        life = asyncio.ensure_future(dyno.live(self.environment(app), self._guard))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    async def close(self) -> None:
        """Stop listening, end the dynos, and leave nothing behind."""
        self._http.stop()
        for app in self.account.apps.values():
            for dyno in list(app.dynos.values()):
                dyno.stop()
        if self._lives:
            await asyncio.wait(self._lives, timeout=SHUTDOWN)
        self._guard.close()  # ends what did not, removes what was temporary

    def _new_environment(self, app: App) -> Environment:
        def log(text: str) -> None:
            app.logplex.write("app", "build", [text.encode()])

        return Environment(app.folder.path, remember=self._guard.remove_at_end, log=log)


def _look_at(made: asyncio.Future[object]) -> None:
    """A failed install is told to whoever starts a dyno; here nobody waits for it."""
    if not made.cancelled():
        made.exception()
