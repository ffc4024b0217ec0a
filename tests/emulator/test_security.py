"""Requests without a token, from web pages or with bad intentions are refused, and the server goes on."""

from __future__ import annotations

import json
import resource
import select
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from emulators import ACCEPT, Emulator, wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heroku_magic.emulator import descriptors
from heroku_magic.emulator.web.api import ApiHandler, LocalHandler
from heroku_magic.emulator.web.release_handlers import AppSetupsHandler
from heroku_magic.emulator.web.routes import TABLE

API = [path.replace("([^/]+)", "demo") for path, handler in TABLE.items() if issubclass(handler, ApiHandler)]
CAPABILITIES = [
    path.replace("([^/]+)", "guess") for path, handler in TABLE.items() if not issubclass(handler, ApiHandler)
]
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"]


def port(emulator):
    return int(emulator.url.rpartition(":")[2])


def raw(emulator, request, seconds=20):
    """Send bytes, return what comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port(emulator)), timeout=seconds) as connection:
        answer = b""
        try:
            connection.sendall(request)
            while chunk := connection.recv(65536):
                answer += chunk
                if b"\r\n\r\n" in answer:
                    break
        except (ConnectionError, TimeoutError):
            pass
        return answer


def lives(emulator):
    return emulator.get("/apps/demo")["name"] == "demo"


@pytest.mark.parametrize("path", API)
def test_every_route_without_the_token_is_a_401(demo, path):
    for method in METHODS:
        for token in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic d3Jvbmc="}):
            answer = requests.request(method, demo.url + path, headers={"Accept": ACCEPT, **token}, timeout=20)
            assert answer.status_code == 401, (method, path)
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", CAPABILITIES)
def test_a_guessed_secret_url_is_refused(demo, path):
    assert requests.get(demo.url + path, timeout=20).status_code in {403, 404}
    assert requests.put(demo.url + path, data=b"x", timeout=20).status_code in {403, 404}


@pytest.mark.parametrize("path", ["/apps", "/stream?token=x", "/blobs/x", "/streams/x"])
@pytest.mark.parametrize(
    "header", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": ""}]
)
def test_a_foreign_host_and_a_web_page_are_refused(demo, path, header):
    for method in ("GET", "POST", "OPTIONS"):
        # Who is refused before the body is read is hung up on: each request has its own connection.
        answer = demo.http.request(method, demo.url + path, headers={**header, "Connection": "close"}, timeout=20)
        assert answer.status_code in {400, 403}
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "/apps/../../etc/passwd", "/apps/%2e%2e%2f%2e%2e%2fetc", "/blobs/..%2f..%2fstate.json", "//etc"],
)
def test_a_path_with_dots_leads_to_no_file(demo, path):
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port(demo)}\r\nAccept: {ACCEPT}\r\n"
    answer = raw(demo, f"{head}Authorization: Bearer {demo.token}\r\n\r\n".encode())
    assert answer.split(b" ")[1] in {b"403", b"404"}
    assert b"root:" not in answer


def test_a_client_that_sends_slowly_is_disconnected_and_others_are_served(start, make_folder):
    emulator = start(make_folder(), "--time", "request=0.5")
    with ExitStack() as stack:
        dripping = [stack.enter_context(socket.create_connection(("127.0.0.1", port(emulator)))) for _ in range(200)]
        for connection in dripping[:100]:
            connection.sendall(b"GET /apps HTTP/1.1\r\nX-A: 1\r\n")
        for connection in dripping[100:]:
            connection.sendall(
                f"POST /apps HTTP/1.1\r\nHost: 127.0.0.1:{port(emulator)}\r\nContent-Length: 100\r\n\r\n{{".encode()
            )
        assert lives(emulator)
        time.sleep(1)
        for connection in (dripping[0], dripping[-1]):
            connection.settimeout(5)
            assert connection.recv(65536)[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 408"}


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /apps HTTP/1.1\r\nContent-Length: 10000000000\r\n\r\n" + b"a" * 100,
        b"POST /apps HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /apps HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + b"a" * 0x100000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: \x00\xff\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_an_oversized_or_malformed_request_is_refused_and_the_server_goes_on(demo, request_):
    answer = raw(demo, request_, seconds=3)
    assert answer[:12] == b"" or answer[9:10] == b"4", answer[:100]
    assert lives(demo)


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b"\xff\xfe", b'{"command": "\xed\xa0\x80"}', b'{"command": "a\\u0000"}', b"{" * 10, b"1e999"],
)
def test_a_body_that_is_not_a_json_object_is_refused(demo, body):
    for path in ("/apps/demo/dynos", "/apps", "/apps/demo/log-sessions", "/oauth/authorizations"):
        answer = demo.http.post(demo.url + path, data=body, timeout=20)
        assert 400 <= answer.status_code < 500
        assert set(answer.json()) >= {"id", "message"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "command",
        "env",
        "size",
        "type",
        "time_to_live",
        "attach",
        "dyno",
        "lines",
        "tail",
        "source",
        "name",
        "region",
        "stack",
        "updates",
        "quantity",
        "scope",
        "expires_in",
        "slug",
        "release",
        "source_blob",
        "process_types",
        "description",
        "faults",
        "seed",
        "A",
    ]
)
REFUSED_NEVER = [path for path in API if "faults" not in path]


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(METHODS[:5]),
    st.sampled_from(REFUSED_NEVER),
    st.dictionaries(names, json_values, max_size=4) | json_values,
    st.dictionaries(
        st.sampled_from(["Range", "If-None-Match", "Last-Event-ID", "Content-Type"]),
        st.text("abc.;]=,1 *-", max_size=20).map(str.strip),
    ),
)
def test_no_request_makes_the_server_fail(fuzzed, method, path, body, headers):
    answer = fuzzed.http.request(
        method,
        fuzzed.url + path,
        data=json.dumps(body),
        headers={**headers, "Content-Type": "application/json"},
        timeout=10,
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()) >= {"id", "message"}


@pytest.fixture(scope="module")
def fuzzed(make_folder, processes):
    """An emulator whose one app may be changed, or deleted, by whatever a fuzzed request says."""
    emulator = Emulator(make_folder("task: true"), "--time", "grace=0.1", "--one-offs", "5")
    yield emulator
    assert emulator.end() == ""


def test_a_form_is_not_parsed(demo):
    form = b'--x\r\nContent-Disposition: form-data; name="description"\r\n\r\nhello\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = demo.http.post(f"{demo.url}/oauth/authorizations", data=form, headers=kind, timeout=20)
    assert answer.status_code == 400
    assert lives(demo)


def test_600_connections_of_strangers_keep_no_client_out(start, make_folder):
    emulator = start(make_folder())
    trusted = requests.Session()
    headers = {"Accept": ACCEPT, "Authorization": f"Bearer {emulator.token}"}
    assert trusted.get(f"{emulator.url}/apps/demo", headers=headers, timeout=20).status_code == 200
    dyno = emulator.create("until read; do sleep 0.1; done; sleep 300")
    with ExitStack() as stack, emulator.tail(dyno) as log:
        log.until(b"to up")
        strangers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port(emulator)), timeout=20)) for _ in range(600)
        ]
        assert lives(emulator)
        assert trusted.get(f"{emulator.url}/apps/demo", headers=headers, timeout=20).status_code == 200
        closed = [one for one in strangers[:400] if one.recv(1) == b""]
        assert len(closed) == 400
        emulator.stop(dyno)
        assert log.until(b"to complete")


@pytest.mark.alone  # each request has to arrive within the time that the server gives to connections without a token
def test_many_clients_may_connect_before_the_first_request(demo):
    request = f"GET /apps/demo HTTP/1.1\r\nHost: 127.0.0.1:{port(demo)}\r\nAuthorization: Bearer {demo.token}\r\n"
    request += f"Accept: {ACCEPT}\r\n\r\n"
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port(demo)), timeout=20)) for _ in range(150)
        ]
        for client in clients:
            client.sendall(request.encode())
        assert {client.recv(15) for client in clients} == {b"HTTP/1.1 200 OK"}


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux to limit another process")
def test_dynos_beyond_the_file_descriptors_are_refused_and_the_others_work(start, make_folder, tmp_path):
    emulator = start(make_folder(), "--one-offs", "500")
    resource.prlimit(emulator.process.pid, resource.RLIMIT_NOFILE, (200, 200))
    url, command = f"{emulator.url}/apps/demo/dynos", f"until [ -e {tmp_path}/gate ]; do sleep 1; done; echo hello"
    answers = [emulator.http.post(url, json={"command": command}, timeout=20) for _ in range(70)]
    (tmp_path / "gate").touch()
    refused = [answer.json() for answer in answers if answer.status_code != 201]
    assert 5 < len(refused) < 65
    assert {answer["id"] for answer in refused} == {"cannot_run_above_limit"}
    assert "no file descriptors left" in refused[0]["message"]
    wait_until(lambda: emulator.get("/apps/demo/dynos") == [], 60)
    lines = emulator.backlog(lines=1500)
    assert sum(line.endswith(b"hello") for line in lines) == 70 - len(refused)
    assert not any(b"could not be started" in line for line in lines)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux to limit another process")
def test_without_file_descriptors_connections_are_closed_and_the_server_goes_on(start, make_folder):
    emulator = start(make_folder())
    process = emulator.process.pid
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    limit = max(int(path.name) for path in Path(f"/proc/{process}/fd").iterdir()) + 1
    resource.prlimit(process, resource.RLIMIT_NOFILE, (limit, before[1]))
    with ExitStack() as stack:
        address = ("127.0.0.1", port(emulator))
        connections = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(60)]
        # Those that got a descriptor which became free meanwhile stay open, in whatever order.
        wait_until(lambda: len(select.select(connections, [], [], 0)[0]) >= 30, 20)
        assert {one.recv(1) for one in select.select(connections, [], [], 0)[0]} == {b""}
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)
    assert lives(emulator)


def test_the_soft_limit_of_file_descriptors_is_raised(monkeypatch):
    limits = {"now": (256, resource.RLIM_INFINITY)}

    def set_limit(_, values):
        if values[0] > 10_240:
            raise ValueError("more than OPEN_MAX of macOS")
        limits["now"] = values

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    descriptors.raise_limit()
    assert limits["now"] == (10_240, resource.RLIM_INFINITY)

    limits["now"] = (1024, 4096)
    descriptors.raise_limit()
    assert limits["now"] == (4096, 4096)
    limits["now"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    descriptors.raise_limit()
    assert limits["now"] == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_the_log_of_a_failure_leaves_out_the_path_which_may_be_a_secret(caplog):
    handler = object.__new__(LocalHandler)
    handler.request = SimpleNamespace(method="PUT", uri="/blobs/secret", remote_ip="127.0.0.1")
    handler.log_exception(ValueError, ValueError("broken"), None)
    assert "broken" in caplog.text
    assert "secret" not in caplog.text


def test_a_source_on_a_port_that_begins_like_ours_is_another_server():
    handler = object.__new__(AppSetupsHandler)
    handler.url, handler.platform = "http://127.0.0.1:5001", SimpleNamespace()
    build = SimpleNamespace(source_url="http://127.0.0.1:50010/source.tgz", checksum=None)
    assert handler.find_source(build).url == build.source_url
