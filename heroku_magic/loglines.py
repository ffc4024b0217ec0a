r"""Bytes of a log stream -> LogLine, the pure half of the log reader; it opens nothing and waits for nothing.

A stream is either `text/plain` (one line each, NUL bytes as heartbeats) or `text/event-stream` (the
line in a `data:` field). Lines are split on the byte `\n` alone: `str.splitlines` would also cut at
U+2028 and its kin, in the middle of somebody's data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

# Logplex cuts longer messages into pieces of this many raw bytes, the newline counted, all with one
# timestamp: https://devcenter.heroku.com/articles/limits#dynos
PIECE = 10_000
# A message is joined up to here; beyond, what is left begins a line of its own.
LONGEST = 64 * 1024 * 1024

_LINE = re.compile(rb"(\S+) ([\w-]+)\[([^\]\s]*)\]: ?(.*)", re.DOTALL)


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line of the log: `2024-10-17T22:23:22.209776+00:00 app[run.1234]: hello`.

    timestamp: RFC 3339 with microseconds, as sent. source: `app` or `heroku`. dyno: `run.1234`, or
    `api` for what the Platform API itself did. message: decoded as UTF-8, broken bytes replaced.
    https://devcenter.heroku.com/articles/logging#log-format
    """

    timestamp: str
    source: str
    dyno: str
    message: str

    def __str__(self) -> str:
        return f"{self.timestamp} {self.source}[{self.dyno}]: {self.message}"


class LineDecoder:
    """Turn chunks of a stream, cut anywhere, into LogLines; pieces of a long line are joined again."""

    def __init__(self, content_type: str = "text/plain") -> None:
        self._is_sse = content_type.partition(";")[0].strip() == "text/event-stream"
        self._rest = b""
        self._head: re.Match[bytes] | None = None
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[LogLine]:
        """Return the lines that this chunk completes."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        return self._parse(_sse_data(lines) if self._is_sse else _plain(lines))

    def flush(self) -> list[LogLine]:
        """Return what is left when the stream has ended cleanly."""
        rest, self._rest = self._rest, b""
        tail = self._parse(_sse_data([rest]) if self._is_sse else _plain([rest]))
        return tail + self._joined()

    def _parse(self, lines: Iterable[bytes]) -> list[LogLine]:
        parsed: list[LogLine] = []
        for raw in lines:
            match = _LINE.match(raw)
            if match is None:
                continue
            if self._head is not None or len(raw) > PIECE:
                parsed += self._join(match)
            else:
                parsed.append(_log_line(match, match[4]))
        return parsed

    def _join(self, match: re.Match[bytes]) -> list[LogLine]:
        """Add a piece to the line it belongs to; return the lines that are now whole."""
        done = [] if self._continues(match) else self._joined()
        self._head = self._head or match
        self._pieces.append(match[4])
        if len(match[4]) < PIECE or len(self._pieces) * PIECE >= LONGEST:
            done += self._joined()
        return done

    def _continues(self, match: re.Match[bytes]) -> bool:
        head = self._head
        return head is not None and match.group(1, 2, 3) == head.group(1, 2, 3)

    def _joined(self) -> list[LogLine]:
        head, pieces = self._head, self._pieces
        self._head, self._pieces = None, []
        return [] if head is None else [_log_line(head, b"".join(pieces))]


def _plain(lines: Iterable[bytes]) -> Iterable[bytes]:
    return (line.replace(b"\0", b"") if b"\0" in line else line for line in lines if line)


def _sse_data(lines: Iterable[bytes]) -> Iterable[bytes]:
    """The `data:` fields alone: ids and comments (the heartbeats) carry nothing for us.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    return (line[6:] if line.startswith(b"data: ") else line[5:] for line in lines if line.startswith(b"data:"))


def _log_line(head: re.Match[bytes], message: bytes) -> LogLine:
    timestamp, source, dyno = head.group(1, 2, 3)
    text = message.decode("utf-8", "replace")
    return LogLine(timestamp.decode("ascii", "replace"), source.decode(), dyno.decode("utf-8", "replace"), text)
