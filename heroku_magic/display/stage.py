"""Stage: a place in a cell where one run after the other is shown, each with its table; it starts none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from heroku_magic.display import Output, Shown
from heroku_magic.display.live import empty_output, in_notebook

if TYPE_CHECKING:
    import pandas as pd

_NOTHING = {"text/html": "", "text/plain": ""}


class WithTable(Shown, Protocol):
    """What can be shown, and may have a table in the end."""

    @property
    def state(self) -> str:
        """How it ended: a table is shown of what is `done`."""

    @property
    def partial(self) -> pd.DataFrame | None:
        """The table."""


class Stage:
    """The place, made in the cell's own thread; shown on from any one. verbose: as in `show()`."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._log: Any = empty_output() if in_notebook() else None
        self._table: Any = empty_output() if in_notebook() else None

    def show(self, run: WithTable) -> None:
        """Show a run until it is over, in place of the one before, and then its table below it."""
        if self._table is not None:
            self._table.update(_NOTHING, raw=True)
        Output(run, verbose=self._verbose, background=True, handle=self._log).follow()
        if self._table is not None and run.state == "done" and run.partial is not None:
            self._table.update(_drawn(run.partial), raw=True)


def _drawn(table: pd.DataFrame) -> dict[str, Any]:
    """The table as a cell's value would look, but its empty corner is no heading, and keyboards can scroll it."""
    from IPython import get_ipython

    data, _ = get_ipython().display_formatter.format(table)
    html = data.get("text/html", "").replace("<th></th>", "<td></td>", 1)
    box = f'<div tabindex="0" role="region" aria-label="result" style="overflow:auto">{html}</div>'
    return {"text/plain": data["text/plain"], **({"text/html": box} if html else {})}
