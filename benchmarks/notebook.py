"""The size of a saved notebook whose cell printed 10,000 lines, against `%%bash`, which keeps all of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import missing_package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.testbed import Testbed

MAX_BYTES = 300_000  # 256 kB of output, and the overhead of a notebook
PRINT = (
    'for i in $(seq {lines}); do echo "step $i of {lines}: loss 0.$i, learning rate 0.001, a line as they are"; done'
)


def races(*, quick: bool) -> list[Race]:
    """Print the same lines on a dyno and in a shell."""
    lines = 200 if quick else 10_000
    lacking = missing_package("nbclient", "nbformat", "ipykernel")
    ours = Side("%heroku run", partial(saved, lines=lines, ours=True), missing=lacking)
    bash = Side("%%bash", partial(saved, lines=lines, ours=False), Aim(alone=MAX_BYTES), lacking)
    return [Race(f"notebook with {lines:,} lines", "bytes", ours, [bash], repeats=1, warm_ups=0)]


def saved(testbed: Testbed, *, lines: int, ours: bool) -> Iterator[Measurement]:
    """Execute the notebook as in CI and count its bytes."""
    import nbclient
    import nbformat

    (testbed.folder / "print.sh").write_text(PRINT.format(lines=lines))
    cell = (
        f"%heroku run --worker {testbed.folder} -- bash print.sh" if ours else f"%%bash\nbash {testbed.folder}/print.sh"
    )
    yield
    while True:
        cells = [*map(nbformat.v4.new_code_cell, ["%load_ext heroku_magic", cell])]
        notebook = nbformat.v4.new_notebook(cells=cells)
        nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(testbed.folder.parent)}}).execute()
        yield len(nbformat.writes(notebook).encode())


if __name__ == "__main__":
    run_alone(__file__)
