r"""Bytes of a log stream -> LogLine, the pure half of the log reader; it opens nothing and waits for nothing.

A stream is either `text/plain` (one line each, NUL bytes as heartbeats) or `text/event-stream` (the
line in a `data:` field). Lines are split on the byte `\n` alone: `str.splitlines` would also cut at
U+2028 and its kin, in the middle of somebody's data.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from heroku_magic.text.redact import Mask

# Logplex cuts longer messages into pieces of this many raw bytes, the newline counted, all with one
# timestamp: https://devcenter.heroku.com/articles/limits#dynos
PIECE = 10_000
# What has as many characters as two of these may have as many bytes as a piece.
STRETCH = PIECE // 8
# A message is joined up to here; beyond, what is left begins a line of its own.
LONGEST = 64 * 1024 * 1024

# No line of a log is as long: memory stays bounded whatever is sent.
LONGEST_UNFINISHED = 1024 * 1024

_LINE = re.compile(rb"(\S+) ([\w-]+)\[([^\]\s]*)\]: ?(.*)", re.DOTALL)
_HEAD = re.compile(r"(\S+) ([\w-]+)\[([^\]\s]*)\]: ?", re.ASCII)
_EVENT_HEAD = re.compile(" ?" + _HEAD.pattern, re.ASCII)
_NO_HEAD = "\n"  # no line begins with it


class LogLine(msgspec.Struct, frozen=True, gc=False, array_like=True):
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

    def redacted(self, mask: Mask) -> LogLine:
        """Return the line with its secrets hidden."""
        message = mask.text(self.message)
        return self if message == self.message else msgspec.structs.replace(self, message=message)


class LineDecoder:
    """Turn chunks of a stream, cut anywhere, into LogLines; pieces of a long line are joined again."""

    def __init__(self, content_type: str = "text/plain") -> None:
        self._is_sse = content_type.partition(";")[0].strip() == "text/event-stream"
        self._form = _EVENT_HEAD if self._is_sse else _HEAD
        self._rest = b"\n"  # what is read begins with the end of the line before
        self._head: re.Match[bytes] | None = None
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[LogLine]:
        """Return the lines that this chunk completes."""
        read = self._rest + self._without_heartbeats(chunk)
        end = read.rindex(b"\n")
        self._rest = read[end:] if len(read) - end <= LONGEST_UNFINISHED else b"\n"
        return self._parse(read[:end]) if end else []

    def flush(self) -> list[LogLine]:
        """Return what is left when the stream has ended cleanly."""
        rest, self._rest = self._rest, b"\n"
        return self._parse(rest) + self._joined()

    def _without_heartbeats(self, chunk: bytes) -> bytes:
        return chunk if self._is_sse else chunk.replace(b"\0", b"")

    def _parse(self, raw: bytes) -> list[LogLine]:
        """Take whole lines, a newline before each: all at once as text, or one by one where a long line has pieces."""
        text = raw.decode("utf-8", "replace")
        if self._head is not None or not _are_short(text):
            return self._parse_pieces(raw)
        same = self._same_head(text)
        if same is not None:
            return same
        return _log_lines(_sse_data(text) if self._is_sse else text.split("\n"), self._form)

    def _same_head(self, text: str) -> list[LogLine] | None:
        """Read lines that were shipped together, with one timestamp: most of a flood, and cheap; None: others."""
        mark = "\ndata:" if self._is_sse else "\n"
        head = self._form.match(text, text.find(mark) + len(mark))
        if head is None or not head[0].endswith(" "):
            return None
        rows, step = text.split("\n"), 3 if self._is_sse else 1  # an event is its id, its data and an empty line
        its_own = slice(text.count("\n", 0, head.start()), None, step)
        lines = rows[its_own]
        del rows[its_own]
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


def _sse_data(text: str) -> list[str]:
    """The `data:` fields alone: ids and comments (the heartbeats) carry nothing for us.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    return [event.partition("\n")[0] for event in text.split("\ndata:")[1:]]


def _sse_field(line: bytes) -> bytes:
    return line[6:] if line.startswith(b"data: ") else line[5:] if line.startswith(b"data:") else b""


def _are_short(text: str) -> bool:
    """Whether no piece of a long line is among these: at four bytes a character it would fill a stretch."""
    return all(text.find("\n", at, at + STRETCH) >= 0 for at in range(0, len(text) - STRETCH + 1, STRETCH))


def _log_lines(lines: list[str], form: re.Pattern[str]) -> list[LogLine]:
    """Read lines; a flood's have the head of the one before, and are not taken apart again."""
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
                head = _NO_HEAD  # it would fit a line whose blank is still to be taken away
        parsed.append(LogLine(timestamp, source, dyno, line[size:]))
    return parsed


def _log_line(head: re.Match[bytes], message: bytes) -> LogLine:
    timestamp, source, dyno = (part.decode("utf-8", "replace") for part in head.group(1, 2, 3))
    return LogLine(timestamp, source, dyno, message.decode("utf-8", "replace"))
