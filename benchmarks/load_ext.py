"""The time that `%load_ext heroku_magic` adds to the start of IPython."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.testbed import Testbed

SHELL = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()"
LOAD = f"{SHELL}; s.run_line_magic('load_ext', 'heroku_magic')"


def races(*, quick: bool) -> list[Race]:
    """Start an IPython shell with and without the extension."""
    ours = Side("with %load_ext heroku_magic", with_extension)
    bare = Side("IPython alone", without, Aim(more=0.015))
    return [Race("%load_ext", "s", ours, [bare], repeats=2 if quick else 31)]


def with_extension(testbed: Testbed) -> Iterator[Measurement]:
    """Start Python and IPython, and load the extension."""
    return python(LOAD, testbed)


def without(testbed: Testbed) -> Iterator[Measurement]:
    """Start Python and IPython."""
    return python(SHELL, testbed)


def python(code: str, testbed: Testbed) -> Iterator[Measurement]:
    """Run code in a new interpreter in each step."""
    yield
    while True:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=testbed.folder, env={"HOME": str(testbed.folder)})
        yield


if __name__ == "__main__":
    run_alone(__file__)
