r"""Bytes of a dyno's pipe -> log lines, as Logplex's shipper cuts them; nothing is read or decoded here.

Only `\n` ends a line. A message longer than 10,000 bytes, its newline counted, becomes pieces of
10,000 raw bytes that share one timestamp, in the middle of a character if it falls so:
https://devcenter.heroku.com/articles/limits#dynos
"""

from __future__ import annotations

PIECE = 10_000

Lines = tuple[bytes, list[bytes]]


class Splitter:
    """Turn chunks, cut anywhere, into groups of lines with one timestamp each."""

    def __init__(self) -> None:
        self._rest = b""
        self._since: bytes | None = None

    def feed(self, chunk: bytes, when: bytes) -> list[Lines]:
        """Return the lines that this chunk completes, and the full pieces of one that goes on."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        groups = self._whole(lines, when) if lines else []
        if len(self._rest) >= PIECE:
            groups.append(self._begun(when))
        return groups

    def flush(self, when: bytes) -> list[Lines]:
        """Return the last line, if the stream ended without a newline."""
        rest, self._rest = self._rest, b""
        return [(self._since or when, [rest])] if rest else []

    def _whole(self, lines: list[bytes], when: bytes) -> list[Lines]:
        groups: list[Lines] = []
        if self._since is not None:
            groups.append((self._since, cut(lines.pop(0))))
            self._since = None
        if max(map(len, lines), default=0) >= PIECE:
            lines = [piece for line in lines for piece in cut(line)]
        return [*groups, (when, lines)] if lines else groups

    def _begun(self, when: bytes) -> Lines:
        """Ship what is full of a line whose end is not in sight: memory stays bounded."""
        self._since = self._since or when
        full = len(self._rest) // PIECE * PIECE
        pieces = [self._rest[start : start + PIECE] for start in range(0, full, PIECE)]
        self._rest = self._rest[full:]
        return self._since, pieces


def cut(line: bytes) -> list[bytes]:
    """Cut one line, given without its newline, into pieces; the newline counts, so the last may be empty."""
    if len(line) < PIECE:
        return [line]
    return [line[start : start + PIECE] for start in range(0, len(line) + 1, PIECE)]
