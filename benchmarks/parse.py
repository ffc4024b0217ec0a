"""Parsing a recorded stream from a local socket into log lines, beside the bare `iter_lines` of requests."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import alone
from benchmarks.ground import EVENTS
from benchmarks.race import Aim, Race, Side, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.ground import Ground

LINE = "2026-11-23T10:00:00.%06d+00:00 app[run.4821]: {'step': %d, 'loss': 0.25, 'note': 'caf\u00e9'}\n"
EVENT = f"id: %d\ndata: {LINE}\n"


def races(*, quick: bool) -> list[Race]:
    """As text, and as events, where `iter_lines` has three lines an event."""
    lines, repeats = (2000, 1) if quick else (300_000, 7)
    return [
        _race(f"parsing {lines:,} lines", "text/plain", lines, repeats),
        _race(f"parsing {lines:,} events", EVENTS, lines, repeats),
    ]


def _race(title: str, kind: str, lines: int, repeats: int) -> Race:
    ours = Side("LineDecoder", partial(parsed, kind=kind, lines=lines))
    bare = Side("requests iter_lines", partial(iterated, kind=kind, lines=lines), Aim(least=0.5))
    return Race(title, "lines/s", ours, [bare], repeats)


def recorded(kind: str, lines: int) -> bytes:
    """Return a stream of so many lines, each with its own timestamp, as most programs' are."""
    if kind == EVENTS:
        return "".join(EVENT % (number, number, number) for number in range(lines)).encode()
    return "".join(LINE % (number, number) for number in range(lines)).encode()


def parsed(_: Ground, *, kind: str, lines: int) -> Iterator[Told]:
    """Read in pieces and decode."""
    from heroku_magic.api.log_lines import LineDecoder
    from heroku_magic.api.log_stream import CHUNK

    def read(response: Any) -> None:
        decoder = LineDecoder(kind)
        assert sum(len(decoder.feed(chunk)) for chunk in response.iter_content(CHUNK)) == lines

    return _speeds(kind, lines, read)


def iterated(_: Ground, *, kind: str, lines: int) -> Iterator[Told]:
    """Read by lines and make nothing of them."""

    def read(response: Any) -> None:
        assert sum(1 for _ in response.iter_lines()) == lines * (3 if kind == EVENTS else 1)

    return _speeds(kind, lines, read)


def _speeds(kind: str, lines: int, read: Callable[[Any], None]) -> Iterator[Told]:
    import requests

    url = _played(kind, recorded(kind, lines))
    yield
    while True:
        response = requests.get(url, stream=True, timeout=60)
        began = time.perf_counter()
        read(response)
        yield lines / (time.perf_counter() - began)


def _played(kind: str, stream: bytes) -> str:
    """Play a recording to whoever connects, from a thread; return its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(stream)}\r\n\r\n".encode()

    def play() -> None:
        while True:
            client, _ = server.accept()
            with client:
                client.recv(65_536)
                client.sendall(head + stream)

    threading.Thread(target=play, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


if __name__ == "__main__":
    alone(__file__)
