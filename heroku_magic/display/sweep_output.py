"""The live output of one sweep, in a cell or a terminal.

It reads the sweep's state at most ten times per second, however many events the runs have. After an
interrupt it continues in the same output:

    output = SweepOutput(sweep)
    output.follow()        # KeyboardInterrupt
    output.follow()        # continues where it was interrupted
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from heroku_magic.display import outputs
from heroku_magic.display.sweep_view import RateMeter, SweepView, details, status_line, summary, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.sweeps.measure import Measurer
    from heroku_magic.sweeps.sweep import Sweep

# Drawing takes at most a tenth of the time: the runs of a very large sweep matter more than their picture.
# Waiting for a busy processor and loading the templates do not count: they would outlast a short sweep.
_DRAWING_SHARE = 10


class SweepOutput:
    """Where one sweep is shown. Created in the cell's own thread; drawn on from any thread.

    quiet: show only failures and notes. background: print only the end in a terminal, where the user is typing.
    with_error: show the failures at the end, because no exception will; with `background` they always are. handle: an
    existing display handle to draw in. measurer: what colours the cells by results.
    """

    def __init__(
        self,
        sweep: Sweep,
        *,
        quiet: bool = False,
        background: bool = False,
        with_error: bool = True,
        handle: Any = None,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
        measurer: Measurer | None = None,
    ) -> None:
        self._sweep = sweep
        self._measurer = measurer
        self._quiet = quiet
        self._clock, self._cpu_clock = clock, cpu_clock
        self._meter = RateMeter()
        self._handle: Any = handle or (outputs.empty_output() if outputs.in_notebook() else None)
        self._with_error = with_error or background
        self._shows_only_end = quiet or (background and self._handle is None)
        self._seen: tuple[bytes, list[str]] = (b"", [])
        self._seen_at = float("-inf")
        self._status_line = outputs.StatusLine() if self._handle is None and outputs.is_live_terminal() else None
        self._is_live = self._handle is not None or self._status_line is not None
        self._interval = outputs.INTERVAL if self._is_live else outputs.TERMINAL_INTERVAL
        self._pause = self._interval
        self._note_count = 0

    def follow(self) -> None:
        """Draw what happens until the sweep is over."""
        try:
            self._refresh()
            while not self._sweep.wait(outputs.INTERVAL):
                self._refresh()
        finally:
            if self._status_line is not None:
                self._status_line.clear()
        view = self._view(final=True)
        if self._quiet and view.state == "done" and not view.notes:
            return
        if self._handle is not None:
            self._draw(view)
        else:
            outputs.print_lines(summary(view, outputs.terminal_paint()), *details(view), *self._new_notes(view))

    def _refresh(self) -> None:
        """Draw or print what changed; without changes the elapsed time moves once per second."""
        seen, since = (bytes(self._sweep.states), [*self._sweep.notes]), self._clock() - self._seen_at
        if self._shows_only_end or since < self._pause:
            return
        has_changed = seen != self._seen
        if has_changed or (self._is_live and since >= outputs.TICK):
            is_first = self._seen_at == float("-inf")
            self._seen, self._seen_at = seen, self._clock()
            began = self._cpu_clock()
            self._show()
            cost = 0.0 if is_first else self._cpu_clock() - began
            self._pause = max(self._interval, _DRAWING_SHARE * cost)

    def _show(self) -> None:
        view = self._view()
        self._meter.update(self._clock(), view.over)
        if self._handle is not None:
            self._draw(view)
        elif self._status_line is not None:
            if notes := self._new_notes(view):
                self._status_line.clear()
                outputs.print_lines(*notes)
            self._status_line.draw(status_line(view, self._status_line.width, outputs.terminal_paint()))
        else:
            outputs.print_lines(f"{summary(view)} · {view.progress}", *self._new_notes(view))

    def _view(self, *, final: bool = False) -> SweepView:
        measure = self._measurer.measure() if self._measurer and (final or self._handle is not None) else None
        meter, with_errors = None if final else self._meter, self._with_error or not final
        return SweepView(self._sweep, meter, final=final, measure=measure, with_errors=with_errors)

    def _new_notes(self, view: SweepView) -> list[str]:
        """The lines of the notes that were not printed yet: a terminal keeps what is printed."""
        new, self._note_count = view.note_count - self._note_count, view.note_count
        return [line for note in (view.notes[-new:] if new else []) for line in outputs.fitted(note)]

    def _draw(self, view: SweepView) -> None:
        self._handle.update(_bundle(view), raw=True)


def sweep_bundle(sweep: Sweep) -> dict[str, str]:
    """Return a sweep as it is now, as HTML and as text."""
    return _bundle(SweepView(sweep, final=sweep.done(), measure=sweep.measurer().measure()))


def _bundle(view: SweepView) -> dict[str, str]:
    from heroku_magic.display.html import sweep_html

    return {"text/html": sweep_html(view), "text/plain": text(view)}
