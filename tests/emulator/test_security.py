"""Requests without a token, from web pages or with bad intentions are refused, and the server goes on."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import ACCEPT, Emulator
from heroku_magic.emulator.web.api import ApiHandler
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
