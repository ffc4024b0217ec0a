"""State -> the JSON objects of the Platform API, complete as its schema names them; nothing is decided here.

https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.state import EMAIL, fixed_id

if TYPE_CHECKING:
    from datetime import datetime

    from heroku_magic.emulator.logs.logplex import Session
    from heroku_magic.emulator.sizes import Size
    from heroku_magic.emulator.state import App, Dyno, Release

Json = dict[str, Any]


def when(moment: datetime) -> str:
    """Return a moment as the API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def account(since: datetime) -> Json:
    """Return the one account."""
    return {
        "allow_tracking": False,
        "beta": False,
        "country_of_residence": None,
        "created_at": when(since),
        "default_organization": None,
        "default_team": None,
        "delinquent_at": None,
        "email": EMAIL,
        "federated": False,
        "id": fixed_id("account"),
        "identity_provider": None,
        "last_login": None,
        "name": "Embedded Heroku",
        "sms_number": None,
        "suspended_at": None,
        "two_factor_authentication": False,
        "updated_at": when(since),
        "verified": True,
    }


def app(app: App) -> Json:
    """Return an app. It has no web address: nothing of it is served on the web."""
    return {
        "acm": False,
        "archived_at": None,
        "build_stack": _named("heroku-24"),
        "buildpack_provided_description": "Python",
        "created_at": when(app.created_at),
        "generation": _named("cedar"),
        "git_url": f"https://git.heroku.com/{app.name}.git",
        "id": app.id,
        "internal_routing": None,
        "maintenance": False,
        "name": app.name,
        "organization": None,
        "owner": _owner(),
        "region": _named("us"),
        "released_at": when(app.current.created_at),
        "repo_size": None,
        "slug_size": None,
        "space": None,
        "stack": _named("heroku-24"),
        "team": None,
        "updated_at": when(app.current.created_at),
        "web_url": None,
    }


def formation(app: App, kind: str, command: str, size: str) -> Json:
    """Return one process type, scaled as Heroku scales it after the first deploy."""
    return {
        "app": _app(app),
        "command": command,
        "created_at": when(app.created_at),
        "dyno_size": _named(size),
        "id": fixed_id(f"{kind}.{app.id}"),
        "quantity": 1 if kind == "web" else 0,
        "size": size,
        "type": kind,
        "updated_at": when(app.current.created_at),
    }


def release(app: App, release: Release) -> Json:
    """Return a release."""
    return {
        "addon_plan_names": [],
        "app": _app(app),
        "artifacts": [{"type": "slug", "id": release.slug}] if release.slug else [],
        "created_at": when(release.created_at),
        "current": release is app.current,
        "description": release.description,
        "eligible_for_rollback": False,
        "id": release.id,
        "output_stream_url": None,
        "slug": {"id": release.slug} if release.slug else None,
        "status": "succeeded",
        "updated_at": when(release.created_at),
        "user": _owner(),
        "version": release.version,
    }


def dyno(app: App, dyno: Dyno) -> Json:
    """Return a dyno."""
    return {
        "app": _app(app),
        "attach_url": None,
        "command": dyno.command,
        "created_at": when(dyno.created_at),
        "id": dyno.id,
        "name": dyno.name,
        "release": {"id": dyno.release.id, "version": dyno.release.version},
        "size": dyno.size,
        "state": dyno.state,
        "type": dyno.type,
        "updated_at": when(dyno.updated_at),
    }


def dyno_size(size: Size) -> Json:
    """Return a dyno size."""
    return {
        "architecture": "amd64",
        "compute": size.compute,
        "cost": {"cents": size.cents, "unit": "month"},
        "dedicated": size.dedicated,
        "generation": _named("cedar"),
        "id": fixed_id(size.name),
        "memory": size.memory,
        "name": size.name,
        "precise_dyno_units": size.cents / 2500,
        "private_space_only": False,
    }


def log_session(session: Session, url: str) -> Json:
    """Return a log session. Whoever has its URL can read the log."""
    created = when(session.created_at)
    return {"created_at": created, "id": session.id, "logplex_url": url, "updated_at": created}


def _named(name: str) -> Json:
    return {"id": fixed_id(name), "name": name}


def _app(app: App) -> Json:
    return {"id": app.id, "name": app.name}


def _owner() -> Json:
    return {"email": EMAIL, "id": fixed_id("account")}
