"""The responses of each route against the published schema, and what is refused."""

from __future__ import annotations

import base64

import jsonschema
import pytest
from emulators import OVER, platform_schema
from schema_formats import FORMATS

SCHEMA = platform_schema()


def inlined(node, depth=0):
    """The schema with its references put in; hyper-schema ids would send a validator to the network."""
    if isinstance(node, list):
        return [inlined(each, depth) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and depth < 8:
        found = SCHEMA
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return inlined(found, depth + 1)
    return {
        name: inlined(value, depth) for name, value in node.items() if name not in {"links", "definitions", "$schema"}
    }


def check(answer, resource):
    """An answer has all the fields of its resource, no others, and each is of its type."""
    schema = inlined({"type": ["object"], "properties": SCHEMA["definitions"][resource]["properties"]})
    jsonschema.Draft4Validator(schema, format_checker=FORMATS).validate(answer)
    assert set(answer) == set(schema["properties"])


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/account", "account"),
        ("/account/rate-limits", "rate-limit"),
        ("/apps/demo", "app"),
        ("/apps/demo/formation/task", "formation"),
        ("/apps/demo/releases/2", "release"),
    ],
)
def test_an_object_is_complete(demo, path, resource):
    check(demo.get(path), resource)


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/apps", "app"),
        ("/apps/demo/formation", "formation"),
        ("/apps/demo/releases", "release"),
        ("/dyno-sizes", "dyno-size"),
    ],
)
def test_the_objects_of_a_list_are_complete(demo, path, resource):
    listed = demo.get(path)
    assert listed
    for each in listed:
        check(each, resource)


def test_a_dyno_is_complete_in_each_response_and_gone_at_its_end(demo):
    dyno = demo.create("sleep 60")
    check(dyno, "dyno")
    assert dyno["state"] == "starting"
    assert dyno["name"].startswith("run.")
    with demo.tail(dyno) as log:
        log.until(b"to up")
        for identity in (dyno["id"], dyno["name"]):
            found = demo.get(f"/apps/demo/dynos/{identity}")
            check(found, "dyno")
            assert (found["id"], found["state"]) == (dyno["id"], "up")
        assert dyno["id"] in {each["id"] for each in demo.get("/apps/demo/dynos")}
        demo.stop(dyno)
        log.until(OVER)
    gone = demo.ask("GET", f"/apps/demo/dynos/{dyno['id']}", 404).json()
    assert gone == {"id": "not_found", "message": "Couldn't find that dyno.", "resource": "dyno"}
    demo.ask("POST", f"/apps/demo/dynos/{dyno['name']}/actions/stop", 404)


def test_a_log_session_is_complete_and_its_url_is_a_secret_of_128_bits(demo):
    session = demo.ask("POST", "/apps/demo/log-sessions", 201, json={}).json()
    check(session, "log-session")
    assert session["logplex_url"].startswith(f"{demo.url}/stream?token=")
    assert len(session["logplex_url"].rpartition("=")[2]) == 32
    demo.ask("GET", "/stream?token=" + "0" * 32, 404)


def test_an_app_has_what_the_official_cli_reads(demo):
    app = demo.get("/apps/demo")
    assert demo.get(f"/apps/{app['id']}") == app
    assert app["generation"]["name"] == "cedar"
    assert {"repo_size", "slug_size", "build_stack"} <= set(app)
    assert app["owner"]["email"] == demo.get("/account")["email"]


def test_a_live_folder_starts_with_no_dynos(demo):
    types = {each["type"]: each for each in demo.get("/apps/demo/formation")}
    assert {name: each["quantity"] for name, each in types.items()} == {"web": 0, "task": 0, "say": 0, "release": 0}
    assert types["task"]["command"] == "python task.py"
    assert demo.get(f"/apps/demo/formation/{types['task']['id']}") == types["task"]
    demo.ask("GET", "/apps/demo/formation/nothing", 404)


@pytest.mark.parametrize("path", ["/apps/other", "/apps/other/dynos", "/apps/demo/releases/99", "/apps/demo/nothing"])
def test_a_missing_resource_is_a_404_with_an_id(demo, path):
    assert demo.ask("GET", path, 404).json()["id"] == "not_found"


def test_a_wrong_verb_is_an_unknown_endpoint(demo):
    assert "HTTP verb" in demo.ask("PUT", "/account", 404).json()["message"]


@pytest.mark.parametrize("text", ["version=3", "version=3.sdk", "version=3.account-quotas"])
def test_each_variant_of_version_3_is_accepted(demo, text):
    demo.ask("GET", "/account", headers={"Accept": f"application/vnd.heroku+json; {text}"})


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/vnd.heroku+json; version=2", "version=3", ""]
)
def test_another_version_is_refused(demo, accept):
    assert demo.ask("GET", "/account", 406, headers={"Accept": accept}).json()["id"] == "not_acceptable"


def _basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_token_is_accepted_as_bearer_and_as_basic_password(demo):
    demo.ask("GET", "/account", headers={"Authorization": _basic(f":{demo.token}")})
    demo.ask("GET", "/account", headers={"Authorization": _basic(f"me@example.com:{demo.token}")})


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", "Basic x", _basic("token"), "Token x", "Bearer \xe9"]
)
def test_without_the_token_everything_is_a_401(demo, authorization):
    for path in ("/account", "/apps/demo", "/nothing"):
        answer = demo.ask("GET", path, 401, headers={"Authorization": authorization.encode("latin-1")})
        assert answer.json() == {"id": "unauthorized", "message": "Invalid credentials provided."}


def test_a_foreign_host_name_is_refused(demo):
    port = demo.url.rpartition(":")[2]
    demo.ask("GET", "/account", headers={"Host": f"localhost:{port}"})
    for host in (f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1"):
        demo.ask("GET", "/account", 403, headers={"Host": host})
    demo.ask("GET", demo.session().removeprefix(demo.url), 403, headers={"Host": "evil.example"})


def test_a_web_page_is_refused_and_gets_no_cors_headers(demo):
    answer = demo.ask("GET", "/account", 403, headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    demo.ask("GET", demo.session().removeprefix(demo.url), 403, headers={"Origin": "null"})


def test_responses_have_the_headers_of_the_api_and_are_not_compressed(demo):
    first, second = (demo.ask("GET", "/account", headers={"Accept-Encoding": "gzip"}) for _ in range(2))
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["RateLimit-Multiplier"] == "1"
    assert len(first.headers["Request-Id"]) == 36
    assert first.headers["Request-Id"] != second.headers["Request-Id"]
    assert "Content-Encoding" not in first.headers
    assert int(second.headers["RateLimit-Remaining"]) <= int(first.headers["RateLimit-Remaining"])


def test_releases_are_paged_by_range_in_either_spelling(start, make_folder):
    emulator = start(make_folder())
    for value in ("1", "2"):
        emulator.ask("PATCH", "/apps/demo/config-vars", json={"A": value})
    for text in ("version ..; order=desc,max=1", "version ..; max=1, order=desc"):
        answer = emulator.ask("GET", "/apps/demo/releases", 206, headers={"Range": text})
        assert [each["version"] for each in answer.json()] == [4]
        assert answer.json()[0]["current"] is True
        following = emulator.ask("GET", "/apps/demo/releases", 206, headers={"Range": answer.headers["Next-Range"]})
        assert [each["version"] for each in following.json()] == [3]
    whole = emulator.ask("GET", "/apps/demo/releases", headers={"Range": "version ..; order=desc,max=4"})
    assert [each["version"] for each in whole.json()] == [4, 3, 2, 1]
    assert "Next-Range" not in whole.headers
    for wrong in ("nonsense", "name ..", "version ..; max=0", "version x.."):
        emulator.ask("GET", "/apps/demo/releases", 416, headers={"Range": wrong})


def test_dynos_are_paged_by_name(faulty):
    emulator = faulty()
    names = sorted(emulator.create("sleep 60")["name"] for _ in range(3))
    first = emulator.ask("GET", "/apps/demo/dynos", 206, headers={"Range": "name ..; max=2"})
    assert [dyno["name"] for dyno in first.json()] == names[:2]
    rest = emulator.ask("GET", "/apps/demo/dynos", headers={"Range": first.headers["Next-Range"]})
    assert [dyno["name"] for dyno in rest.json()] == names[2:]
    between = emulator.get("/apps/demo/dynos", headers={"Range": f"name {names[0]}..{names[1]}"})
    assert [dyno["name"] for dyno in between] == names[:2]


def test_a_change_of_config_vars_makes_a_release_and_reaches_a_dyno(start, make_folder):
    emulator = start(make_folder(__env="A=file\nB=file"))
    assert emulator.ask("PATCH", "/apps/demo/config-vars", json={"A": "set", "C": "1"}).json() == {
        "A": "set",
        "B": "file",
        "C": "1",
    }
    assert emulator.output('echo "$A $B $C $D"', env={"B": "request", "D": "4"}) == [b"set request 1 4"]
    newest = emulator.get("/apps/demo/releases")[-1]
    assert (newest["version"], newest["description"]) == (3, "Set A, C config vars")
    emulator.ask("PATCH", "/apps/demo/config-vars", json={"A": "set"})
    assert emulator.get("/apps/demo/releases")[-1]["version"] == 3
    assert emulator.ask("PATCH", "/apps/demo/config-vars", json={"A": None, "C": None}).json() == {
        "A": "file",
        "B": "file",
    }
    emulator.ask("PATCH", "/apps/demo/config-vars", 422, json={"A-B": "1"})


def test_a_dyno_above_the_limit_is_refused_as_heroku_does(start, make_folder):
    emulator = start(make_folder(), "--one-offs", "2")
    for _ in range(2):
        emulator.create("sleep 60")
    refused = emulator.refused(command="true")
    assert refused["id"] == "cannot_run_above_limit"
    assert refused["message"] == "Cannot run more than 2 Standard-1X size dynos."
    assert (refused["limit"], refused["size"]) == (2, "Standard-1X")


def test_a_body_that_is_not_a_json_object_is_a_400(demo):
    for body in (b"{", b"[]", b"[" * 100_000, b"\xff", b"1" * 5000):
        assert demo.ask("POST", "/apps/demo/dynos", 400, data=body).json()["id"] == "bad_request"


def test_sizes_are_echoed_as_heroku_spells_them(demo):
    for given, told in ({"standard-2x": "Standard-2X", "BASIC": "Basic"}).items():
        assert demo.create("true", size=given)["size"] == told
    assert demo.create("true")["size"] == "Standard-1X"


def test_delete_ends_a_one_off_but_as_on_heroku_not_one_of_a_custom_type(demo):
    dyno, custom = demo.create("sleep 60"), demo.create("sleep 60", type="mine")
    assert custom["name"].startswith("mine.")
    for each in (dyno, custom):
        assert demo.ask("DELETE", f"/apps/demo/dynos/{each['name']}", 202).json() == {}
    assert b"status 143" in b"".join(demo.log(dyno))
    demo.get(f"/apps/demo/dynos/{custom['id']}")
    demo.stop(custom)
    demo.log(custom)


def test_strange_requests_never_break_the_server(demo):
    strange = ["/%ff", "/apps/%00", "/apps/%2e%2e/x", "/stream", "/stream?token=%ff", "//", "/apps/" + "a" * 5000]
    for path in strange:
        for method in ("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"):
            answer = demo.http.request(method, demo.url + path, timeout=20, data=b"\0" * 10)
            assert 400 <= answer.status_code < 500, (method, path)
    for header in ("Range", "Accept", "Authorization", "Last-Event-ID", "Content-Type"):
        for text in (b"\xff\xfe", b"x" * 9000, b";;;=,", b"0" * 400):
            for path in ("/apps/demo/releases", demo.session().removeprefix(demo.url)):
                answer = demo.http.get(demo.url + path, headers={header: text}, timeout=20)
                assert answer.status_code < 500, (header, text)


def test_an_unchanged_response_is_not_sent_again(demo):
    answer = demo.ask("GET", "/apps/demo")
    again = demo.ask("GET", "/apps/demo", 304, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.content == b""
    demo.ask("GET", "/apps/demo", 200, headers={"If-None-Match": '"other"'})
