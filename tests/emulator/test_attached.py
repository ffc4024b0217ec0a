"""Attached dynos, byte by byte, as a TLS client sees them."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from emulators import AttachClient, is_running, wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loops import run_loop

from heroku_magic.emulator.certificate import Certificate
from heroku_magic.emulator.dynos.rendezvous import Rendezvous
from heroku_magic.emulator.errors import ErrorResponse
from heroku_magic.emulator.faults import Faults

MARK = b"\xef\xbf\xbf heroku-command-exit-status: "
EOT = b"\x04"


def only_word(*arguments, **more):
    """All that a client gets that does nothing."""
    client = AttachClient(*arguments, **more)
    try:
        return client.rest()
    finally:
        client.close()


def heroku_lines(emulator, dyno):
    return [line.partition(b"]: ")[2].decode() for line in emulator.log(dyno)]


def test_without_a_terminal_the_output_is_unchanged_and_the_input_ends(attach, demo):
    client, dyno = attach("echo to stderr >&2; cat; exit 3", force_no_tty=True)
    client.send(b"one\ntwo\nthree" + EOT)
    assert client.rest() == b"to stderr\none\ntwo\nthree"
    assert heroku_lines(demo, dyno) == [
        "Awaiting client",
        f"Starting process with command `{dyno['command']}`",
        "State changed from starting to up",
        "Process exited with status 3",
        "State changed from up to complete",
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"one" + EOT + b"two"],
        [b"one", EOT + b"two"],
        [b"o", b"ne" + EOT, b"two"],
        [b"one" + EOT + EOT + b"two" + EOT],
        [b"one" + EOT + b"two" * 100_000],
    ],
)
def test_the_end_of_input_counts_anywhere_in_the_stream_without_a_terminal(attach, pieces):
    client, _ = attach("cat; echo .", force_no_tty=True)
    for piece in pieces:
        client.send(piece)
        time.sleep(0.05)
    assert client.rest() == b"one.\n"


def test_a_terminal_has_a_size_a_type_and_control_keys(attach):
    client, _ = attach("bash", env={"COLUMNS": 91, "LINES": 33, "TERM": "xterm"})
    client.send(b"stty size; tty; echo $TERM; ps -o tty= -p $$\n")
    client.send(b"sleep 60\n")
    time.sleep(0.5)
    client.send(b"\x03")
    client.send(b"exit 5\n")
    said = client.rest()
    assert b"33 91\r\n" in said
    assert b"/dev/pts/" in said
    assert b"xterm\r\n" in said


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b""])
def test_a_secret_may_end_with_or_without_a_newline(attach, end):
    client, _ = attach("echo here", force_no_tty=True, end=end)
    assert client.rest() == b"here\n"


def test_a_secret_works_once_and_no_other_works(attach, demo):
    client, dyno = attach("sleep 0.5; echo mine", force_no_tty=True)
    for secret in (urlsplit(dyno["attach_url"]).path[1:], "0" * 32):
        assert only_word(demo, dyno["attach_url"], secret=secret) == b""
    assert client.rest() == b"mine\n"


def test_the_line_with_the_exit_status_is_sent_in_one_record(attach):
    command = r"printf 'before \357\277\277 heroku-command'; sleep 0.2; printf -- '-exit-status: 7\n'"
    client, _ = attach(command, force_no_tty=True)
    records = list(client.records())
    assert records == [b"before ", MARK + b"7\n"]


def test_all_output_of_a_flood_arrives_before_the_end(attach):
    client, _ = attach("seq 200000", force_no_tty=True)
    assert client.rest() == b"".join(b"%d\n" % number for number in range(1, 200_001))


def test_the_connection_waits_for_a_client_whose_input_has_not_ended(attach):
    def lasted(*sent):
        client, _ = attach("true", force_no_tty=True)
        begun = time.monotonic()
        for piece in sent:
            client.send(piece)
        client.rest()
        return time.monotonic() - begun

    waited = lasted()
    assert waited > 0.6
    assert lasted(EOT) < waited


def test_the_last_output_waits_for_a_client_that_reads_slowly(attach):
    client, _ = attach("head -c 20000000 /dev/zero", force_no_tty=True)
    client.send(EOT)
    client.read(17_000_000)
    time.sleep(0.7)
    assert len(client.rest()) == 3_000_000


def test_the_greeting_comes_once_the_dyno_is_there(start, make_folder):
    emulator = start(make_folder(), "--time", "boot=0.6", certificate=True)
    dyno = emulator.create("cat", attach=True, force_no_tty=True)
    client = AttachClient(emulator, dyno["attach_url"], end=b"\r\nearly\n")
    client.send(b"later\n" + EOT)
    assert client.is_quiet(0.3)
    assert client.greeting() == b"rendezvous\r\n"
    assert client.rest() == b"early\nlater\n"
    client.close()
    assert heroku_lines(emulator, dyno)[:2] == ["Awaiting client", "Starting process with command `cat`"]


def test_a_dyno_that_is_stopped_while_it_boots_ends_the_connection_without_a_greeting(start, make_folder):
    emulator = start(make_folder(), "--time", "boot=20", certificate=True)
    dyno = emulator.create("cat", attach=True, force_no_tty=True)
    client = AttachClient(emulator, dyno["attach_url"])
    time.sleep(0.2)
    emulator.stop(dyno)
    assert client.rest() == b""
    client.close()


def test_150_clients_are_attached_at_once(start, make_folder, attach):
    emulator = start(make_folder(), "--one-offs", "150", certificate=True)

    def begin(number):
        client, _ = attach("read line; echo $line; cat", force_no_tty=True, emulator=emulator)
        client.send(b"%d\n" % number)
        return client

    with ThreadPoolExecutor(150) as pool:
        clients = list(pool.map(begin, range(150)))
    for number, client in enumerate(clients):
        line = b"%d\n" % number
        assert client.read(len(line)) == line
    for client in clients:
        client.close()
    wait_until(lambda: emulator.get("/apps/demo/dynos") == [])


def memory(emulator):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{emulator.process.pid}/status").read_text())[1])


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_neither_side_is_read_faster_than_the_other_one_reads(attach, demo):
    reader, _ = attach("head -c 1000000000 /dev/zero", force_no_tty=True)
    writer, _ = attach("sleep 60", force_no_tty=True)
    before = memory(demo)
    writer.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        writer.send(bytes(50_000_000))
    assert memory(demo) - before < 2_000  # kB
    for client in (reader, writer):
        client.close()
    demo.ask("DELETE", "/apps/demo/dynos", 202)


def test_a_client_that_leaves_unread_input_behind_causes_a_sighup_too(attach, demo):
    client, dyno = attach("sleep 60", force_no_tty=True)
    client.send(bytes(90_000))  # more than a pipe holds
    client.close()
    assert "Process exited with status 129" in heroku_lines(demo, dyno)


@pytest.mark.alone
def test_a_round_trip_delays_bytes_but_not_those_behind_them(start, make_folder, attach):
    emulator = start(make_folder(), "--time", "round-trip=0.2", certificate=True)
    client, _ = attach("cat", force_no_tty=True, emulator=emulator)

    def seconds(*pieces):
        begun = time.monotonic()
        for piece in pieces:
            client.send(piece)
            time.sleep(0.01)
        assert client.read(sum(map(len, pieces))) == b"".join(pieces)
        return time.monotonic() - begun

    assert 0.2 <= seconds(b"one\n") < 0.4
    assert 0.2 <= seconds(*[b"%d\n" % number for number in range(20)]) < 0.8
    assert 0.2 <= seconds(*[bytes(50_000)] * 20) < 0.8
    client.close()


@pytest.mark.alone
def test_a_round_trip_does_not_limit_the_throughput(start, make_folder, attach):
    emulator = start(make_folder(), "--time", "round-trip=0.1", certificate=True)
    client, _ = attach("sha256sum", force_no_tty=True, emulator=emulator)
    begun, data = time.monotonic(), bytes(1_000_000)
    for _ in range(40):
        client.send(data)
    client.send(EOT)
    assert client.rest().startswith(sha256(data * 40).hexdigest().encode())
    client, _ = attach("head -c 40000000 /dev/zero", force_no_tty=True, emulator=emulator)
    assert len(client.rest()) == 40_000_000
    assert time.monotonic() - begun < 8


def test_a_round_trip_comes_before_the_greeting_too(start, make_folder):
    emulator = start(make_folder(), "--time", "round-trip=0.1", certificate=True)
    dyno = emulator.create("true", attach=True, force_no_tty=True)
    begun = time.monotonic()
    client = AttachClient(emulator, dyno["attach_url"])
    assert client.greeting() == b"rendezvous\r\n"
    assert 0.3 <= time.monotonic() - begun < 0.8
    client.rest()
    client.close()


def test_a_dyno_whose_client_does_not_connect_ends(start, make_folder):
    emulator = start(make_folder(), "--time", "attach=0.3", certificate=True)
    dyno = emulator.create("true", attach=True)
    assert heroku_lines(emulator, dyno) == [
        "Awaiting client",
        "Error R13 (Attach error) -> Failed to attach to process",
        "Process exited with status 128",
        "State changed from starting to complete",
    ]
    assert only_word(emulator, dyno["attach_url"]) == b""


def test_a_client_that_leaves_causes_a_sighup(attach, demo):
    client, dyno = attach("sleep 60", force_no_tty=True)
    client.close()
    lines = heroku_lines(demo, dyno)
    assert "Client connection closed. Sending SIGHUP to all processes" in lines
    assert "Process exited with status 129" in lines


def test_a_process_that_ignores_its_clients_leaving_is_reported(start, make_folder, attach):
    emulator = start(make_folder(), "--time", "hangup=0.1", certificate=True)
    client, dyno = attach("trap '' HUP; echo ready; sleep 1", force_no_tty=True, emulator=emulator)
    client.socket.recv(100)
    client.close()
    lines = heroku_lines(emulator, dyno)
    assert lines.count("Client connection closed. Sending SIGHUP to all processes") == 3
    assert any(line.startswith("Error R16 (Detached) -> An attached process is not responding") for line in lines)


def test_a_long_silence_ends_the_connection(start, make_folder, attach):
    emulator = start(make_folder(), "--time", "attach-idle=0.3", certificate=True)
    client, dyno = attach("sleep 60", force_no_tty=True, emulator=emulator)
    assert client.rest() == b""
    assert "Process exited with status 129" in heroku_lines(emulator, dyno)


def test_a_stop_ends_an_attached_dyno_and_one_that_awaits_its_client(attach, demo):
    client, dyno = attach("sleep 60", force_no_tty=True)
    demo.stop(dyno)
    assert client.rest() == b""
    assert "Process exited with status 143" in heroku_lines(demo, dyno)
    waiting = demo.create("sleep 60", attach=True)
    demo.stop(waiting)
    assert "Process exited with status 143" in heroku_lines(demo, waiting)


def test_a_client_without_a_secret_is_disconnected_and_others_are_served(start, make_folder, attach):
    emulator = start(make_folder(), certificate=True)
    url = urlsplit(emulator.create("true", attach=True)["attach_url"])
    silent = [socket.create_connection((url.hostname, url.port)) for _ in range(50)]
    client, _ = attach("echo served", force_no_tty=True, emulator=emulator)
    assert client.rest() == b"served\n"
    silent[0].settimeout(20)
    assert silent[0].recv(10) == b""
    for each in silent:
        each.close()


def test_the_authority_is_in_a_private_folder_that_is_removed_at_the_end(start, make_folder):
    emulator = start(make_folder(), certificate=True)
    file = Path(emulator.exports["NODE_EXTRA_CA_CERTS"])
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert b"PRIVATE" not in file.read_bytes()
    emulator.process.terminate()
    wait_until(lambda: not file.exists())


def test_a_killed_emulator_leaves_no_attached_process(start, make_folder, attach):
    emulator = start(make_folder(), certificate=True)
    client, _ = attach("echo $$; sleep 300", force_no_tty=True, emulator=emulator)
    pid = int(client.socket.recv(100))
    emulator.process.kill()
    wait_until(lambda: not is_running(pid))


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.binary(max_size=300), st.just(MARK), st.just(MARK + b"0\n"), st.just(b"\xef\xbf"))))
def test_any_bytes_arrive_unchanged(attach, tmp_path, chunks):
    (tmp_path / "bytes").write_bytes(b"".join(chunks))
    client, _ = attach(f"cat {tmp_path}/bytes", force_no_tty=True)
    client.send(EOT)
    assert client.rest() == b"".join(chunks)
    client.close()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_no_descriptor_is_left_of_attached_dynos(attach, demo):
    def count():
        return len(list(Path(f"/proc/{demo.process.pid}/fd").iterdir()))

    client, _ = attach("true", force_no_tty=True)
    client.send(EOT)
    client.rest()
    wait_until(lambda: demo.get("/apps/demo/dynos") == [])
    before = count()
    for tty in (True, False) * 5:
        client, _ = attach("echo x", force_no_tty=tty)
        client.send(EOT)
        client.rest()
        client.close()
    wait_until(lambda: count() <= before + 1)


def test_no_url_is_given_out_while_the_emulator_stops(tmp_path):
    async def attach():
        certificate = Certificate(tmp_path)
        rendezvous = Rendezvous(lambda: certificate, Faults(), round_trip=0)
        rendezvous.open()
        rendezvous.close()
        rendezvous.open()

    with pytest.raises(ErrorResponse) as caught:
        run_loop(attach())
    assert (caught.value.status_code, caught.value.body["message"]) == (503, "The embedded Heroku is stopping.")
