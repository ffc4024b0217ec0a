"""Encode parameters as the environment of a dyno; whatever cannot be sent is refused by name, all faults at once."""

from __future__ import annotations

import json
import re
import zlib
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.values import LARGE_DATA_HINT, MAX_ENV_BYTES, RawText, to_text
from heroku_magic.text.sanitize import clean_line
from heroku_magic.text.secret import SHORTEST, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Names that would break a dyno, or run code in it before the task's.
_REFUSED = [
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"RUN_KEY", "carries the run's own key"),
        (r"RUN_PACE", "tells the helper how fast it may print"),
        (r"RUN_CALLS", "tells the helper which calls to make"),
        (r"RUN_(CODE|DATA)", "carries the code of a %%dyno cell"),
        (r"HEROKU_.*", "begins with HEROKU_, which Heroku keeps for its own names"),
        (r"__.*", "begins with __, which Heroku takes in no name"),
        (r"DYNO|PORT", "is Heroku's own: each dyno gets it from Heroku"),
        (r"PATH", "would break the dyno's PATH, where it finds its programs"),
        (r"HOME", "would break the dyno's HOME, where it finds the app"),
        (
            r"PYTHON(PATH|HOME|STARTUP|BREAKPOINT|WARNINGS|INSPECT|USERBASE|EXECUTABLE|PLATLIBDIR)",
            "would make the dyno's Python run other code than the app's",
        ),
        (r"(LD|DYLD)_.*", "would inject code into every program of the dyno"),
        (r"ENV|BASH_(ENV|FUNC.*)|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND", "would inject code into the dyno's shell"),
        (r"IFS", "would change how the dyno's shell reads its command"),
        (
            r"_|PPID|PS[12]|S?RANDOM|(OLD)?PWD|LINENO|SHLVL|HISTCMD|OPT(ERR|IND)|EPOCH(REALTIME|SECONDS)|COMP_WORDBREAKS|BASH(PID|_.*)?",
            "is set by the dyno's own shell, so it would not arrive",
        ),
        (
            r"NODE_OPTIONS|PERL5(LIB|OPT|DB)|RUBY(LIB|OPT)|(_|JDK_)JAVA_OPTIONS|JAVA_TOOL_OPTIONS",
            "would inject code into the dyno's programs",
        ),
        (r"(?i:(https?|ftp|wss?|socks|rsync|all|no)_proxy)", "would send the dyno's requests through another host"),
    )
]


def to_env(parameters: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> dict[str, str | Secret]:
    """Return the environment variables that carry the parameters; `schema` is what the task declares.

    A Secret stays one. Raises InvalidParameters with every fault: a refused name, a value that has no
    form, too much in all.
    """
    declared = (schema or {}).get("properties")
    properties = declared if isinstance(declared, dict) else {}
    env: dict[str, str | Secret] = {}
    issues: list[str] = []
    for name, value in parameters.items():
        if reason := _refusal(name):
            issues.append(reason)
            continue
        try:
            text = _text(value, properties.get(name) if schema is not None else None)
        except TypeError as fault:
            issues.append(f"{name}: {fault}")
        else:
            env.update({} if text is None else {name: text})
    issues += _overweight(env)
    if issues:
        raise InvalidParameters(issues)
    return env


def with_calls(
    shared: Mapping[str, str | Secret], calls: Sequence[Mapping[str, str | Secret]]
) -> dict[str, str | Secret]:
    """Return the environment of a run that makes several calls, each with an environment of its own on top.

    Raises InvalidParameters where they do not fit into one.
    """
    packed = zlib.compress(json.dumps(calls, separators=(",", ":")).encode("ascii"), 9)
    env: dict[str, str | Secret] = {**shared, "RUN_CALLS": b2a_base64(packed, newline=False).decode("ascii")}
    if issues := _overweight(env):
        raise InvalidParameters(issues)
    return env


def name_faults(names: Iterable[Any]) -> list[str]:
    """Return why names may not be parameters, for each that may not."""
    return [reason for name in names if (reason := _refusal(name))]


def _text(value: Any, schema: Any) -> str | Secret | None:
    """A value's text; that of a secret is read as if it was typed, and one that is declared secret becomes one."""
    if not isinstance(value, Secret):
        is_secret = isinstance(schema, dict) and schema.get("writeOnly") is True and isinstance(value, str) and value
        return _text(Secret(value), schema) if is_secret else to_text(value, schema)
    if len(value.reveal()) < SHORTEST:
        raise TypeError(f"a secret of fewer than {SHORTEST} characters cannot be hidden in what the task prints.")
    to_text(RawText(value.reveal()), schema)
    return value


def _refusal(name: Any) -> str | None:
    """Why a name may not be a parameter's, or None if it may."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"{clean_line(repr(name)[:60])} is no name of an environment variable (letters a-z, digits, _)."
    reason = next((reason for pattern, reason in _REFUSED if pattern.fullmatch(name)), None)
    return f"{name} {reason}: choose another name." if reason else None


def _overweight(env: Mapping[str, str | Secret]) -> list[str]:
    sizes = {name: len(name.encode()) + len(_revealed(value).encode()) for name, value in env.items()}
    if sum(sizes.values()) <= MAX_ENV_BYTES:
        return []
    largest = max(sizes, key=lambda name: sizes[name])
    return [f"The parameters take {sum(sizes.values()):,} bytes, {largest} most of them. {LARGE_DATA_HINT}"]


def _revealed(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
