"""The command of a dyno that first installs packages of its run."""

from __future__ import annotations

import zlib
from base64 import b85encode
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.bundle.minify import minify
from heroku_magic.platform_facts.installer_variables import NEEDED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heroku_magic.text.secret import Secret

# With -I, modules of the app's folder do not replace Python's.
_PREFIX = (
    """python -I -c 'import base64,os,zlib;"""
    """exec(zlib.decompress(base64.b85decode(os.environ.pop("RUN_SETUP"))))' """
)


def add_packages(
    command: str, env: Mapping[str, str | Secret], packages: Sequence[str], python: str
) -> tuple[str, dict[str, str | Secret]]:
    """Return a command and its environment, so that the dyno first installs these exact versions, if there are any.

    python: the minor version that they were resolved for.
    """
    if not packages:
        return command, dict(env)
    return _PREFIX + command, {**env, "RUN_SETUP": _program(tuple(packages), python)}


def bytes_for(packages: Sequence[str]) -> int:
    """Return how much of the dyno's environment the installation of packages takes."""
    return len(f"RUN_SETUP{_program(tuple(packages), '3.10')}") if packages else 0


@lru_cache(maxsize=16)
def _program(packages: tuple[str, ...], python: str) -> str:
    path = Path(__file__).parent / "remote" / "packages.py"
    text = minify(path.read_text(encoding="utf-8"), ("install_and_run",))
    program = f"{text}\ninstall_and_run({[*packages]!r}, {python!r}, {NEEDED!r})\n"
    return b85encode(zlib.compress(program.encode(), 9)).decode("ascii")
