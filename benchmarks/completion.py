"""The Tab key: how long IPython's completer takes for a cell of ours, beside the same without the extension."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import alone
from benchmarks.race import Aim, Race, Side, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.ground import Ground

CELLS = {"an option": "%%heroku task --ti", "a parameter": "%%heroku task --arg s", "a verb": "%heroku rel"}
EYE = 0.1  # seconds that a user takes for "at once"


def races(*, quick: bool) -> list[Race]:
    """Of an option, of a parameter that the task declares, of a verb; after a run, so that the tasks are known."""
    return [_race(what, cell, 3 if quick else 51) for what, cell in CELLS.items()]


def _race(what: str, cell: str, repeats: int) -> Race:
    ours = Side("with the extension", partial(completed, cell=cell, loads=True))
    bare = Side("IPython alone", partial(completed, cell=cell, loads=False), Aim(alone=EYE))
    return Race(f"Tab completion of {what}", "s", ours, [bare], repeats)


def completed(ground: Ground, *, cell: str, loads: bool) -> Iterator[Told]:
    """Ask the completer as a terminal does."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    if loads:
        shell.run_line_magic("load_ext", "heroku_magic")
        shell.run_line_magic("heroku", f"run task --worker {ground.folder} --arg n=1")
    yield
    while True:
        began = time.perf_counter()
        _, found = shell.complete(cell, cell, len(cell))
        took = time.perf_counter() - began
        assert found or not loads
        yield took


if __name__ == "__main__":
    alone(__file__)
