"""Feed: events that one thread writes and any number of readers follow from the first one on; it judges none."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from heroku_magic.runs.event_log import History

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.runs.events import Event


class Feed:
    """A history that can be waited for. `changed` guards it, and is told of each addition."""

    def __init__(self) -> None:
        self.history = History()
        self.changed = threading.Condition()
        self._closed = False

    def add(self, *events: Event) -> None:
        """Add events."""
        if events:
            with self.changed:
                self.history.extend(events)
                self.changed.notify_all()

    def close(self) -> None:
        """Nothing is to follow."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def events(self, timeout: float | None = None) -> Iterator[Event | None]:
        """Yield every event from the first one on; None whenever `timeout` seconds brought nothing.

        Ends when the feed is closed and all of it was read.
        """
        position = 0
        while True:
            with self.changed:
                self.changed.wait_for(partial(self._has_more, position), timeout)
                fresh, closed = self.history.since(position), self._closed
            position += len(fresh)
            if not fresh and closed:
                return
            yield from fresh
            if not fresh:
                yield None

    def _has_more(self, position: int) -> bool:
        return len(self.history) > position or self._closed
