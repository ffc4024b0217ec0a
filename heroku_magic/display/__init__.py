"""Events -> one live output in a cell or a terminal; it starts, stops and judges no run.

`show(run)` draws until the run is over and lets Ctrl-C through at once. Who wants to go on drawing
in the same place after that keeps the output:

    output = Output(run)
    output.follow()        # KeyboardInterrupt
    output.follow()        # goes on where that one was interrupted
    output.leave()         # looks no more: what is known so far stays as the record
"""

from __future__ import annotations

from itertools import islice
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from heroku_magic.display.outputs import (
    INTERVAL,
    NotebookOutput,
    TerminalEnd,
    TerminalOutput,
    in_notebook,
    show_pictures,
)
from heroku_magic.display.run_view import RunView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.display.outputs import Surface
    from heroku_magic.runs.events import Event

__all__ = ["Output", "RunView", "Shown", "show"]


class Shown(Protocol):
    """What can be shown: something with events that can be read from the first one, again and again."""

    def events(self, timeout: float | None = None) -> Iterator[Event | None]:
        """Wait for and yield all events; None whenever `timeout` seconds passed without one.

        Ends after the final StateChange; lines that come late may follow it.
        """


def show(run: Shown, *, quiet: bool = False, verbose: bool = False, background: bool = False) -> None:
    """Show a run until it is over; `background`: return at once and go on in a thread.

    quiet: only what went wrong, and notes. verbose: every line, with its time and source.
    """
    output = Output(run, quiet=quiet, verbose=verbose, background=background)
    if background:
        Thread(target=output.follow, name="heroku_magic display", daemon=True).start()
    else:
        output.follow()


class Output:
    """The place where one run is shown; made in the cell's own thread, it belongs to that cell.

    background: no exception will show the failure's text, so the output does. handle: a place to draw
    in that is there already.
    """

    def __init__(
        self, run: Shown, *, quiet: bool = False, verbose: bool = False, background: bool = False, handle: Any = None
    ) -> None:
        self.view = RunView(verbose=verbose)
        self._run = run
        self._shows_pictures = in_notebook() and not background
        self._surface = _surface(quiet=quiet, background=background, handle=handle)

    def follow(self) -> None:
        """Draw what happens until the run is over, beginning where the last call was interrupted."""
        events = self._run.events(timeout=INTERVAL)
        self._follow(events)
        self._surface.finish(self.view)
        if self.view.is_final:
            if self._shows_pictures:
                show_pictures(self.view)
            # Lines that come late must not keep the cell: they join the record behind its back.
            Thread(target=self._follow_late, args=(events,), name="heroku_magic late lines", daemon=True).start()

    def leave(self) -> None:
        """Draw what is known once more, in the form that stays; the run may go on."""
        self._surface.finish(self.view)

    def _follow(self, events: Iterator[Event | None]) -> None:
        feed, changed = self.view.feed, self._surface.changed
        for event in _after(self.view.fed, events):
            if event is None:
                self._surface.waited(self.view)
                continue
            feed(event)
            if self.view.is_final:
                return
            changed(self.view)

    def _follow_late(self, events: Iterator[Event | None]) -> None:
        before = self.view.count
        for event in events:
            if event is not None:
                self.view.feed(event)
        if self.view.count > before:
            self._surface.finish(self.view)


def _after(number: int, events: Iterator[Event | None]) -> Iterator[Event | None]:
    """Leave out the first events, which were drawn already: after an interrupt they are replayed."""
    return islice(events, number, None) if number else events


def _surface(*, quiet: bool, background: bool, handle: Any) -> Surface:
    if in_notebook():
        return NotebookOutput(quiet=quiet, with_error=background, handle=handle)
    if quiet or background:
        return TerminalEnd(quiet=quiet, with_error=background)
    return TerminalOutput()
