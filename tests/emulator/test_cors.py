"""Web pages may use the API if their origin was named at the start, and no other pages."""

from __future__ import annotations

import pytest
import requests
from emulators import ACCEPT, Emulator

from heroku_magic.emulator.web.cors import read_origin

PAGE = "http://127.0.0.1:8000"
EXPOSED = "Next-Range, Content-Range, RateLimit-Remaining, Request-Id"


@pytest.fixture(scope="module")
def pages(make_folder, processes):
    emulator = Emulator(make_folder(), "--allow-origin", f"{PAGE}/", "--allow-origin", "https://Pages.example:443")
    yield emulator
    assert emulator.end() == ""


@pytest.fixture(scope="module")
def files(make_folder, processes):
    emulator = Emulator(make_folder(), "--allow-origin", "null")
    yield emulator
    assert emulator.end() == ""


def preflight(emulator, path, origin, **headers):
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return requests.options(emulator.url + path, headers={"Origin": origin, **wanted, **headers}, timeout=20)


@pytest.mark.parametrize("path", ["/apps", "/apps/demo/dynos", "/stream?token=x", "/blobs/x", "/streams/x", "/nowhere"])
def test_a_preflight_of_a_named_page_needs_no_token(pages, path):
    answer = preflight(pages, path, PAGE)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, PATCH, POST, PUT"
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"accept", "authorization", "content-type", "range", "last-event-id"} <= {*allowed}
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_on_the_public_network_may_reach_the_loopback_interface(pages):
    asked = preflight(pages, "/apps", "https://pages.example", **{"Access-Control-Request-Private-Network": "true"})
    assert asked.headers["Access-Control-Allow-Private-Network"] == "true"
    assert "Access-Control-Allow-Private-Network" not in preflight(pages, "/apps", PAGE).headers


def test_a_named_page_reads_answers_lists_and_errors(pages):
    for method, path, status in (("GET", "/apps", 200), ("GET", "/apps/other", 404), ("POST", "/apps/demo/dynos", 422)):
        answer = pages.ask(method, path, status, headers={"Origin": PAGE})
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Expose-Headers"] == EXPOSED
        assert answer.headers["RateLimit-Remaining"]


def test_an_answer_to_a_wrong_token_can_be_read(pages):
    answer = requests.get(f"{pages.url}/apps", headers={"Origin": PAGE, "Accept": ACCEPT}, timeout=20)
    assert (answer.status_code, answer.json()["id"]) == (401, "unauthorized")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE


def test_a_log_stream_and_its_error_can_be_read(pages):
    with pages.open(pages.session(), Origin=PAGE) as log:
        assert log.headers["Access-Control-Allow-Origin"] == PAGE
    with pages.open(f"{pages.url}/stream?token=wrong", Origin=PAGE) as log:
        assert log.answer.status_code == 404
        assert log.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://127.0.0.1:80000",
        "https://127.0.0.1:8000",
        "http://127.0.0.1",
        "",
        f"{PAGE}/",
    ],
)
def test_other_pages_are_refused_and_can_read_nothing(pages, origin):
    for answer in (
        preflight(pages, "/apps", origin),
        requests.get(pages.session(), headers={"Origin": origin}, timeout=20),
        pages.ask("GET", "/apps", 403, headers={"Origin": origin}),
    ):
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert "--allow-origin" in answer.json()["message"]


def test_a_foreign_name_for_the_address_is_refused_even_from_a_named_page(pages):
    answer = preflight(pages, "/apps", PAGE, Host="evil.example")
    assert answer.status_code == 403


def test_a_page_from_a_file_is_allowed_by_name_only(files):
    answer = files.ask("GET", "/apps", headers={"Origin": "null"})
    assert answer.headers["Access-Control-Allow-Origin"] == "null"
    assert files.ask("GET", "/apps", 403, headers={"Origin": PAGE}).json()["id"] == "forbidden"


def test_a_client_that_is_not_a_page_needs_no_origin(files):
    assert "Access-Control-Allow-Origin" not in files.ask("GET", "/apps").headers


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost:80", "http://localhost"),
        ("HTTPS://Me.Example/", "https://me.example"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://127.0.0.1:08000", PAGE),
        ("null", "null"),
    ],
)
def test_an_origin_is_read_as_browsers_spell_it(text, origin):
    assert read_origin(text) == origin


@pytest.mark.parametrize(
    "text", ["*", "", "Null", "me.example", "https://me.example/page", "ftp://me.example", "http://a:0"]
)
def test_what_is_not_an_origin_is_refused(text):
    with pytest.raises(ValueError, match="is not an origin: expected a scheme"):
        read_origin(text)
