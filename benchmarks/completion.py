"""Tab completion: the time of IPython's completer for a `%%heroku` cell, with and without the extension."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.testbed import Testbed

CELLS = {"an option": "%%heroku task --ti", "a parameter": "%%heroku task --arg s", "a verb": "%heroku rel"}
INSTANT = 0.1  # seconds that a user perceives as immediate


def races(*, quick: bool) -> list[Race]:
    """Complete an option, a declared parameter and a command, after a run, so that the tasks are known."""
    return [_race(what, cell, 3 if quick else 51) for what, cell in CELLS.items()]


def _race(what: str, cell: str, repeats: int) -> Race:
    ours = Side("with the extension", partial(complete, cell=cell, loads=True))
    bare = Side("IPython alone", partial(complete, cell=cell, loads=False), Aim(alone=INSTANT))
    return Race(f"Tab completion of {what}", "s", ours, [bare], repeats)


def complete(testbed: Testbed, *, cell: str, loads: bool) -> Iterator[Measurement]:
    """Call the completer as a terminal does."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    if loads:
        shell.run_line_magic("load_ext", "heroku_magic")
        shell.run_line_magic("heroku", f"run task --worker {testbed.folder} --arg n=1")
    yield
    while True:
        began = time.perf_counter()
        _, found = shell.complete(cell, cell, len(cell))
        took = time.perf_counter() - began
        assert found or not loads
        yield took


if __name__ == "__main__":
    run_alone(__file__)
