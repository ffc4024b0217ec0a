"""A log stream passes on every line once whatever happens to its connection, on a real socket."""

from __future__ import annotations

import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.api import log_stream
from heroku_magic.api.client import HerokuClient
from heroku_magic.api.log_lines import PIECE, LogLine
from heroku_magic.api.log_stream import LogStream, Stopwatch, _History, backlog
from heroku_magic.errors import LogStreamError, Unreachable
from heroku_magic.text.notifier import notifications_to
from heroku_magic.text.secret import Secret


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
            disable_nagle_algorithm = True  # or each response waits 40 ms for an acknowledgement of its headers

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
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.001}, daemon=True).start()

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
def test_lines_arrive_in_order_however_they_are_chunked(sse):
    body = text(1, 2, 3)
    if sse:
        body = b"".join(b"id: %d\ndata: %b\n\n" % (i, line(i).encode()) for i in (1, 2, 3))
    beat = b": keepalive\n\n" if sse else b"\0"
    with Logs([beat, body[:30], body[30:100], body[100:], beat], sse=sse) as logs:
        assert collect(logs, 3) == numbered(1, 2, 3)


def test_a_broken_stream_is_reopened_and_no_line_arrives_twice():
    with Logs([text(1, 2), line(3).encode()[:20], None], [text(1, 2, 3, 4)]) as logs:
        assert collect(logs, 4) == numbered(1, 2, 3, 4)
        assert len(logs.sessions) >= 2


def test_a_stream_that_ends_is_reopened():
    with Logs([text(1)], [text(1, 2)], [text(1, 2, 3)]) as logs:
        assert collect(logs, 3) == numbered(1, 2, 3)


def test_an_old_stream_is_reopened():
    with Logs([text(1), b"\0" * 8, text(2)], [text(1, 2, 3)]) as logs:
        assert collect(logs, 3, longest_age=0) == numbered(1, 2, 3)


def test_the_same_text_twice_in_one_session_is_two_lines():
    with Logs([text(1, 1), None], [text(1, 1, 2)]) as logs:
        assert collect(logs, 3) == numbered(1, 1, 2)


@pytest.mark.large
def test_a_log_that_cannot_be_followed_raises_an_error_instead_of_hanging(monkeypatch):
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


@pytest.mark.large
def test_a_backlog_that_breaks_off_is_read_again():
    with Logs([text(1), None], [text(1, 2)]) as logs:
        assert [one.message for one in backlog(logs.client, "app", "run.1")] == numbered(1, 2)


@pytest.mark.large
def test_a_backlog_that_breaks_off_every_time_is_an_error(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Logs(*[[text(1), None]] * 6) as logs, pytest.raises(LogStreamError, match="failed repeatedly"):
        backlog(logs.client, "app", "run.1")


# -- clocks -------------------------------------------------------------------------------------------


class Clocks:
    """A wall clock and a monotonic one that stand still until they are moved."""

    def __init__(self):
        self.now = (1_700_000_000.0, 500.0)

    def __call__(self):
        return self.now

    def go_on(self, seconds):
        self.now = (self.now[0] + seconds, self.now[1] + seconds)

    def sleep(self, seconds):
        self.now = (self.now[0] + seconds, self.now[1])

    def set_back(self, seconds):
        self.now = (self.now[0] - seconds, self.now[1])


def test_a_stopwatch_uses_the_clock_that_advanced_more():
    clocks = Clocks()
    watch = Stopwatch(clocks)
    clocks.sleep(2400)
    asleep = watch.seconds
    watch.restart()
    clocks.set_back(3600)
    clocks.go_on(30)

    assert (asleep, watch.seconds) == (2400, 30)


class Following:
    """A LogStream whose clocks and watch are in the test's hand; the server holds each stream open."""

    def __init__(self, monkeypatch, *scripts, **options):
        monkeypatch.setattr(log_stream, "WATCH_INTERVAL", 1000)
        self.clocks, self.said, self.inbox = Clocks(), [], queue.SimpleQueue()
        self.hold = threading.Event()
        self.logs = Logs(*([*script, self.hold] for script in scripts))
        self.options = options
        self.last = None

    def __enter__(self):
        self.logs.__enter__()
        self.stream = LogStream(
            self.logs.client, "app", "run.1", self.inbox.put, now=self.clocks, **self.options
        ).start()
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.hold.set()
        self.stream._thread.join(10)
        self.stream._watch.join(0)
        self.logs.__exit__()

    def read(self):
        item = self.inbox.get(timeout=20)
        assert isinstance(item, list)
        return [one.message for one in item]

    def wait_for_session(self, count):
        """Wait until so many streams were opened."""
        while len(self.logs.sessions) < count or self.stream._session is self.last:
            time.sleep(0.005)
        self.last = self.stream._session

    def after(self, move, seconds):
        """The clocks move, and the watch looks once."""
        move(seconds)
        with notifications_to(self.said.append):
            self.stream._check()


def test_after_sleep_the_log_continues_from_the_backlog_and_a_message_says_so(monkeypatch):
    with Following(monkeypatch, [text(1)], [text(1, 2)]) as following:
        first = following.read()
        following.after(following.clocks.sleep, 2400)

        assert (first, following.read()) == (numbered(1), numbered(2))
        assert following.said == ["The computer slept for 40 min; the log continues with the lines that Heroku kept"]


def test_a_stream_that_sends_no_byte_is_reopened(monkeypatch):
    with Following(monkeypatch, [text(1)], [text(1, 2)]) as following:
        first = following.read()
        following.after(following.clocks.go_on, 31)

        assert (first, following.read(), following.said) == (numbered(1), numbered(2), [])


def test_a_young_stream_that_sends_lines_is_not_reopened(monkeypatch):
    with Following(monkeypatch, [text(1)]) as following:
        following.read()
        following.after(following.clocks.go_on, 29)

        assert len(following.logs.sessions) == 1
        assert not following.stream._session.is_ended


def is_over(stream, session, clocks, seconds):
    """Whether a stream that shows with heartbeats that it lives is over after so many seconds more."""
    clocks.go_on(seconds)
    session.heard.restart()
    return stream._is_over(session)


def test_a_stream_of_only_heartbeats_is_reopened_at_growing_intervals(monkeypatch):
    clocks = Clocks()
    stream = LogStream(None, "app", "run.1", lambda _: None, now=clocks)
    distances = []
    for _ in range(6):
        session = log_stream._Session(None, clocks)
        began = clocks.now[1]
        while not is_over(stream, session, clocks, 1):
            pass
        distances.append(round(clocks.now[1] - began))
        stream._extend_patience(session)

    assert distances == [61, 121, 241, 481, 841, 841]


def test_a_line_resets_the_patience_and_a_slow_task_gets_more(monkeypatch):
    clocks = Clocks()
    stream = LogStream(None, "app", "run.1", lambda _: None, now=clocks)
    session = log_stream._Session(None, clocks)
    patience = []
    for number, seconds in enumerate((0, 240, 1, 70, 3600)):
        clocks.go_on(seconds)
        stream._take(session, [one(number)])
        patience.append(stream._patience)

    assert patience == [60, 480, 60, 140, 840]


@pytest.mark.large
def test_hours_without_a_line_are_not_a_failure(monkeypatch):
    scripts = [[text(1)] for _ in range(2 * log_stream.MAX_ATTEMPTS)]
    with Following(monkeypatch, *scripts, [text(1, 2)]) as following:
        following.read()
        for count in range(1, len(scripts) + 1):
            following.wait_for_session(count)
            following.after(following.clocks.go_on, 900)

        assert following.read() == numbered(2)


class NoNetwork:
    """A client whose every request takes ten seconds and fails."""

    base_url = "https://api.heroku.com"

    def __init__(self, clocks):
        self.clocks, self.asked = clocks, 0

    def create_log_session(self, app, *, dyno):
        self.asked += 1
        self.clocks.go_on(10)
        raise Unreachable("no connection")


def test_a_missing_network_is_waited_for_but_not_forever(monkeypatch):
    monkeypatch.setattr(log_stream, "_pause", lambda failures: 0)
    clocks, got = Clocks(), []
    client = NoNetwork(clocks)
    stream = LogStream(client, "app", "run.1", got.append, now=clocks)
    stream._follow()

    assert client.asked == 12
    assert [str(error) for error in got] == ["The log could not be followed: no connection"]


def test_an_embedded_heroku_that_has_ended_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(log_stream, "_pause", lambda failures: 0)
    clocks, got = Clocks(), []
    client = NoNetwork(clocks)
    client.base_url = "http://127.0.0.1:9"
    monkeypatch.setattr(Unreachable, "sent", False)
    LogStream(client, "app", "run.1", got.append, now=clocks)._follow()

    assert client.asked == 1
    assert len(got) == 1


# -- what was seen, and what is missing ---------------------------------------------------------------


def one(number, message=None):
    return LogLine(f"2024-10-17T22:23:22.{number:06d}+00:00", "app", "run.1", message or f"line {number}")


def replay(*sessions):
    """Let sessions, each a list of chunks, go through a history; return what is new, and the gaps."""
    history, fresh = _History(), []
    for chunks in sessions:
        history.begin()
        for chunk in chunks:
            fresh += history.unseen(chunk)
        history.end()
    return fresh, history.gaps


def test_a_backlog_that_does_not_reach_back_is_a_gap():
    seen, missed = [one(1), one(2)], [one(8), one(9)]

    assert replay([seen], [missed]) == (seen + missed, 1)
    assert replay([seen], [[one(2), one(3)]])[1] == 0
    assert replay([seen], [[one(2)], missed])[1] == 0
    assert replay([], [missed])[1] == 0
    assert replay([seen], [missed], [[one(20)]], [[one(20), one(21)]])[1] == 2


def test_a_late_line_from_before_the_lines_seen_is_not_a_gap():
    assert replay([[one(2)]], [[one(1)], [one(2)], [one(3)]]) == ([one(2), one(1), one(3)], 0)


def test_a_session_that_broke_before_its_backlog_is_not_a_gap():
    assert replay([[one(1)]], [[]], [[one(1), one(2)]])[1] == 0


def test_an_empty_backlog_is_a_gap_until_another_session_continues_the_lines():
    history = _History()
    gaps = []
    for chunk in ([one(1)], [], [one(1)]):
        history.begin()
        history.unseen(chunk)
        if not chunk:
            history.mark_empty()
        history.end()
        gaps.append(history.gaps)

    assert gaps == [0, 1, 0]


def test_the_rest_of_a_long_line_at_the_start_of_a_backlog_is_dropped():
    long = one(1, "a" * PIECE + "b" * PIECE + "c")

    for rest in ("c", "b" * PIECE + "c"):
        assert replay([[long]], [[one(1, rest), one(2)]]) == ([long, one(2)], 0)
    assert replay([[long]], [[one(2, "c")]]) == ([long, one(2, "c")], 1)


@st.composite
def histories(draw):
    """An app's log in order, and sessions: each a window that begins by what was seen and goes farther."""
    times = sorted(draw(st.lists(st.integers(0, 30), min_size=1, max_size=60)))
    log = [one(when, draw(st.sampled_from("ab"))) for when in times]
    # Where a time begins: a window that begins in the midst of equal lines fits in more than one place.
    starts = [at for at, when in enumerate(times) if when not in times[:at]]
    sessions, seen = [], 0
    for end in [*draw(st.lists(st.integers(0, len(log)), max_size=5)), len(log)]:
        start = draw(st.sampled_from([at for at in starts if at <= seen]))
        places = [start, *sorted(draw(st.lists(st.integers(start, max(start, end)), max_size=4))), max(start, end)]
        sessions.append([log[low:high] for low, high in pairwise(places)])
        seen = max(seen, end)
    return log, sessions


@pytest.mark.large
@given(histories())
def test_every_line_arrives_once_and_in_order_however_often_the_stream_is_opened(history):
    log, sessions = history

    assert replay(*sessions)[0] == log


def test_the_lines_seen_take_bounded_memory():
    history = _History()
    history.begin()
    for start in range(0, 20_000, 5000):
        assert len(history.unseen([one(number) for number in range(start, start + 5000)])) == 5000

    assert len(history._seen) == 2 * log_stream.BACKLOG


def test_the_stream_counts_its_gaps(monkeypatch):
    with Following(monkeypatch, [text(1)], [text(8, 9)]) as following:
        following.read()
        before = following.stream.gaps
        following.after(following.clocks.go_on, 31)
        following.read()

        assert (before, following.stream.gaps) == (0, 1)
