"""RunView -> a notebook's cell or a terminal, as things happen; words are text.py's, looks are html.py's.

From a thread only a display handle may be touched: printed text would land in whichever cell ran last.
"""

from __future__ import annotations

import sys
import time
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any, Protocol

from heroku_magic.display import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.display.run_view import RunView

# A page stays smooth, and Jupyter's limit of 1,000 messages a second far away.
INTERVAL = 0.1
# So often the elapsed time moves while nothing happens.
TICK = 1.0
# A terminal keeps what is printed: progress is told less often there.
TERMINAL_INTERVAL = 2.0
# No SVG: it may hold scripts.
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class Surface(Protocol):
    """Something that a run can be shown on."""

    def changed(self, view: RunView) -> None:
        """Take note of an event; called for each log line, so it must cost next to nothing."""

    def waited(self, view: RunView) -> None:
        """Take note that nothing happened for a while."""

    def finish(self, view: RunView) -> None:
        """Show what stays; may be called again when something came late."""


class NotebookOutput:
    """One display handle: drawn at most 10 times a second, and once more at the end.

    Made in the thread of the cell that it belongs to; drawn on from any one. handle: one that is there already.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        with_error: bool = False,
        handle: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet = quiet
        self._with_error = with_error
        self._clock = clock
        self._drawn_at = float("-inf")
        self._drawn = -1
        self._handle: Any = handle or empty_output()

    def changed(self, view: RunView) -> None:
        """Draw, unless that was done less than a tenth of a second ago."""
        if not self._quiet and self._clock() - self._drawn_at >= INTERVAL:
            self._draw(view)

    def waited(self, view: RunView) -> None:
        """Draw what came since the last time, or the clock alone, once a second."""
        since = self._clock() - self._drawn_at
        if not self._quiet and since >= (INTERVAL if view.fed > self._drawn else TICK):
            self._draw(view)

    def finish(self, view: RunView) -> None:
        """Draw what stays in the notebook."""
        if not self._quiet or view.tells:
            self._draw(view, final=True)

    def _draw(self, view: RunView, *, final: bool = False) -> None:
        self._handle.update(self._bundle(view, final=final), raw=True)
        self._drawn, self._drawn_at = view.fed, self._clock()

    def _bundle(self, view: RunView, *, final: bool) -> dict[str, str]:
        from heroku_magic.display.html import html

        return {
            "text/html": html(view, final=final, with_error=self._with_error),
            "text/plain": words.text(view, with_error=self._with_error),
        }


class TerminalOutput:
    """Plain prints: a line at the start, each line of the log as it comes, a line at the end."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = False
        self._finished = False
        self._printed = 0
        self._told: list[str] = []
        self._progress = ""
        self._progress_at = clock()

    def changed(self, view: RunView) -> None:
        """Print what is new."""
        if not self._begun and view.fact("dyno"):
            self._begun = True
            _print(words.start_line(view))
        self._print_notes(view)
        if view.count > self._printed:
            new, self._printed = view.count - self._printed, view.count
            _print(*view.lines(new))
        self.waited(view)

    def waited(self, view: RunView) -> None:
        """Print the progress if it moved, now and then."""
        if view.progress is None or self._clock() - self._progress_at < TERMINAL_INTERVAL:
            return
        self._progress_at = self._clock()
        if (progress := words.progress(view)) != self._progress:
            self._progress = progress
            _print(progress)

    def finish(self, view: RunView) -> None:
        """Print the end line, once: what is printed cannot be drawn again."""
        if not self._finished:
            self._finished = True
            self._print_notes(view)
            _print(words.end_line(view) if self._begun else words.summary(view), *words.details(view))

    def _print_notes(self, view: RunView) -> None:
        if (notes := view.notes) != self._told:
            _print(*(note for note in notes if note not in self._told))
            self._told = notes


class TerminalEnd:
    """A terminal that is told the end alone: for a run in the background, and for a quiet user."""

    def __init__(self, *, quiet: bool = False, with_error: bool = False) -> None:
        self._quiet = quiet
        self._with_error = with_error
        self._finished = False

    def changed(self, view: RunView) -> None:
        """Print nothing yet."""

    def waited(self, view: RunView) -> None:
        """Print nothing yet."""

    def finish(self, view: RunView) -> None:
        """Print how it ended, once; to a quiet user only if there is something to tell."""
        if not self._finished and (view.tells or not self._quiet):
            _print(words.text(view, with_error=self._with_error))
        self._finished = True


def show_pictures(view: RunView) -> None:
    """Show the pictures among the files as outputs of the cell that runs now; what they are their bytes say."""
    from IPython.display import display

    for content in view.files.values():
        if kind := next((kind for start, kind in _PICTURES.items() if content.startswith(start)), None):
            data = {kind: b2a_base64(content, newline=False).decode("ascii"), "text/plain": "a picture"}
            display(data, raw=True)  # type: ignore[no-untyped-call]  # no hints in IPython


def in_notebook() -> bool:
    """Whether the caller's IPython has a kernel, so that a front end shows what is displayed."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def empty_output() -> Any:
    """Put an output into the cell that runs now: whoever draws on it later may be a thread."""
    from IPython.display import display

    empty = {"text/html": "", "text/plain": ""}
    return display(empty, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # no hints in IPython


def _print(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201 - a terminal's display is what is printed
