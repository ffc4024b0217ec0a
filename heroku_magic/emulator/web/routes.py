"""The URL table: which handler answers which path; nothing is handled here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.routing import URLSpec

from heroku_magic.emulator.web import blobs, control, deploys, handlers, oauth, outputs, schema, stream

if TYPE_CHECKING:
    from heroku_magic.emulator.web.api import LocalHandler

_NAME = "([^/]+)"
_APP = f"/apps/{_NAME}"

TABLE: dict[str, type[LocalHandler]] = {
    "/account": handlers.Account,
    "/account/rate-limits": handlers.RateLimits,
    "/apps": handlers.Apps,
    "/users/~/apps": handlers.Apps,
    _APP: handlers.App,
    f"{_APP}/addons": handlers.Addons,
    f"{_APP}/builds": deploys.Builds,
    f"{_APP}/builds/{_NAME}": deploys.Build,
    f"{_APP}/collaborators": handlers.Collaborators,
    f"{_APP}/config-vars": handlers.ConfigVars,
    f"{_APP}/dynos": handlers.Dynos,
    f"{_APP}/dynos/{_NAME}": handlers.Dyno,
    f"{_APP}/dynos/{_NAME}/actions/stop": handlers.DynoStop,
    f"{_APP}/formation": handlers.Formation,
    f"{_APP}/formation/{_NAME}": handlers.ProcessType,
    f"{_APP}/formations/{_NAME}": handlers.DynosOfType,
    f"{_APP}/formations/{_NAME}/actions/stop": handlers.DynosOfTypeStop,
    f"{_APP}/log-drains": handlers.LogDrains,
    f"{_APP}/log-sessions": stream.LogSessions,
    f"{_APP}/pipeline-couplings": handlers.PipelineCouplings,
    f"{_APP}/releases": deploys.Releases,
    f"{_APP}/releases/{_NAME}": deploys.Release,
    f"{_APP}/releases/{_NAME}/config-vars": deploys.ReleaseConfigVars,
    f"{_APP}/slugs": deploys.Slugs,
    f"{_APP}/slugs/{_NAME}": deploys.Slug,
    f"{_APP}/sources": deploys.Sources,
    "/dyno-sizes": handlers.DynoSizes,
    f"/dyno-sizes/{_NAME}": handlers.DynoSize,
    "/oauth/authorizations": oauth.Authorizations,
    f"/oauth/authorizations/{_NAME}": oauth.Authorization,
    "/oauth/sessions/~": oauth.Session,
    "/emulator/faults": control.FaultsControl,
    "/emulator/requests": control.Requests,
    "/schema": schema.Schema,
    "/sources": deploys.Sources,
    "/stacks": handlers.Stacks,
    f"/stacks/{_NAME}": handlers.Stack,
    "/stream": stream.Stream,
    f"/blobs/{_NAME}": blobs.Blob,
    f"/streams/{_NAME}": outputs.OutputStream,
}


def routes() -> list[URLSpec]:
    """Return the table for tornado."""
    return [URLSpec(path, handler) for path, handler in TABLE.items()]
