"""Bodies of requests -> plain values, or the error that Heroku answers; it changes nothing.

https://devcenter.heroku.com/articles/platform-api-reference#dyno-create
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.authorizations import SCOPES, Authorization
from heroku_magic.emulator.errors import bad_request, invalid_params
from heroku_magic.emulator.logs.logplex import BUFFER, Filter, Session
from heroku_magic.emulator.orders import AppChanges, AppOrder, BuildOrder, DynoOrder, FormationUpdate, ReleaseOrder
from heroku_magic.emulator.sizes import DEFAULT, SIZES
from heroku_magic.emulator.state import REGIONS, STACK, STACKS, Slug, fixed_id

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_LIFE = 86_400
# Linux takes no longer string among a process's arguments and environment (MAX_ARG_STRLEN).
LONGEST_TEXT = 131_072 - 1
# All of them together, well within what a process can be started with.
LONGEST_ENV = 1_000_000

_NAME = re.compile(r"\w+", re.ASCII)
_TYPE = re.compile(r"[-\w]{1,128}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,9}")
_RELATIVE = re.compile(r"[+-][0-9]{1,3}")
_APP_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)
# https://devcenter.heroku.com/articles/dyno-scaling-and-process-limits
MOST_DYNOS = 100


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object in a request's body; none at all is an empty one."""
    try:
        found = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise bad_request("The request's body is no JSON.") from None
    if not isinstance(found, dict):
        raise bad_request("The request's body is no JSON object.")
    return found


def dyno_order(body: dict[str, Any]) -> DynoOrder:
    """Return what a dyno create asks for."""
    _only(body, "attach", "command", "env", "force_no_tty", "size", "time_to_live", "type")
    if "command" not in body:
        raise invalid_params("Require params: command.")
    return DynoOrder(
        _text("command", body["command"]),
        _env(body.get("env")),
        _size(body.get("size")),
        _type(body.get("type")),
        _seconds(body.get("time_to_live")),
        attach=_flag(body, "attach"),
        force_no_tty=_flag(body, "force_no_tty"),
    )


def log_session(body: dict[str, Any]) -> Session:
    """Return the session that is asked for; a process type comes in `dyno`, too."""
    _only(body, "dyno", "dyno_name", "lines", "source", "tail", "type")
    dyno, dyno_name, kind = (_words(body, name) for name in ("dyno", "dyno_name", "type"))
    lines = _number("lines", body.get("lines", 100), most=10**9)
    return Session(Filter(dyno or dyno_name or kind, _words(body, "source")), min(lines, BUFFER), _flag(body, "tail"))


def config_changes(body: dict[str, Any]) -> dict[str, str | None]:
    """Return config vars to set, or to take away (None)."""
    for name in body:
        if not _NAME.fullmatch(name) or name.startswith(("__", "HEROKU_")):
            raise invalid_params(f"Config var name {_shown(name)} is invalid: letters, digits and _ only.")
    return {name: None if value is None else _config(name, value) for name, value in body.items()}


def app_order(body: dict[str, Any]) -> AppOrder:
    """Return what an app create asks for."""
    _only(body, "feature_flags", "name", "region", "stack")
    _texts(body, "feature_flags")
    region = _one_of("region", body.get("region"), REGIONS) or REGIONS[0]
    return AppOrder(_app_name(body.get("name")), region, _one_of("stack", body.get("stack"), STACKS) or STACK)


def app_changes(body: dict[str, Any]) -> AppChanges:
    """Return what is to be changed of an app."""
    _only(body, "build_stack", "maintenance", "name")
    maintenance = _flag(body, "maintenance") if body.get("maintenance") is not None else None
    stack = _one_of("build_stack", body.get("build_stack"), STACKS)
    return AppChanges(_app_name(body.get("name")), maintenance, stack)


def formation_updates(body: dict[str, Any]) -> list[FormationUpdate]:
    """Return what a batch of formation updates asks for."""
    _only(body, "updates")
    updates = body.get("updates")
    if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates):
        raise invalid_params("updates must be an array of objects.")
    return [formation_update(update, update.get("type")) for update in updates]


def formation_update(body: dict[str, Any], kind: Any) -> FormationUpdate:
    """Return one formation update; the size comes by name or as `dyno_size`, the quantity as "+1", too."""
    _only(body, "dyno_size", "quantity", "size", "type")
    if not isinstance(kind, str) or not kind:
        raise invalid_params("type must be the name or id of a process type.")
    quantity = body.get("quantity")
    if isinstance(quantity, str) and _RELATIVE.fullmatch(quantity):
        return FormationUpdate(kind, int(quantity), True, _wanted_size(body))
    return FormationUpdate(kind, _quantity(quantity), False, _wanted_size(body))


def release_order(body: dict[str, Any]) -> ReleaseOrder:
    """Return what a release create asks for: `slug`, or `release` to roll back to."""
    _only(body, "description", "oci_image", "release", "slug")
    slug, release = _words(body, "slug"), _words(body, "release")
    if _words(body, "oci_image"):
        raise invalid_params("oci_image: the embedded Heroku runs slugs only.")
    if release and not _UUID.fullmatch(release):
        raise invalid_params("release must be the id of a release.")
    if not slug and not release:
        raise invalid_params("Require params: slug.")
    return ReleaseOrder(slug, release, _words(body, "description"))


def slug_order(body: dict[str, Any]) -> Slug:
    """Return the slug that is to be put."""
    _only(body, "buildpack_provided_description", "checksum", "commit", "commit_description", "process_types", "stack")
    return Slug(
        _process_types(body.get("process_types")),
        _one_of("stack", body.get("stack"), STACKS) or STACK,
        _checksum(body),
        _words(body, "commit"),
        _words(body, "commit_description"),
        _words(body, "buildpack_provided_description"),
    )


def build_order(body: dict[str, Any]) -> BuildOrder:
    """Return what a build create asks for."""
    _only(body, "buildpacks", "source_blob")
    source = body.get("source_blob")
    if not isinstance(source, dict):
        raise invalid_params("Require params: source_blob.")
    _only(source, "checksum", "url", "version", "version_description")
    url = _words(source, "url")
    if not url:
        raise invalid_params("source_blob.url must be the get_url of a source.")
    texts = _words(source, "version"), _words(source, "version_description")
    return BuildOrder(url, *texts, _checksum(source), _buildpacks(body.get("buildpacks")))


def authorization_order(body: dict[str, Any]) -> Authorization:
    """Return the authorization that is asked for; the official CLI sends seconds as text, and no scope for all."""
    _only(body, "client", "description", "expires_in", "scope")
    if _words(body, "client"):
        raise invalid_params("client: the embedded Heroku knows no OAuth clients.")
    seconds = body.get("expires_in")
    seconds = None if seconds is None else _number("expires_in", seconds, most=10**9)
    scopes = _texts(body, "scope") or ["global"]
    for scope in scopes:
        _one_of("scope", scope, SCOPES)
    return Authorization(tuple(scopes), _words(body, "description") or Authorization.description, seconds)


def _app_name(name: Any) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not _APP_NAME.fullmatch(name):
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


def _wanted_size(body: dict[str, Any]) -> str | None:
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
                f"process type {_shown(kind)} must be a name of letters, digits, - and _ and a command."
            )
        _sendable(kind, command)
    return types


def _checksum(body: dict[str, Any]) -> str | None:
    checksum = _words(body, "checksum")
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
        _words(each, "name")
        _words(each, "url")
    return value


def _texts(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        raise invalid_params(f"{name} must be an array of texts.")
    return value or []


def _config(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid_params(f"Config var {_shown(name)} must be a text.")
    return _sendable(name, value)


def _only(body: dict[str, Any], *known: str) -> None:
    if unknown := sorted(set(body) - set(known)):
        raise invalid_params(f"Unknown params: {', '.join(map(_shown, unknown))}.")


def _shown(name: str) -> str:
    return ascii(name[:100])


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid_params(f"{name} must be a text that is not empty.")
    return _sendable(name, value)


def _sendable(name: str, value: str) -> str:
    """Refuse what no process can be started with."""
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise invalid_params(f"{_shown(name)} is no valid Unicode text.") from None
    if "\0" in value:
        raise invalid_params(f"{_shown(name)} holds a NUL character.")
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
    given = {name: _variable(name, value) for name, value in env.items()}
    if sum(len(name) + len(value.encode()) for name, value in given.items()) > LONGEST_ENV:
        raise invalid_params(f"env is too large: at most {LONGEST_ENV} bytes.")
    return given


def _variable(name: str, value: Any) -> str:
    """A variable's value; the official CLI sends a terminal's size as numbers."""
    if name in {"COLUMNS", "LINES"} and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return _sendable(name, value)
    raise invalid_params(f"{_shown(name)} must be a text.")


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
    raise invalid_params("type must be made of letters, digits, - and _.")


def _seconds(value: Any) -> int | None:
    if value is None:
        return None
    seconds = _number("time_to_live", value, most=LONGEST_LIFE)
    if seconds < 1:
        raise invalid_params("time_to_live must be at least 1 second.")
    return seconds


def _number(name: str, value: Any, *, most: int) -> int:
    """A number; the official CLI sends some as text."""
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


def _words(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_params(f"{name} must be a text.")
    return value or None
