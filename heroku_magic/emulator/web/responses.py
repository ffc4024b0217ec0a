"""The JSON objects of the Platform API, with all fields of its schema.

https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.state import EMAIL, FEATURES, STACK, first_match, fixed_id, when

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.emulator import state
    from heroku_magic.emulator.app_setups import AppSetup
    from heroku_magic.emulator.authorizations import Grant
    from heroku_magic.emulator.code.blobs import Blob
    from heroku_magic.emulator.logs.logplex import LogplexSession
    from heroku_magic.platform_facts.dyno_sizes import DynoSize

Json = dict[str, Any]

_ARTICLES = {"runtime-dyno-metadata": "dyno-metadata"}
_STACKS_SINCE = datetime(2022, 6, 1, tzinfo=timezone.utc)
_OWNER = {"email": EMAIL, "id": fixed_id("account")}


def account(since: datetime) -> Json:
    """Return the one account."""
    return {
        **_times(since),
        **_none("country_of_residence", "default_organization", "default_team", "delinquent_at"),
        **_none("identity_provider", "last_login", "sms_number", "suspended_at"),
        **dict.fromkeys(("allow_tracking", "beta", "federated", "two_factor_authentication"), False),
        "email": EMAIL,
        "id": fixed_id("account"),
        "name": "Embedded Heroku",
        "verified": True,
    }


def app(app: state.EmulatedApp, *, base: str, git: str) -> Json:
    """Return an app. base, git: the URLs of the emulator and of its git port."""
    return {
        **_times(app.created_at, app.updated_at),
        **_none("archived_at", "internal_routing", "organization", "repo_size", "space", "team"),
        **_same(app, "id", "maintenance", "name"),
        "acm": False,
        "build_stack": _named(app.stack),
        "buildpack_provided_description": "Python" if app.slug else None,
        "generation": _named("cedar"),
        "git_url": git_url(git, app),
        "owner": _OWNER,
        "region": _named(app.region),
        "released_at": when(app.current.created_at) if app.slug else None,
        "slug_size": app.slug.size if app.slug else None,
        "stack": _named(app.stack),
        "web_url": web_url(base, app),
    }


def formation(app: state.EmulatedApp, kind: str, scale: state.Scale) -> Json:
    """Return one process type and how it is scaled."""
    return {
        **_times(app.created_at, scale.updated_at),
        **_same(scale, "quantity", "size"),
        "app": _app(app),
        "command": app.process_types[kind],
        "dyno_size": _named(scale.size),
        "id": app.formation_id(kind),
        "type": kind,
    }


def release(app: state.EmulatedApp, release: state.EmulatedRelease, *, base: str, can_roll_back: bool) -> Json:
    """Return a release. base: the URL of the emulator."""
    return {
        **_times(release.created_at, release.updated_at),
        **_same(release, "description", "id", "status", "version"),
        "addon_plan_names": [],
        "app": _app(app),
        "artifacts": [{"type": "slug", "id": release.slug}] if release.slug else [],
        "current": release is app.current,
        "eligible_for_rollback": can_roll_back,
        "output_stream_url": output_url(base, release.output) if release.output else None,
        "slug": {"id": release.slug} if release.slug else None,
        "user": _OWNER,
    }


def slug(slug: state.EmulatedSlug, *, method: str, url: str) -> Json:
    """Return a slug, with the URL to put or fetch its archive."""
    return {
        **_times(slug.created_at),
        **_same(slug, "buildpack_provided_description", "checksum", "commit", "commit_description"),
        **_same(slug, "id", "process_types", "size"),
        "blob": {"method": method, "url": url},
        "deleted_at": None,
        "stack": _named(slug.stack),
    }


def source(base: str, blob: Blob) -> Json:
    """Return the two URLs of a source: one to put it, one to fetch it."""
    urls = {"get_url": blob_url(base, blob.get_token), "put_url": blob_url(base, blob.put_token)}
    return {"source_blob": urls}


def build(app: state.EmulatedApp, build: state.EmulatedBuild, *, base: str) -> Json:
    """Return a build."""
    return {
        **_times(build.created_at, build.updated_at),
        **_same(build, "id", "stack", "status"),
        "app": {"id": app.id},
        "buildpacks": build.buildpacks or [_buildpack(each) for each in app.buildpacks or ["heroku/python"]],
        "generation": "cedar",
        "output_stream_url": output_url(base, build.output),
        "release": {"id": build.release} if build.release else None,
        "slug": {"id": build.slug} if build.slug else None,
        "source_blob": {"url": build.source_url, **_same(build, "checksum", "version", "version_description")},
        "user": _OWNER,
    }


def authorization(grant: Grant, *, token: str | None = None) -> Json:
    """Return an authorization. token: the complete one, in the response to its create only."""
    return {
        **_times(grant.created_at),
        **_none("client", "grant", "refresh_token", "session"),
        **_same(grant, "description", "id"),
        "access_token": {"expires_in": grant.seconds_left, "id": grant.token_id, "token": token or grant.redacted},
        "scope": list(grant.scope),
        "user": {**_OWNER, "full_name": "Embedded Heroku"},
    }


def stack(name: str) -> Json:
    """Return a stack."""
    status = "public" if name != "heroku-22" else "deprecated"
    return {**_named(name), **_times(_STACKS_SINCE), "default": name == STACK, "state": status}


def collaborator(app: state.EmulatedApp) -> Json:
    """Return the owner of an app."""
    return {
        **_times(app.created_at),
        "app": _app(app),
        "id": fixed_id(f"owner.{app.id}"),
        "permissions": [],
        "role": "owner",
        "user": {**_OWNER, "federated": False},
    }


def web_url(base: str, app: state.EmulatedApp) -> str:
    """Return the address of an app's web dynos, a name that never leaves the machine.

    https://www.rfc-editor.org/rfc/rfc6761#section-6.3
    """
    return f"http://{app.name}.localhost:{base.rpartition(':')[2]}/"


def git_url(git: str, app: state.EmulatedApp) -> str:
    """Return the address of an app's repository."""
    return f"{git}/{app.name}.git"


def blob_url(base: str, token: str) -> str:
    """Return the URL of a blob."""
    return f"{base}/blobs/{token}"


def output_url(base: str, token: str) -> str:
    """Return the URL of the output of a build or a release command."""
    return f"{base}/streams/{token}"


def dyno(app: state.EmulatedApp, dyno: state.EmulatedDyno) -> Json:
    """Return a dyno."""
    return {
        **_times(dyno.created_at, dyno.updated_at),
        **_same(dyno, "attach_url", "command", "id", "name", "size", "state", "type"),
        "app": _app(app),
        "release": _same(dyno.release, "id", "version"),
    }


def dyno_size(size: DynoSize) -> Json:
    """Return a dyno size."""
    return {
        **_same(size, "compute", "memory", "name"),
        "architecture": "amd64",
        "cost": {"cents": 100 * size.dollars, "unit": "month"},
        "dedicated": size.is_dedicated,
        "generation": _named("cedar"),
        "id": fixed_id(size.name),
        "precise_dyno_units": size.dollars / 25,
        "private_space_only": False,
    }


def region(name: str) -> Json:
    """Return a region."""
    country, locale = ("United States", "Virginia") if name == "us" else ("Europe", "Ireland")
    return {
        **_named(name),
        **_times(_STACKS_SINCE),
        "country": country,
        "description": country,
        "locale": locale,
        "private_capable": False,
        "provider": {"name": "amazon-web-services", "region": "us-east-1" if name == "us" else "eu-west-1"},
    }


def generation() -> Json:
    """Return the generation that the emulator behaves like."""
    return {**_named("cedar"), **_times(_STACKS_SINCE)}


def feature(app: state.EmulatedApp, name: str) -> Json:
    """Return a feature of an app."""
    return {
        **_times(app.created_at, app.updated_at),
        "description": FEATURES.get(name, name),
        "display_name": name.replace("-", " ").capitalize(),
        "doc_url": f"https://devcenter.heroku.com/articles/{_ARTICLES.get(name, name)}",
        "enabled": name in app.features,
        "feedback_email": EMAIL,
        "id": fixed_id(f"{name}.{app.id}"),
        "name": name,
        "state": "general",
    }


def buildpack_installations(app: state.EmulatedApp) -> list[Json]:
    """Return the buildpacks of an app in their order."""
    return [{"buildpack": _buildpack(each), "ordinal": number} for number, each in enumerate(app.buildpacks)]


def domain(app: state.EmulatedApp) -> Json:
    """Return the domain that every app has."""
    return {
        **_times(app.created_at),
        **_none("acm_status", "acm_status_reason", "cname", "sni_endpoint"),
        "app": _app(app),
        "hostname": f"{app.name}.localhost",
        "id": fixed_id(f"domain.{app.id}"),
        "kind": "heroku",
        "status": "none",
    }


def app_setup(setup: AppSetup, *, base: str) -> Json:
    """Return an app setup."""
    build = setup.build
    return {
        **_times(setup.created_at, build.updated_at),
        **_none("postdeploy", "resolved_success_url"),
        "app": _app(setup.runtime.app),
        "build": {"id": build.id, "output_stream_url": output_url(base, build.output), "status": build.status},
        "failure_message": setup.failure,
        "id": setup.id,
        "manifest_errors": setup.errors,
        "status": build.status,
    }


def named(identity: str, known: Iterable[Json], kind: str) -> Json:
    """Return an object by id or name, or raise a 404."""
    return first_match((each for each in known if identity in {each["id"], each["name"]}), kind)


def log_session(session: LogplexSession, url: str) -> Json:
    """Return a log session. Its URL is all that is needed to read the log."""
    return {**_times(session.created_at), "id": session.id, "logplex_url": url}


def _times(created: datetime, updated: datetime | None = None) -> Json:
    """Return the two times of a resource, the same if it never changes."""
    return {"created_at": when(created), "updated_at": when(updated or created)}


def _same(resource: object, *names: str) -> Json:
    """Return fields that are called as here."""
    return {name: getattr(resource, name) for name in names}


def _none(*names: str) -> Json:
    """Return fields that have no value here."""
    return dict.fromkeys(names)


def _named(name: str) -> Json:
    return {"id": fixed_id(name), "name": name}


def _buildpack(name: str) -> Json:
    """Return a buildpack by a URL, or by the name that Heroku's registry has for it."""
    name = name.removeprefix("urn:buildpack:")
    if "://" in name:
        return {"name": name, "url": name}
    return {"name": name, "url": f"https://buildpack-registry.s3.amazonaws.com/buildpacks/{name}.tgz"}


def _app(app: state.EmulatedApp) -> Json:
    return {"id": app.id, "name": app.name}
