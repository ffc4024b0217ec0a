"""Flow control toward a dyno: limits the bytes that it has not yet acknowledged."""

from __future__ import annotations

import threading
import time

FIRST = 16_000  # bytes, below the about 30 kB that a terminal takes while nobody reads from it
MOST = 4 << 20
PATIENCE = 10.0  # seconds without an acknowledgement


class FlowControl:
    """What the connections to an app's dynos share. most: bytes that a window may grow to."""

    def __init__(self) -> None:
        self.most = MOST


class SendWindow:
    """The credits of one connection. The window doubles whenever the dyno has acknowledged one in full.

    >>> window = SendWindow(FlowControl())
    >>> window.wait_for(16_000)
    >>> window.sent(16_000)
    >>> window.acknowledge(16_000)
    >>> window.size
    32000
    """

    def __init__(self, flow: FlowControl) -> None:
        self.size = FIRST
        self._flow = flow
        self._sent = self._acknowledged = self._doubled_at = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def wait_for(self, size: int) -> None:
        """Wait until some bytes may be sent. Raises TimeoutError, after which other connections stay slow."""
        with self._changed:
            acknowledged, deadline = self._acknowledged, time.monotonic() + PATIENCE
            while self._sent > self._acknowledged and self._sent + size - self._acknowledged > self.size:
                if self._is_closed:
                    raise OSError("the connection is closed")
                if acknowledged != self._acknowledged:
                    acknowledged, deadline = self._acknowledged, time.monotonic() + PATIENCE
                elif not self._changed.wait(deadline - time.monotonic()):
                    self._flow.most = FIRST
                    raise TimeoutError(f"no acknowledgement for {PATIENCE:g} s")

    def sent(self, size: int) -> None:
        """Take note of bytes that were sent."""
        with self._changed:
            self._sent += size

    def acknowledge(self, total: int) -> None:
        """Take note of how many bytes the dyno has read since the beginning."""
        with self._changed:
            self._acknowledged = max(self._acknowledged, total)
            if self._acknowledged - self._doubled_at >= self.size:
                self._doubled_at = self._acknowledged
                self.size = min(2 * self.size, max(self._flow.most, FIRST))
            self._changed.notify_all()

    def close(self) -> None:
        """End all waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
