"""Many concurrent dynos and readers: nothing is lost, and memory stays bounded."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from emulators import OVER, Emulator, wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


def memory(emulator, kind):
    status = Path(f"/proc/{emulator.process.pid}/status").read_text()
    return int(re.search(rf"{kind}:\s+(\d+) kB", status)[1])


def test_200_concurrent_dynos_deliver_all_their_lines(start, make_folder, tmp_path):
    emulator = start(make_folder(), "--one-offs", "500")
    command = f"until [ -e {tmp_path}/all ]; do sleep 1; done; seq 50; exit 3"
    dynos = [emulator.create(command) for _ in range(200)]
    assert len(emulator.get("/apps/demo/dynos", headers={"Range": "id ..; max=1000"})) == 200
    heard, listening = {}, threading.Barrier(51)

    def follow(dyno):
        with emulator.tail(dyno) as log:
            listening.wait(30)
            heard[dyno["name"]] = log.until(OVER)

    threads = [threading.Thread(target=follow, args=(dyno,)) for dyno in dynos[:50]]
    for thread in threads:
        thread.start()
    listening.wait(30)
    (tmp_path / "all").touch()
    for thread in threads:
        thread.join()
    assert len(heard) == 50
    for lines in heard.values():
        said = [line.partition(b"]: ")[2] for line in lines if b" app[run" in line]
        assert said == [b"%d" % number for number in range(1, 51)]
        assert any(b"Process exited with status 3" in line for line in lines)
    wait_until(lambda: emulator.get("/apps/demo/dynos") == [], 20)


@needs_proc
def test_50_readers_get_every_line_of_a_flood_and_memory_stays_bounded(start, make_folder, tmp_path):
    emulator = start(make_folder())
    before = memory(emulator, "VmRSS")
    gate, counts, are_open = tmp_path / "gate", [], threading.Barrier(51)
    dyno = emulator.create(f"until [ -e '{gate}' ]; do sleep 0.1; done; seq 100000")

    def follow():
        with emulator.tail(dyno, source="app") as log:
            are_open.wait(60)
            numbers = 0
            for line in log.lines:
                numbers += 1
                if line.endswith(b" 100000"):
                    break
            counts.append(numbers)

    threads = [threading.Thread(target=follow) for _ in range(50)]
    for thread in threads:
        thread.start()
    are_open.wait(60)
    gate.touch()
    for thread in threads:
        thread.join()
    assert counts == [100_000] * 50
    assert memory(emulator, "VmHWM") - before < 200_000


def model(data):
    """What comes out of a dyno's stdout: lines, cut at 10,000 bytes with the newline counted."""
    *whole, rest = data.split(b"\n")
    lines = []
    for line in whole:
        text = line + b"\n"
        pieces = [text[at : at + 10_000] for at in range(0, len(text), 10_000)]
        lines += [piece.removesuffix(b"\n") for piece in pieces]
    return lines + [rest[at : at + 10_000] for at in range(0, len(rest), 10_000)]


@pytest.fixture(scope="module")
def printer(make_folder, processes):
    emulator = Emulator(make_folder())
    yield emulator
    assert emulator.end() == ""


pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"\0", b"\xe2\x80\xa8", b"\xff", b"x" * 9_999, b"y" * 10_000, b"z" * 25_001]
    ),
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(pieces, max_size=8))
def test_any_bytes_leave_the_stream_split_and_prefixed(printer, tmp_path, chunks):
    (tmp_path / "bytes").write_bytes(b"".join(chunks))
    dyno = printer.create(f"cat {tmp_path}/bytes")
    wait_until(lambda: printer.get("/apps/demo/dynos") == [])
    answer = printer.open(printer.session(dyno=dyno["name"], source="app", lines=1500)).answer
    head = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 app\[" + dyno["name"].encode() + rb"\]: "
    printed = re.split(rb"(?:^|(?<=\n))" + head, answer.content)[1:]
    assert [text.removesuffix(b"\n") for text in printed] == model(b"".join(chunks))
