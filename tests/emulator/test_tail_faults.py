"""Faults of log lines and streams affect a tail, but neither the buffer nor a read without tail."""

from __future__ import annotations

import re

import pytest
import requests

LINES = [b"%d" % number for number in range(200)]


def printed(lines):
    return [line.rpartition(b"]: ")[2] for line in lines if b" app[run" in line]


def until_silent(answer):
    """The lines up to three heartbeats in a row: the last one may be among those that are missing."""
    read = b""
    for chunk in answer.iter_content(None):
        read += chunk
        if read.endswith(b"\0\0\0"):
            break
    return read.replace(b"\0", b"").split(b"\n")


@pytest.fixture
def disturbed(start, make_folder, processes):
    """Return a function: what a tail of 200 lines brings under some faults, and the backlog after it."""

    def run(*faults, seed="1"):
        options = [option for fault in faults for option in ("--fault", fault)]
        emulator = start(make_folder(), *options, "--seed", seed, "--time", "heartbeat=0.3")
        dyno = emulator.create("sleep 0.2; for i in {0..199}; do echo $i; done; sleep 0.1")
        with emulator.tail(dyno) as log:
            lines = until_silent(log.answer)
        return lines, emulator.backlog(dyno=dyno["name"], lines=1500)

    return run


@pytest.mark.parametrize("fault", ["drop-lines=0.1", "drop-lines-silent=0.1", "double-lines=0.2", "reorder-lines=0.2"])
def test_faults_change_a_tail_and_not_the_buffer(disturbed, fault):
    lines, backlog = disturbed(fault)
    assert printed(backlog) == LINES
    brought, name = printed(lines), fault.partition("=")[0]
    losses = sum(map(int, re.findall(rb"L11 .* dropped (\d+) messages", b"\n".join(lines))))
    if name.startswith("drop"):
        assert 2 < len(LINES) - len(brought) < 60
        assert (losses > 0) == (name == "drop-lines")
    if name == "double-lines":
        assert sorted(set(brought), key=int) == LINES
        assert len(brought) > len(LINES) + 10
    if name == "reorder-lines":
        assert brought != LINES
        assert len(set(brought)) > 150


def test_the_same_seed_strikes_the_same_lines(disturbed):
    first, _ = disturbed("drop-lines-silent=0.3", seed="5")
    again, _ = disturbed("drop-lines-silent=0.3", seed="5")
    other, _ = disturbed("drop-lines-silent=0.3", seed="6")
    assert printed(first) == printed(again) != printed(other)


def test_a_late_line_follows_the_exit_line(faulty):
    emulator = faulty("late-lines=0.5")
    dyno = emulator.create("echo late")
    with emulator.tail(dyno) as log:
        lines = log.until(b"app[run")
    assert any(b"Process exited" in line for line in lines[:-1])
    assert printed(lines) == [b"late"]
    assert printed(emulator.backlog(dyno=dyno["name"])) == [b"late"]


def test_lines_lost_before_the_buffer_are_reported_and_gone(start, make_folder):
    emulator = start(make_folder(), "--fault", "lose-lines=0.2")
    emulator.run("for i in {0..199}; do echo $i; done")
    backlog = emulator.backlog(lines=1500)
    lost = sum(
        map(int, re.findall(rb"app\[log-shuttle\]: Error L12: (\d+) messages dropped since", b"\n".join(backlog)))
    )
    assert lost > 10
    assert len(printed(backlog)) + lost == 200


def test_a_stream_breaks_off_and_its_url_stays_valid(faulty):
    emulator = faulty("cut-stream=1")
    dyno = emulator.create("seq 1000; sleep 5")
    url = emulator.session(dyno=dyno["name"], lines=1500, tail=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError), emulator.open(url) as log:
        log.until(b"never")
    emulator.ask("PUT", "/emulator/faults", json={"faults": {}})
    with emulator.open(url) as log:
        assert printed(log.until(b"]: 1000")) == [b"%d" % number for number in range(1, 1001)]


def test_a_stale_stream_sends_heartbeats_and_no_further_line(start, make_folder):
    emulator = start(make_folder(), "--fault", "stale-stream=1", "--time", "heartbeat=0.1")
    dyno = emulator.create("while sleep 0.05; do echo tick; done", time_to_live=3)
    answer = emulator.tail(dyno).answer
    read = b"".join(chunk for chunk, _ in zip(answer.iter_content(None), range(25), strict=False))
    assert read.endswith(b"\0" * 5)
    answer.close()


def test_a_stale_stream_is_never_silent_while_its_dyno_prints(start, make_folder):
    emulator = start(make_folder(), "--fault", "stale-stream=1", "--time", "heartbeat=30")
    answer = emulator.tail(emulator.create("while sleep 0.05; do echo tick; done", time_to_live=3)).answer
    read = b"".join(chunk for chunk, _ in zip(answer.iter_content(None), range(25), strict=False))
    assert read.endswith(b"\0" * 5)
    answer.close()


def test_an_old_stream_goes_stale(start, make_folder):
    emulator = start(make_folder(), "--time", "stream=0.5", "--time", "heartbeat=0.1")
    dyno = emulator.create("while sleep 0.05; do echo tick; done", time_to_live=3)
    url = emulator.session(dyno=dyno["name"], lines=1500, tail=True)
    for _ in range(2):
        with emulator.open(url) as log:
            read = b"".join(chunk for chunk, _ in zip(log.answer.iter_content(None), range(25), strict=False))
        assert b"tick" in read
        assert read.endswith(b"\0" * 5)


def test_the_url_of_a_session_is_refused(faulty):
    emulator = faulty("expired-session=1")
    assert requests.get(emulator.session(tail=True), timeout=20).status_code == 404


def test_a_carriage_return_does_not_cut_an_event_in_two(demo):
    dyno = demo.create(r"printf '10%%\r20%%\rdone\n'")
    demo.log(dyno)
    body = requests.get(demo.session(dyno=dyno["name"]), headers={"Accept": "text/event-stream"}, timeout=20).content
    events = [re.split(rb"\r\n|\r|\n", event) for event in body.split(b"\n\n") if event]
    assert any(line.endswith(b"]: 10% 20% done") for event in events for line in event)
    assert printed(demo.backlog(dyno=dyno["name"])) == [b"10%\r20%\rdone"]
