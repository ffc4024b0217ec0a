"""Resolves the packages of a run here, once, to the exact versions that its dyno installs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.app_files.installer_variables import installer_variables
from heroku_magic.errors import InvalidOptions
from heroku_magic.text.notifier import notify
from heroku_magic.text.sanitize import LINE, clean_line, clipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    _Resolver = tuple[list[str], Callable[[str], list[str]]]

MOST_SECONDS = 120
MOST_SHOWN = 5  # packages in a message
_LAST_LINES = 3
# The versions of the C library that the Ubuntu of Heroku's current stacks is compatible with.
# https://devcenter.heroku.com/articles/stack
_GLIBC = (*(f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)), "manylinux2014_x86_64")


class Target(NamedTuple):
    """The Python that has to import the packages. is_here: it runs on this computer."""

    python: tuple[int, int]
    is_here: bool


def resolve(requirements: Iterable[str], target: Target) -> tuple[str, ...]:
    """Return the exact versions of packages and of what they need, such as `numpy==2.3.1`, and show them.

    requirements: names, each with an optional version, such as `scipy>=1.10,<2`; a text may list several.
    Raises InvalidOptions for what is not a requirement, and for requirements that cannot be met.
    """
    wanted = tuple(dict.fromkeys(one for text in requirements for one in split(text)))
    if not wanted:
        return ()
    pins = _resolve(wanted, target)
    more = f" and {len(pins) - MOST_SHOWN} more" if len(pins) > MOST_SHOWN else ""
    shown = ", ".join(pin.replace("==", " ") for pin in _named_first(pins, wanted)[:MOST_SHOWN])
    notify(f"The dyno gets {shown}{more}.")
    return pins


def split(text: str) -> list[str]:
    """Return the requirements that a text lists: a comma separates two only where the name of a package begins.

    >>> split("pandas, scipy>=1.10,<2,numpy")
    ['pandas', 'scipy>=1.10,<2', 'numpy']
    """
    from packaging.requirements import InvalidRequirement, Requirement

    parts: list[str] = []
    for part in str(text).split(","):
        begins = part.strip()[:1].isalnum() and (not parts or parts[-1].count("[") == parts[-1].count("]"))
        if begins or not parts:
            parts.append(part.strip())
        else:
            parts[-1] += f",{part.strip()}"
    for part in parts:
        try:
            is_valid = Requirement(part).url is None
        except InvalidRequirement:
            is_valid = False
        if not is_valid:
            raise InvalidOptions(
                f'"{clean_line(part)}" is not the requirement of a package: expected a name with an optional version, '
                'such as pandas or "scipy>=1.10,<2".'
            )
    return parts


@lru_cache(maxsize=64)
def _resolve(wanted: Sequence[str], target: Target) -> tuple[str, ...]:
    failure = "Resolving them needs pip or uv here: python -m ensurepip"
    for command, read in _resolvers(wanted, target):
        try:
            done = subprocess.run(
                command,
                input="\n".join(wanted),
                env=installer_variables(os.environ),
                capture_output=True,
                text=True,
                timeout=MOST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            failure = f"{Path(command[0]).name} took more than {MOST_SECONDS} s."
            continue
        if done.returncode == 0:
            return tuple(sorted(read(done.stdout)))
        said = [line.strip() for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        lines = [clipped(line, LINE) for line in said if line]
        failure = "\n".join(lines[-_LAST_LINES:])
    names, python = ", ".join(wanted), ".".join(map(str, target.python))
    where = "here" if target.is_here else "on Heroku"
    raise InvalidOptions(f"{names}: no versions were found that work together with Python {python} {where}.\n{failure}")


def _resolvers(wanted: Sequence[str], target: Target) -> list[_Resolver]:
    """Return commands that resolve, each with the function that reads its output; a later one if those before fail.

    pip comes first for this computer, because uv does not read pip's settings; uv for another, because pip takes the
    environment markers of this one.
    """
    python = ".".join(map(str, target.python))
    found: list[_Resolver] = []
    there: tuple[str, ...] = ()
    if find_spec("pip"):
        if not target.is_here:
            platforms = (f"--platform={name}" for name in _GLIBC)
            there = (*platforms, f"--python-version={python}", "--only-binary=:all:", "--target=.")
        options = ("--dry-run", "--ignore-installed", "--quiet", "--report=-", "--disable-pip-version-check", *there)
        found.append(([sys.executable, "-m", "pip", "install", *options, *wanted], _read_report))
    if uv := shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)):
        there = () if target.is_here else ("--python-platform", "x86_64-manylinux_2_35")
        options = ("--no-header", "--no-annotate", "--quiet", "--python", sys.executable, "--python-version", python)
        found.append(([uv, "pip", "compile", "-", *options, *there], _read_lines))
    return found if target.is_here else found[::-1]


def _read_lines(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if "==" in line and not line.startswith("#")]


def _read_report(text: str) -> list[str]:
    """Read pip's report: https://pip.pypa.io/en/stable/reference/installation-report/ ."""
    found = (entry["metadata"] for entry in json.loads(text)["install"])
    return [f"{one['name']}=={one['version']}" for one in found]


def _named_first(pins: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the versions, those of the requested packages first."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names = {canonicalize_name(Requirement(one).name) for one in wanted}
    return sorted(pins, key=lambda pin: canonicalize_name(pin.partition("==")[0]) not in names)
