"""How much `%load_ext heroku_magic` adds to IPython's start."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.command import alone
from benchmarks.race import Aim, Race, Side, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.ground import Ground

SHELL = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()"
LOAD = f"{SHELL}; s.run_line_magic('load_ext', 'heroku_magic')"


def races(*, quick: bool) -> list[Race]:
    """An IPython shell with the extension, and one without."""
    ours = Side("with %load_ext heroku_magic", with_extension)
    bare = Side("IPython alone", without, Aim(more=0.015))
    return [Race("%load_ext", "s", ours, [bare], repeats=2 if quick else 31)]


def with_extension(ground: Ground) -> Iterator[Told]:
    """Start Python, IPython, and load."""
    return python(LOAD, ground)


def without(ground: Ground) -> Iterator[Told]:
    """Start Python and IPython."""
    return python(SHELL, ground)


def python(code: str, ground: Ground) -> Iterator[Told]:
    """Run code in an interpreter that starts with it, again and again."""
    yield
    while True:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ground.folder, env={"HOME": str(ground.folder)})
        yield


if __name__ == "__main__":
    alone(__file__)
