"""The size of a saved notebook with a cell that printed 10,000 lines, beside `%%bash`, which keeps them all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import alone
from benchmarks.ground import missing_package
from benchmarks.race import Aim, Race, Side, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.ground import Ground

MOST = 300_000  # bytes: 256 kB of the display, and what every notebook has
PRINT = (
    'for i in $(seq {lines}); do echo "step $i of {lines}: loss 0.$i, learning rate 0.001, a line as they are"; done'
)


def races(*, quick: bool) -> list[Race]:
    """The same lines, printed by a dyno and by the shell."""
    lines = 200 if quick else 10_000
    lacking = missing_package("nbclient", "nbformat", "ipykernel")
    ours = Side("%heroku run", partial(saved, lines=lines, ours=True), missing=lacking)
    bash = Side("%%bash", partial(saved, lines=lines, ours=False), Aim(alone=MOST), lacking)
    return [Race(f"notebook with {lines:,} lines", "bytes", ours, [bash], repeats=1, warm_ups=0)]


def saved(ground: Ground, *, lines: int, ours: bool) -> Iterator[Told]:
    """Execute the notebook as CI does, and count its bytes."""
    import nbclient
    import nbformat

    (ground.folder / "print.sh").write_text(PRINT.format(lines=lines))
    cell = (
        f"%heroku run --worker {ground.folder} -- bash print.sh" if ours else f"%%bash\nbash {ground.folder}/print.sh"
    )
    yield
    while True:
        cells = [*map(nbformat.v4.new_code_cell, ["%load_ext heroku_magic", cell])]
        notebook = nbformat.v4.new_notebook(cells=cells)
        nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(ground.folder.parent)}}).execute()
        yield len(nbformat.writes(notebook).encode())


if __name__ == "__main__":
    alone(__file__)
