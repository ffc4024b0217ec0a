"""Parse a recorded stream from a local socket into log lines, against the bare `iter_lines` of requests."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.testbed import Testbed

LINE = "2026-11-23T10:00:00.%06d+00:00 app[run.4821]: {'step': %d, 'loss': 0.25, 'note': 'caf\u00e9'}\n"
EVENT = f"id: %d\ndata: {LINE}\n"


def races(*, quick: bool) -> list[Race]:
    """Parse text and events, where `iter_lines` yields three lines per event."""
    lines, repeats = (2000, 1) if quick else (300_000, 7)
    return [
        _race(f"parsing {lines:,} lines", "text/plain", lines, repeats),
        _race(f"parsing {lines:,} events", EVENTS, lines, repeats),
    ]


def _race(title: str, kind: str, lines: int, repeats: int) -> Race:
    ours = Side("LineDecoder", partial(decode, kind=kind, lines=lines))
    bare = Side("requests iter_lines", partial(iterate, kind=kind, lines=lines), Aim(least=0.5))
    return Race(title, "lines/s", ours, [bare], repeats)


def recording(kind: str, lines: int) -> bytes:
    """Return a stream of lines with distinct timestamps."""
    if kind == EVENTS:
        return "".join(EVENT % (number, number, number) for number in range(lines)).encode()
    return "".join(LINE % (number, number) for number in range(lines)).encode()


def decode(_: Testbed, *, kind: str, lines: int) -> Iterator[Measurement]:
    """Read in chunks and decode."""
    from heroku_magic.api.log_lines import LineDecoder
    from heroku_magic.api.log_stream import CHUNK

    def read(response: Any) -> None:
        decoder = LineDecoder(kind)
        assert sum(len(decoder.feed(chunk)) for chunk in response.iter_content(CHUNK)) == lines

    return _speeds(kind, lines, read)


def iterate(_: Testbed, *, kind: str, lines: int) -> Iterator[Measurement]:
    """Read line by line, without decoding."""

    def read(response: Any) -> None:
        assert sum(1 for _ in response.iter_lines()) == lines * (3 if kind == EVENTS else 1)

    return _speeds(kind, lines, read)


def _speeds(kind: str, lines: int, read: Callable[[Any], None]) -> Iterator[Measurement]:
    import requests

    url = _serve(kind, recording(kind, lines))
    yield
    while True:
        response = requests.get(url, stream=True, timeout=60)
        began = time.perf_counter()
        read(response)
        yield lines / (time.perf_counter() - began)


def _serve(kind: str, stream: bytes) -> str:
    """Serve a recording to every client from a thread, and return its URL."""
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
    run_alone(__file__)
