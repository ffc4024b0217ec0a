r"""Decodes the bytes of a log stream into LogLines.

A stream is either `text/plain` (bare lines, NUL bytes as heartbeats) or `text/event-stream` (each
line in a `data:` field). Lines are split only at the byte `\n`, because `str.splitlines` would also
split at U+2028 and similar characters, which may be part of the data.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from heroku_magic.text.redact import Mask

# Logplex cuts longer messages into pieces of this many raw bytes, including the newline, all with the
# same timestamp: https://devcenter.heroku.com/articles/limits#dynos
PIECE = 10_000
# A piece has at least twice as many characters as this, since UTF-8 uses at most four bytes for each.
STRETCH = PIECE // 8
# Pieces are joined up to this size; the rest becomes another line.
MAX_JOINED = 64 * 1024 * 1024
# No line of a log is this long; the limit bounds the memory for malformed input.
MAX_UNFINISHED = 1024 * 1024

_LINE = re.compile(rb"(\S+) ([\w-]+)\[([^\]\s]*)\]: ?(.*)", re.DOTALL)
_HEAD = re.compile(r"(\S+) ([\w-]+)\[([^\]\s]*)\]: ?", re.ASCII)
_EVENT_HEAD = re.compile(" ?" + _HEAD.pattern, re.ASCII)
_NO_HEAD = "\n"  # no line starts with it


class LogLine(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One line of the log: `2024-10-17T22:23:22.209776+00:00 app[run.1234]: hello`.

    timestamp: as sent, in RFC 3339 with microseconds. source: `app` or `heroku`. dyno: `run.1234`, or
    `api` for actions of the Platform API. message: decoded as UTF-8, with invalid bytes replaced.
    https://devcenter.heroku.com/articles/logging#log-format
    """

    timestamp: str
    source: str
    dyno: str
    message: str

    def __str__(self) -> str:
        return f"{self.timestamp} {self.source}[{self.dyno}]: {self.message}"

    def redacted(self, mask: Mask) -> LogLine:
        """Return the line with its secrets hidden."""
        return self.with_message(mask.text(self.message))

    def with_message(self, message: str) -> LogLine:
        """Return the line with another message, or itself if that is the same."""
        return self if message == self.message else msgspec.structs.replace(self, message=message)


class LineDecoder:
    """Turns the chunks of a stream into LogLines and joins the pieces of long lines."""

    def __init__(self, content_type: str = "text/plain") -> None:
        self._is_sse = content_type.partition(";")[0].strip() == "text/event-stream"
        self._form = _EVENT_HEAD if self._is_sse else _HEAD
        self._rest = b"\n"  # each parse starts with the newline that ends the previous line
        self._head: re.Match[bytes] | None = None
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[LogLine]:
        """Return the lines that this chunk completes."""
        read = self._rest + self._without_heartbeats(chunk)
        end = read.rindex(b"\n")
        self._rest = read[end:] if len(read) - end <= MAX_UNFINISHED else b"\n"
        return self._parse(read[:end]) if end else []

    def flush(self) -> list[LogLine]:
        """Return the remaining lines of a stream that ended cleanly."""
        rest, self._rest = self._rest, b"\n"
        return self._parse(rest) + self._joined()

    def _without_heartbeats(self, chunk: bytes) -> bytes:
        return chunk if self._is_sse else chunk.replace(b"\0", b"")

    def _parse(self, raw: bytes) -> list[LogLine]:
        """Parse complete lines, each after a newline: one by one if a long line is in pieces, otherwise all at once."""
        text = raw.decode("utf-8", "replace")
        if self._head is not None or not _are_short(text):
            return self._parse_pieces(raw)
        same = self._same_head(text)
        if same is not None:
            return same
        return _log_lines(_sse_data(text) if self._is_sse else text.split("\n"), self._form)

    def _same_head(self, text: str) -> list[LogLine] | None:
        """Parse quickly if all lines share one head, as in a burst of output; None if they do not."""
        mark = "\ndata:" if self._is_sse else "\n"
        head = self._form.match(text, text.find(mark) + len(mark))
        if head is None or not head[0].endswith(" "):
            return None
        rows, step = text.split("\n"), 3 if self._is_sse else 1  # an event is its id, its data and an empty line
        line_slice = slice(text.count("\n", 0, head.start()), None, step)
        lines = rows[line_slice]
        del rows[line_slice]
        if text.count(mark + head[0]) != len(lines) or mark in "\n".join(rows):
            return None
        begin = len(mark + head[0]) - 1
        return list(map(LogLine, *map(repeat, head.groups()), [line[begin:] for line in lines]))

    def _parse_pieces(self, raw: bytes) -> list[LogLine]:
        parsed: list[LogLine] = []
        for line in raw.split(b"\n"):
            match = _LINE.match(line if not self._is_sse else _sse_field(line))
            if match is None:
                continue
            if self._head is not None or len(match[4]) >= PIECE:
                parsed += self._join(match)
            else:
                parsed.append(_log_line(match, match[4]))
        return parsed

    def _join(self, match: re.Match[bytes]) -> list[LogLine]:
        """Add a piece to the line that it belongs to; return the lines that are now complete."""
        done = [] if self._continues(match) else self._joined()
        self._head = self._head or match
        self._pieces.append(match[4])
        if len(match[4]) < PIECE or len(self._pieces) * PIECE >= MAX_JOINED:
            done += self._joined()
        return done

    def _continues(self, match: re.Match[bytes]) -> bool:
        head = self._head
        return head is not None and match.group(1, 2, 3) == head.group(1, 2, 3)

    def _joined(self) -> list[LogLine]:
        head, pieces = self._head, self._pieces
        self._head, self._pieces = None, []
        return [] if head is None else [_log_line(head, b"".join(pieces))]


def _sse_data(text: str) -> list[str]:
    """Return only the `data:` fields, without ids and comments (the heartbeats).

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    return [event.partition("\n")[0] for event in text.split("\ndata:")[1:]]


def _sse_field(line: bytes) -> bytes:
    return line[6:] if line.startswith(b"data: ") else line[5:] if line.startswith(b"data:") else b""


def _are_short(text: str) -> bool:
    """Whether the text has no piece of a long line: a piece would cover a stretch without a newline."""
    return all(text.find("\n", at, at + STRETCH) >= 0 for at in range(0, len(text) - STRETCH + 1, STRETCH))


def _log_lines(lines: list[str], form: re.Pattern[str]) -> list[LogLine]:
    """Parse lines; in a burst, a line often has the head of the previous line, which is not parsed again."""
    parsed: list[LogLine] = []
    head, size, timestamp, source, dyno = _NO_HEAD, 0, "", "", ""
    for line in lines:
        if not line.startswith(head):
            match = form.match(line)
            if match is None:
                continue
            timestamp, source, dyno = match.groups()
            head, size = match[0], match.end()
            if not head.endswith(" "):
                head = _NO_HEAD  # it would also match a line whose space is still to be removed
        parsed.append(LogLine(timestamp, source, dyno, line[size:]))
    return parsed


def _log_line(head: re.Match[bytes], message: bytes) -> LogLine:
    timestamp, source, dyno = (part.decode("utf-8", "replace") for part in head.group(1, 2, 3))
    return LogLine(timestamp, source, dyno, message.decode("utf-8", "replace"))
