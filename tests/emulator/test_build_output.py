"""The output of a build that is too long to be kept."""

from __future__ import annotations

from types import SimpleNamespace

from loops import run_loop

from heroku_magic.emulator.code import build_output
from heroku_magic.emulator.code.build_output import BuildOutput
from heroku_magic.emulator.web.streams import OutputStreamHandler


class _Handler(OutputStreamHandler):
    def __init__(self):
        self.sent = b""
        self.platform = SimpleNamespace(
            timings=SimpleNamespace(heartbeat=1), faults=SimpleNamespace(takes=lambda *_: False)
        )
        self.request = SimpleNamespace(headers={})

    def set_header(self, *_):
        """No response is sent."""

    def write(self, chunk):
        self.sent += chunk

    async def flush(self):
        """What is written is kept."""


async def _read_late(send):
    output = BuildOutput()
    for number in range(30):
        output.line(f"{number:09}")
    output.close()
    handler = _Handler()
    await send(handler, output)
    return handler.sent


def test_a_reader_that_comes_late_gets_what_is_kept_once(monkeypatch):
    monkeypatch.setattr(build_output, "LARGEST", 100)
    kept = [f"{number:09}".encode() for number in range(20, 30)]
    text = run_loop(_read_late(OutputStreamHandler._send_text))
    assert text.split() == kept[-len(text.split()) :]
    assert len(text.split()) > 5
    events = run_loop(_read_late(OutputStreamHandler._send_events)).split(b"\n\n")[:-1]
    assert events[-1] == b"id: 300\ndata: 000000029"
    assert len(events) == len(text.split())
