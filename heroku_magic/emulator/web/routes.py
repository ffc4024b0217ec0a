"""The URL table: which handler answers which path; nothing is handled here."""

from __future__ import annotations

from tornado.routing import URLSpec

from heroku_magic.emulator.web import handlers

_NAME = "([^/]+)"
_APP = f"/apps/{_NAME}"

_TABLE = {
    "/account": handlers.Account,
    "/account/rate-limits": handlers.RateLimits,
    "/apps": handlers.Apps,
    _APP: handlers.App,
    f"{_APP}/config-vars": handlers.ConfigVars,
    f"{_APP}/dynos": handlers.Dynos,
    f"{_APP}/dynos/{_NAME}": handlers.Dyno,
    f"{_APP}/dynos/{_NAME}/actions/stop": handlers.DynoStop,
    f"{_APP}/formation": handlers.Formation,
    f"{_APP}/formation/{_NAME}": handlers.ProcessType,
    f"{_APP}/log-sessions": handlers.LogSessions,
    f"{_APP}/releases": handlers.Releases,
    f"{_APP}/releases/{_NAME}": handlers.Release,
    "/dyno-sizes": handlers.DynoSizes,
    "/stream": handlers.Stream,
}


def routes() -> list[URLSpec]:
    """Return the table for tornado."""
    return [URLSpec(path, handler) for path, handler in _TABLE.items()]
