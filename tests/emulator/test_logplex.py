"""Log sessions, filters and streams, over HTTP and directly."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from emulators import OVER
from loops import run_loop

from heroku_magic.emulator.logs import logplex as module
from heroku_magic.emulator.logs.logplex import Filter, Logplex, LogplexSession, Tail
from heroku_magic.emulator.timings import Timings


def texts(logplex, **more):
    session = LogplexSession(Filter(more.pop("dyno", None), more.pop("source", None)), **{"lines": 1500, **more})
    return [line for batch in logplex.backlog(session) for line in batch.lines]


@pytest.fixture
def filled():
    logplex = Logplex()
    logplex.publish("app", "api", [b"a"])
    logplex.publish("heroku", "run.1", [b"b"])
    logplex.publish("app", "run.1", [b"c", b"d"])
    logplex.publish("app", "run.12", [b"e"])
    logplex.publish("app", "runner.1", [b"f"])
    return logplex


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        ({}, "abcdef"),
        ({"dyno": "run.1"}, "bcd"),
        ({"dyno": "run"}, "bcde"),
        ({"dyno": "api"}, "a"),
        ({"source": "heroku"}, "b"),
        ({"dyno": "run.1", "source": "app"}, "cd"),
        ({"dyno": "run.3"}, ""),
        ({"lines": 2}, "ef"),
        ({"lines": 0}, ""),
        ({"lines": 3, "dyno": "run.1"}, "d"),
    ],
)
def test_the_backlog_is_cut_before_it_is_filtered(filled, wanted, lines):
    assert b"".join(texts(filled, **wanted)).decode() == lines


def test_1500_lines_are_kept_whatever_their_batches():
    logplex = Logplex()
    for start in range(0, 4000, 7):
        logplex.publish("app", "run.1", [b"%d" % each for each in range(start, start + 7)])
    kept = texts(logplex)
    assert kept == [b"%d" % each for each in range(4004 - 1500, 4004)]


def test_an_unopened_session_expires_after_five_minutes(monkeypatch):
    async def scenario():
        logplex = Logplex()
        session = LogplexSession(Filter())
        logplex.open_session(session)
        assert logplex.session(session.token) is session
        session.used_at -= 301
        gone = logplex.session(session.token)
        session.readers = 1
        return gone, logplex.session(session.token)

    gone, read = run_loop(scenario())
    assert gone is None
    assert read is not None


def test_a_reader_that_reads_nothing_loses_lines_and_learns_how_many(monkeypatch):
    monkeypatch.setattr(module, "PENDING", 1000)
    monkeypatch.setattr(module, "TAIL_BUFFER", 102)

    async def scenario():
        logplex = Logplex(Timings(patience=0.01))
        woken = asyncio.Event()
        tail = Tail(logplex, LogplexSession(Filter("run.1"), tail=True), events=True)
        logplex.waiting.add(woken.set)
        logplex.publish("app", "run.1", [b"kept"] * 100)
        assert not logplex.has_room("run.1")
        assert logplex.has_room("run.2")
        await woken.wait()
        assert logplex.has_room("run.1")
        logplex.publish("app", "run.1", [b"newest"] * 7)
        logplex.publish("app", "run.2", [b"not wanted"])
        taken = await tail.take(1)
        logplex.publish("app", "run.1", [b"after"])
        return taken, await tail.take(1)

    taken, after = run_loop(scenario())
    assert (taken.count(b"kept"), taken.count(b"newest")) == (95, 7)
    told, _, rest = taken.partition(b"\n\n")
    assert rest.startswith(b"id: 6\n")
    assert re.fullmatch(
        rb"data: \S+ heroku\[logplex\]: Error L11 \(Tail buffer overflow\) -> "
        rb"This tail session dropped 5 messages since \S+\.",
        told,
    )
    assert after.startswith(b"id: 109\ndata: ")


def test_a_stalled_reader_loses_lines_but_the_dyno_ends(demo):
    dyno = demo.create("seq 400000")
    url = urlsplit(demo.session(dyno=dyno["name"], lines=1500, tail=True, source="app"))
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect((url.hostname, url.port))
        stalled.sendall(f"GET {url.path}?{url.query} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode())
        with demo.tail(dyno, source="heroku") as log:
            log.until(OVER)
        read = _read_until_silent(stalled)
    kept = [int(line.rpartition(b" ")[2]) for line in read.split(b"\n") if b" app[" in line]
    dropped = sum(map(int, re.findall(rb"dropped (\d+) messages", read)))
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (1, 400_000)
    assert len(kept) + dropped == 400_000


def _read_until_silent(stalled):
    """The newest lines wait for the reader, the older ones are told to be lost."""
    stalled.settimeout(10)
    read = b""
    while b" 400000\n" not in read[-4096:]:
        read += stalled.recv(1 << 20)
    return read


def _memory():
    return Path(f"/proc/{os.getpid()}/status").exists()


@pytest.mark.skipif(not _memory(), reason="needs /proc")
def test_memory_stays_bounded_in_a_flood(demo):
    demo.log(demo.create("seq 300000"))
    status = Path(f"/proc/{demo.process.pid}/status").read_text()
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 150_000


def test_events_are_numbered_lines_that_end_cleanly(demo):
    dyno = demo.create(r"printf 'one\n\xff two\n'")
    demo.log(dyno)
    with demo.open(demo.session(dyno=dyno["name"]), Accept="text/event-stream") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        body = answer.answer.content
    first, *events = body.removesuffix(b"\n\n").split(b"\n\n")
    assert first == b"retry: 0"
    matches = [re.fullmatch(rb"id: (\d+)\ndata: (\S+ .*)", event) for event in events]
    assert [match[2].partition(b"]: ")[2] for match in matches][2:4] == [b"one", b"\xff two"]
    numbers = [int(match[1]) for match in matches]
    assert numbers == sorted(set(numbers))


def test_plain_text_has_one_line_per_message(demo):
    dyno = demo.create("echo one")
    demo.log(dyno)
    with demo.open(demo.session(dyno=dyno["name"])) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.answer.content.count(b"\n") == 5


def test_a_reader_that_reconnects_continues_after_its_last_event(demo):
    dyno = demo.create("seq 3; sleep 0.05; read -t 60 < <(sleep 60)", time_to_live=60)
    url = demo.session(dyno=dyno["name"], lines=1500, tail=True)
    with demo.open(url, Accept="text/event-stream") as answer:
        events = answer.until(b"app[" + dyno["name"].encode() + b"]: 3")
    second = [line for line in events if line.startswith(b"id: ")][-2].removeprefix(b"id: ")
    with demo.open(url, **{"Accept": "text/event-stream", "Last-Event-ID": second.decode()}) as answer:
        demo.stop(dyno)
        lines = [line for line in answer.until(OVER) if line.startswith(b"data: ")]
    assert [line.partition(b"]: ")[2] for line in lines] == [
        b"3",
        b"Stopping all processes with SIGTERM",
        b"Process exited with status 143",
        b"State changed from up to complete",
    ]


def test_the_headers_of_a_silent_tail_are_sent_at_once_and_its_url_needs_no_token(demo):
    with demo.open(demo.session(dyno="nobody.1", tail=True)) as answer:
        assert answer.answer.status_code == 200


def test_an_unknown_dyno_is_an_empty_stream(demo):
    assert demo.backlog(dyno="nobody.1") == []


@pytest.mark.parametrize(
    "body", [{"lines": -1}, {"lines": 1.5}, {"tail": 1}, {"dyno": 3}, {"nothing": 1}, {"source": []}]
)
def test_a_session_with_invalid_parameters_is_refused(demo, body):
    assert demo.ask("POST", "/apps/demo/log-sessions", 422, json=body).json()["id"] == "invalid_params"


def test_numbers_as_text_and_the_older_name_of_the_filter_are_accepted(demo):
    dyno = demo.create("seq 5")
    demo.log(dyno)
    assert len(demo.backlog(dyno_name=dyno["name"], lines="3")) == 3


def test_a_silent_tail_sends_heartbeats(monkeypatch):
    async def scenario():
        tail = Tail(Logplex(), LogplexSession(Filter(), tail=True), events=False)
        silence = await tail.take(0.01)
        tail.close()
        return silence, await tail.take(0.01)

    assert run_loop(scenario()) == (b"", None)
