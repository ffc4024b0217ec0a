"""Reads and checks the bodies of requests, with Heroku's errors for what is not valid.

https://devcenter.heroku.com/articles/platform-api-reference#dyno-create
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from heroku_magic.emulator.authorizations import SCOPES, Grant
from heroku_magic.emulator.errors import bad_request, invalid_params, unsupported
from heroku_magic.emulator.formation import MOST_DYNOS, ScaleUpdate
from heroku_magic.emulator.logs.logplex import BUFFER, Filter, LogplexSession
from heroku_magic.emulator.runtime import DynoRequest
from heroku_magic.emulator.state import APP_NAME, REGIONS, STACK, STACKS, EmulatedBuild, EmulatedSlug, fixed_id
from heroku_magic.emulator.web import fields
from heroku_magic.platform_facts.dyno_sizes import DEFAULT_SIZE, DYNO_SIZES

LONGEST_LIFE = 86_400
# All variables together, well within the limit of a process.
LONGEST_ENV = 1_000_000

_NAME = re.compile(r"\w+", re.ASCII)
_TYPE = re.compile(r"[-\w]{1,128}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RELATIVE = re.compile(r"[+-][0-9]{1,3}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)


class ReleaseRequest(NamedTuple):
    """A release of a slug, or a rollback to an earlier release."""

    slug: str | None
    release: str | None
    description: str | None


class AppSetupRequest(NamedTuple):
    """An app to create, with config vars, from the source of a build."""

    name: str | None
    region: str
    stack: str
    env: dict[str, str]
    build: EmulatedBuild


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object in a request's body; an empty body is an empty object."""
    try:
        found = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise bad_request("The request's body is not JSON.") from None
    if not isinstance(found, dict):
        raise bad_request("The request's body is not a JSON object.")
    return found


def dyno_request(body: dict[str, Any]) -> DynoRequest:
    """Return the parameters of a dyno create."""
    fields.only(body, "attach", "command", "env", "force_no_tty", "size", "time_to_live", "type")
    if "command" not in body:
        raise invalid_params("Require params: command.")
    return DynoRequest(
        fields.text("command", body["command"]),
        _env(fields.mapping(body, "env")),
        _size(body.get("size")),
        _type(body.get("type")),
        _seconds(body.get("time_to_live")),
        attach=fields.flag(body, "attach"),
        force_no_tty=fields.flag(body, "force_no_tty"),
    )


def log_session(body: dict[str, Any]) -> LogplexSession:
    """Return the session of a log session create; `dyno` may also hold a process type."""
    fields.only(body, "dyno", "dyno_name", "lines", "source", "tail", "type")
    dyno, dyno_name, kind = (fields.string(body, name) for name in ("dyno", "dyno_name", "type"))
    lines = fields.number("lines", body.get("lines", 100), most=10**9)
    return LogplexSession(
        Filter(dyno or dyno_name or kind, fields.string(body, "source")), min(lines, BUFFER), fields.flag(body, "tail")
    )


def config_changes(body: dict[str, Any]) -> dict[str, str | None]:
    """Return config vars to set, or to remove (None)."""
    for name in body:
        if not _NAME.fullmatch(name) or name.startswith(("__", "HEROKU_")):
            raise invalid_params(f"Config var name {fields.shown(name)} is invalid: letters, digits and _ only.")
    return {name: None if value is None else _config(name, value) for name, value in body.items()}


def app_request(body: dict[str, Any]) -> tuple[str | None, str, str]:
    """Return name, region and stack of an app create."""
    fields.only(body, "feature_flags", "name", "region", "stack")
    fields.texts(body, "feature_flags")
    region = fields.one_of("region", body.get("region"), REGIONS) or REGIONS[0]
    return _app_name(body.get("name")), region, fields.one_of("stack", body.get("stack"), STACKS) or STACK


def app_changes(body: dict[str, Any]) -> dict[str, Any]:
    """Return name, maintenance and stack of an app update; None leaves a value as it is."""
    fields.only(body, "build_stack", "maintenance", "name")
    maintenance = fields.switch(body, "maintenance") if body.get("maintenance") is not None else None
    stack = fields.one_of("build_stack", body.get("build_stack"), STACKS)
    return {"name": _app_name(body.get("name")), "maintenance": maintenance, "stack": stack}


def formation_updates(body: dict[str, Any]) -> list[ScaleUpdate]:
    """Return the updates of a formation batch update."""
    fields.only(body, "updates")
    return [formation_update(update, update.get("type")) for update in fields.objects(body, "updates")]


def formation_update(body: dict[str, Any], kind: Any) -> ScaleUpdate:
    """Return one formation update; the size may be `size` or `dyno_size`, the quantity a number or "+1"."""
    fields.only(body, "dyno_size", "quantity", "size", "type")
    if not isinstance(kind, str) or not kind:
        raise invalid_params("type must be the name or id of a process type.")
    quantity = body.get("quantity")
    if isinstance(quantity, str) and _RELATIVE.fullmatch(quantity):
        return ScaleUpdate(kind, int(quantity), True, _new_size(body))
    change = None if quantity is None else fields.number("quantity", quantity, most=MOST_DYNOS)
    return ScaleUpdate(kind, change, False, _new_size(body))


def release_request(body: dict[str, Any]) -> ReleaseRequest:
    """Return the parameters of a release create: `slug`, or `release` to roll back to."""
    fields.only(body, "description", "oci_image", "release", "slug")
    slug, release = fields.string(body, "slug"), fields.string(body, "release")
    if fields.string(body, "oci_image"):
        raise invalid_params("oci_image is not supported: the embedded Heroku runs slugs only.")
    if release and not _UUID.fullmatch(release):
        raise invalid_params("release must be the id of a release.")
    if not slug and not release:
        raise invalid_params("Require params: slug.")
    return ReleaseRequest(slug, release, fields.string(body, "description"))


def slug_request(body: dict[str, Any]) -> EmulatedSlug:
    """Return the slug of a slug create."""
    fields.only(
        body, "buildpack_provided_description", "checksum", "commit", "commit_description", "process_types", "stack"
    )
    return EmulatedSlug(
        _process_types(body.get("process_types")),
        fields.one_of("stack", body.get("stack"), STACKS) or STACK,
        _checksum(body),
        fields.string(body, "commit"),
        fields.string(body, "commit_description"),
        fields.string(body, "buildpack_provided_description"),
    )


def build_request(body: dict[str, Any]) -> EmulatedBuild:
    """Return the build of a build create."""
    fields.only(body, "buildpacks", "source_blob")
    source = body.get("source_blob")
    if not isinstance(source, dict):
        raise invalid_params("Require params: source_blob.")
    fields.only(source, "checksum", "url", "version", "version_description")
    url = fields.string(source, "url")
    if not url:
        raise invalid_params("source_blob.url must be the get_url of a source.")
    about = fields.string(source, "version"), fields.string(source, "version_description")
    return EmulatedBuild(url, *about, _checksum(source), _buildpacks(body))


def app_filter(body: dict[str, Any]) -> set[str] | None:
    """Return the ids of the apps to list, None for all."""
    fields.only(body, "in")
    wanted = fields.mapping(body, "in")
    fields.only(wanted, "id")
    return set(fields.texts(wanted, "id")) if wanted.get("id") is not None else None


def feature_change(body: dict[str, Any]) -> bool:
    """Return whether a feature is switched on."""
    fields.only(body, "enabled")
    if body.get("enabled") is None:
        raise invalid_params("Require params: enabled.")
    return fields.switch(body, "enabled")


def buildpack_updates(body: dict[str, Any]) -> list[str]:
    """Return the names or URLs of buildpacks."""
    fields.only(body, "updates")
    updates = fields.objects(body, "updates")
    for each in updates:
        fields.only(each, "buildpack")
    return [fields.text("buildpack", each.get("buildpack")) for each in updates]


def authorization_change(body: dict[str, Any]) -> str | None:
    """Return the new description of an authorization."""
    fields.only(body, "client", "description")
    if body.get("client") is not None:
        raise unsupported("OAuth clients")
    return fields.string(body, "description")


# The parameters of an app of a team, and what they need. Heroku's MCP server always sends the first.
_OF_TEAMS = {"internal_routing": "spaces", "locked": "teams", "organization": "teams", "space": "spaces"}


def app_setup(body: dict[str, Any]) -> AppSetupRequest:
    """Return the parameters of an app setup."""
    fields.only(body, "app", "overrides", "source_blob")
    app, overrides, source = (fields.mapping(body, name) for name in ("app", "overrides", "source_blob"))
    fields.only(app, "personal", "name", "region", "stack", *_OF_TEAMS)
    for name, what in _OF_TEAMS.items():
        if app.get(name):
            raise unsupported(what)
    fields.only(overrides, "buildpacks", "env")
    settings = {name: value for name, value in app.items() if name in {"name", "region", "stack"}}
    env = config_changes(fields.mapping(overrides, "env"))
    build = build_request({"source_blob": source, "buildpacks": overrides.get("buildpacks")})
    return AppSetupRequest(*app_request(settings), {name: _config(name, value) for name, value in env.items()}, build)


def authorization_request(body: dict[str, Any]) -> Grant:
    """Return the grant of an authorization create; the official CLI sends seconds as text, and no scope for global."""
    fields.only(body, "client", "description", "expires_in", "scope")
    if fields.string(body, "client"):
        raise invalid_params("client is not supported: the embedded Heroku has no OAuth clients.")
    seconds = body.get("expires_in")
    seconds = None if seconds is None else fields.number("expires_in", seconds, most=10**9)
    scopes = fields.texts(body, "scope") or ["global"]
    for scope in scopes:
        fields.one_of("scope", scope, SCOPES)
    return Grant(tuple(scopes), fields.string(body, "description") or Grant.description, seconds)


def _app_name(name: Any) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not APP_NAME.fullmatch(name):
        raise invalid_params(
            "Name must start with a letter, end with a letter or digit and can only contain lowercase letters, "
            "digits, and dashes. It has 3 to 30 characters."
        )
    return name


def _new_size(body: dict[str, Any]) -> str | None:
    size = body.get("dyno_size")
    if size is None:
        size = body.get("size")
    elif isinstance(size, dict):
        fields.only(size, "id", "name")
        size = size.get("name") or size.get("id")
    return None if size is None else _size(size)


def _process_types(types: Any) -> dict[str, str]:
    if not isinstance(types, dict):
        raise invalid_params("process_types must be an object of names and commands.")
    for kind, command in types.items():
        if not _TYPE.fullmatch(kind) or not isinstance(command, str):
            raise invalid_params(
                f"process type {fields.shown(kind)} must have a name of letters, digits, - and _, and a command."
            )
        fields.checked_text(kind, command)
    return types


def _checksum(body: dict[str, Any]) -> str | None:
    checksum = fields.string(body, "checksum")
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise invalid_params("checksum must be `SHA256:` and 64 hexadecimal digits.")
    return checksum


def _buildpacks(body: dict[str, Any]) -> list[dict[str, str]] | None:
    if body.get("buildpacks") is None:
        return None
    buildpacks = fields.objects(body, "buildpacks")
    for each in buildpacks:
        fields.only(each, "name", "url")
        fields.string(each, "name")
        fields.string(each, "url")
    return buildpacks


def _config(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid_params(f"Config var {fields.shown(name)} must be a string.")
    return fields.checked_text(name, value)


def _env(env: dict[str, Any]) -> dict[str, str]:
    for name in env:
        if not _NAME.fullmatch(name):
            raise invalid_params(f"env name {fields.shown(name)} is invalid: letters, digits and _ only.")
    variables = {name: _variable(name, value) for name, value in env.items()}
    if sum(len(name) + len(value.encode()) for name, value in variables.items()) > LONGEST_ENV:
        raise invalid_params(f"env is too large: at most {LONGEST_ENV} bytes.")
    return variables


def _variable(name: str, value: Any) -> str:
    """Return a variable's value; the official CLI sends a terminal's size as numbers."""
    if name in {"COLUMNS", "LINES"} and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return fields.checked_text(name, value)
    raise invalid_params(f"{fields.shown(name)} must be a string.")


def _size(size: Any) -> str:
    if size is None:
        return DEFAULT_SIZE
    for each in DYNO_SIZES.values():
        if isinstance(size, str) and (size.lower() == each.name.lower() or size == fixed_id(each.name)):
            return each.name
    raise invalid_params(f"No such dyno size. Sizes are: {', '.join(DYNO_SIZES)}.")


def _type(kind: Any) -> str:
    if kind is None:
        return "run"
    if isinstance(kind, str) and _TYPE.fullmatch(kind):
        return kind
    raise invalid_params("type may contain letters, digits, - and _ only.")


def _seconds(value: Any) -> int | None:
    if value is None:
        return None
    seconds = fields.number("time_to_live", value, most=LONGEST_LIFE)
    if seconds < 1:
        raise invalid_params("time_to_live must be at least 1 second.")
    return seconds
