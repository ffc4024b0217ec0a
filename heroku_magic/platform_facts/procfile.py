"""Reads a Procfile as Heroku's build system does, for the checks before a deploy and for the embedded Heroku alike.

The rule is the regular expression of the build system, which Heroku's Cloud Native Buildpack published before it
became stricter. The colon is optional and the blank after it is not; of a name's declarations the last one counts.
https://github.com/heroku/buildpacks-procfile/blob/main/SPEC.md#differences-from-heroku-classic-procfile
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENTRY = re.compile(r"\s*(?P<name>[A-Za-z0-9_-]+)(?P<colon>:?)\s+(?P<command>\S.*)", re.ASCII)


class Line(NamedTuple):
    """One line that is neither blank nor a comment; `name` and `command` are empty if Heroku ignores it."""

    number: int
    text: str
    name: str
    command: str
    has_colon: bool


def lines(procfile: str) -> Iterator[Line]:
    """Yield the lines of a Procfile that are neither blank nor comments."""
    for number, text in enumerate(re.split("\r\n?|\n", procfile), 1):
        if match := _ENTRY.fullmatch(text):
            yield Line(number, text, match["name"], match["command"], bool(match["colon"]))
        elif text.strip() and not text.lstrip().startswith("#"):
            yield Line(number, text, "", "", has_colon=False)


def process_types(procfile: str) -> dict[str, str]:
    """Return the process types that a Procfile declares, with their commands."""
    return {line.name: line.command for line in lines(procfile) if line.name}
