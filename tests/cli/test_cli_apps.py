"""The official CLI: account, apps, config vars, releases, authorizations, and what it says of errors."""

from __future__ import annotations

import json
import re

import pytest
from platform_api import archive

pytestmark = pytest.mark.cli

EMAIL = re.compile(r"[\w.-]+@[\w.-]+")


@pytest.fixture
def email(platform):
    return platform.get("/account")["email"]


@pytest.mark.parametrize("said", ["auth:whoami"], indirect=True)
def test_whoami_is_the_account_of_the_token(said, email):
    assert (said.status, said.lines) == (0, [email])


@pytest.mark.parametrize("said", ["auth:token"], indirect=True)
def test_the_token_is_printed_without_a_warning(said, platform):
    assert (said.status, said.lines, said.stderr) == (0, [platform.token], "")


@pytest.mark.parametrize("said", ["apps", "apps --all"], indirect=True)
def test_the_apps_are_the_accounts_own(said, email):
    assert said.status == 0
    assert said.lines[0] == f"=== {email} Apps"
    assert {"demo", "vars", "logged"} <= set(said.lines)
    assert "Collaborated" not in said.stdout


@pytest.mark.parametrize("said", ["apps --json"], indirect=True)
def test_the_apps_as_json_are_whole_objects(said, platform):
    listed = {each["name"]: each for each in json.loads(said.stdout)}
    assert set(listed["demo"]) == set(platform.get("/apps/demo"))


@pytest.mark.parametrize("said", ["apps:info -a demo"], indirect=True)
def test_an_apps_info_is_shown(said, email):
    assert said.status == 0, said
    assert said.lines[0] == "=== demo"
    told = dict(re.findall(r"^([\w ]+):[ \t]+(.*)$", said.stdout, re.MULTILINE))
    assert told["Owner"] == email
    assert told["Region"] == "us"
    assert told["Stack"].startswith("heroku-")


@pytest.mark.parametrize("said", ["apps:info -a demo --json"], indirect=True)
def test_an_apps_info_as_json_has_the_dynos_and_no_addons(said):
    told = json.loads(said.stdout)
    assert (told["app"]["name"], told["addons"]) == ("demo", [])


@pytest.mark.cli("apps:create NAME", "apps:destroy")
def test_an_app_is_created_and_destroyed(heroku, platform):
    created = heroku("apps:create", "fresh-one")
    assert "Creating fresh-one... done" in created.stderr
    web, git = (platform.get("/apps/fresh-one")[name] for name in ("web_url", "git_url"))
    assert created.stdout.strip() == f"{web} | {git}"
    assert platform.get("/apps/fresh-one")["name"] == "fresh-one"
    wrong = heroku("apps:destroy", "-a", "fresh-one", "--confirm", "another", status=1)
    assert "did not match" in wrong.complaint
    assert "done" in heroku("apps:destroy", "-a", "fresh-one", "--confirm", "fresh-one").stderr
    platform.ask("GET", "/apps/fresh-one", 404)


@pytest.mark.cli("apps:create")
def test_an_app_without_a_name_gets_one(heroku, platform):
    created = heroku("apps:create")
    name = re.search(r"done, (\S+)", created.stderr)[1]
    assert platform.get(f"/apps/{name}")["name"] == name


@pytest.mark.cli("apps:destroy of a served folder")
def test_a_destroyed_app_leaves_its_folder_alone(heroku, platform, folder):
    heroku("apps:destroy", "-a", "doomed", "--confirm", "doomed")
    platform.ask("GET", "/apps/doomed", 404)
    assert (folder / "Procfile").exists()


@pytest.mark.cli("config", "config:set", "config:get", "config:unset")
def test_config_vars_are_set_shown_and_unset_with_a_release_each(heroku, platform):
    before = platform.get("/apps/vars/releases")[-1]["version"]
    done = heroku("config:set", "A=1", "B=two words", "-a", "vars")
    assert f"Setting A, B and restarting vars... done, v{before + 1}" in done.stderr
    assert done.lines == ["A: 1", "B: two words"]
    assert heroku("config", "-a", "vars").lines == ["=== vars Config Vars", "", "A: 1", "B: two words"]
    assert heroku("config:get", "B", "-a", "vars").lines == ["two words"]
    assert f"done, v{before + 2}" in heroku("config:unset", "A", "-a", "vars").stderr
    assert platform.get("/apps/vars/config-vars") == {"B": "two words"}
    assert json.loads(heroku("config", "--json", "-a", "vars").stdout) == {"B": "two words"}


@pytest.mark.cli("releases", "releases -n", "releases:info", "rollback")
def test_releases_are_listed_shown_and_rolled_back(heroku, platform, email):
    platform.ask("POST", "/apps", 201, json={"name": "released"})
    platform.deploy("released", archive({"Procfile": "hello: echo hello"}))
    heroku("config:set", "COLOUR=red", "-a", "released")
    red = platform.get("/apps/released/releases")[-1]["version"]
    heroku("config:set", "COLOUR=blue", "-a", "released")
    listed = heroku("releases", "-a", "released")
    assert listed.lines[0] == f"=== released Releases - Current: v{red + 1}"
    assert re.findall(r"^\s+v(\d+)\s", listed.stdout, re.MULTILINE) == [
        str(version) for version in range(red + 1, 0, -1)
    ]
    assert email in listed.stdout
    last = heroku("releases", "-n", "1", "-a", "released").stdout
    assert re.findall(r"^\s+v(\d+)\s+(.*?)\s{2,}", last, re.MULTILINE) == [(str(red + 1), "Set COLOUR config vars")]
    info = heroku("releases:info", f"v{red}", "-a", "released").stdout
    assert f"=== Release v{red}" in info
    assert re.search(r"^Change:\s+Set COLOUR config vars$", info, re.MULTILINE)
    assert re.search(r"^Eligible for Rollback\?:\s+Yes$", info, re.MULTILINE)
    assert "COLOUR: red" in info
    assert f"=== Release v{red + 1}" in heroku("releases:info", "-a", "released").stdout
    rolled = heroku("rollback", f"v{red}", "-a", "released")
    assert f"Rolling back released to v{red}... done, v{red + 2}" in rolled.stderr
    assert platform.get("/apps/released/config-vars") == {"COLOUR": "red"}
    newest = platform.get("/apps/released/releases")[-1]
    assert (newest["version"], newest["description"], newest["current"]) == (red + 2, f"Rollback to v{red}", True)


@pytest.mark.parametrize("said", ["rollback v99 -a demo", "releases:info v99 -a demo"], indirect=True)
def test_an_unknown_release_number_is_refused(said):
    assert (said.status, "Error ID: not_found" in said.complaint) == (2, True), said


@pytest.mark.cli("authorizations:create", "authorizations", "authorizations:info", "authorizations:revoke")
@pytest.mark.cli("authorizations:update", "authorizations:rotate")
def test_an_authorization_is_made_shown_and_revoked(heroku):
    made = heroku("authorizations:create", "-d", "for a test", "-e", "3600", "-s", "read,write")
    told = dict(re.findall(r"^([\w ]+):[ \t]+(.*)$", made.stdout, re.MULTILINE))
    assert told["Client"] == "<none>"
    assert (told["Description"], told["Scope"]) == ("for a test", "read,write")
    assert "in about 1 hour" in told["Expires at"]
    listed = heroku("authorizations").stdout
    assert re.search(rf"for a test\s+{told['ID']}\s+read,write", listed), listed
    assert told["ID"] in heroku("authorizations:info", told["ID"]).stdout
    assert "Description: for another" in heroku("authorizations:update", told["ID"], "-d", "for another").stdout
    rotated = heroku("authorizations:rotate", told["ID"]).stdout
    assert re.search(r"^Token:\s+HRKU-", rotated, re.MULTILINE)
    assert told["Token"] not in rotated
    assert re.search("done, revoked .*for another", heroku("authorizations:revoke", told["ID"]).stderr)
    assert told["ID"] not in heroku("authorizations").stdout
    assert "not_found" in heroku("authorizations:info", told["ID"], status=2).complaint


@pytest.mark.cli("authorizations:create --short", "auth:whoami with a new token")
def test_a_new_token_opens_the_api_until_it_is_revoked(heroku, platform, email):
    token = heroku("authorizations:create", "--short", "-d", "short-lived").stdout.strip()
    assert token
    assert token != platform.token
    assert heroku("auth:whoami", HEROKU_API_KEY=token).lines == [email]
    listed = platform.get("/oauth/authorizations")
    made = next(each["id"] for each in listed if each["description"] == "short-lived")
    heroku("authorizations:revoke", made, HEROKU_API_KEY=token)
    assert "unauthorized" in heroku("auth:whoami", status=2, HEROKU_API_KEY=token).complaint


@pytest.mark.cli("auth:logout")
def test_a_logout_ends_well_and_leaves_the_shown_token_alone(heroku, platform):
    assert "Logging out... done" in heroku("auth:logout").stderr
    assert platform.get("/account")
    told = platform.ask("DELETE", "/oauth/sessions/~", 404).json()
    assert (told["id"], told["resource"]) == ("not_found", "session")


@pytest.mark.parametrize(
    "said",
    ["config -a nowhere", "apps:info -a nowhere", "run -a nowhere true"],
    indirect=True,
)
def test_an_unknown_app_is_status_2_with_herokus_words(said):
    assert said.status == 2
    assert "Error: Couldn't find that app. Error ID: not_found" in said.complaint


@pytest.mark.parametrize(
    "said",
    ["ps:stop run.1 -a demo", "ps:stop --dyno-name run.1 -a demo", "ps:restart --dyno-name clock.9 -a demo"],
    indirect=True,
)
def test_an_unknown_dyno_is_status_2_with_herokus_words(said):
    assert said.status == 2
    assert "Error: Couldn't find that dyno. Error ID: not_found" in said.complaint


@pytest.mark.parametrize("said", ["apps:create demo"], indirect=True)
def test_a_taken_name_is_status_2_with_herokus_words(said):
    assert said.status == 2
    assert "is already taken Error ID: invalid_params" in said.complaint


@pytest.mark.parametrize("said", ["apps:create No_Name"], indirect=True)
def test_a_bad_name_is_status_2(said):
    assert (said.status, "Error ID: invalid_params" in said.complaint) == (2, True), said


@pytest.mark.parametrize("said", ["HEROKU_API_KEY=wrong config -a demo"], indirect=True)
def test_a_wrong_token_is_status_1(said):
    assert said.status == 1
    assert "The token provided to HEROKU_API_KEY is invalid" in said.complaint


@pytest.mark.parametrize("said", ["HEROKU_API_KEY=wrong auth:whoami"], indirect=True)
def test_a_wrong_token_belongs_to_nobody(said):
    assert said.status == 2
    assert "Invalid credentials provided." in said.complaint
