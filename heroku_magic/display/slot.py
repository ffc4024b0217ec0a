"""Stage: a place in a cell where one run or sweep after the other is shown, each with its table; it starts none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.display import Output
from heroku_magic.display.outputs import empty_output, in_notebook
from heroku_magic.display.sweep_output import SweepOutput
from heroku_magic.sweeps.sweep import Sweep

if TYPE_CHECKING:
    import pandas as pd

    from heroku_magic.runs.run import Run

_NOTHING = {"text/html": "", "text/plain": ""}


class Stage:
    """The place, made in the cell's own thread; shown on from any one. verbose: as in `show()`."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._log: Any = empty_output() if in_notebook() else None
        self._table: Any = empty_output() if in_notebook() else None

    def show(self, run: Run | Sweep) -> None:
        """Show a run or a sweep until it is over, in place of the one before, and then its table below it.

        There is no table of a run or a sweep that failed, for it would be too short.
        """
        if self._table is not None:
            self._table.update(_NOTHING, raw=True)
        self._follow(run)
        if self._table is not None and run.exception() is None and (table := run.partial) is not None:
            self._table.update(_drawn(table), raw=True)

    def _follow(self, run: Run | Sweep) -> None:
        if isinstance(run, Sweep):
            SweepOutput(run, background=True, handle=self._log).follow()
        else:
            Output(run, verbose=self._verbose, background=True, handle=self._log).follow()


def _drawn(table: pd.DataFrame) -> dict[str, Any]:
    """The table as a cell's value would look, but its empty corner is no heading, and keyboards can scroll it."""
    from IPython import get_ipython

    data, _ = get_ipython().display_formatter.format(table)
    html = data.get("text/html", "").replace("<th></th>", "<td></td>", 1)
    box = f'<div tabindex="0" role="region" aria-label="result" style="overflow:auto">{html}</div>'
    return {"text/plain": data["text/plain"], **({"text/html": box} if html else {})}
