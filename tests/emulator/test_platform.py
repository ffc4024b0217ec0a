"""Apps, tokens, and the state that is kept for the next start."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import requests
from emulators import ACCEPT
from test_release_handlers import SAY, App, tarball


def test_an_app_is_created_changed_and_deleted(demo):
    made = demo.ask("POST", "/apps", 201, json={"name": "new-app", "region": "eu", "stack": "heroku-26"}).json()
    assert (made["name"], made["region"]["name"], made["stack"]["name"]) == ("new-app", "eu", "heroku-26")
    assert [each["version"] for each in demo.get("/apps/new-app/releases")] == [1]
    changed = demo.ask("PATCH", f"/apps/{made['id']}", 200, json={"name": "newer-app", "maintenance": True}).json()
    assert (changed["name"], changed["maintenance"]) == ("newer-app", True)
    assert {"demo", "newer-app"} <= {each["name"] for each in demo.get("/users/~/apps")}
    demo.ask("DELETE", "/apps/newer-app", 200)
    assert demo.ask("GET", "/apps/newer-app", 404).json()["resource"] == "app"


def test_an_app_without_a_name_gets_a_random_one(demo):
    name = demo.ask("POST", "/apps", 201, json={}).json()["name"]
    assert len(name.split("-")) == 3
    demo.ask("DELETE", f"/apps/{name}", 200)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "demo"}, "Name is already taken"),
        ({"name": "Demo"}, "Name must start with a letter"),
        ({"name": "a"}, "Name must start with a letter"),
        ({"region": "mars"}, "region must be one of us, eu"),
        ({"stack": "heroku-20"}, "stack must be one of"),
        ({"nme": "x"}, "Unknown params: 'nme'"),
    ],
)
def test_an_invalid_app_is_refused_and_not_created(demo, body, words):
    before = demo.get("/apps")
    assert words in demo.ask("POST", "/apps", 422, json=body).json()["message"]
    assert demo.get("/apps") == before


def test_deleting_an_app_ends_its_dynos_and_its_log(start, make_folder):
    app = App(start(make_folder()))
    app.build(tarball(SAY))
    dyno = app.ask("POST", "/dynos", 201, json={"command": "sleep 60"})
    url = app.ask("POST", "/log-sessions", 201, json={"dyno": dyno["name"], "tail": True})["logplex_url"]
    with app.emulator.open(url) as log:
        log.until(b"to up")
        app.emulator.ask("DELETE", app.path, 200)
        assert b"Process exited with status 143" in b"".join(log.lines)
    assert requests.get(url, timeout=20).status_code == 404


def authorize(emulator, **body):
    return emulator.ask("POST", "/oauth/authorizations", 201, json=body).json()


def ask_as(emulator, token, method, path, **more):
    headers = {"Accept": ACCEPT, "Authorization": f"Bearer {token}"}
    return requests.request(method, emulator.url + path, headers=headers, timeout=20, **more)


def test_a_token_may_do_what_its_scope_allows_and_no_more(demo):
    read = authorize(demo, scope=["read"])["access_token"]["token"]
    assert ask_as(demo, read, "GET", "/apps/demo/dynos").status_code == 200
    assert ask_as(demo, read, "POST", "/apps/demo/log-sessions", json={}).status_code == 201
    refused = ask_as(demo, read, "POST", "/apps/demo/dynos", json={"command": "true"})
    assert (refused.status_code, refused.json()["id"]) == (403, "forbidden")
    assert "write" in refused.json()["message"]
    for path in ("/apps/demo/config-vars", "/account", "/oauth/authorizations"):
        assert ask_as(demo, read, "GET", path).status_code == 403
    identity = authorize(demo, scope=["identity"])["access_token"]["token"]
    assert ask_as(demo, identity, "GET", "/account").status_code == 200
    assert ask_as(demo, identity, "GET", "/apps/demo").status_code == 403


def test_a_token_ends_when_it_is_revoked_or_expires(demo):
    short = authorize(demo, expires_in="1", description="short")
    assert short["access_token"]["expires_in"] == 1
    assert ask_as(demo, short["access_token"]["token"], "GET", "/apps").status_code == 200
    long = authorize(demo)
    demo.ask("DELETE", f"/oauth/authorizations/{long['id']}", 200)
    assert ask_as(demo, long["access_token"]["token"], "GET", "/apps").status_code == 401
    time.sleep(1)
    assert ask_as(demo, short["access_token"]["token"], "GET", "/apps").status_code == 401
    assert short["id"] not in {each["id"] for each in demo.get("/oauth/authorizations")}


def test_only_the_response_to_a_create_shows_a_token(demo):
    made = authorize(demo, description="mine")
    told = demo.ask("GET", f"/oauth/authorizations/{made['id']}").text + demo.ask("GET", "/oauth/authorizations").text
    assert made["access_token"]["token"] not in told
    assert demo.token not in told
    assert "**********" in told
    demo.ask("DELETE", f"/oauth/authorizations/{made['id']}", 200)


def test_an_unknown_scope_is_refused(demo):
    refused = demo.ask("POST", "/oauth/authorizations", 422, json={"scope": ["all"]}).json()
    assert "scope must be one of global, identity" in refused["message"]


def test_apps_config_releases_and_slugs_survive_a_kill(start, make_folder, tmp_path):
    options = ("--state", str(tmp_path / "state"))
    app = App(start(make_folder(), *options))
    app.build(tarball(SAY))
    app.ask("PATCH", "/config-vars", 200, json={"A": "1"})
    paths = ("", "/config-vars", "/releases", "/formation")
    kept = [app.get(path) for path in paths]
    slug = app.get("/releases")[-1]["slug"]["id"]
    app.emulator.process.kill()
    app.emulator.process.wait()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "state.json").stat().st_mode & 0o777 == 0o600
    app.emulator = start(make_folder(), *options)
    kept[0] |= {name: app.get("")[name] for name in ("git_url", "web_url")}  # they hold the ports
    assert [app.get(path) for path in paths] == kept
    assert app.output("say ; echo $A") == ["first", "1"]
    assert app.get(f"/slugs/{slug}")["process_types"] == {"say": "cat word.txt"}


def test_a_kill_at_any_moment_leaves_a_state_that_can_be_opened(start, make_folder, tmp_path):
    options = ("--state", str(tmp_path / "state"))
    folder = make_folder()
    known = 0
    for round_ in range(6):
        emulator = start(folder, *options)
        apps = [each for each in emulator.get("/apps") if each["name"] != "demo"]
        assert len(apps) >= known
        for app in apps:
            assert emulator.get(f"/apps/{app['name']}/releases")[-1]["status"] in {"succeeded", "failed"}
        known = len(apps) + 1
        app = App(emulator)
        build = app.start_build(tarball({**SAY, "big": "x" * 300_000}))
        time.sleep(0.01 * round_**2)
        assert app.get(f"/builds/{build['id']}")
        os.kill(emulator.process.pid, signal.SIGKILL)
        emulator.process.wait()
    (tmp_path / "state" / "state.json.part").write_text("half a st")
    emulator = start(folder, *options)
    for app in emulator.get("/apps"):
        for path in ("", "/releases", "/builds", "/formation"):
            emulator.get(f"/apps/{app['name']}{path}")
    slugs = {path.name for path in (tmp_path / "state" / "slugs").glob("*/*")}
    saved = json.loads((tmp_path / "state" / "state.json").read_text())
    assert slugs <= {name for app in saved["apps"] for slug in app["slugs"] for name in (slug, f"{slug}.tgz")}


def test_two_emulators_do_not_share_a_state(start, make_folder, tmp_path):
    start(make_folder(), "--state", str(tmp_path))
    second = start(make_folder(), "--state", str(tmp_path), wait=False)
    assert second.process.wait(20) == 1
    assert b"is in use by another embedded Heroku" in second.process.stderr.read()


def test_a_state_in_another_format_is_one_clear_line(start, make_folder, tmp_path):
    (tmp_path / "state.json").write_text('{"format": 2, "apps": []}')
    second = start(make_folder(), "--state", str(tmp_path), wait=False)
    assert second.process.wait(20) == 1
    assert b"has format 2; this version reads 1" in second.process.stderr.read()
