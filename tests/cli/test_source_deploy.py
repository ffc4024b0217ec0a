"""A deploy from source, request by request as the plugin heroku-builds sends them."""

from __future__ import annotations

import base64

import pytest
import requests
from platform_api import archive, wait_until

PROCFILE = 'greet: echo "deployed $(cat word.txt)"\n'


def greeting(word):
    return archive({"Procfile": PROCFILE, "word.txt": word})


@pytest.fixture
def as_plugin(platform):
    """heroku-client's requests: Basic auth without a user, one range for everything."""
    basic = base64.b64encode(f":{platform.token}".encode()).decode()
    return {"Authorization": f"Basic {basic}", "Range": "id ..; max=1000"}


@pytest.fixture
def new_app(platform):
    app = platform.ask("POST", "/apps", 201, json={}).json()
    yield app["name"]
    platform.ask("DELETE", f"/apps/{app['name']}")


@pytest.mark.usefixtures("processes")
def test_a_deploy_makes_a_release_that_runs(platform, new_app, as_plugin):
    build, output = platform.deploy(new_app, greeting("once"), version="v-7", **as_plugin)
    assert build["status"] == "succeeded", output
    assert output.strip()
    assert build["source_blob"]["version"] == "v-7"
    release = platform.get(f"/apps/{new_app}/releases/{build['release']['id']}")
    assert release["current"] is True
    assert release["slug"]["id"] == build["slug"]["id"]
    assert [each["type"] for each in platform.get(f"/apps/{new_app}/formation")] == ["greet"]
    dyno = platform.create(new_app, "greet")
    wait_until(lambda: not platform.dynos(new_app))
    assert any(line.endswith(": deployed once") for line in platform.log(new_app, dyno=dyno["name"]))


@pytest.mark.usefixtures("processes")
def test_a_second_deploy_replaces_the_first_and_a_rollback_brings_it_back(platform, new_app, as_plugin):
    first, _ = platform.deploy(new_app, greeting("once"), **as_plugin)
    platform.deploy(new_app, greeting("twice"), **as_plugin, version=None)

    def said():
        dyno = platform.create(new_app, "greet")
        wait_until(lambda: not platform.dynos(new_app))
        return platform.log(new_app, dyno=dyno["name"], source="app")[-1].partition("]: ")[2]

    assert said() == "deployed twice"
    platform.ask("POST", f"/apps/{new_app}/releases", 201, json={"release": first["release"]["id"]})
    assert said() == "deployed once"


def test_a_source_that_is_not_an_archive_fails_the_build(platform, new_app, as_plugin):
    build, output = platform.deploy(new_app, b"this is no archive", **as_plugin)
    assert build["status"] == "failed"
    assert output.strip()
    assert platform.get(f"/apps/{new_app}/formation") == []


def test_builds_are_listed_newest_first(platform, new_app, as_plugin):
    for version in ("one", "two"):
        platform.deploy(new_app, greeting(version), **as_plugin, version=version)
    headers = {**as_plugin, "Range": "created_at ..; max=15, order=desc"}
    listed = platform.get(f"/apps/{new_app}/builds", headers=headers)
    assert {each["source_blob"]["version"] for each in listed} == {"one", "two"}
    assert [each["created_at"] for each in listed] == sorted((each["created_at"] for each in listed), reverse=True)
    assert {each["user"]["email"] for each in listed} == {platform.get("/account")["email"]}


def test_an_app_without_code_has_no_types_and_runs_no_dyno(platform, new_app):
    assert platform.get(f"/apps/{new_app}/formation") == []
    refused = platform.ask("POST", f"/apps/{new_app}/dynos", 422, json={"command": "true"}).json()
    assert refused["id"] == "invalid_params"


def test_an_upload_needs_its_secret_and_no_token(platform):
    blob = platform.ask("POST", "/sources", 201).json()["source_blob"]
    wrong = blob["put_url"][:-1] + ("0" if blob["put_url"][-1] != "0" else "1")
    assert requests.put(wrong, data=b"x", headers={"Content-Type": ""}, timeout=20).status_code in {403, 404}
    assert requests.get(blob["put_url"], timeout=20).status_code >= 400
    assert blob["put_url"].startswith(platform.url)
