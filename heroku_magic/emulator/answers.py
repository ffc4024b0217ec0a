"""State -> the JSON that Heroku's schema names, field by field; it decides nothing.

https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.state import DEFAULT_SIZE, EMAIL, SIZES, new_id

if TYPE_CHECKING:
    from datetime import datetime

    from heroku_magic.emulator.dynos import Dyno
    from heroku_magic.emulator.logplex import Session
    from heroku_magic.emulator.state import Account, App, Release

_STACK = {"id": new_id(), "name": "heroku-24"}
_REGION = {"id": new_id(), "name": "us"}
_GENERATION = {"id": new_id(), "name": "cedar"}
_SIZE_IDS = {size: new_id() for size in SIZES}


def account(owner: Account) -> dict[str, Any]:
    """Return the account."""
    at = _time(owner.created_at)
    return {
        "allow_tracking": False,
        "beta": False,
        "country_of_residence": None,
        "created_at": at,
        "default_organization": None,
        "default_team": None,
        "delinquent_at": None,
        "email": owner.email,
        "federated": False,
        "id": owner.id,
        "identity_provider": None,
        "last_login": at,
        "name": None,
        "sms_number": None,
        "suspended_at": None,
        "two_factor_authentication": False,
        "updated_at": at,
        "verified": True,
    }


def app(one: App, owner: Account) -> dict[str, Any]:
    """Return an app; the official CLI needs every field, the empty ones too."""
    release = one.release()
    return {
        "acm": False,
        "archived_at": None,
        "build_stack": _STACK,
        "buildpack_provided_description": "Python",
        "created_at": _time(one.created_at),
        "generation": _GENERATION,
        "git_url": f"https://git.heroku.com/{one.name}.git",
        "id": one.id,
        "internal_routing": None,
        "maintenance": False,
        "name": one.name,
        "organization": None,
        "owner": {"email": owner.email, "id": owner.id},
        "region": _REGION,
        "released_at": _time(release.created_at),
        "repo_size": None,
        "slug_size": None,
        "space": None,
        "stack": _STACK,
        "team": None,
        "updated_at": _time(release.created_at),
        "web_url": None,
    }


def formation(one: App) -> list[dict[str, Any]]:
    """Return the process types; after a first deploy Heroku scales `web` to 1 and the others to 0."""
    at = _time(one.release().created_at)
    return [
        {
            "app": _ref(one),
            "command": command,
            "created_at": at,
            "dyno_size": {"id": _SIZE_IDS[DEFAULT_SIZE], "name": DEFAULT_SIZE},
            "id": one.process_id(kind),
            "quantity": int(kind == "web"),
            "size": DEFAULT_SIZE,
            "type": kind,
            "updated_at": at,
        }
        for kind, command in one.folder.process_types().items()
    ]


def dyno(one: Dyno, of: App) -> dict[str, Any]:
    """Return a dyno; the command is shown as it was sent."""
    return {
        "app": _ref(of),
        "attach_url": None,
        "command": one.command,
        "created_at": _time(one.created_at),
        "id": one.id,
        "name": one.name,
        "release": {"id": one.release.id, "version": one.release.version},
        "size": one.size,
        "state": one.state,
        "type": one.type,
        "updated_at": _time(one.updated_at),
    }


def release(one: Release, of: App, owner: Account) -> dict[str, Any]:
    """Return a release."""
    return {
        "addon_plan_names": [],
        "app": _ref(of),
        "artifacts": [{"id": one.slug, "type": "slug"}],
        "created_at": _time(one.created_at),
        "current": one is of.releases[-1],
        "description": one.description,
        "eligible_for_rollback": True,
        "id": one.id,
        "output_stream_url": None,
        "slug": {"id": one.slug},
        "status": "succeeded",
        "updated_at": _time(one.created_at),
        "user": {"email": EMAIL, "id": owner.id},
        "version": one.version,
    }


def log_session(session: Session, base_url: str) -> dict[str, Any]:
    """Return a log session; its URL is the right to read."""
    at = _time(session.created_at)
    return {
        "created_at": at,
        "id": session.id,
        "logplex_url": f"{base_url}/stream?token={session.token}",
        "updated_at": at,
    }


def dyno_sizes() -> list[dict[str, Any]]:
    """Return the sizes with their list prices."""
    return [
        {
            "architecture": "amd64",
            "compute": compute,
            "cost": {"cents": cents, "unit": "month"},
            "dedicated": name.startswith("Performance"),
            "generation": _GENERATION,
            "id": _SIZE_IDS[name],
            "memory": memory,
            "name": name,
            "precise_dyno_units": float(compute),
            "private_space_only": False,
        }
        for name, (memory, compute, cents) in SIZES.items()
    ]


def _ref(one: App) -> dict[str, str]:
    return {"id": one.id, "name": one.name}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
