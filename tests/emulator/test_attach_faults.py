"""The faults of an attached dyno's connection, one by one, as a TLS client sees them."""

from __future__ import annotations

import time

import pytest
from emulators import AttachClient, wait_until

GREETING = b"rendezvous\r\n"
EOT = b"\x04"
END = "Process exited with status "


@pytest.fixture
def connect(faulty):
    """Return a function that attaches to a command in an emulator with these faults."""
    clients = []

    def begin(command, *faults, greeting=GREETING, **more):
        emulator = faulty(*faults, **more)
        dyno = emulator.create(command, attach=True, force_no_tty=True)
        clients.append(AttachClient(emulator, dyno["attach_url"]))
        assert clients[-1].read(len(greeting)) == greeting
        return clients[-1], emulator, dyno

    yield begin
    for client in clients:
        client.close()


def log(emulator, dyno):
    return [line.partition(b"]: ")[2].decode() for line in emulator.log(dyno)]


def test_a_refused_attach_has_a_closed_port_and_ends_in_r13(start, make_folder, attach):
    emulator = start(make_folder(), "--time", "attach=0.5", "--fault", "attach-refused", certificate=True)
    dyno = emulator.create("true", attach=True)
    with pytest.raises(ConnectionRefusedError):
        AttachClient(emulator, dyno["attach_url"])
    assert log(emulator, dyno)[1:3] == ["Error R13 (Attach error) -> Failed to attach to process", f"{END}128"]
    emulator.ask("PUT", "/emulator/faults", json={"faults": {}})
    client, _ = attach("echo here", force_no_tty=True, emulator=emulator)
    assert client.rest() == b"here\n"


def test_a_hanging_attach_gets_no_greeting_and_ends_in_r13(start, make_folder):
    emulator = start(make_folder(), "--time", "attach=0.5", "--fault", "attach-hang=1", certificate=True)
    dyno = emulator.create("echo never", attach=True)
    client = AttachClient(emulator, dyno["attach_url"])
    assert client.is_quiet(1)
    assert log(emulator, dyno)[1:3] == ["Error R13 (Attach error) -> Failed to attach to process", f"{END}128"]
    assert client.is_quiet(0.1)
    client.close()


@pytest.mark.parametrize("seconds", [0.2, 0.6])
def test_a_cut_ends_the_connection_after_so_many_seconds_and_the_dyno_gets_a_sighup(connect, seconds):
    client, emulator, dyno = connect("while echo tick; do sleep 0.05; done", f"attach-cut={seconds}")
    begun = time.monotonic()
    assert set(client.rest().split()) == {b"tick"}
    assert seconds - 0.1 < time.monotonic() - begun < seconds + 0.5
    assert f"{END}129" in log(emulator, dyno)


def test_a_silent_connection_stays_open_and_neither_side_learns_of_the_other(connect):
    client, emulator, dyno = connect("while echo tick; do sleep 0.05; done", "attach-silent=1")
    client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        list(client.records())
    client.send(b"unheard\n")
    client.close()
    time.sleep(0.7)
    assert emulator.get(f"/apps/demo/dynos/{dyno['id']}")["state"] == "up"
    emulator.stop(dyno)
    assert "Client connection closed. Sending SIGHUP to all processes" not in log(emulator, dyno)


def test_a_silent_connection_does_not_end_with_its_dyno(connect):
    client, emulator, dyno = connect("sleep 2.2; echo late", "attach-silent=1")
    log(emulator, dyno)
    assert client.is_quiet(1)
    client.close()


@pytest.mark.parametrize(("lost", "arrived"), [(3, b"0123456"), (10, b""), (100, b"")])
def test_the_tail_of_the_output_is_lost_if_the_dyno_ends_at_once(connect, lost, arrived):
    client, _, _ = connect("printf 0123456789", f"attach-tail={lost}")
    assert client.rest() == arrived


def test_the_tail_arrives_if_the_dyno_waits(connect):
    client, _, _ = connect("printf 0123456789; sleep 0.4; printf abc", "attach-tail=5")
    assert client.rest() == b"0123456789"


def test_an_empty_attach_runs_its_dyno_and_loses_the_output(connect):
    client, emulator, dyno = connect("seq 1000; exit 3", "attach-empty=1")
    assert client.rest() == b""
    assert f"{END}3" in log(emulator, dyno)


def test_a_stalled_attach_reads_30_kb_and_then_nothing(connect):
    client, emulator, dyno = connect("wc -c", "attach-stall=1")
    client.send(bytes(29_000) + EOT)
    assert client.rest() == b"29000\n"
    client, emulator, dyno = connect("wc -c", "attach-stall=1")
    client.send(bytes(31_000) + EOT)
    assert client.is_quiet(0.5)
    client.close()
    assert f"{END}129" in log(emulator, dyno)


def test_a_stall_counts_only_the_input_since_the_last_output(connect):
    client, _, _ = connect("while read line; do echo $line; done", "attach-stall=1")
    for line in [b"x" * 999 + b"\n"] * 50:
        client.send(line)
        assert client.read(1000) == line


def test_chopped_bytes_arrive_one_by_one_in_the_greeting_too(connect):
    client, _, _ = connect("cat", "attach-chop=1", greeting=b"")
    client.send(b"hello there" + EOT)
    assert list(client.records()) == [bytes([byte]) for byte in GREETING + b"hello there"]


def test_the_highest_bit_is_lost_in_both_directions(connect):
    client, _, _ = connect("od -An -tx1; printf '\\351a'", "attach-7bit=1")
    client.send(b"\xc3\xa9A" + EOT)
    assert client.rest() == b" 43 29 41\nia"


def test_a_fault_with_a_probability_strikes_only_some_attaches(faulty):
    emulator, empty = faulty("attach-empty=0.5", seed=1), []
    for _ in range(12):
        dyno = emulator.create("echo x", attach=True, force_no_tty=True)
        client = AttachClient(emulator, dyno["attach_url"])
        client.send(EOT)
        empty.append(client.rest() == GREETING)
        client.close()
    assert 1 <= sum(empty) <= 11


@pytest.mark.parametrize("fault", ["attach-chop=1", "attach-7bit=1", "attach-stall=1", "attach-tail=10"])
def test_faults_work_with_a_round_trip(start, make_folder, attach, fault):
    emulator = start(make_folder(), "--time", "round-trip=0.05", certificate=True)
    emulator.ask("PUT", "/emulator/faults", json={"faults": {fault.split("=")[0]: float(fault.split("=")[1])}})
    dyno = emulator.create("cat; sleep 0.3", attach=True, force_no_tty=True)
    client = AttachClient(emulator, dyno["attach_url"])
    client.send(b"plain text\n" + EOT)
    assert client.rest() == GREETING + b"plain text\n"
    client.close()
    wait_until(lambda: emulator.get("/apps/demo/dynos") == [])
