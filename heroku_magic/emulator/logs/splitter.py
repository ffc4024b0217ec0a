r"""Splits the bytes of a dyno's pipe into log lines, as Logplex's shipper does.

Only `\n` ends a line. A message longer than 10,000 bytes, its newline included, becomes pieces of
10,000 raw bytes that share one timestamp, even if that splits a character:
https://devcenter.heroku.com/articles/limits#dynos
"""

from __future__ import annotations

PIECE = 10_000

Lines = tuple[bytes, list[bytes]]


class Splitter:
    """Turns chunks of any size into groups of lines with one timestamp each."""

    def __init__(self) -> None:
        self._rest = b""
        self._since: bytes | None = None

    def feed(self, chunk: bytes, when: bytes) -> list[Lines]:
        """Return the lines that this chunk completes, and the full pieces of an unfinished one."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        groups = self._complete(lines, when) if lines else []
        if len(self._rest) >= PIECE:
            # Memory stays bounded, however long the line is.
            self._since = self._since or when
            full = len(self._rest) // PIECE * PIECE
            groups.append((self._since, [self._rest[start : start + PIECE] for start in range(0, full, PIECE)]))
            self._rest = self._rest[full:]
        return groups

    def flush(self, when: bytes) -> list[Lines]:
        """Return the last line, if the stream ended without a newline."""
        rest, self._rest = self._rest, b""
        return [(self._since or when, [rest])] if rest else []

    def _complete(self, lines: list[bytes], when: bytes) -> list[Lines]:
        groups: list[Lines] = []
        if self._since is not None:
            groups.append((self._since, cut(lines.pop(0))))
            self._since = None
        if max(map(len, lines), default=0) >= PIECE:
            lines = [piece for line in lines for piece in cut(line)]
        return [*groups, (when, lines)] if lines else groups


def cut(line: bytes) -> list[bytes]:
    """Cut one line, passed without its newline, into pieces; the newline counts, so the last may be empty."""
    if len(line) < PIECE:
        return [line]
    return [line[start : start + PIECE] for start in range(0, len(line) + 1, PIECE)]
