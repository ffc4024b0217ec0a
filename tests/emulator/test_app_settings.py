"""Features, buildpacks, tokens and app setups, and builds from archives on this machine."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import tarfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from emulators import Emulator, wait_until
from loops import run_loop
from tornado.httpclient import AsyncHTTPClient

from heroku_magic.emulator.builds import FetchedSource


@pytest.fixture(scope="module")
def heroku(make_folder, processes):
    emulator = Emulator(make_folder("clock: exec sleep 600"), "--time", "grace=0.4", "--time", "memory=0.2")
    yield emulator
    assert emulator.end() == ""


@pytest.fixture
def app(heroku):
    return heroku.ask("POST", "/apps", 201, json={}).json()["name"]


def tarball(**files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


@pytest.fixture
def web():
    """Serve archives at paths; return the URL and a dictionary of what is served."""
    served = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = served.get(self.path)
            if isinstance(body, str):
                self.send_response(302)
                self.send_header("Location", body)
            else:
                self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body) if isinstance(body, bytes) else 0))
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    server.server_close()


def wait_for(heroku, path):
    """The resource once its status is final."""
    end = time.monotonic() + 20
    while (found := heroku.get(path))["status"] == "pending":
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def build(heroku, app, **source):
    body = {"source_blob": source}
    return wait_for(
        heroku, f"/apps/{app}/builds/{heroku.ask('POST', f'/apps/{app}/builds', 201, json=body).json()['id']}"
    )


def test_a_build_fetches_an_archive_of_this_machine_and_of_no_other(heroku, app, web):
    url, served = web
    served["/app.tgz"] = tarball(Procfile="task: echo built")
    served["/moved.tgz"] = "https://example.invalid/app.tgz"
    assert build(heroku, app, url=f"{url}/app.tgz", version="v1")["status"] == "succeeded"
    assert build(heroku, app, url=f"{url.replace('127.0.0.1', 'localhost')}/app.tgz")["status"] == "succeeded"
    assert build(heroku, app, url=f"{url}/app.tgz", checksum=f"SHA256:{'0' * 64}")["status"] == "failed"
    for path in ("nothing.tgz", "moved.tgz"):
        failed = build(heroku, app, url=f"{url}/{path}")
        output = heroku.http.get(failed["output_stream_url"], timeout=20).text
        assert failed["status"] == "failed"
        assert f"The source cannot be fetched from {url}/{path}" in output
    for elsewhere in (
        "https://example.invalid/a.tgz",
        f"{heroku.url}/blobs/x",
        "file:///etc/passwd",
        "http://[",
        "http://127.0.0.1.example.invalid/",
    ):
        heroku.ask("POST", f"/apps/{app}/builds", 422, json={"source_blob": {"url": elsewhere}})


def test_buildpacks_are_kept_and_shown(heroku, app):
    path = f"/apps/{app}/buildpack-installations"
    url = "https://github.com/heroku/heroku-buildpack-apt"
    installed = heroku.ask("PUT", path, json={"updates": [{"buildpack": "heroku/python"}, {"buildpack": url}]}).json()
    assert installed == heroku.get(path)
    assert [(each["ordinal"], each["buildpack"]["name"]) for each in installed] == [(0, "heroku/python"), (1, url)]
    assert installed[0]["buildpack"]["url"].endswith("/heroku/python.tgz")
    for wrong in ({}, {"updates": "heroku/python"}, {"updates": [{"buildpack": 1}]}, {"updates": ["heroku/python"]}):
        heroku.ask("PUT", path, 422, json=wrong)
    assert heroku.ask("PUT", path, json={"updates": []}).json() == []


def test_the_buildpacks_of_a_build_are_a_list(heroku, app, web):
    url, served = web
    served["/app.tgz"] = tarball(Procfile="task: true")
    assert [each["name"] for each in build(heroku, app, url=f"{url}/app.tgz")["buildpacks"]] == ["heroku/python"]


def test_dyno_metadata_appears_with_its_feature(heroku):
    path = "/apps/demo/features/runtime-dyno-metadata"
    names = "$HEROKU_APP_NAME $HEROKU_RELEASE_VERSION"
    assert heroku.get(path)["enabled"] is False
    assert heroku.output(f'echo "<{names}>"') == [b"< >"]
    changed = heroku.ask("PATCH", path, json={"enabled": True}).json()
    assert changed["enabled"] is True
    version = heroku.get("/apps/demo/releases")[-1]["version"]
    assert heroku.output(f'echo "<{names}>"') == [f"<demo v{version}>".encode()]
    heroku.ask("PATCH", f"/apps/demo/features/{changed['id']}", json={"enabled": False})
    assert heroku.output('echo "<$HEROKU_APP_NAME>"') == [b"<>"]
    heroku.ask("PATCH", path, 422, json={"enabled": "yes"})
    heroku.ask("PATCH", path, 422, json={})
    heroku.ask("PATCH", "/apps/demo/features/http-end-to-end", 404, json={"enabled": True})


@pytest.mark.parametrize(
    ("name", "what"),
    [("preboot", "preboot"), ("http-session-affinity", "session affinity"), ("runtime-heroku-exec", "Heroku Exec")],
)
def test_a_feature_of_heroku_that_has_no_effect_here_stays_off(heroku, name, what):
    path = f"/apps/demo/features/{name}"
    refused = heroku.ask("PATCH", path, 422, json={"enabled": True}).json()
    assert refused["message"] == f"The embedded Heroku does not support {what}."
    assert heroku.ask("PATCH", path, json={"enabled": False}).json()["enabled"] is False
    assert heroku.get(path)["enabled"] is False
    assert name not in {each["name"] for each in heroku.get("/apps/demo/features")}


def test_runtime_metrics_are_logged_with_their_feature(heroku):
    heroku.ask("PATCH", "/apps/demo/features/log-runtime-metrics", json={"enabled": True})
    dyno = heroku.create("exec sleep 600")
    with heroku.tail(dyno) as log:
        line = log.until(b"sample#memory_total=")[-1].decode()
    assert f"heroku[{dyno['name']}]: source={dyno['name']} dyno=heroku." in line
    heroku.ask("PATCH", "/apps/demo/features/log-runtime-metrics", json={"enabled": False})
    heroku.stop(dyno)


def test_an_authorization_is_described_anew_and_gets_another_token(heroku):
    made = heroku.ask("POST", "/oauth/authorizations", 201, json={"description": "old"}).json()
    path = f"/oauth/authorizations/{made['id']}"
    assert heroku.ask("PATCH", path, json={"description": "new"}).json()["description"] == "new"
    heroku.ask("PATCH", path, 422, json={"description": 1})
    heroku.ask("PATCH", path, 422, json={"client": {"id": "x"}})
    fresh = heroku.ask("POST", f"{path}/actions/regenerate-tokens").json()["access_token"]["token"]
    assert fresh != made["access_token"]["token"]
    for token, status in ((made["access_token"]["token"], 401), (fresh, 200)):
        heroku.ask("GET", "/account", status, headers={"Authorization": f"Bearer {token}"})


def test_maintenance_may_be_a_number(heroku, app):
    for sent, kept in ((1, True), (0, False), (True, True), (False, False)):
        assert heroku.ask("PATCH", f"/apps/{app}", json={"maintenance": sent}).json()["maintenance"] is kept
    for wrong in (2, "0", 1.0, []):
        heroku.ask("PATCH", f"/apps/{app}", 422, json={"maintenance": wrong})


@pytest.mark.parametrize(("method", "action"), [("DELETE", ""), ("POST", "/actions/stop")])
def test_all_dynos_of_a_type_are_restarted_or_stopped_by_its_name(heroku, method, action):
    heroku.ask("PATCH", "/apps/demo/formation/clock", json={"quantity": 2})
    wait_until(lambda: [each["state"] for each in heroku.get("/apps/demo/dynos")] == ["up", "up"])
    before = {each["id"] for each in heroku.get("/apps/demo/dynos")}
    heroku.ask(method, f"/apps/demo/dynos/clock{action}", 202)
    wait_until(lambda: len(before | {each["id"] for each in heroku.get("/apps/demo/dynos")}) == 4)
    heroku.ask("PATCH", "/apps/demo/formation/clock", json={"quantity": 0})
    wait_until(lambda: heroku.get("/apps/demo/dynos") == [])
    heroku.ask(method, f"/apps/demo/dynos/nothing{action}", 404)


def test_config_vars_have_a_total_size(heroku, app):
    path = f"/apps/{app}/config-vars"
    heroku.ask("PATCH", path, json={"A": "x" * 40_000})
    assert "at most 65536 bytes" in heroku.ask("PATCH", path, 422, json={"B": "x" * 40_000}).json()["message"]
    heroku.ask("PATCH", path, json={"A": None, "B": "é" * 30_000})
    heroku.ask("PATCH", path, 422, json={"C": "é" * 3_000})
    assert list(heroku.get(path)) == ["B"]


MANIFEST = {
    "env": {"PLAIN": "1", "DECLARED": {"value": "2"}, "KEY": {"generator": "secret"}, "ASKED": {"description": "?"}},
}


def test_an_app_is_set_up_from_a_source_with_a_manifest(heroku, web):
    url, served = web
    served["/app.tgz"] = tarball(Procfile="task: echo ready", app__json=json.dumps(MANIFEST))
    body = {"source_blob": {"url": f"{url}/app.tgz"}, "app": {"name": "set-up"}, "overrides": {"env": {"ASKED": "3"}}}
    setup = heroku.ask("POST", "/app-setups", 202, json=body).json()
    assert (setup["status"], setup["app"]["name"]) == ("pending", "set-up")
    done = wait_for(heroku, f"/app-setups/{setup['id']}")
    assert (done["status"], done["build"]["status"], done["manifest_errors"]) == ("succeeded", "succeeded", [])
    config = heroku.get("/apps/set-up/config-vars")
    assert len(config.pop("KEY")) == 64
    assert config == {"PLAIN": "1", "DECLARED": "2", "ASKED": "3"}
    assert [each["type"] for each in heroku.get("/apps/set-up/formation")] == ["task"]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({}, "app.json not found"),
        ({"app__json": "["}, "app.json is not a JSON object, or its env is not one"),
        ({"app__json": json.dumps(MANIFEST)}, "config var ASKED is required and has no value"),
        ({"app__json": '{"env": {"A=B": "1"}}'}, "Config var name 'A=B' is invalid: letters, digits and _ only"),
        (
            {"app__json": '{"env": {"HEROKU_A": "1"}}'},
            "Config var name 'HEROKU_A' is invalid: letters, digits and _ only",
        ),
        ({"app__json": json.dumps({"env": {"A": "x\0"}})}, "'A' contains a NUL character"),
        (
            {"app__json": json.dumps({"env": {"A": "x" * 40_000, "B": "x" * 40_000}})},
            "Config vars are too large: at most 65536 bytes of names and values",
        ),
    ],
    ids=["none", "no object", "no value", "no name", "reserved name", "NUL", "too large"],
)
def test_a_wrong_manifest_is_reported(heroku, web, files, error):
    url, served = web
    served["/app.tgz"] = tarball(Procfile="task: true", **files)
    setup = heroku.ask("POST", "/app-setups", 202, json={"source_blob": {"url": f"{url}/app.tgz"}}).json()
    done = wait_for(heroku, f"/app-setups/{setup['id']}")
    assert (done["status"], done["manifest_errors"], done["failure_message"]) == ("failed", [error], "invalid app.json")


def test_the_body_of_an_app_setup_is_checked(heroku):
    url = {"source_blob": {"url": "http://127.0.0.1:9/app.tgz"}}
    for wrong in ({}, {**url, "app": []}, {**url, "overrides": {"env": {"A": 1}}}, {**url, "app": {"name": "X"}}):
        heroku.ask("POST", "/app-setups", 422, json=wrong)
    for wrong in ({**url, "overrides": {"env": env}} for env in ({"A=B": "1"}, {"HEROKU_A": "1"}, {"A": None})):
        heroku.ask("POST", "/app-setups", 422, json=wrong)
    heroku.ask("GET", "/app-setups/nothing", 404)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("organization", "a-team", "teams"),
        ("locked", True, "teams"),
        ("space", "a-space", "spaces"),
        ("internal_routing", True, "spaces"),
    ],
)
def test_an_app_of_a_team_or_space_is_not_set_up(heroku, name, value, what):
    source = {"source_blob": {"url": "http://127.0.0.1:9/app.tgz"}}
    refused = heroku.ask("POST", "/app-setups", 422, json={**source, "app": {name: value}}).json()
    assert refused["message"] == f"The embedded Heroku does not support {what}."
    made = heroku.ask(
        "POST", "/app-setups", 202, json={**source, "app": {name: None, "internal_routing": False}}
    ).json()
    heroku.ask("DELETE", f"/apps/{made['app']['name']}")


@pytest.mark.large
def test_a_cancelled_build_leaves_no_error_of_its_fetch_in_the_log(tmp_path, caplog, monkeypatch):
    fetches, fetch = [], AsyncHTTPClient.fetch

    def noted_fetch(*arguments, **options):
        fetches.append(fetch(*arguments, **options))
        return fetches[-1]

    async def cancel_while_fetching():
        is_reached, may_hang_up = asyncio.Event(), asyncio.Event()

        async def hang_up(_, writer):
            is_reached.set()
            await may_hang_up.wait()
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/app.tgz"
        build = asyncio.create_task(FetchedSource(url, None).unpack(tmp_path / "app", None))
        await is_reached.wait()
        build.cancel()
        await asyncio.wait([build])
        may_hang_up.set()
        server.close()
        ended, _ = await asyncio.wait(fetches, timeout=10)
        await asyncio.sleep(0)  # for what waits for the end of the fetch
        fetches.clear()
        return build.cancelled(), len(ended)

    monkeypatch.setattr(AsyncHTTPClient, "fetch", noted_fetch)
    gc.collect()  # what other tests have left reports its errors now
    caplog.clear()
    assert run_loop(cancel_while_fetching()) == (True, 1)
    gc.collect()
    assert caplog.records == []
