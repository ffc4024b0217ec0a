"""The handlers of the API's routes, a class a resource, and the log's stream; what they do is done elsewhere."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from heroku_magic.emulator import errors
from heroku_magic.emulator.logs.logplex import Tail
from heroku_magic.emulator.sizes import DEFAULT, SIZES
from heroku_magic.emulator.web import answers, orders
from heroku_magic.emulator.web.api import ApiHandler, LocalHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.logs.logplex import Session

# Seconds of silence after which a stream shows that it lives; the official CLI gives up after 300.
HEARTBEAT = 15
_EVENTS = "text/event-stream"
_NUMBER = re.compile(r"[0-9]{1,18}")


class Account(ApiHandler):
    """The account behind the token."""

    def get(self) -> None:
        """`GET /account`."""
        self.answer(answers.account(self.emulator.started_at))


class RateLimits(ApiHandler):
    """The budget of requests; to ask is free."""

    is_free = True

    def get(self) -> None:
        """`GET /account/rate-limits`."""
        self.answer({"remaining": self.emulator.rate_limit.remaining})


class Apps(ApiHandler):
    """The apps that are served."""

    def get(self) -> None:
        """`GET /apps`."""
        self.answer_list([answers.app(served.app) for served in self.emulator.apps], "name", "id", "updated_at")


class App(ApiHandler):
    """One app."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}`."""
        served = self.served(app)
        served.refresh()
        self.answer(answers.app(served.app))


class ConfigVars(ApiHandler):
    """An app's config vars."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/config-vars`."""
        self.answer(self.served(app).config)

    def patch(self, app: str) -> None:
        """`PATCH /apps/{app}/config-vars`; answers all of them."""
        served = self.served(app)
        served.refresh()
        served.app.set_config(orders.config_changes(self.body()))
        self.answer(served.config)


class Formation(ApiHandler):
    """An app's process types."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/formation`."""
        served = self.served(app)
        served.refresh()
        types = served.process_types.items()
        self.answer_list([answers.formation(served.app, *entry, DEFAULT) for entry in types], "type", "id")


class ProcessType(ApiHandler):
    """One process type."""

    def get(self, app: str, kind: str) -> None:
        """`GET /apps/{app}/formation/{type}`."""
        served = self.served(app)
        served.refresh()
        for name, command in served.process_types.items():
            entry = answers.formation(served.app, name, command, DEFAULT)
            if kind in {name, entry["id"]}:
                self.answer(entry)
                return
        raise errors.not_found("formation")


class Dynos(ApiHandler):
    """An app's dynos."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/dynos`."""
        served = self.served(app)
        served.refresh()
        self.answer_list([answers.dyno(served.app, dyno) for dyno in served.app.dynos.values()], "name", "id")

    async def post(self, app: str) -> None:
        """`POST /apps/{app}/dynos`: the answer does not wait for the process."""
        served = self.served(app)
        dyno = await served.create(orders.dyno_order(self.body()))
        self.answer(answers.dyno(served.app, dyno), 201)


class Dyno(ApiHandler):
    """One dyno."""

    def get(self, app: str, dyno: str) -> None:
        """`GET /apps/{app}/dynos/{dyno}`."""
        served = self.served(app)
        self.answer(answers.dyno(served.app, served.app.find_dyno(dyno)))

    def delete(self, app: str, dyno: str) -> None:
        """`DELETE /apps/{app}/dynos/{dyno}`: a restart, which ends a one-off.

        One of a custom type is not ended, as on Heroku: https://github.com/heroku/platform-api/issues/57
        """
        served = self.served(app)
        found = served.app.find_dyno(dyno)
        if found.type in {"run", "scheduler"}:
            served.stop(found)
        self.answer({}, 202)


class DynoStop(ApiHandler):
    """The stop of one dyno."""

    def post(self, app: str, dyno: str) -> None:
        """`POST /apps/{app}/dynos/{dyno}/actions/stop`."""
        served = self.served(app)
        served.stop(served.app.find_dyno(dyno))
        self.answer({}, 202)


class Releases(ApiHandler):
    """An app's releases."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/releases`."""
        served = self.served(app)
        served.refresh()
        self.answer_list([answers.release(served.app, each) for each in served.app.releases], "version", "id")


class Release(ApiHandler):
    """One release."""

    def get(self, app: str, release: str) -> None:
        """`GET /apps/{app}/releases/{id or version}`."""
        served = self.served(app)
        served.refresh()
        self.answer(answers.release(served.app, served.app.find_release(release)))


class DynoSizes(ApiHandler):
    """The dyno sizes."""

    def get(self) -> None:
        """`GET /dyno-sizes`."""
        self.answer_list([answers.dyno_size(size) for size in SIZES.values()], "id", "name")


class LogSessions(ApiHandler):
    """An app's log sessions."""

    def post(self, app: str) -> None:
        """`POST /apps/{app}/log-sessions`."""
        served = self.served(app)
        session = orders.log_session(self.body())
        served.logplex.open_session(session)
        self.answer(answers.log_session(session, f"{self.emulator.url}/stream?token={session.token}"), 201)


class NotFound(ApiHandler):
    """Whatever the API does not have."""

    def prepare(self) -> None:
        """Say so, to those who may ask."""
        super().prepare()
        raise errors.no_endpoint()


class Stream(LocalHandler):
    """The stream of a log session: its URL is the secret, no token is asked for."""

    _tail: Tail | None = None

    async def get(self) -> None:
        """Send the backlog, and for a tail what follows, as events or as plain text."""
        token = self.get_query_argument("token", "")
        for served in self.emulator.apps:
            session = served.logplex.session(token)
            if session is not None:
                events = _EVENTS in self.request.headers.get("Accept", "")
                self._tail = Tail(served.logplex, session, events=events, after=self._after())
                sending = asyncio.ensure_future(self._send(session, self._tail, events=events))
                self.emulator.readers.add(sending)
                sending.add_done_callback(self.emulator.readers.discard)
                await sending
                return
        raise errors.ApiError(404, "not_found", "Not found")

    def on_connection_close(self) -> None:
        """Forget a reader that has left."""
        if self._tail is not None:
            self._tail.close()

    async def _send(self, session: Session, tail: Tail, *, events: bool) -> None:
        session.readers += 1
        try:
            await self._write_all(session, tail, events=events)
        except StreamClosedError:
            return
        finally:
            tail.close()
            session.readers -= 1
            session.used_at = self.emulator.clock()

    async def _write_all(self, session: Session, tail: Tail, *, events: bool) -> None:
        self.set_header("Content-Type", _EVENTS if events else "text/plain; charset=utf-8")
        if events and not session.tail:
            self.write(b"retry: 0\n\n")  # the official CLI waits this long before it believes the end
        await self.flush()
        heartbeat = b": keepalive\n\n" if events else b"\0"
        while (text := await tail.take(HEARTBEAT)) is not None:
            self.write(text or heartbeat)
            await self.flush()

    def _after(self) -> int | None:
        """The last line that this reader got before its connection broke."""
        last = self.request.headers.get("Last-Event-ID", "")
        return int(last) if _NUMBER.fullmatch(last) else None
