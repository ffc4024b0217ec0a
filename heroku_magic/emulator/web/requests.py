"""Reads and checks the bodies of requests, with Heroku's errors for what is not valid.

https://devcenter.heroku.com/articles/platform-api-reference#dyno-create
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.emulator.authorizations import SCOPES, Grant
from heroku_magic.emulator.errors import bad_request, invalid_params
from heroku_magic.emulator.formation import ScaleUpdate
from heroku_magic.emulator.logs.logplex import BUFFER, Filter, LogplexSession
from heroku_magic.emulator.runtime import DynoRequest
from heroku_magic.emulator.sizes import DEFAULT, SIZES
from heroku_magic.emulator.state import APP_NAME, REGIONS, STACK, STACKS, EmulatedBuild, EmulatedSlug, fixed_id

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_LIFE = 86_400
# The longest string that Linux allows in a process's arguments and environment (MAX_ARG_STRLEN).
LONGEST_TEXT = 131_072 - 1
# All variables together, well within the limit of a process.
LONGEST_ENV = 1_000_000

_NAME = re.compile(r"\w+", re.ASCII)
_TYPE = re.compile(r"[-\w]{1,128}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,9}")
_RELATIVE = re.compile(r"[+-][0-9]{1,3}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)
# https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits
MOST_DYNOS = 100


class ReleaseRequest(NamedTuple):
    """A release of a slug, or a rollback to an earlier release."""

    slug: str | None
    release: str | None
    description: str | None


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
    _only(body, "attach", "command", "env", "force_no_tty", "size", "time_to_live", "type")
    if "command" not in body:
        raise invalid_params("Require params: command.")
    return DynoRequest(
        _text("command", body["command"]),
        _env(body.get("env")),
        _size(body.get("size")),
        _type(body.get("type")),
        _seconds(body.get("time_to_live")),
        attach=_flag(body, "attach"),
        force_no_tty=_flag(body, "force_no_tty"),
    )


def log_session(body: dict[str, Any]) -> LogplexSession:
    """Return the session of a log session create; `dyno` may also hold a process type."""
    _only(body, "dyno", "dyno_name", "lines", "source", "tail", "type")
    dyno, dyno_name, kind = (_string(body, name) for name in ("dyno", "dyno_name", "type"))
    lines = _number("lines", body.get("lines", 100), most=10**9)
    return LogplexSession(
        Filter(dyno or dyno_name or kind, _string(body, "source")), min(lines, BUFFER), _flag(body, "tail")
    )


def config_changes(body: dict[str, Any]) -> dict[str, str | None]:
    """Return config vars to set, or to remove (None)."""
    for name in body:
        if not _NAME.fullmatch(name) or name.startswith(("__", "HEROKU_")):
            raise invalid_params(f"Config var name {_shown(name)} is invalid: letters, digits and _ only.")
    return {name: None if value is None else _config(name, value) for name, value in body.items()}


def app_request(body: dict[str, Any]) -> tuple[str | None, str, str]:
    """Return name, region and stack of an app create."""
    _only(body, "feature_flags", "name", "region", "stack")
    _texts(body, "feature_flags")
    region = _one_of("region", body.get("region"), REGIONS) or REGIONS[0]
    return _app_name(body.get("name")), region, _one_of("stack", body.get("stack"), STACKS) or STACK


def app_changes(body: dict[str, Any]) -> dict[str, Any]:
    """Return name, maintenance and stack of an app update; None leaves a value as it is."""
    _only(body, "build_stack", "maintenance", "name")
    maintenance = _flag(body, "maintenance") if body.get("maintenance") is not None else None
    stack = _one_of("build_stack", body.get("build_stack"), STACKS)
    return {"name": _app_name(body.get("name")), "maintenance": maintenance, "stack": stack}


def formation_updates(body: dict[str, Any]) -> list[ScaleUpdate]:
    """Return the updates of a formation batch update."""
    _only(body, "updates")
    updates = body.get("updates")
    if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates):
        raise invalid_params("updates must be an array of objects.")
    return [formation_update(update, update.get("type")) for update in updates]


def formation_update(body: dict[str, Any], kind: Any) -> ScaleUpdate:
    """Return one formation update; the size may be `size` or `dyno_size`, the quantity a number or "+1"."""
    _only(body, "dyno_size", "quantity", "size", "type")
    if not isinstance(kind, str) or not kind:
        raise invalid_params("type must be the name or id of a process type.")
    quantity = body.get("quantity")
    if isinstance(quantity, str) and _RELATIVE.fullmatch(quantity):
        return ScaleUpdate(kind, int(quantity), True, _new_size(body))
    return ScaleUpdate(kind, _quantity(quantity), False, _new_size(body))


def release_request(body: dict[str, Any]) -> ReleaseRequest:
    """Return the parameters of a release create: `slug`, or `release` to roll back to."""
    _only(body, "description", "oci_image", "release", "slug")
    slug, release = _string(body, "slug"), _string(body, "release")
    if _string(body, "oci_image"):
        raise invalid_params("oci_image is not supported: the embedded Heroku runs slugs only.")
    if release and not _UUID.fullmatch(release):
        raise invalid_params("release must be the id of a release.")
    if not slug and not release:
        raise invalid_params("Require params: slug.")
    return ReleaseRequest(slug, release, _string(body, "description"))


def slug_request(body: dict[str, Any]) -> EmulatedSlug:
    """Return the slug of a slug create."""
    _only(body, "buildpack_provided_description", "checksum", "commit", "commit_description", "process_types", "stack")
    return EmulatedSlug(
        _process_types(body.get("process_types")),
        _one_of("stack", body.get("stack"), STACKS) or STACK,
        _checksum(body),
        _string(body, "commit"),
        _string(body, "commit_description"),
        _string(body, "buildpack_provided_description"),
    )


def build_request(body: dict[str, Any]) -> EmulatedBuild:
    """Return the build of a build create."""
    _only(body, "buildpacks", "source_blob")
    source = body.get("source_blob")
    if not isinstance(source, dict):
        raise invalid_params("Require params: source_blob.")
    _only(source, "checksum", "url", "version", "version_description")
    url = _string(source, "url")
    if not url:
        raise invalid_params("source_blob.url must be the get_url of a source.")
    texts = _string(source, "version"), _string(source, "version_description")
    return EmulatedBuild(url, *texts, _checksum(source), _buildpacks(body.get("buildpacks")))


def authorization_request(body: dict[str, Any]) -> Grant:
    """Return the grant of an authorization create; the official CLI sends seconds as text, and no scope for global."""
    _only(body, "client", "description", "expires_in", "scope")
    if _string(body, "client"):
        raise invalid_params("client is not supported: the embedded Heroku has no OAuth clients.")
    seconds = body.get("expires_in")
    seconds = None if seconds is None else _number("expires_in", seconds, most=10**9)
    scopes = _texts(body, "scope") or ["global"]
    for scope in scopes:
        _one_of("scope", scope, SCOPES)
    return Grant(tuple(scopes), _string(body, "description") or Grant.description, seconds)


def _app_name(name: Any) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not APP_NAME.fullmatch(name):
        raise invalid_params(
            "Name must start with a letter, end with a letter or digit and can only contain lowercase letters, "
            "digits, and dashes. It has 3 to 30 characters."
        )
    return name


def _one_of(name: str, value: Any, known: Sequence[str]) -> str | None:
    if value is None:
        return None
    for each in known:
        if isinstance(value, str) and value in {each, fixed_id(each)}:
            return each
    raise invalid_params(f"{name} must be one of {', '.join(known)}.")


def _quantity(value: Any) -> int | None:
    return None if value is None else _number("quantity", value, most=MOST_DYNOS)


def _new_size(body: dict[str, Any]) -> str | None:
    size = body.get("dyno_size")
    if size is None:
        size = body.get("size")
    elif isinstance(size, dict):
        _only(size, "id", "name")
        size = size.get("name") or size.get("id")
    return None if size is None else _size(size)


def _process_types(types: Any) -> dict[str, str]:
    if not isinstance(types, dict):
        raise invalid_params("process_types must be an object of names and commands.")
    for kind, command in types.items():
        if not _TYPE.fullmatch(kind) or not isinstance(command, str):
            raise invalid_params(
                f"process type {_shown(kind)} must have a name of letters, digits, - and _, and a command."
            )
        _checked_text(kind, command)
    return types


def _checksum(body: dict[str, Any]) -> str | None:
    checksum = _string(body, "checksum")
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise invalid_params("checksum must be `SHA256:` and 64 hexadecimal digits.")
    return checksum


def _buildpacks(value: Any) -> list[dict[str, str]] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise invalid_params("buildpacks must be an array of objects.")
    for each in value:
        _only(each, "name", "url")
        _string(each, "name")
        _string(each, "url")
    return value


def _texts(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        raise invalid_params(f"{name} must be an array of strings.")
    return value or []


def _config(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid_params(f"Config var {_shown(name)} must be a string.")
    return _checked_text(name, value)


def _only(body: dict[str, Any], *known: str) -> None:
    if unknown := sorted(set(body) - set(known)):
        raise invalid_params(f"Unknown params: {', '.join(map(_shown, unknown))}.")


def _shown(name: str) -> str:
    return ascii(name[:100])


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid_params(f"{name} must be a string that is not empty.")
    return _checked_text(name, value)


def _checked_text(name: str, value: str) -> str:
    """Refuse a string that cannot be passed to a process."""
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise invalid_params(f"{_shown(name)} is not valid Unicode text.") from None
    if "\0" in value:
        raise invalid_params(f"{_shown(name)} contains a NUL character.")
    if length + len(name) >= LONGEST_TEXT:
        raise invalid_params(f"{_shown(name)} is too long: {length} bytes of at most {LONGEST_TEXT}.")
    return value


def _env(env: Any) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, dict):
        raise invalid_params("env must be an object.")
    for name in env:
        if not _NAME.fullmatch(name):
            raise invalid_params(f"env name {_shown(name)} is invalid: letters, digits and _ only.")
    variables = {name: _variable(name, value) for name, value in env.items()}
    if sum(len(name) + len(value.encode()) for name, value in variables.items()) > LONGEST_ENV:
        raise invalid_params(f"env is too large: at most {LONGEST_ENV} bytes.")
    return variables


def _variable(name: str, value: Any) -> str:
    """Return a variable's value; the official CLI sends a terminal's size as numbers."""
    if name in {"COLUMNS", "LINES"} and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return _checked_text(name, value)
    raise invalid_params(f"{_shown(name)} must be a string.")


def _size(size: Any) -> str:
    if size is None:
        return DEFAULT
    for each in SIZES.values():
        if isinstance(size, str) and (size.lower() == each.name.lower() or size == fixed_id(each.name)):
            return each.name
    raise invalid_params(f"No such dyno size. Sizes are: {', '.join(SIZES)}.")


def _type(kind: Any) -> str:
    if kind is None:
        return "run"
    if isinstance(kind, str) and _TYPE.fullmatch(kind):
        return kind
    raise invalid_params("type may contain letters, digits, - and _ only.")


def _seconds(value: Any) -> int | None:
    if value is None:
        return None
    seconds = _number("time_to_live", value, most=LONGEST_LIFE)
    if seconds < 1:
        raise invalid_params("time_to_live must be at least 1 second.")
    return seconds


def _number(name: str, value: Any, *, most: int) -> int:
    """Return a number; the official CLI sends some as text."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise invalid_params(f"{name} must be a whole number from 0 to {most}.")
    return value


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid_params(f"{name} must be true or false.")
    return bool(value)


def _string(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_params(f"{name} must be a string.")
    return value or None
