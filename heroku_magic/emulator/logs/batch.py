"""A batch of log lines, and its format on the wire: plain text or server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# The approximate size of a line's head on the wire.
_HEAD = 64
OVERFLOW = b"Error L11 (Tail buffer overflow) -> This tail session dropped %d messages since %b."


class Batch(NamedTuple):
    """Lines of one source, dyno and timestamp, numbered from `first`."""

    first: int
    when: bytes
    source: str
    dyno: str
    lines: list[bytes]

    @property
    def size(self) -> int:
        """The approximate number of bytes on the wire."""
        return sum(map(len, self.lines)) + _HEAD * len(self.lines)

    def last(self, count: int) -> Batch:
        """Return a batch of the last lines only."""
        skip = len(self.lines) - count
        return self if skip <= 0 else self._replace(first=self.first + skip, lines=self.lines[skip:])

    def single(self) -> Iterator[Batch]:
        """Yield each line as a batch."""
        return (self._replace(first=number, lines=[line]) for number, line in enumerate(self.lines, self.first))

    def loss(self, count: int) -> Batch:
        """Return the message of Logplex that replaces lines it dropped."""
        return Batch(self.first, self.when, "heroku", "logplex", [OVERFLOW % (count, self.when)])

    def plain(self) -> bytes:
        """Return the lines as `text/plain`."""
        return self._head() + (b"\n" + self._head()).join(self.lines) + b"\n"

    def events(self) -> bytes:
        """Return the lines as `text/event-stream`, one event per line."""
        head = b"\ndata: " + self._head()
        text = b"".join(
            [b"id: %d%b%b\n\n" % (number, head, line) for number, line in enumerate(self.lines, self.first)]
        )
        # A lone CR ends a line of an event stream and would split an event: a blank replaces it.
        return text.replace(b"\r", b" ")

    def _head(self) -> bytes:
        return b"%b %b[%b]: " % (self.when, self.source.encode(), self.dyno.encode())
