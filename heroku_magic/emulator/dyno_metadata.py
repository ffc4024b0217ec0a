"""The variables that a dyno gets with the feature `runtime-dyno-metadata`.

https://devcenter.heroku.com/articles/dyno-metadata
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heroku_magic.emulator.state import EmulatedApp, EmulatedDyno

FEATURE = "runtime-dyno-metadata"


def variables(app: EmulatedApp, dyno: EmulatedDyno) -> dict[str, str]:
    """Return the variables, none if the feature is off."""
    if FEATURE not in app.features:
        return {}
    slug, release = app.slugs.get(dyno.release.slug or ""), dyno.release
    found = {
        "HEROKU_APP_ID": app.id,
        "HEROKU_APP_NAME": app.name,
        "HEROKU_DYNO_ID": dyno.id,
        "HEROKU_RELEASE_CREATED_AT": release.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "HEROKU_RELEASE_VERSION": f"v{release.version}",
        "HEROKU_SLUG_DESCRIPTION": release.description,
    }
    if slug is not None and slug.commit:
        found |= {"HEROKU_SLUG_COMMIT": slug.commit, "HEROKU_BUILD_COMMIT": slug.commit}
    return found
