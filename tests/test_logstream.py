"""logstream: every line once, whatever the stream does, on a real socket."""

from __future__ import annotations

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from heroku_magic.client import HerokuClient
from heroku_magic.errors import LogStreamError
from heroku_magic.logstream import LogStream, backlog
from heroku_magic.secret import Secret


def line(number):
    return f"2024-10-17T22:23:22.{number:06d}+00:00 app[run.1]: line {number}"


class Logs:
    """A log server: each session's stream is a script of chunks; `None` cuts the connection."""

    def __init__(self, *scripts, sse=False, status=200):
        self.scripts = list(scripts)
        self.sessions = []
        logs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                logs.sessions.append(self.path)
                body = b'{"id":"1","logplex_url":"%s/stream?token=x"}' % logs.url.encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Type", "text/event-stream" if sse else "text/plain")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in logs.scripts.pop(0) if logs.scripts else []:
                    if chunk is None:
                        self.connection.close()
                        self.close_connection = True
                        return
                    if isinstance(chunk, threading.Event):
                        chunk.wait(10)
                        continue
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __enter__(self):
        self.client = HerokuClient(self.url, Secret("token"))
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.client.close()


def text(*numbers):
    return "".join(line(number) + "\n" for number in numbers).encode()


def collect(logs, count, **options):
    """Follow until `count` lines or an error came; return the messages."""
    inbox = queue.SimpleQueue()
    stream = LogStream(logs.client, "app", "run.1", inbox.put, **options).start()
    got = []
    while len(got) < count:
        item = inbox.get(timeout=20)
        if isinstance(item, LogStreamError):
            raise item
        got += [one.message for one in item]
    stream.close()
    return got


def numbered(*numbers):
    return [f"line {number}" for number in numbers]


@pytest.mark.parametrize("sse", [False, True])
def test_lines_come_in_order_however_they_are_chunked(sse):
    body = text(1, 2, 3)
    if sse:
        body = b"".join(b"id: %d\ndata: %b\n\n" % (i, line(i).encode()) for i in (1, 2, 3))
    beat = b": keepalive\n\n" if sse else b"\0"
    with Logs([beat, body[:30], body[30:100], body[100:], beat], sse=sse) as logs:
        assert collect(logs, 3) == numbered(1, 2, 3)


def test_a_cut_stream_is_opened_again_and_no_line_comes_twice():
    with Logs([text(1, 2), line(3).encode()[:20], None], [text(1, 2, 3, 4)]) as logs:
        assert collect(logs, 4) == numbered(1, 2, 3, 4)
        assert len(logs.sessions) >= 2


def test_a_stream_that_ends_is_opened_again():
    with Logs([text(1)], [text(1, 2)], [text(1, 2, 3)]) as logs:
        assert collect(logs, 3) == numbered(1, 2, 3)


def test_a_stream_that_grew_old_is_opened_again():
    with Logs([text(1), b"\0" * 8, text(2)], [text(1, 2, 3)]) as logs:
        assert collect(logs, 3, longest_age=0) == numbered(1, 2, 3)


def test_the_same_text_twice_in_one_session_is_two_lines():
    with Logs([text(1, 1), None], [text(1, 1, 2)]) as logs:
        assert collect(logs, 3) == numbered(1, 1, 2)


def test_a_log_that_cannot_be_followed_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setattr("threading.Event.wait", lambda self, timeout=None: self.is_set())
    with Logs(status=404) as logs, pytest.raises(LogStreamError, match="could not be followed"):
        collect(logs, 1)


def test_close_ends_a_blocked_read():
    hold = threading.Event()
    with Logs([text(1), hold]) as logs:
        inbox = queue.SimpleQueue()
        stream = LogStream(logs.client, "app", "run.1", inbox.put).start()
        inbox.get(timeout=10)
        stream.close()
        stream._thread.join(5)
        alive = stream._thread.is_alive()
        hold.set()

    assert not alive


def test_the_backlog_is_read_to_its_end():
    with Logs([text(1, 2), text(3)]) as logs:
        assert [one.message for one in backlog(logs.client, "app", "run.1")] == numbered(1, 2, 3)


def test_a_backlog_that_breaks_off_is_read_again():
    with Logs([text(1), None], [text(1, 2)]) as logs:
        assert [one.message for one in backlog(logs.client, "app", "run.1")] == numbered(1, 2)


def test_a_backlog_that_always_breaks_off_is_an_error(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Logs(*[[text(1), None]] * 6) as logs, pytest.raises(LogStreamError, match="broke off"):
        backlog(logs.client, "app", "run.1")
