"""Bodies of requests -> plain values, or the error that Heroku answers; it changes nothing.

https://devcenter.heroku.com/articles/platform-api-reference#dyno-create
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from heroku_magic.emulator.errors import bad_request, invalid_params
from heroku_magic.emulator.logs.logplex import BUFFER, Filter, Session
from heroku_magic.emulator.sizes import DEFAULT, SIZES

LONGEST_LIFE = 86_400
# Linux takes no longer string among a process's arguments and environment (MAX_ARG_STRLEN).
LONGEST_TEXT = 131_072 - 1
# All of them together, well within what a process can be started with.
LONGEST_ENV = 1_000_000

_NAME = re.compile(r"\w+", re.ASCII)
_TYPE = re.compile(r"[-\w]{1,128}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class DynoOrder:
    """A dyno that somebody wants."""

    command: str
    env: dict[str, str]
    size: str
    type: str
    time_to_live: int | None


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
    _flag(body, "force_no_tty")
    if _flag(body, "attach"):
        raise invalid_params("attach: the embedded Heroku of this version runs detached dynos only.")
    return DynoOrder(
        _text("command", body["command"]),
        _env(body.get("env")),
        _size(body.get("size")),
        _type(body.get("type")),
        _seconds(body.get("time_to_live")),
    )


def log_session(body: dict[str, Any]) -> Session:
    """Return the session that is asked for; a process type comes in `dyno`, too."""
    _only(body, "dyno", "dyno_name", "lines", "source", "tail", "type")
    dyno = _words(body, "dyno") or _words(body, "dyno_name") or _words(body, "type")
    lines = _number("lines", body.get("lines", 100), most=10**9)
    return Session(Filter(dyno, _words(body, "source")), min(lines, BUFFER), _flag(body, "tail"))


def config_changes(body: dict[str, Any]) -> dict[str, str | None]:
    """Return config vars to set, or to take away (None)."""
    for name in body:
        if not _NAME.fullmatch(name) or name.startswith(("__", "HEROKU_")):
            raise invalid_params(f"Config var name {_shown(name)} is invalid: letters, digits and _ only.")
    return {name: None if value is None else _variable(name, value) for name, value in body.items()}


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
    """A variable's value; the official CLI sends COLUMNS and LINES as numbers."""
    if isinstance(value, str):
        return _sendable(name, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return json.dumps(value)
    raise invalid_params(f"{_shown(name)} must be a text.")


def _size(size: Any) -> str:
    if size is None:
        return DEFAULT
    if isinstance(size, str) and size.lower() in SIZES:
        return SIZES[size.lower()].name
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
