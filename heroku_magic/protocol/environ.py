"""Encodes parameters as environment variables of a dyno and reports all invalid names and values at once."""

from __future__ import annotations

import json
import re
import zlib
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InputTooLarge, InvalidParameters
from heroku_magic.protocol.values import LARGE_DATA_HINT, MAX_ENV_BYTES, RawText, to_text
from heroku_magic.text.sanitize import clean_line
from heroku_magic.text.secret import SHORTEST, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NAME_RULE = "use the letters a-z, digits and _, not beginning with a digit"

# Patterns of names that would break a dyno, or run code on it before the task, and what they would do.
RESERVED_NAMES = (
    (r"RUN_KEY", "it holds the run's own key"),
    (r"RUN_PACE", "it limits how fast the helper prints"),
    (r"RUN_CALLS", "it tells the helper which calls to make"),
    (r"RUN_(CODE|DATA)", "it holds the code of a %%dyno cell"),
    (r"RUN_SETUP", "it holds the program that installs packages"),
    (r"HEROKU_.*", "names that begin with HEROKU_ are reserved by Heroku"),
    (r"__.*", "Heroku rejects names that begin with __"),
    (r"DYNO|PORT", "Heroku sets it on every dyno"),
    (r"PATH", "it would break the dyno's PATH, which locates its programs"),
    (r"HOME", "it would break the dyno's HOME, which locates the app"),
    (
        r"PYTHON(PATH|HOME|STARTUP|BREAKPOINT|WARNINGS|INSPECT|USERBASE|EXECUTABLE|PLATLIBDIR)",
        "it would make the dyno's Python run code other than the app's",
    ),
    (r"(LD|DYLD)_.*", "it would inject code into every program on the dyno"),
    (r"ENV|BASH_(ENV|FUNC.*)|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND", "it would inject code into the dyno's shell"),
    (r"IFS", "it would change how the dyno's shell reads its command"),
    (
        r"_|PPID|PS[12]|S?RANDOM|(OLD)?PWD|LINENO|SHLVL|HISTCMD|OPT(ERR|IND)|EPOCH(REALTIME|SECONDS)|COMP_WORDBREAKS|BASH(PID|_.*)?",
        "the dyno's shell sets it, so the value would not arrive",
    ),
    (
        r"NODE_OPTIONS|PERL5(LIB|OPT|DB)|RUBY(LIB|OPT)|(_|JDK_)JAVA_OPTIONS|JAVA_TOOL_OPTIONS",
        "it would inject code into the dyno's programs",
    ),
    (r"(?i:(https?|ftp|wss?|socks|rsync|all|no)_proxy)", "it would send the dyno's requests through another host"),
)
_RESERVED = [(re.compile(pattern), reason) for pattern, reason in RESERVED_NAMES]


def to_env(
    parameters: Mapping[str, Any], schema: Mapping[str, Any] | None = None, most: float = MAX_ENV_BYTES
) -> dict[str, str | Secret]:
    """Return the environment variables that hold the parameters; `schema` is the task's declaration.

    A Secret remains a Secret. Raises InvalidParameters listing every reserved name and every value that cannot be
    encoded, or InputTooLarge if the only problem is that all together have more than `most` bytes.
    """
    declared = (schema or {}).get("properties")
    properties = declared if isinstance(declared, dict) else {}
    env: dict[str, str | Secret] = {}
    issues: list[str] = []
    for name, value in parameters.items():
        if issue := _name_fault(name):
            issues.append(issue)
            continue
        try:
            text = _text(value, properties.get(name) if schema is not None else None)
        except TypeError as fault:
            issues.append(f"{name}: {fault}")
        else:
            env.update({} if text is None else {name: text})
    too_large = _size_faults(env) if most == MAX_ENV_BYTES else []
    if issues:
        raise InvalidParameters(issues + too_large)
    if too_large:
        raise InputTooLarge(too_large)
    return env


def with_calls(
    shared: Mapping[str, str | Secret], calls: Sequence[Mapping[str, str | Secret]]
) -> dict[str, str | Secret]:
    """Return the environment of a run with several calls, each of which adds its own variables.

    Raises InvalidParameters if the calls are too large for one environment.
    """
    packed = zlib.compress(json.dumps(calls, separators=(",", ":")).encode("ascii"), 9)
    env: dict[str, str | Secret] = {**shared, "RUN_CALLS": b2a_base64(packed, newline=False).decode("ascii")}
    if issues := _size_faults(env):
        raise InvalidParameters(issues)
    return env


def name_faults(names: Iterable[Any]) -> list[str]:
    """Return a message for each name that cannot name a parameter."""
    return [issue for name in names if (issue := _name_fault(name))]


def _text(value: Any, schema: Any) -> str | Secret | None:
    """Return the text of a value. A secret is read like raw text, and text declared as a secret becomes a Secret."""
    if not isinstance(value, Secret):
        is_secret = isinstance(schema, dict) and schema.get("writeOnly") is True and isinstance(value, str) and value
        return _text(Secret(value), schema) if is_secret else to_text(value, schema)
    if len(value.reveal()) < SHORTEST:
        raise TypeError(f"a secret needs at least {SHORTEST} characters, or it cannot be masked in the output.")
    to_text(RawText(value.reveal()), schema)
    return value


def _name_fault(name: Any) -> str | None:
    """Return why a name cannot name a parameter, or None."""
    if not isinstance(name, str) or not VARIABLE_NAME.fullmatch(name):
        return f"{clean_line(repr(name)[:60])} is not a valid environment variable name; {NAME_RULE}."
    reason = next((reason for pattern, reason in _RESERVED if pattern.fullmatch(name)), None)
    return f"{name} cannot name a parameter: {reason}. Choose another name." if reason else None


def _size_faults(env: Mapping[str, str | Secret]) -> list[str]:
    texts = {name: value.reveal() if isinstance(value, Secret) else value for name, value in env.items()}
    sizes = {name: len(name.encode()) + len(text.encode()) for name, text in texts.items()}
    if sum(sizes.values()) <= MAX_ENV_BYTES:
        return []
    largest = max(sizes, key=lambda name: sizes[name])
    return [f"The parameters take {sum(sizes.values()):,} bytes; the largest is {largest}. {LARGE_DATA_HINT}"]
