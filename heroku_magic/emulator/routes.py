"""Which URL goes to which handler. https://devcenter.heroku.com/articles/platform-api-reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.emulator import handlers
from heroku_magic.emulator.stream import StreamHandler

if TYPE_CHECKING:
    from tornado.web import RequestHandler

    from heroku_magic.emulator.server import Server

_APP = r"/apps/([^/]+)"

_TABLE: list[tuple[str, type[RequestHandler]]] = [
    (r"/account", handlers.AccountHandler),
    (r"/account/rate-limits", handlers.RateLimitsHandler),
    (r"/apps", handlers.AppsHandler),
    (_APP, handlers.AppHandler),
    (rf"{_APP}/config-vars", handlers.ConfigVarsHandler),
    (rf"{_APP}/dynos", handlers.DynosHandler),
    (rf"{_APP}/dynos/([^/]+)", handlers.DynoHandler),
    (rf"{_APP}/dynos/([^/]+)/actions/stop", handlers.StopHandler),
    (rf"{_APP}/formation", handlers.FormationHandler),
    (rf"{_APP}/formation/([^/]+)", handlers.FormationHandler),
    (rf"{_APP}/log-sessions", handlers.LogSessionsHandler),
    (rf"{_APP}/releases", handlers.ReleasesHandler),
    (rf"{_APP}/releases/([^/]+)", handlers.ReleaseHandler),
    (r"/dyno-sizes", handlers.DynoSizesHandler),
    (r"/stream", StreamHandler),
]


def routes(server: Server) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """Return the table as tornado takes it, each handler with its server."""
    table = [*_TABLE, (r".*", handlers.NotFoundHandler)]
    return [(pattern, handler, {"server": server}) for pattern, handler in table]
