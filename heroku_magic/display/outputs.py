"""What runs are drawn on and messages are shown in: a notebook cell, and a terminal.

A thread may only touch a display handle: whatever it prints lands in the cell that ran last.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from binascii import b2a_base64
from itertools import islice
from typing import TYPE_CHECKING, Any

from heroku_magic.display import words
from heroku_magic.display.attachments import picture_type
from heroku_magic.runs.registry import is_ending
from heroku_magic.runs.tracebacks import FIRST_LINE
from heroku_magic.text import sgr
from heroku_magic.text.wrapping import wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.display.run_view import RunView

# Ten updates per second look smooth, and stay far below Jupyter's limit of 1,000 messages per second.
INTERVAL = 0.1
# While nothing happens, only the elapsed time moves.
TICK = 1.0
# A terminal keeps what is printed, so progress is printed less often there.
TERMINAL_INTERVAL = 2.0
# A traceback is held back so long; longer if it is known to be the failure's, which the error will show.
TRACEBACK_INTERVAL, FAILURE_INTERVAL = 2.0, 10.0


class Surface:
    """Something that a run can be drawn on. This one draws nothing."""

    def update(self, view: RunView) -> None:
        """React to an event; called for each log line, so it must cost next to nothing."""

    def tick(self, view: RunView) -> None:
        """React to a while without events."""

    def finish(self, view: RunView) -> None:
        """Draw the record; called again when late lines arrive."""


class NotebookOutput(Surface):
    """One display handle: drawn at most 10 times per second, and once more at the end.

    Created in the thread of the cell that it belongs to; drawn on from any thread. handle: an existing one.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        with_error: bool = False,
        with_pictures: bool = False,
        handle: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet = quiet
        self._with_error = with_error
        self._with_pictures = with_pictures
        self._clock = clock
        self._drawn_at = clock()  # so that a run that ends at once is drawn once
        self._drawn_events = -1
        self._handle: Any = handle or empty_output()

    def update(self, view: RunView) -> None:
        """Draw, unless that happened less than a tenth of a second ago."""
        if not self._quiet and self._clock() - self._drawn_at >= INTERVAL:
            self._draw(view)

    def tick(self, view: RunView) -> None:
        """Draw new events, or the elapsed time once per second."""
        since = self._clock() - self._drawn_at
        if not self._quiet and since >= (INTERVAL if view.event_count > self._drawn_events else TICK):
            self._draw(view)

    def finish(self, view: RunView) -> None:
        """Draw what remains in the notebook."""
        if not self._quiet or view.needs_attention:
            self._draw(view, final=True)

    def _draw(self, view: RunView, *, final: bool = False) -> None:
        from heroku_magic.display.html import run_html

        bundle = {
            "text/html": run_html(view, final=final, with_error=self._with_error, with_pictures=self._with_pictures),
            "text/plain": words.text(view, with_error=self._with_error),
        }
        self._handle.update(bundle, raw=True)
        self._drawn_events, self._drawn_at = view.event_count, self._clock()


class TerminalOutput(Surface):
    """Plain prints: a line at the start, each log line as it arrives, a line at the end.

    A traceback waits until it is known whether the task has failed with it: then the error shows what matters of it.
    """

    def __init__(self, *, with_error: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._with_error = with_error
        self._clock = clock
        self._is_started = self._is_finished = self._is_log_last = False
        self._printed_lines = self._printed_changes = 0
        self._printed_notes: list[str] = []
        self._held: list[str] = []  # lines from the beginning of a traceback on
        self._held_at = 0.0
        self._can_overwrite = sys.stdout.isatty()
        self._text = sgr.for_terminal if self._can_overwrite else sgr.plain
        self._progress = ""
        self._progress_at = clock()

    def update(self, view: RunView) -> None:
        """Print what is new."""
        if not self._is_started and view.fact("dyno") and not view.cached:
            self._is_started = True
            print_lines(words.start_line(view))
        self._print_notes(view)
        self._print_log(view)
        self.tick(view)

    def _print_log(self, view: RunView) -> None:
        """Print new lines, and a last line that was overwritten: in its place, or where that is impossible, once."""
        new, self._printed_lines = view.line_count - self._printed_lines, view.line_count
        if view.last_line_changes > self._printed_changes and (new or self._can_overwrite):
            self._print_held()
            self._printed_changes = view.last_line_changes
            new += 1
            if self._can_overwrite and self._is_log_last:
                print("\x1b[1A\x1b[2K", end="")  # noqa: T201 - up, and erase the line
        if new > 0:
            self._print_or_hold([*islice(view.latest(), new)][::-1])

    def _print_or_hold(self, lines: list[str]) -> None:
        begins = (index for index, line in enumerate(lines) if line.startswith(FIRST_LINE))
        first = 0 if self._held else next(begins, len(lines))
        if lines[first:] and not self._held:
            self._held_at = self._clock()
        self._held += lines[first:]
        self._print_log_lines(lines[:first])

    def _print_held(self) -> None:
        lines, self._held = self._held, []
        self._print_log_lines(lines)

    def _print_log_lines(self, lines: list[str]) -> None:
        if lines:
            print_lines(*map(self._text, lines))
            self._is_log_last = True

    def tick(self, view: RunView) -> None:
        """Print a traceback if the task continues, and the progress if it changed, at most every two seconds."""
        if self._clock() - self._held_at >= (FAILURE_INTERVAL if view.has_failed else TRACEBACK_INTERVAL):
            self._print_held()
        progress = words.progress(view) or view.fact("activity")
        if not progress or self._clock() - self._progress_at < TERMINAL_INTERVAL:
            return
        self._progress_at = self._clock()
        if progress != self._progress:
            self._progress = progress
            self._is_log_last = False
            print_lines(progress)

    def finish(self, view: RunView) -> None:
        """Print the end line once: what is printed cannot be redrawn."""
        if not self._is_finished:
            self._is_finished = True
            self._print_notes(view)
            dropped = self._printed_lines - view.line_count
            missing = max(len(self._held) - dropped, view.last_line_changes > self._printed_changes)
            self._print_log_lines([*islice(view.latest(), missing)][::-1])
            line = words.end_line if self._is_started else words.summary
            print_lines(line(view, terminal_paint()), *words.details(view))
            if self._with_error and view.error:
                print_lines(*fitted(view.error))

    def _print_notes(self, view: RunView) -> None:
        if (notes := view.notes) != self._printed_notes:
            print_lines(*(line for note in notes if note not in self._printed_notes for line in fitted(note)))
            self._is_log_last = False
            self._printed_notes = notes


class FinalTerminalOutput(Surface):
    """A terminal that gets only the end: for a run in the background, and for a quiet user."""

    def __init__(self, *, quiet: bool = False, with_error: bool = False) -> None:
        self._quiet = quiet
        self._with_error = with_error
        self._is_finished = False

    def finish(self, view: RunView) -> None:
        """Print once how the run ended, unless Python ends and reports it; with `quiet` only if it needs attention."""
        if not (self._is_finished or is_ending()) and (view.needs_attention or not self._quiet):
            report = (line for part in words.report(view, with_error=self._with_error) for line in fitted(part))
            print_lines(*report, *words.result_log(view))
        self._is_finished = True


def show_pictures(view: RunView) -> None:
    """Show the pictures among the files as outputs of the current cell; their first bytes identify them."""
    from IPython.display import display

    for content in view.files.values():
        if kind := picture_type(content):
            data = {kind: b2a_base64(content, newline=False).decode("ascii"), "text/plain": "a picture"}
            display(data, raw=True)  # type: ignore[no-untyped-call]  # no hints in IPython


class StatusLine:
    """One line of a terminal that is redrawn in place."""

    def __init__(self) -> None:
        self._is_drawn = False

    @property
    def width(self) -> int:
        """The most characters that fit into it."""
        return shutil.get_terminal_size().columns - 1

    def draw(self, line: str) -> None:
        """Replace the line."""
        self.clear()
        print_lines(line, end="")
        self._is_drawn = True

    def clear(self) -> None:
        """Erase the line, so that others can be printed in its place."""
        if self._is_drawn:
            print_lines("\r\x1b[2K", end="")
        self._is_drawn = False


def is_live_terminal() -> bool:
    """Return whether what is printed goes to a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def terminal_paint() -> words.Paint:
    """Return what colours words on this terminal."""
    # https://no-color.org
    return words.painted if is_live_terminal() and not os.environ.get("NO_COLOR") else words.unpainted


def in_notebook() -> bool:
    """Tell whether the caller's IPython has a kernel, so that a front end shows what is displayed."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def empty_output() -> Any:
    """Put an empty output into the current cell, and return its handle, which a thread may draw on."""
    return new_output({"text/html": "", "text/plain": ""})


def new_output(bundle: dict[str, Any]) -> Any:
    """Put an output into the current cell, and return its handle."""
    from IPython.display import display

    return display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # no hints in IPython


def show_notice(message: str) -> None:
    """Show a message to the user: as HTML where a front end shows it, else as text."""
    if not in_notebook():
        print_lines(*fitted(message))
        return
    # A front end breaks plain text in the middle of words.
    attributes = 'class="tex2jax_ignore mathjax_ignore" role="note" style="white-space:pre-line;overflow-wrap:anywhere"'
    html = f"<div {attributes}>{words.with_commands(message)}</div>"
    show_bundle({"text/plain": message, "text/html": html})


def show_bundle(bundle: Mapping[str, str]) -> None:
    """Show what has a form as HTML and one as text."""
    if not in_notebook():
        print_lines(bundle["text/plain"])
        return
    from IPython.display import display

    display(dict(bundle), raw=True)  # type: ignore[no-untyped-call]  # no hints in IPython


def fitted(message: str) -> list[str]:
    """Return the lines of a message, wrapped where a terminal shows them."""
    return wrapped(message) if getattr(sys.stdout, "isatty", bool)() else [message]


def print_lines(*lines: str, end: str = "\n") -> None:
    """Print lines on a terminal at once; what its encoding lacks is escaped."""
    for line in lines:
        try:
            print(line, end=end, flush=True)  # noqa: T201 - a terminal's display is what is printed
        except UnicodeEncodeError as error:  # noqa: PERF203 - each line by itself
            escaped = line.encode(error.encoding, "backslashreplace").decode(error.encoding)
            print(escaped, end=end, flush=True)  # noqa: T201
