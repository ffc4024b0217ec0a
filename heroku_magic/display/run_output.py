"""The live output of one run.

It lets Ctrl-C through at once, and continues in the same output after it:

    output = RunOutput(run)
    output.follow()        # KeyboardInterrupt
    output.follow()        # continues where it was interrupted
    output.leave()         # stops watching: what is known so far remains as the record
"""

from __future__ import annotations

from itertools import islice
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from heroku_magic.display import outputs
from heroku_magic.display.run_view import RunView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.display.outputs import Surface
    from heroku_magic.runs.events import Event


class EventSource(Protocol):
    """A run, a deploy, or anything else whose events can be read again from the first one."""

    def events(self, timeout: float | None = None) -> Iterator[Event | None]:
        """Wait for and yield all events; None whenever `timeout` seconds passed without one.

        Ends after the final StateChange; late lines may follow it.
        """


class RunOutput:
    """Where one run is shown. Created in the cell's own thread, it belongs to that cell.

    quiet: show only failures and notes. verbose: show every line, with its time and source. background: the cell does
    not wait. with_error: show the failure's text, because no exception will; so it is with `background`. handle: an
    existing display handle to draw in.
    """

    def __init__(
        self,
        run: EventSource,
        *,
        quiet: bool = False,
        verbose: bool = False,
        background: bool = False,
        with_error: bool = False,
        handle: Any = None,
    ) -> None:
        with_error = with_error or background
        self.view = RunView(verbose=verbose)
        self._run = run
        self._shows_pictures = outputs.in_notebook() and not background
        self._surface: Surface
        if outputs.in_notebook():
            self._surface = outputs.NotebookOutput(
                quiet=quiet, with_error=with_error, with_pictures=not self._shows_pictures, handle=handle
            )
        elif quiet or background:
            self._surface = outputs.FinalTerminalOutput(quiet=quiet, with_error=with_error)
        else:
            self._surface = outputs.TerminalOutput(with_error=with_error)

    def follow(self) -> None:
        """Draw what happens until the run is over, from where the last call was interrupted."""
        events = self._run.events(timeout=outputs.INTERVAL)
        self._follow(events)
        self._surface.finish(self.view)
        if self.view.is_final:
            if self._shows_pictures:
                outputs.show_pictures(self.view)
            # Late lines must not block the cell: a thread adds them to the record.
            Thread(target=self._follow_late, args=(events,), name="heroku_magic late lines", daemon=True).start()

    def leave(self) -> None:
        """Draw the record of what is known so far; the run may continue."""
        self._surface.finish(self.view)

    def _follow(self, events: Iterator[Event | None]) -> None:
        feed, update = self.view.feed, self._surface.update
        # After an interrupt all events are replayed, and the first ones were drawn already.
        for event in islice(events, self.view.event_count, None):
            if event is None:
                self._surface.tick(self.view)
                continue
            feed(event)
            if self.view.is_final:
                return
            update(self.view)

    def _follow_late(self, events: Iterator[Event | None]) -> None:
        before = self.view.line_count
        for event in events:
            if event is not None:
                self.view.feed(event)
        if self.view.line_count > before:
            self._surface.finish(self.view)
