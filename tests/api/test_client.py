"""The client sends requests as the Platform API expects them, raises one error per case and sends its token to one host only."""

from __future__ import annotations

import io
import logging
import os
import random
import re
import ssl
import traceback
from urllib.parse import urlsplit

import pytest
import requests
import urllib3

from heroku_magic.api.client import HerokuClient
from heroku_magic.api.resources import LogSession
from heroku_magic.api.transport import _ExactTarget, open_stream, put_blob
from heroku_magic.errors import (
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Refused,
    Unauthorized,
    Unreachable,
)
from heroku_magic.text.notifier import notifications_to
from heroku_magic.text.secret import Secret

TOKEN = "HRKU-token-that-nobody-sees"
DYNO = {
    "attach_url": None,
    "id": "01234567-89ab-cdef-0123-456789abcdef",
    "name": "run.4821",
    "command": "task #hm-0123abcd",
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:00:00Z",
    "state": "starting",
    "size": "Standard-1X",
    "type": "run",
    "release": {"id": "01234567-89ab-cdef-0123-456789abcdef", "version": 3},
    "app": {"id": "01234567-89ab-cdef-0123-456789abcdef", "name": "example"},
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Waits between tries are asked for, not sat through."""
    waited = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    return waited


@pytest.fixture
def client(api):
    client = HerokuClient(api.url, Secret(TOKEN))
    yield client
    client.close()


def create(client):
    return client.create_dyno("example", "task #hm-0123abcd", {"n": "10"}, size=None, time_to_live=60)


def test_a_dyno_is_created_according_to_the_schema(api, client):
    api.answer(201, DYNO)

    dyno = create(client)

    method, path, headers, body = api.requests[0]
    assert (method, path) == ("POST", "/apps/example/dynos")
    assert body == {
        "command": "task #hm-0123abcd",
        "attach": False,
        "env": {"n": "10"},
        "type": "run",
        "time_to_live": 60,
    }
    assert headers["Accept"] == "application/vnd.heroku+json; version=3"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert dyno.name == "run.4821"


def test_a_name_from_a_user_cannot_leave_its_part_of_the_path(api, client):
    api.answer(404, {"id": "not_found", "message": "Couldn't find that app."})

    with pytest.raises(NotFound):
        client.app("../account?x=1")

    assert api.requests[0][1] == "/apps/..%2Faccount%3Fx%3D1"


def test_a_log_session_uses_the_api_variant_that_filters_by_dyno(api, client):
    api.answer(201, {"id": "1", "logplex_url": "https://logs.example/secret", "created_at": "x", "updated_at": "x"})

    session = client.create_log_session("example", dyno="run.1")

    assert api.requests[0][2]["Accept"] == "application/vnd.heroku+json; version=3.sdk"
    assert api.requests[0][3] == {"dyno": "run.1", "lines": 1500, "tail": True}
    assert "logs.example" not in repr(session)


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (401, Unauthorized, "HEROKU_API_KEY"),
        (402, Forbidden, "payment"),
        (403, Forbidden, "scope"),
        (404, NotFound, "There is no app example, .*%heroku apps"),
        (422, Refused, "Heroku said so"),
    ],
)
def test_each_rejection_is_an_error_with_herokus_message_and_what_to_do(api, client, status, kind, word):
    api.answer(status, {"id": "some_id", "message": "Heroku said so.", "resource": "app"}, Request_Id="r-1")

    with pytest.raises(kind, match=word) as caught:
        client.app("example")

    assert (caught.value.status, caught.value.id, caught.value.request_id) == (status, "some_id", "r-1")
    assert len(api.requests) == 1


def test_html_instead_of_json_is_retried_and_then_reported(api, client):
    for _ in range(4):
        api.answer(503, b"<html>Application Error</html>")

    with pytest.raises(Unreachable, match="status 503, text/html"):
        client.app("example")

    assert len(api.requests) == 4


def test_a_retry_takes_no_number_of_a_generator_that_the_notebook_has_seeded(api, client, no_waiting):
    random.seed(1)
    state = random.getstate()
    api.answer(429, {"id": "rate_limit", "message": "Slow down."}, Retry_After="1")
    api.answer(503, {"id": "unavailable", "message": "Down."})
    api.answer(200, {"id": "1", "name": "example"})

    assert client.app("example").name == "example"
    assert len(no_waiting) == 2
    assert random.getstate() == state


def test_a_busy_api_is_retried_after_the_time_it_requests(api, no_waiting):
    said = []
    client = HerokuClient(api.url, Secret(TOKEN))
    api.answer(429, {"id": "rate_limit", "message": "Slow down."}, Retry_After="4")
    api.answer(200, {"id": "1", "name": "example"})

    with notifications_to(said.append):
        assert client.app("example").name == "example"
    assert 4 <= no_waiting[0] <= 5
    assert re.fullmatch(r"API busy, trying again in [45] s", *said)


def test_a_wait_that_is_too_long_is_an_error(api, client):
    api.answer(429, {"id": "rate_limit", "message": "Slow down."}, Retry_After="3600")

    with pytest.raises(RateLimited, match="Wait a few minutes"):
        client.app("example")


def test_an_api_that_is_down_is_reported_in_one_sentence():
    client = HerokuClient("http://127.0.0.1:9", Secret(TOKEN))

    with pytest.raises(Unreachable, match="does not answer \\(no connection\\)"):
        client.app("example")


def test_a_create_is_retried_just_after_a_release(api, client):
    api.answer(409, {"id": "conflict", "message": "Release not found."})
    api.answer(201, DYNO)

    assert create(client).name == "run.4821"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 408])
@pytest.mark.parametrize("body", [b"<html>", {"id": "internal_server_error", "message": "Internal server error."}, {}])
def test_a_read_is_repeated_after_each_uncertain_status_whatever_its_body(api, client, status, body):
    api.answer(status, body)
    api.answer(200, {"id": "1", "name": "example"})

    assert client.app("example").name == "example"


def test_an_outage_that_heroku_describes_is_reported_in_its_words_and_says_where_to_look(api, client):
    for _ in range(4):
        api.answer(503, {"id": "maintenance", "message": "The API is in maintenance."})

    with pytest.raises(Unreachable, match=r"^The API is in maintenance\. .*status\.heroku\.com") as caught:
        client.app("example")

    assert caught.value.id == "maintenance"


@pytest.mark.parametrize("answer", ["hang up", b"<html>", {"id": "internal_server_error", "message": "Oh."}, {}, []])
@pytest.mark.parametrize("status", [500, 503, 599, 408, 302, 307, 304])
def test_a_create_whose_response_was_lost_is_never_sent_twice(api, client, answer, status):
    api.hang_up() if answer == "hang up" else api.answer(status, answer)

    with pytest.raises(Unreachable) as caught:
        create(client)

    assert caught.value.sent
    assert len(api.requests) == 1


def test_a_persistent_conflict_is_an_error(api, client):
    for _ in range(4):
        api.answer(409, {"id": "conflict", "message": "Not now."})

    with pytest.raises(Conflict, match="Try again"):
        create(client)


def test_a_redirect_is_not_followed_with_the_token(api, client):
    for _ in range(4):
        api.answer(302, {"id": "x"}, Location=f"{api.url}/elsewhere")

    with pytest.raises(ApiError):
        client.app("example")

    assert {path for _, path, _, _ in api.requests} == {"/apps/example"}


@pytest.mark.parametrize("status", [302, 422, 500])
def test_an_error_that_repeats_the_token_does_not_show_it(api, client, status):
    for _ in range(4):
        api.answer(status, {"id": "x", "message": f"Bad header: Bearer {TOKEN}."})

    with pytest.raises(ApiError, match="Bad header") as caught:
        client.app("example")

    assert TOKEN not in str(caught.value) + caught.value.said


def test_netrc_does_not_replace_the_token(api, client, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me@example.com password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    api.answer(200, {"id": "1", "name": "example"})

    client.app("example")

    assert api.requests[0][2]["Authorization"] == f"Bearer {TOKEN}"


def test_loopback_never_goes_through_a_proxy(api, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    api.answer(200, {"id": "1", "name": "example"})

    assert HerokuClient(api.url, Secret(TOKEN)).app("example").name == "example"


def test_the_log_host_receives_neither_the_token_nor_the_login_of_netrc(api, client, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me@example.com password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    api.answer(200, b"")

    client.open_log(LogSession("1", Secret(f"{api.url}/stream?token=abc"))).close()

    assert "Authorization" not in api.requests[0][2]


def test_neither_the_token_nor_the_log_url_appears_in_the_debug_log(api, client, caplog):
    caplog.set_level(logging.DEBUG)
    api.answer(200, {"id": "1", "name": "example"})
    api.answer(200, b"")

    client.app("example")
    client.open_log(LogSession("1", Secret(f"{api.url}/stream?token=capability"))).close()

    assert "/apps/example" in caplog.text, "the debug log itself still works"
    assert "capability" not in caplog.text
    assert TOKEN not in caplog.text


def test_an_error_holds_neither_token_nor_the_exceptions_of_requests(api, client):
    api.hang_up()

    with pytest.raises(Unreachable) as caught:
        create(client)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(trace.format())


def test_the_user_agent_names_only_this_package(api, client):
    api.answer(200, {"id": "1", "name": "example"})

    client.app("example")

    agent = api.requests[0][2]["User-Agent"]
    assert agent.startswith("heroku-magic/")
    assert os.uname().nodename not in agent


def test_a_client_knows_the_remaining_quota(api, client):
    api.answer(200, {"id": "1", "name": "example"}, RateLimit_Remaining="17")
    client.app("example")

    assert client.requests_left == 17


def test_an_interrupt_shows_neither_the_token_nor_the_request_body(api, client, monkeypatch):
    """IPython's `%xmode Verbose` shows the variables of all frames, those of requests too."""
    from IPython.core.ultratb import VerboseTB

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("http.client.HTTPConnection.endheaders", interrupt)
    try:
        client.set_config_vars("example", {"PASSWORD": secret_value()})
    except KeyboardInterrupt as caught:
        shown = VerboseTB(**colors()).text(type(caught), caught, caught.__traceback__)
        plain = "".join(traceback.format_exception(caught))
    assert "set_config_vars" in shown
    assert "PASSWORD" in shown
    for secret in (TOKEN, "hunter2"):
        assert secret not in shown + plain
    assert "requests/sessions" not in plain


def secret_value():
    """A Secret whose text stands in no source line of the frames that are shown."""
    return Secret("hunter2-value")


def colors():
    """How IPython wants to be told that a terminal has no colours, before and after its version 9."""
    import IPython

    return {"color_scheme": "NoColor"} if IPython.version_info < (9,) else {"theme_name": "nocolor"}


def test_a_list_is_followed_to_its_end(api, client):
    for number, following in ((1, "id ]1..; max=200"), (2, "id ]2..; max=200")):
        api.answer(206, [{**DYNO, "id": str(number)}], Next_Range=following)
    api.answer(200, [{**DYNO, "id": "3"}])

    assert [dyno.id for dyno in client.dynos("example")] == ["1", "2", "3"]
    assert [headers.get("Range") for _, _, headers, _ in api.requests] == [None, "id ]1..; max=200", "id ]2..; max=200"]


@pytest.mark.parametrize("name", ["apps", "authorizations", "builds", "dynos", "formation", "log_drains", "releases"])
def test_every_list_has_more_than_one_page(api, client, name):
    api.answer(206, [], Next_Range="id ]1..; max=200")
    api.answer(200, [])

    assert not getattr(client, name)(*([] if name in {"apps", "authorizations"} else ["example"]))
    assert api.requests[1][2]["Range"] == "id ]1..; max=200"


def test_a_page_that_cannot_be_had_is_an_error_and_no_shorter_list(api, client):
    api.answer(206, [DYNO], Next_Range="id ]1..; max=200")
    api.answer(403, {"id": "forbidden", "message": "No."})

    with pytest.raises(Forbidden):
        client.dynos("example")


def test_a_page_is_retried_alone(api, client):
    api.answer(206, [{**DYNO, "id": "1"}], Next_Range="id ]1..; max=200")
    api.answer(503, b"<html>busy</html>")
    api.answer(200, [{**DYNO, "id": "2"}])

    assert [dyno.id for dyno in client.dynos("example")] == ["1", "2"]


def test_a_list_that_repeats_a_page_is_an_error(api, client):
    for _ in range(2):
        api.answer(206, [DYNO], Next_Range="id ]1..; max=200")

    with pytest.raises(ApiError, match="no end"):
        client.dynos("example")


def test_the_current_release_needs_one_request(api, client):
    api.answer(206, [{"id": "1", "version": 9}], Next_Range="version ]9..; order=desc,max=1")

    assert client.current_release("example").version == 9
    assert len(api.requests) == 1


UNSAFE_URLS = [
    "http://logs.example.com/a?sig=1",
    "https://user:word@logs.example.com/a?sig=1",
    "https://logs.example.com\\.heroku.com/a?sig=1",
    "http://logs.example.com\\@127.0.0.1/a?sig=1",
    "https://logs.example.com/a?sig=1#fragment",
    "https://logs.example.com/a b",
    "https://logs.example.com/\u00e4",
    "https://logs.example.com/\r\nHost: evil",
    "https://logs.example.com:0/a",
    "https://-logs.example.com/a",
    "https://[::1]/a",
    "https://logs.example.com/%zz",
    "file:///etc/passwd",
    "",
]


@pytest.mark.parametrize("url", UNSAFE_URLS)
def test_a_url_of_the_api_that_is_not_plain_https_is_not_opened(url):
    for use in (
        lambda: open_stream(Secret(url), accept="text/plain", silence=1),
        lambda: put_blob(Secret(url), io.BytesIO(b"x"), 1),
    ):
        with pytest.raises(ApiError, match=r"not safe to open\. Expected a plain https URL") as caught:
            use()
        assert "sig" not in str(caught.value) + repr(caught.value.__context__)


@pytest.mark.parametrize(
    "target", ["/a%2fb/../c//d?x=%7e~%2F&sig=a+b%2b'()*!;,$@:&x", "/?", "/a?", "?only=query", "/%7Euser/./x", "", "/"]
)
def test_a_url_of_the_api_is_requested_byte_for_byte_without_the_token(api, target):
    api.answer(200, b"")
    open_stream(Secret(api.url + target), accept="text/plain", silence=5).close()
    api.answer(200, b"")
    put_blob(Secret(api.url + target), io.BytesIO(b"{}"), 2)

    expected = target if target.startswith("/") else f"/{target}"
    assert [(method, path) for method, path, _, _ in api.requests] == [("GET", expected), ("PUT", expected)]
    for _, _, headers, _ in api.requests:
        assert headers["Host"] == api.url.removeprefix("http://")
        assert "Authorization" not in headers


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("http://me:hunter2@127.0.0.1:9", "no connection"),
        ("http://me:hunter2@:x", "its URL is not valid"),
        ("gopher://me:hunter2@127.0.0.1:9", "its URL is not valid"),
        ("http://me:hunter2@{api}", "Tunnel connection failed: 501"),
    ],
)
def test_a_proxy_that_fails_is_named_and_nothing_was_sent(api, monkeypatch, proxy, reason):
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(api=urlsplit(api.url).netloc))
    monkeypatch.setenv("NO_PROXY", "")
    client = HerokuClient("https://api.heroku.test", Secret(TOKEN))
    monkeypatch.setattr("heroku_magic.api.transport.TRIES", 1)

    with pytest.raises(Unreachable, match=f"through the proxy .{reason}.*Check .*HTTPS_PROXY") as caught:
        create(client)

    assert not caught.value.sent
    assert "hunter2" not in held_by(caught.value) + str(caught.value)


def test_a_url_of_the_api_is_requested_exactly_through_a_proxy_too():
    adapter = _ExactTarget(Secret("/a%2fb"))
    pools = adapter.proxy_manager_for("http://127.0.0.1:9").pool_classes_by_scheme
    sent = []

    connection = pools["https"].ConnectionCls("logs.example.com")
    connection.send = sent.append
    connection.putrequest("GET", "/", skip_host=True, skip_accept_encoding=True)
    connection.endheaders()

    assert sent[0].startswith(b"GET /a%2fb HTTP/1.1")


def held_by(error):
    """What a debugger would show of an error: the variables of its frames and of the errors behind it."""
    seen, rest = "", [error]
    while rest:
        one = rest.pop()
        rest += [cause for cause in (one.__cause__, one.__context__) if cause is not None]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "heroku_magic" in frame.f_code.co_filename or "requests" in frame.f_code.co_filename:
                seen += "".join(f"{value!r} {getattr(value, 'headers', '')}" for value in frame.f_locals.values())
    return seen


@pytest.mark.parametrize(
    ("raised", "word", "sent"),
    [
        (None, "could not be prepared: .*/nowhere/ca.pem.*REQUESTS_CA_BUNDLE", False),
        (ValueError("Bearer TOKEN"), "ValueError", True),
        (UnicodeError("Bearer TOKEN"), "UnicodeError", True),
        (RuntimeError("Bearer TOKEN"), "RuntimeError", True),
        (requests.exceptions.InvalidHeader("Bearer TOKEN"), "InvalidHeader", True),
        (MemoryError("Bearer TOKEN"), "MemoryError", True),
    ],
)
def test_every_fault_of_a_request_is_an_error_without_its_frames(monkeypatch, no_waiting, raised, word, sent):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    token, value = "HRKU-AA-the-token", "hunter2-value"
    client = HerokuClient("https://api.heroku.com", Secret(token))
    if raised is not None:

        def fail(*args, **options):
            raise raised

        monkeypatch.setattr(requests.Session, "request", fail)
    with pytest.raises(Unreachable, match=word) as caught:
        client.set_config_vars("shop", {"API_TOKEN": Secret(value)})

    assert caught.value.sent is sent
    shown = held_by(caught.value) + str(caught.value)
    assert token not in shown
    assert value not in shown
    assert "Bearer" not in shown


@pytest.mark.parametrize(
    ("cause", "sent"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate"), False),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), True),
        (ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record mac"), True),
    ],
)
def test_only_a_certificate_that_is_refused_proves_that_nothing_was_sent(monkeypatch, client, cause, sent):
    def fail(*args, **options):
        wrapped = urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(cause))
        raise requests.exceptions.SSLError(wrapped)

    monkeypatch.setattr(requests.Session, "request", fail)
    with pytest.raises(Unreachable) as caught:
        create(client)

    assert caught.value.sent is sent


def test_an_error_of_the_api_that_repeats_a_secret_masks_it(api, client):
    value = "hunter2-" * 70
    api.answer(422, {"id": "invalid_params", "message": f"env PASSWORD={value} is too long; token {TOKEN}"})

    with pytest.raises(Refused) as caught:
        client.create_dyno("example", "task", {"PASSWORD": Secret(value)}, size=None, time_to_live=60)

    assert caught.value.said == "env PASSWORD=*** is too long; token ***"
    assert "hunter2" not in str(caught.value)
