"""A sweep -> one live output in a cell or a terminal: how many runs are where, and which failed; it starts none.

A sweep is looked at ten times a second, however many events its runs have. Who was interrupted goes on
in the same place:

    output = SweepOutput(sweep)
    output.follow()        # KeyboardInterrupt
    output.follow()        # goes on where that one was interrupted
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from heroku_magic.display.cell_grid import SIGNS
from heroku_magic.display.html import environment
from heroku_magic.display.outputs import INTERVAL, TERMINAL_INTERVAL, TICK, empty_output, in_notebook
from heroku_magic.display.sweep_view import Pace, SweepView, details, summary, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Template

    from heroku_magic.display.sweep_view import Shown

# Middle tones: three times as light or dark as a white page and as a black one. Those of words are
# mixed with the text's own colour; a site that knows no mixing keeps the tone before it.
TONES = {
    "queued": "#797979", "starting": "#7766dd", "running": "#6d5dd3", "retried": "#b07a00",
    "done": "#1e9e4a", "failed": "#e0352b", "cancelled": "#797979",
}  # fmt: skip
# A cell is drawn a thousand times: every byte counts. The sign is seen where the colour alone would not tell.
CELLS = {
    "queued": "background:#8883",
    "starting": "background:#76d6",
    "running": "background:#76d;color:#fff",
    "retried": "background:#b70;color:#fff",
    "done": "background:#295",
    "failed": "background:#d33;color:#fff",
    "cancelled": "background:#8883;color:#888",
}


SHARE = 10  # drawing takes a tenth of the time at most


class SweepOutput:
    """The place where one sweep is shown; made in the cell's own thread, drawn on from any one.

    quiet: only what went wrong, and notes. background: a terminal is told the end alone, for somebody types
    there. handle: a place to draw in that is there already.
    """

    def __init__(
        self,
        sweep: Shown,
        *,
        quiet: bool = False,
        background: bool = False,
        handle: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sweep = sweep
        self._quiet = quiet
        self._clock = clock
        self._pace = Pace()
        self._handle: Any = handle or (empty_output() if in_notebook() else None)
        self._waits_for_end = quiet or (background and self._handle is None)
        self._seen: tuple[bytes, list[str]] = (b"", [])
        self._seen_at = float("-inf")
        self._interval = INTERVAL if self._handle is not None else TERMINAL_INTERVAL
        self._pause = self._interval
        self._notes = 0

    def follow(self) -> None:
        """Draw what happens until the sweep is over."""
        self._look()
        while not self._sweep.wait(INTERVAL):
            self._look()
        view = SweepView(self._sweep, final=True)
        if self._quiet and view.kind == "done" and not view.notes:
            return
        if self._handle is not None:
            self._draw(view)
        else:
            self._print(summary(view), *details(view), *self._new_notes(view))

    def _look(self) -> None:
        """Draw or print what changed; the clock alone moves once a second."""
        seen, since = (bytes(self._sweep.states), [*self._sweep.notes]), self._clock() - self._seen_at
        if self._waits_for_end or since < self._pause:
            return
        has_changed = seen != self._seen
        if has_changed or (self._handle is not None and since >= TICK):
            self._seen, self._seen_at = seen, self._clock()
            self._show()
            # Of a very large sweep the runs are more urgent than their picture.
            self._pause = max(self._interval, SHARE * (self._clock() - self._seen_at))

    def _show(self) -> None:
        view = SweepView(self._sweep, self._pace)
        self._pace.look(self._clock(), view.ended)
        if self._handle is not None:
            self._draw(view)
        else:
            self._print(f"{summary(view)} · {view.progress}", *self._new_notes(view))

    def _new_notes(self, view: SweepView) -> list[str]:
        """A terminal keeps what is printed, so each note is told once."""
        new, self._notes = len(self._sweep.notes) - self._notes, len(self._sweep.notes)
        return view.notes[-new:] if new else []

    def _draw(self, view: SweepView) -> None:
        self._handle.update({"text/html": html(view), "text/plain": text(view)}, raw=True)

    def _print(self, *lines: str) -> None:
        for line in lines:
            print(line, flush=True)  # noqa: T201 - a terminal's display is what is printed


def html(view: SweepView) -> str:
    """Return the sweep as a grid of cells, a bar, its failures; in the end with a timeline. Of bounded size."""
    return _template().render(view=view, tones=TONES, cells=CELLS, signs=SIGNS)


@cache
def _template() -> Template:
    return environment().get_template("sweep.html.j2")
