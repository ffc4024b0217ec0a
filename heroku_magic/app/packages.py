"""Resolves the packages of a run here, once, to the exact versions that its dyno installs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.errors import InvalidOptions
from heroku_magic.platform_facts.installer_variables import PIP_SETTINGS, installer_variables
from heroku_magic.text.notifier import notify
from heroku_magic.text.sanitize import LINE, clean_line, clipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    _Resolver = tuple[list[str], Mapping[str, str], Callable[[str], list[str]]]

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

    @property
    def dotted(self) -> str:
        """The minor version, such as `3.13`."""
        return ".".join(map(str, self.python))


THIS_COMPUTER = Target(sys.version_info[:2], is_here=True)


def resolve(requirements: Iterable[str], target: Target) -> tuple[str, ...]:
    """Return the exact versions of packages and of what they need, such as `numpy==2.3.1`, and show them once.

    requirements: names, each with an optional version, such as `scipy>=1.10,<2`; a text may list several.
    Raises InvalidOptions for what is not a requirement, and for requirements that cannot be met.
    """
    wanted = tuple(dict.fromkeys(one for text in requirements for one in split(text)))
    return _resolve(wanted, target, tuple(installer_variables(os.environ).items())) if wanted else ()


def split(text: str) -> list[str]:
    """Return the requirements that a text lists: a comma separates two only where the name of a package begins.

    >>> split("pandas, scipy>=1.10,<2,numpy")
    ['pandas', 'scipy>=1.10,<2', 'numpy']
    """
    parts: list[str] = []
    for part in str(text).split(","):
        before = parts[-1] if parts else ""
        is_inside = before.count("[") > before.count("]") or before.count('"') % 2 or before.count("'") % 2
        if parts and (is_inside or not part.strip()[:1].isalpha()):
            parts[-1] += f",{part.strip()}"
        else:
            parts.append(part.strip())
    for part in parts:
        if not _is_requirement(part):
            raise InvalidOptions(
                f'"{clean_line(part)}" is not the requirement of a package: expected a name with an optional version, '
                'such as pandas or "scipy>=1.10,<2".'
            )
    return parts


def _is_requirement(text: str) -> bool:
    """Return whether a text names a package of an index, not a file or a URL."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except InvalidRequirement:
        return False
    return found.url is None and not re.search(r"\.(whl|zip|tgz|tar(\.\w+)?)$", found.name)


@lru_cache(maxsize=64)
def _resolve(wanted: tuple[str, ...], target: Target, variables: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    failure = ""
    for command, settings, read in _resolvers(wanted, target):
        env = {**dict(variables), **settings}
        pins, reason = _pins(command, "\n".join(wanted), env, read)
        if reason == "":
            _show(pins, wanted)
            return pins
        failure = failure or reason
    failure = failure or "Resolving them needs pip or uv here: python -m ensurepip"
    names, where = ", ".join(wanted), "here" if target.is_here else "on Heroku"
    raise InvalidOptions(
        f"{names}: no versions were found that work together with Python {target.dotted} {where}.\n{failure}"
    )


def _pins(
    command: Sequence[str], text: str, env: Mapping[str, str], read: Callable[[str], list[str]]
) -> tuple[tuple[str, ...], str]:
    """Return the exact versions that a resolver finds, and why it finds none."""
    try:
        done = subprocess.run(
            command, input=text.encode(), env=env, capture_output=True, timeout=MOST_SECONDS, check=False
        )
        if done.returncode == 0:
            return tuple(sorted(read(done.stdout.decode("utf-8", "replace")))), ""
    except (subprocess.TimeoutExpired, ValueError) as error:
        return (), f"{Path(command[0]).name}: {clipped(str(error), LINE)}"
    said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines()]
    lines = [clipped(line, LINE) for line in said if line and not line.startswith("WARNING")]
    return (), "\n".join(lines[-_LAST_LINES:]) or f"{Path(command[0]).name} ended with {done.returncode}."


def _resolvers(wanted: Sequence[str], target: Target) -> list[_Resolver]:
    """Return commands that resolve, each with settings and what reads its output; a later one if those before fail.

    pip comes first for this computer, because uv does not read pip's settings; uv for another, because pip takes the
    environment markers of this one.
    """
    found: list[_Resolver] = []
    there: tuple[str, ...] = ()
    if find_spec("pip"):
        if not target.is_here:
            platforms = (f"--platform={name}" for name in _GLIBC)
            there = (*platforms, f"--python-version={target.dotted}", "--only-binary=:all:", "--target=.")
        options = ("--dry-run", "--ignore-installed", "--quiet", "--report=-", *there)
        found.append(([sys.executable, "-m", "pip", "install", *options, *wanted], PIP_SETTINGS, _read_report))
    if uv := shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)):
        there = () if target.is_here else ("--python-platform", "x86_64-manylinux_2_35", "--no-build")
        options = ("--no-config", "--no-header", "--no-annotate", "--quiet", "--python-version", target.dotted)
        command = [uv, "pip", "compile", "-", "--python", sys.executable, *options, *there]
        found.append((command, {}, _read_lines))
    return found if target.is_here else found[::-1]


def _read_lines(text: str) -> list[str]:
    return [_exact(line.strip()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _read_report(text: str) -> list[str]:
    """Read pip's report: https://pip.pypa.io/en/stable/reference/installation-report/ ."""
    found = json.loads(text)["install"]
    return [_exact(f"{one['metadata']['name']}=={one['metadata']['version']}") for one in found]


def _exact(pin: str) -> str:
    """Return a name with an exact version. Raises ValueError for anything else, such as the path of a file."""
    if not re.fullmatch(r"[\w.-]+==[\w.+!]+", pin):
        message = f"{pin} is not an exact version"
        raise ValueError(message)
    return pin


def _show(pins: Sequence[str], wanted: Sequence[str]) -> None:
    more = f" and {len(pins) - MOST_SHOWN} more" if len(pins) > MOST_SHOWN else ""
    shown = ", ".join(pin.replace("==", " ") for pin in _named_first(pins, wanted)[:MOST_SHOWN])
    notify(f"The dyno gets {shown or 'no packages: none is for its platform'}{more}.")


def _named_first(pins: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the versions, those of the requested packages first."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names = {canonicalize_name(Requirement(one).name) for one in wanted}
    return sorted(pins, key=lambda pin: canonicalize_name(pin.partition("==")[0]) not in names)
