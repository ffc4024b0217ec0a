"""One call on a warm dyno: the output that has arrived, and how to stop it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.log_stream import Sink


class WarmCall:
    """One call on a warm dyno, with the interface of a log stream."""

    gaps = 0

    def __init__(
        self, stop_call: Callable[..., None], run: str, sink: Sink, on_done: Callable[[int | None], None] | None
    ) -> None:
        self.number, self.run, self.sink, self.on_done = 0, run, sink, on_done
        self.begun_at: float | None = None
        self.seconds: float | None = None  # that it has taken on the dyno, once it has ended
        self.is_overdue = False  # the dyno has ended it because of its time limit
        self.lines: list[LogLine] = []  # that the sink gets next
        self._stop_call = stop_call
        self._unfinished: dict[str, list[str]] = {}  # lines of each stream, whose ends have not arrived

    def elapsed(self) -> float:
        """Return how long it has run by now; 0 before it begins."""
        if self.seconds is not None:
            return self.seconds
        return 0.0 if self.begun_at is None else time.monotonic() - self.begun_at

    def flush(self) -> None:
        """Pass on the lines that have arrived."""
        if self.lines:
            lines, self.lines = self.lines, []
            self.sink(lines)

    def whole_lines(self, stream: str, text: str) -> list[str]:
        """Return the lines of a stream that a piece of its text completes."""
        parts = self._unfinished.setdefault(stream, [])
        parts.append(text)
        if "\n" not in text:
            return []
        *lines, rest = "".join(parts).split("\n")
        self._unfinished[stream] = [rest]
        return lines

    def rest(self) -> list[str]:
        """Return the last line of each stream that did not end with a newline."""
        return [line for parts in self._unfinished.values() if (line := "".join(parts))]

    def backlog(self) -> list[LogLine]:
        """Return nothing: what was sent has arrived."""
        return []

    def stop(self, *, if_waiting: bool = False) -> None:
        """End the call, not the dyno. if_waiting: only if it has not begun."""
        self._stop_call(self.number, if_waiting=if_waiting)

    def close(self) -> None:
        """Do nothing: the dyno stays for the next call."""
