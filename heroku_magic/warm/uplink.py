"""Sends records to a warm dyno as lines, no more at a time than its window allows."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.channel import ChannelWriter, parts
from heroku_magic.warm.send_window import FlowControl, SendWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.protocol.records import RunKey
    from heroku_magic.protocol.spool import Spool
    from heroku_magic.warm.rendezvous import DynoConnection

MAX_LINE_BYTES = 4_000
MOST_IN_RECORD = 1 << 18  # bytes of a value


class Uplink:
    """Sends records, from several threads.

    connection: to the dyno, once there is one. window: what may be under way.
    """

    def __init__(self, key: RunKey, flow: FlowControl) -> None:
        self.connection: DynoConnection | None = None
        self.window = SendWindow(flow)
        self._writer = ChannelWriter(key)
        self._lock = threading.RLock()

    @property
    def checksum(self) -> str:
        """The checksum of all values so far."""
        return self._writer.checksum

    def send(self, kind: str, message: dict[str, Any], body: bytes = b"") -> None:
        """Send a record. Calls and values wait for the dyno, between their lines, and others need not wait for them.

        Raises OSError, which is a TimeoutError if the dyno acknowledges nothing.
        """
        rest = parts(kind, message, body)
        while rest:
            count = max(self.window.size // 2 // MAX_LINE_BYTES, 1)
            group, rest = rest[:count], rest[count:]
            if kind in ("call", "data"):
                self.window.wait_for(len(group) * MAX_LINE_BYTES)
            with self._lock:
                if self.connection is None:
                    raise OSError("the connection is closed")
                lines = b"".join(self._writer.line(*part) for part in group)
                self.window.sent(len(lines))
                self.connection.send(lines)

    def send_values(self, number: int, values: Spool, on_sent: Callable[[int, int], bool]) -> bool:
        """Send the values of a call, in records that a growing window has room for; return False if it is cancelled."""
        sent = 0
        while sent < len(values):
            size = min(self.window.size // 2, MOST_IN_RECORD)
            for data in values.read(sent, min(sent + size, len(values))):
                self.send("data", {"call": number}, data)
                sent += len(data)
            if not on_sent(sent, len(values)):
                return False
        return True

    def close(self) -> None:
        """Send nothing any more."""
        with self._lock:
            self.connection = None
