"""The URL table: which handler serves which path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.emulator.web import (
    blobs,
    control,
    fact_handlers,
    git,
    handlers,
    oauth,
    release_handlers,
    streams,
)

if TYPE_CHECKING:
    from heroku_magic.emulator.web.api import LocalHandler

# The paths of the git port.
GIT_TABLE: dict[str, type[LocalHandler]] = {
    r"/([^/]+)\.git/info/refs": git.RefsHandler,
    r"/([^/]+)\.git/git-(upload-pack|receive-pack)": git.ServiceHandler,
}

_NAME = "([^/]+)"
_APP = f"/apps/{_NAME}"

TABLE: dict[str, type[LocalHandler]] = {
    "/account": handlers.AccountHandler,
    "/account/rate-limits": handlers.RateLimitsHandler,
    "/apps": handlers.AppsHandler,
    "/users/~/apps": handlers.AppsHandler,
    _APP: handlers.AppHandler,
    f"{_APP}/available-dyno-sizes": fact_handlers.AvailableSizesHandler,
    f"{_APP}/available-stacks": fact_handlers.AvailableStacksHandler,
    f"{_APP}/buildpack-installations": handlers.BuildpacksHandler,
    f"{_APP}/builds": release_handlers.BuildsHandler,
    f"{_APP}/builds/{_NAME}": release_handlers.BuildHandler,
    f"{_APP}/collaborators": fact_handlers.CollaboratorsHandler,
    f"{_APP}/collaborators/{_NAME}": fact_handlers.CollaboratorHandler,
    f"{_APP}/config-vars": handlers.ConfigVarsHandler,
    f"{_APP}/domains": fact_handlers.DomainsHandler,
    f"{_APP}/domains/{_NAME}": fact_handlers.DomainHandler,
    f"{_APP}/dynos": handlers.DynosHandler,
    f"{_APP}/dynos/{_NAME}": handlers.DynoHandler,
    f"{_APP}/dynos/{_NAME}/actions/stop": handlers.DynoStopHandler,
    f"{_APP}/features": handlers.FeaturesHandler,
    f"{_APP}/features/{_NAME}": handlers.FeatureHandler,
    f"{_APP}/formation": handlers.FormationHandler,
    f"{_APP}/formation/{_NAME}": handlers.ProcessTypeHandler,
    f"{_APP}/formations/{_NAME}": handlers.DynosOfTypeHandler,
    f"{_APP}/formations/{_NAME}/actions/stop": handlers.DynosOfTypeStopHandler,
    f"{_APP}/log-sessions": streams.LogSessionsHandler,
    f"{_APP}/releases": release_handlers.ReleasesHandler,
    f"{_APP}/releases/{_NAME}": release_handlers.ReleaseHandler,
    f"{_APP}/releases/{_NAME}/config-vars": release_handlers.ReleaseConfigVarsHandler,
    f"{_APP}/slugs": release_handlers.SlugsHandler,
    f"{_APP}/slugs/{_NAME}": release_handlers.SlugHandler,
    f"{_APP}/sources": release_handlers.SourcesHandler,
    f"{_APP}/usage": fact_handlers.UsageHandler,
    "/account/delinquency": fact_handlers.DelinquencyHandler,
    "/app-setups": release_handlers.AppSetupsHandler,
    f"/app-setups/{_NAME}": release_handlers.AppSetupHandler,
    "/dyno-sizes": handlers.DynoSizesHandler,
    f"/dyno-sizes/{_NAME}": handlers.DynoSizeHandler,
    "/oauth/authorizations": oauth.AuthorizationsHandler,
    f"/oauth/authorizations/{_NAME}": oauth.AuthorizationHandler,
    f"/oauth/authorizations/{_NAME}/actions/regenerate-tokens": oauth.RegenerationHandler,
    "/oauth/sessions/~": oauth.SessionHandler,
    "/emulator/authority": control.AuthorityHandler,
    f"/emulator/environments/{_NAME}": control.EnvironmentHandler,
    "/emulator/faults": control.FaultsHandler,
    "/emulator/journal": control.JournalHandler,
    "/emulator/requests": control.RequestsHandler,
    "/filters/apps": fact_handlers.AppFilterHandler,
    "/generations": fact_handlers.GenerationsHandler,
    f"/generations/{_NAME}": fact_handlers.GenerationHandler,
    "/regions": fact_handlers.RegionsHandler,
    f"/regions/{_NAME}": fact_handlers.RegionHandler,
    f"/users/{_NAME}": fact_handlers.UserHandler,
    "/schema": fact_handlers.SchemaHandler,
    "/sources": release_handlers.SourcesHandler,
    "/stacks": handlers.StacksHandler,
    f"/stacks/{_NAME}": handlers.StackHandler,
    "/stream": streams.LogStreamHandler,
    f"/blobs/{_NAME}": blobs.BlobHandler,
    f"/streams/{_NAME}": streams.OutputStreamHandler,
}
