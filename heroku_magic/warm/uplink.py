"""Sends records to a warm dyno as lines, no more at a time than its window allows."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.channel import ChannelWriter, parts
from heroku_magic.warm.send_window import FlowControl, SendWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.protocol.records import RunKey
    from heroku_magic.protocol.spool import Section, Spool
    from heroku_magic.warm.rendezvous import DynoConnection

MAX_LINE_BYTES = 4_000
MOST_IN_RECORD = 1 << 18  # bytes of a value
KEPT_SHARE = 0.5  # of a dyno's memory: the most that values take that it keeps on its disk
KEPT_BYTES = 1 << 28  # the same where its memory is unknown


class Uplink:
    """Sends records, from several threads.

    connection: to the dyno, once there is one. window: what may be under way.
    """

    def __init__(self, key: RunKey, flow: FlowControl) -> None:
        self.connection: DynoConnection | None = None
        self.window = SendWindow(flow)
        self._most_kept = KEPT_BYTES
        self._kept: dict[str, int] = {}  # the sizes of the values that the dyno keeps, by digest, the oldest use first
        self._writer = ChannelWriter(key)
        self._lock = threading.RLock()

    @property
    def checksum(self) -> str:
        """The checksum of all values so far."""
        return self._writer.checksum

    def open(self, connection: DynoConnection, memory: int) -> None:
        """Send to a dyno that has some bytes of memory, 0 if unknown, and keeps no values yet."""
        self.connection = connection
        self._most_kept = int(KEPT_SHARE * memory) or KEPT_BYTES

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
        """Send the values of a call, but no large one that the dyno keeps; return False if it is cancelled.

        One thread may do so at a time. on_sent: gets how many bytes the dyno has, and of how many; False cancels.
        """
        self._make_room(values)
        done = 0
        for section in values.sections:
            owner = {"value": section.digest} if section.digest else {"call": number}
            at = len(section) if section.digest in self._kept else 0
            while at < len(section):
                at = self._send_piece(section, at, owner)
                if not on_sent(done + at, len(values)):
                    self._drop([section.digest])
                    return False
            done += len(section)
            if section.digest:
                self._kept[section.digest] = len(section)
        return True

    def _send_piece(self, section: Section, start: int, owner: dict[str, Any]) -> int:
        """Send a record that a growing window has room for; return the end of what it holds."""
        end = min(start + min(self.window.size // 2, MOST_IN_RECORD), len(section))
        for data in section.read(start, end):
            self.send("data", owner, data)
        return end

    def _make_room(self, values: Spool) -> None:
        """Let the dyno drop the values that were not used for the longest time, but none of a call."""
        wanted = {digest: size for _, size, digest in values.shared}
        self._kept.update((digest, self._kept.pop(digest)) for digest in wanted if digest in self._kept)
        excess = sum({**self._kept, **wanted}.values()) - self._most_kept
        dropped = []
        for digest, size in self._kept.items():
            if excess > 0 and digest not in wanted:
                dropped.append(digest)
                excess -= size
        self._drop(dropped)

    def _drop(self, digests: list[str]) -> None:
        for digest in digests:
            self._kept.pop(digest, None)
        if any(digests):
            self.send("drop", {"values": digests})

    def close(self) -> None:
        """Stop sending."""
        with self._lock:
            self.connection = None
