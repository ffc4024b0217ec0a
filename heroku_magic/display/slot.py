"""The place in a cell where runs and sweeps are shown one after the other, each with its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.display.job_display import output_of
from heroku_magic.display.outputs import empty_output, in_notebook

if TYPE_CHECKING:
    import pandas as pd

    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep


class OutputSlot:
    """An output for a log and one for a table, created in the cell's own thread; any thread may show a run there.

    verbose: show every line, with its time and source. outputs: where to show the log and the table instead
    of in the cell; each has the method `update` of a display handle.
    """

    def __init__(self, *, verbose: bool = False, outputs: Any = None) -> None:
        self._verbose = verbose
        if outputs is None:
            outputs = (empty_output(), empty_output()) if in_notebook() else (None, None)
        self._log, self._table = outputs

    def show(self, run: Run | Sweep) -> None:
        """Show a run or a sweep until it is over, in place of the one before, and then its table below it.

        The table of a failed run would be incomplete, so it is not shown.
        """
        if self._table is not None:
            self._table.update({"text/html": "", "text/plain": ""}, raw=True)
        output_of(run, verbose=self._verbose, background=True, handle=self._log).follow()
        if self._table is not None and run.exception() is None and (table := run.partial) is not None:
            self._table.update(_table_bundle(table), raw=True)


def _table_bundle(table: pd.DataFrame) -> dict[str, Any]:
    """Format a table as a cell's value would look; its empty corner is not a heading, and keyboards can scroll it."""
    from IPython import get_ipython

    data, _ = get_ipython().display_formatter.format(table)
    html = data.get("text/html", "").replace("<th></th>", "<td></td>", 1)
    attributes = 'class="tex2jax_ignore mathjax_ignore" tabindex="0" role="group" aria-label="result"'
    box = f'<div {attributes} style="overflow:auto">{html}</div>'
    return {"text/plain": data["text/plain"], **({"text/html": box} if html else {})}
