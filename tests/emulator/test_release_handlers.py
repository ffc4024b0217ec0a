"""Deploys as clients make them: a tarball or a slug becomes a running app, or the old one stays unchanged."""

from __future__ import annotations

import io
import tarfile
import threading
import time

import pytest
import requests
from emulators import wait_until


def tarball(files=None, *members):
    """A gzipped tarball of texts; members: (TarInfo, bytes) as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in (files or {}).items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        for info in members:
            tar.addfile(info)
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class App:
    """An app of the running emulator that things are deployed to."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.name = emulator.ask("POST", "/apps", 201, json={}).json()["name"]
        self.path = f"/apps/{self.name}"

    def get(self, path="", **more):
        return self.emulator.get(self.path + path, **more)

    def ask(self, method, path, status, **more):
        return self.emulator.ask(method, self.path + path, status, **more).json()

    def start_build(self, archive, **source):
        urls = self.emulator.ask("POST", "/sources", 201).json()["source_blob"]
        requests.put(urls["put_url"], data=archive, headers={"Content-Type": ""}, timeout=20).raise_for_status()
        blob = {"url": urls["get_url"], **source}
        return self.ask("POST", "/builds", 201, json={"source_blob": blob})

    def build(self, archive, **source):
        """Build; return the build as it ended, and what it said."""
        build = self.start_build(archive, **source)
        said = requests.get(build["output_stream_url"], timeout=60).content.replace(b"\0", b"").decode()
        return self.get(f"/builds/{build['id']}"), said

    def output(self, command, **more):
        dyno = self.ask("POST", "/dynos", 201, json={"command": command, **more})
        url = self.ask("POST", "/log-sessions", 201, json={"dyno": dyno["name"], "lines": 1500, "tail": True})
        with self.emulator.open(url["logplex_url"]) as log:
            lines = log.until(b"to complete")
        return [line.partition(b"]: ")[2].decode() for line in lines if b" app[run" in line]

    def states(self):
        return {dyno["name"]: dyno["state"] for dyno in self.get("/dynos")}

    def versions(self):
        return [(each["version"], each["status"], each["current"]) for each in self.get("/releases")]


@pytest.fixture
def app(demo):
    app = App(demo)
    yield app
    demo.ask("DELETE", app.path)


SAY = {"Procfile": "say: cat word.txt", "word.txt": "first\n"}


def test_a_source_becomes_a_running_app(app):
    build, said = app.build(tarball(SAY), version="v1", version_description="the first")
    assert build["status"] == "succeeded"
    assert "Procfile declares types -> say" in said
    assert said.endswith("Released v2\n")
    assert app.output("say") == ["first"]
    assert [each["type"] for each in app.get("/formation")] == ["say"]
    release = app.get("/releases")[-1]
    assert (release["id"], release["slug"]) == (build["release"]["id"], build["slug"])
    assert release["description"] == "Deploy v1"


def test_each_dyno_of_a_deployed_app_has_its_own_files(app):
    app.build(tarball(SAY))
    assert app.output("echo mine > word.txt; cat word.txt; echo $HOME; pwd")[0] == "mine"
    assert app.output("say") == ["first"]


def test_a_wrapping_folder_is_removed(app):
    app.build(tarball({f"repo-main/{name}": text for name, text in SAY.items()}))
    assert app.output("say") == ["first"]


def test_a_second_deploy_runs_the_new_code_and_a_rollback_the_old_one_with_its_config(app):
    app.build(tarball(SAY))
    app.ask("PATCH", "/config-vars", 200, json={"WORD": "one"})
    kept = app.get("/releases")[-1]
    app.build(tarball({"Procfile": "say: echo second $WORD"}))
    app.ask("PATCH", "/config-vars", 200, json={"WORD": "two"})
    assert app.output("say") == ["second two"]
    assert app.get(f"/releases/{kept['version']}/config-vars") == {"WORD": "one"}
    rolled = app.ask("POST", "/releases", 201, json={"release": kept["id"]})
    assert rolled["description"] == f"Rollback to v{kept['version']}"
    assert app.output("say") == ["first"]
    assert app.get("/config-vars") == {"WORD": "one"}
    assert [each["current"] for each in app.get("/releases")].count(True) == 1


def test_a_rollback_to_a_release_without_code_is_a_422(app):
    refused = app.ask("POST", "/releases", 422, json={"release": app.get("/releases/1")["id"]})
    assert "Cannot roll back to v1" in refused["message"]


def test_a_dyno_create_without_code_is_refused(app):
    assert "has no code yet" in app.ask("POST", "/dynos", 422, json={"command": "true"})["message"]
    refused = app.ask("PATCH", "/formation", 422, json={"updates": [{"type": "web", "quantity": 1}]})
    assert refused["message"] == "App must be deployed before dynos can be scaled."


def test_failing_requirements_fail_the_build_and_the_old_release_stays_current(app):
    app.build(tarball(SAY))
    build, said = app.build(tarball({**SAY, "requirements.txt": "./no-such-package.whl\n"}))
    assert build["status"] == "failed"
    assert build["release"] is None
    assert "no-such-package.whl" in said
    assert "failed to build" in said
    assert app.output("say") == ["first"]
    assert len(app.get("/releases")) == 2


def test_the_output_can_be_resumed_anywhere_as_text_and_as_events(app):
    build, said = app.build(tarball(SAY))
    url = build["output_stream_url"]
    rest = requests.get(url, headers={"Range": "bytes=10-"}, timeout=20)
    assert (rest.status_code, rest.text) == (206, said[10:])
    events = requests.get(url, headers={"Accept": "text/event-stream"}, timeout=20).text.split("\n\n")
    lines = [event.split("\n") for event in events if event]
    assert [data.removeprefix("data: ") for _, data in lines] == said.splitlines()
    last = lines[1][0].removeprefix("id: ")
    resumed = requests.get(url, headers={"Accept": "text/event-stream", "Last-Event-ID": last}, timeout=20).text
    assert resumed.split("\n\n")[:-1] == events[2:-1]
    at_end = {"Accept": "text/event-stream", "Last-Event-ID": str(len(said.encode()))}
    assert requests.get(url, headers=at_end, timeout=20).status_code == 204


def test_the_output_streams_while_the_build_goes_on(app):
    build = app.start_build(tarball({"Procfile": "release: sleep 0.5; echo released\nsay: true"}))
    requests.get(build["output_stream_url"], timeout=20)
    release = app.get("/releases")[-1]
    assert (release["status"], release["current"]) == ("pending", False)
    assert requests.get(release["output_stream_url"], timeout=20).text.replace("\0", "") == "released\n"
    wait_until(lambda: app.get("/releases")[-1]["status"] == "succeeded")
    assert app.get("/releases")[-1]["current"]


def test_a_failing_release_command_leaves_the_old_release(app):
    app.build(tarball(SAY))
    app.build(tarball({"Procfile": "release: echo no; exit 3\nsay: echo new"}))
    wait_until(lambda: app.get("/releases")[-1]["status"] == "failed")
    assert app.versions() == [(1, "succeeded", False), (2, "succeeded", True), (3, "failed", False)]
    assert app.output("say") == ["first"]


def put_slug(app, archive, **order):
    slug = app.ask("POST", "/slugs", 201, json={"process_types": {"say": "cat word.txt"}, **order})
    requests.put(slug["blob"]["url"], data=archive, headers={"Content-Type": ""}, timeout=20).raise_for_status()
    return slug


def test_a_slug_and_a_release_make_a_running_app(app):
    archive = tarball({"./app/word.txt": "from a slug\n"})
    slug = put_slug(app, archive, commit="abcdef0123456789")
    release = app.ask("POST", "/releases", 201, json={"slug": slug["id"]})
    assert release["description"] == "Deploy abcdef01"
    assert app.output("say") == ["from a slug"]
    told = app.get(f"/slugs/{slug['id']}")
    assert (told["size"], told["blob"]["method"]) == (len(archive), "get")
    assert requests.get(told["blob"]["url"], timeout=20).content == archive


def test_a_slug_that_cannot_run_is_refused(app):
    slug = app.ask("POST", "/slugs", 201, json={"process_types": {}})
    assert "has not been put" in app.ask("POST", "/releases", 422, json={"slug": slug["id"]})["message"]
    slug = put_slug(app, tarball({"app/a": ""}), checksum="SHA256:" + "0" * 64)
    assert "checksum" in app.ask("POST", "/releases", 422, json={"slug": slug["id"]})["message"]
    slug = put_slug(app, b"no tarball")
    assert "not a gzipped tarball" in app.ask("POST", "/releases", 422, json={"slug": slug["id"]})["message"]
    assert app.ask("POST", "/releases", 404, json={"slug": "x"})["id"] == "not_found"
    assert len(app.get("/releases")) == 1


DEVICE = tarfile.TarInfo("device")
DEVICE.type = tarfile.CHRTYPE
PIPE = tarfile.TarInfo("pipe")
PIPE.type = tarfile.FIFOTYPE


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (tarball({"../evil": "x"}), "leads outside"),
        (tarball({"a/../../evil": "x"}), "leads outside"),
        (tarball({"/tmp/evil": "x"}), "leads outside"),
        (tarball({}, link("evil", "/etc/passwd")), "leads outside"),
        (tarball({}, link("evil", "../../..")), "leads outside"),
        (tarball({}, link("a", "b"), link("b", "a")), "leads to itself"),
        (tarball({}, link("a", "a")), "leads to itself"),
        (tarball({}, link("a", "a/deeper")), "leads to itself"),
        (tarball({}, link("b", "a/a/.."), link("a", ".")), "leads outside"),
        (tarball({"a/file": ""}, link("b", "a/../.."), link("c", "b/..")), "leads outside"),
        (tarball({}, link("evil", "/etc/passwd", tarfile.LNKTYPE)), "leads outside"),
        (tarball({}, link("evil", "nothing", tarfile.LNKTYPE)), "not a gzipped tarball"),
        (tarball({}, DEVICE), "not a file, folder or link"),
        (tarball({}, PIPE), "not a file, folder or link"),
        (tarball(SAY)[:-20], "not a gzipped tarball"),
        (b"", "not a gzipped tarball"),
    ],
    ids=range(16),
)
def test_an_archive_that_leads_outside_or_is_damaged_is_refused_completely(app, archive, words):
    build, said = app.build(archive)
    assert build["status"] == "failed"
    assert words in said
    assert len(app.get("/releases")) == 1


def test_a_file_is_never_written_through_a_link(app, tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(link("way", str(tmp_path)))
        info = tarfile.TarInfo("way/evil")
        tar.addfile(info, io.BytesIO())
    assert app.build(out.getvalue())[0]["status"] == "failed"
    assert list(tmp_path.iterdir()) == []


def test_links_inside_are_kept(app):
    archive = tarball(
        {"Procfile": "say: cat two", "in/one": "linked\n"}, link("two", "in/one"), link("gone", "nowhere")
    )
    assert app.build(archive)[0]["status"] == "succeeded"
    assert app.output("say") == ["linked"]


def test_a_wrong_checksum_fails_the_build(app):
    build, said = app.build(tarball(SAY), checksum="SHA256:" + "0" * 64)
    assert build["status"] == "failed"
    assert "checksum" in said


def test_a_foreign_source_url_is_refused_and_nothing_is_fetched(app):
    for url in ("http://192.0.2.1/x.tgz", "file:///etc/passwd", app.emulator.url + "/blobs/x"):
        refused = app.ask("POST", "/builds", 422, json={"source_blob": {"url": url}})
        assert "does not fetch sources from anywhere else" in refused["message"]


def test_each_url_of_a_source_allows_one_thing_only(app):
    urls = app.emulator.ask("POST", "/sources", 201).json()["source_blob"]
    assert requests.put(urls["get_url"], data=b"x", timeout=20).status_code == 403
    assert requests.get(urls["get_url"], timeout=20).status_code == 403
    assert requests.put(urls["put_url"], data=b"x", timeout=20).status_code == 200
    assert requests.get(urls["put_url"], timeout=20).status_code == 403
    assert requests.get(urls["get_url"], timeout=20).content == b"x"


def test_builds_are_listed_newest_first_on_request(app):
    builds = [app.build(tarball(SAY))[0]["id"] for _ in range(2)]
    listed = app.get("/builds", headers={"Range": "created_at ..; max=15, order=desc"})
    assert {each["id"] for each in listed} == set(builds)
    assert all(each["user"]["email"] for each in listed)
    assert app.get("/builds", headers={"Range": "started_at ..; order=desc"}) == listed


WEB = "import http.server, os, signal\nhttp.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()"


def test_the_first_deploy_starts_one_web_dyno_that_has_a_port(app):
    app.build(tarball({"Procfile": "web: python web.py\nworker: sleep 60", "web.py": WEB}))
    wait_until(lambda: app.states() == {"web.1": "up"})
    assert {each["type"]: each["quantity"] for each in app.get("/formation")} == {"web": 1, "worker": 0}


def test_no_process_type_is_scaled_above_the_limit(app):
    app.build(tarball({"Procfile": "worker: sleep 60\nclock: sleep 60"}))
    one, many = {"type": "clock", "quantity": 1}, {"type": "worker", "quantity": "+60"}
    for updates in ([one, {"type": "worker", "quantity": "+101"}], [one, many, many]):
        app.ask("PATCH", "/formation", 422, json={"updates": updates})
    assert {each["type"]: each["quantity"] for each in app.get("/formation")} == {"worker": 0, "clock": 0}


def test_the_archive_of_a_slug_cannot_be_put_after_its_app_is_deleted(demo):
    demo.ask("POST", "/apps", 201, json={"name": "deleted"})
    url = demo.ask("POST", "/apps/deleted/slugs", 201, json={"process_types": {}}).json()["blob"]["url"]
    demo.ask("DELETE", "/apps/deleted")
    assert requests.put(url, data=b"x", timeout=20).status_code == 403


def test_scaling_starts_and_stops_dynos_and_a_new_release_restarts_them(app):
    app.build(tarball({"Procfile": "worker: sleep 60"}))
    update = {"type": "worker", "quantity": "2", "size": "standard-2x"}
    (scaled,) = app.ask("PATCH", "/formation", 200, json={"updates": [update]})
    assert (scaled["quantity"], scaled["size"]) == (2, "Standard-2X")
    wait_until(lambda: app.states() == {"worker.1": "up", "worker.2": "up"})
    before = {dyno["id"] for dyno in app.get("/dynos")}
    app.ask("PATCH", "/config-vars", 200, json={"A": "1"})
    wait_until(lambda: len(app.states()) == 2 and not before & {dyno["id"] for dyno in app.get("/dynos")})
    app.ask("PATCH", "/formation", 200, json={"updates": [{"type": "worker", "quantity": "-1"}]})
    wait_until(lambda: list(app.states()) == ["worker.1"])
    old = app.get("/dynos")[0]["id"]
    app.ask("POST", "/formations/worker/actions/stop", 202)
    wait_until(lambda: app.states() == {"worker.1": "up"} and app.get("/dynos")[0]["id"] != old)
    app.ask("PATCH", "/formation/worker", 200, json={"quantity": 0})
    wait_until(lambda: app.states() == {})


def test_a_dyno_of_the_formation_that_ends_has_crashed_and_starts_again(start, make_folder):
    app = App(start(make_folder(), "--time", "restart=0.3"))
    app.build(tarball({"Procfile": "worker: exit 1"}))
    app.ask("PATCH", "/formation/worker", 200, json={"quantity": 1})
    url = app.ask("POST", "/log-sessions", 201, json={"dyno": "worker", "lines": 1500, "tail": True})["logplex_url"]
    with app.emulator.open(url) as log:
        log.until(b"State changed from up to crashed")
        assert app.states() == {"worker.1": "crashed"}
        log.until(b"State changed from up to crashed")
    app.ask("PATCH", "/formation/worker", 200, json={"quantity": 0})
    wait_until(lambda: app.states() == {})


def test_a_crashed_dyno_starts_at_once_when_it_is_restarted(start, make_folder):
    app = App(start(make_folder(), "--time", "restart=600"))
    app.build(tarball({"Procfile": "worker: exit $STATUS"}))
    app.ask("PATCH", "/formation/worker", 200, json={"quantity": 1})
    wait_until(lambda: app.states() == {"worker.1": "crashed"})
    old = app.get("/dynos/worker.1")["id"]
    app.ask("DELETE", "/dynos/worker.1", 202)
    wait_until(lambda: app.states() == {"worker.1": "crashed"} and app.get("/dynos/worker.1")["id"] != old)


def test_a_deploy_may_drop_the_process_type_of_a_crashed_dyno(start, make_folder):
    app = App(start(make_folder(), "--time", "restart=600"))
    app.build(tarball({"Procfile": "web: exit 1"}))
    wait_until(lambda: app.states() == {"web.1": "crashed"})
    build, said = app.build(tarball(SAY))
    assert (build["status"], app.states()) == ("succeeded", {}), said
    assert app.output("say") == ["first"]


def test_one_offs_of_a_deployed_app_survive_a_new_release(app):
    app.build(tarball({"Procfile": "say: true"}))
    dyno = app.ask("POST", "/dynos", 201, json={"command": "sleep 30"})
    wait_until(lambda: app.states() == {dyno["name"]: "up"})
    app.ask("PATCH", "/config-vars", 200, json={"A": "1"})
    time.sleep(0.1)
    assert app.states() == {dyno["name"]: "up"}


def test_two_concurrent_builds_make_two_releases(app):
    threads = [threading.Thread(target=app.build, args=(tarball(SAY),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [version for version, *_ in app.versions()] == [1, 2, 3]


def test_a_rollback_does_not_make_config_vars_of_the_lines_of_dotenv(start, make_folder):
    emulator = start(make_folder(__env="A=1\n"))
    for value in ("1", "2"):
        emulator.ask("PATCH", "/apps/demo/config-vars", json={"X": value})
    first = emulator.get("/apps/demo/releases/3")
    emulator.ask("POST", "/apps/demo/releases", 201, json={"release": first["id"]})
    assert emulator.get("/apps/demo/config-vars") == {"A": "1", "X": "1"}
    (emulator.folder / ".env").write_text("A=2\n")
    assert emulator.get("/apps/demo/config-vars") == {"A": "2", "X": "1"}


def test_a_live_folder_is_rolled_back_to_earlier_config_but_not_to_code_that_it_does_not_hold(start, make_folder):
    emulator = start(make_folder())
    for value in ("one", "two"):
        emulator.ask("PATCH", "/apps/demo/config-vars", json={"A": value})
    first = emulator.get("/apps/demo/releases/3")
    assert first["eligible_for_rollback"]
    emulator.ask("POST", "/apps/demo/releases", 201, json={"release": first["id"]})
    assert emulator.get("/apps/demo/config-vars") == {"A": "one"}
    (emulator.folder / "new.py").write_text("")
    assert not emulator.get("/apps/demo/releases/3")["eligible_for_rollback"]
    emulator.ask("POST", "/apps/demo/releases", 422, json={"release": first["id"]})
