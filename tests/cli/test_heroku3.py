"""heroku3, a client that others wrote: apps, config vars, dynos, logs, scaling, releases."""

from __future__ import annotations

import pytest
import requests
from platform_api import archive, wait_until

heroku3 = pytest.importorskip("heroku3", reason="heroku3 is in the extra `test`")
from heroku3.api import Heroku  # noqa: E402 - after the question whether it is there
from heroku3.models import app as heroku3_app  # noqa: E402
from heroku3.rendezvous import Rendezvous  # noqa: E402

# heroku3 leaves its sockets to the garbage collector.
pytestmark = [
    pytest.mark.cli("heroku3"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class LocalHeroku(Heroku):
    """heroku3 takes no address: it has Heroku's in a constant, of which each client keeps a copy."""

    def __init__(self, url, token):
        session = requests.Session()
        session.trust_env = False
        super().__init__(session)
        self._heroku_url = url
        self.authenticate(token)


@pytest.fixture(scope="module")
def client(platform):
    return LocalHeroku(platform.url, platform.token)


@pytest.fixture
def app(client):
    return client.app("library")


@pytest.fixture
def trusting(platform, monkeypatch):
    """heroku3 trusts Heroku's own certificate, shipped with it, and no other."""

    class LocalRendezvous(Rendezvous):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            self.cert = platform.exports["NODE_EXTRA_CA_CERTS"]

    monkeypatch.setattr(heroku3_app, "Rendezvous", LocalRendezvous)


@pytest.mark.usefixtures("processes")
def test_a_token_is_known_or_not(platform, client):
    assert client.is_authenticated
    assert not LocalHeroku(platform.url, "wrong").is_authenticated


@pytest.mark.usefixtures("processes")
def test_the_account_and_its_budget_are_read(platform, client):
    assert client.account().email == platform.get("/account")["email"]
    assert 0 < client.ratelimit_remaining() <= 4500


def test_apps_are_listed(platform, client):
    apps = client.apps()
    assert apps["demo"].id == platform.get("/apps/demo")["id"]
    assert apps["demo"].owner.email == platform.get("/account")["email"]
    assert client.apps(order_by="name", limit=1)[0].name == min(app.name for app in client.apps())


def test_an_app_is_created_renamed_and_deleted(platform, client):
    app = client.create_app(name="by-heroku3", stack_id_or_name=None, region_id_or_name="us")
    assert platform.get("/apps/by-heroku3")["id"] == app.id
    assert app.rename("by-heroku3-too").name == "by-heroku3-too"
    assert client.app("by-heroku3-too").destroy()
    platform.ask("GET", f"/apps/{app.id}", 404)


def test_config_vars_are_set_read_and_unset(platform, app):
    config = app.config()
    config["TEA"] = "green"
    config.update({"CUPS": "2", "POT": "blue"})
    del config["POT"]
    assert config.to_dict() == app.config().to_dict() == platform.get("/apps/library/config-vars")
    assert config.to_dict() == {"TEA": "green", "CUPS": "2"}


def test_releases_are_listed_and_rolled_back(platform, client):
    app = client.create_app(name="releases-of-heroku3", stack_id_or_name=None)
    platform.deploy(app.name, archive({"Procfile": "hello: echo hello"}))
    slug = platform.get(f"/apps/{app.name}/releases")[-1]["slug"]["id"]
    assert app.slug(slug).id == slug
    versions = [release.version for release in app.releases()]
    assert versions == list(range(1, len(versions) + 1))
    app.update_config({"SIZE": "small"})
    app.update_config({"SIZE": "large"})
    newest = app.releases(order_by="version", limit=2, sort="desc")
    assert [release.version for release in newest] == [len(versions) + 2, len(versions) + 1]
    assert [release.current for release in newest] == [True, False]
    assert app.rollback(newest[1].id).version == len(versions) + 3
    assert platform.get(f"/apps/{app.name}/config-vars") == {"SIZE": "small"}


def test_a_detached_command_runs_with_its_env_and_is_logged(platform, app):
    dyno = app.run_command_detached("hello", size="standard-2x", env={"NAME": "heroku3"})
    assert (dyno.type, dyno.size) == ("run", "Standard-2X")
    wait_until(lambda: dyno.name not in platform.dynos("library"))
    assert "Hello heroku3!" in app.get_log(dyno=dyno.name, lines=100, source="app")


def test_a_log_is_streamed(platform, app):
    dyno = app.run_command_detached("echo one; sleep 0.3; echo two; exec sleep 600")
    lines = app.stream_log(dyno=dyno.name, source="app", timeout=20)
    assert next(line for line in lines if line.endswith(b": one"))
    assert next(line for line in lines if line.endswith(b": two"))
    app.kill_dyno(dyno.name)
    wait_until(lambda: dyno.name not in platform.dynos("library"))


def test_dynos_are_listed_and_killed(platform, app):
    dyno = app.run_command_detached("exec sleep 600")
    listed = app.dynos()
    assert listed["run"][0].type == "run"
    assert dyno.id in {each.id for each in listed}
    listed[dyno.id].kill()
    wait_until(lambda: dyno.name not in platform.dynos("library"))


def test_a_formation_is_scaled(platform, app):
    assert {each.type for each in app.process_formation()} == {"hello", "clock"}
    clock = app.process_formation()["clock"]
    assert clock.scale(1).quantity == 1
    wait_until(lambda: "clock.1" in platform.dynos("library"))
    assert clock.resize("standard-2x").size == "Standard-2X"
    assert [each.quantity for each in app.batch_scale_formation_processes({"clock": 0})] == [0]
    wait_until(lambda: "clock.1" not in platform.dynos("library"))
    assert app.scale_formation_process("clock", 0).quantity == 0
    assert app.resize_formation_process("clock", "standard-1x").size == "Standard-1X"
    assert [each.size for each in app.batch_resize_formation_processes({"clock": "basic"})] == ["Basic"]


@pytest.mark.usefixtures("trusting")
def test_an_attached_command_gives_its_output(app):
    output, dyno = app.run_command("hello", printout=False, env={"NAME": "heroku3"})
    assert output.replace("\r\n", "\n") == "Hello heroku3!\n"
    assert dyno.attach_url.startswith("rendezvous://")


NOTHING = "01234567-89ab-cdef-0123-456789abcdef"

# What heroku3 reads, and how much of it there is at least.
READS = {
    "account": ("addon_services", "features", "invoices", "keys", "labs", "oauthclients"),
    "app": ("buildpacks", "builds", "logdrains", "sni_endpoints", "transfers", "addons"),
    "facts": ("collaborators", "domains", "features", "labs", "releases"),
}
# What the embedded Heroku does not support, by the method that asks for it.
NOT_DONE = {
    "add_collaborator": (("other@example.invalid",), "collaborators"),
    "remove_collaborator": (("other@example.invalid",), "collaborators"),
    "add_domain": (("www.example.invalid", None), "custom domains"),
    "remove_domain": (("www.example.invalid",), "custom domains"),
    "add_sni_endpoint": (("chain", "key"), "SNI endpoints"),
    "update_sni_endpoint": (("one", "chain", "key"), "SNI endpoints"),
    "remove_sni_endpoint": (("one",), "SNI endpoints"),
    "create_logdrain": (("https://example.invalid",), "log drains"),
    "remove_logdrain": (("one",), "log drains"),
    "enable_acm": ((), "automated certificates"),
    "disable_acm": ((), "automated certificates"),
    "refresh_acm": ((), "automated certificates"),
    "install_addon": (("heroku-redis:mini",), "add-ons"),
    "remove_addon": (("redis",), "add-ons"),
    "create_transfer": (("other@example.invalid",), "app transfers"),
    "delete_transfer": (("one",), "app transfers"),
}


def test_lists_are_read(client, app):
    for kind, names in READS.items():
        for name in names:
            found = list(getattr(client if kind == "account" else app, name)())
            assert bool(found) is (kind == "facts"), name
    assert list(client.addons("library")) == []
    assert app.get_domain("library.localhost").hostname == "library.localhost"


@pytest.mark.parametrize("method", NOT_DONE)
def test_writing_an_absent_resource_is_refused_in_one_sentence(app, method):
    arguments, what = NOT_DONE[method]
    with pytest.raises(requests.HTTPError) as refused:
        getattr(app, method)(*arguments)
    assert refused.value.response.json()["message"] == f"The embedded Heroku does not support {what}."


def test_oauth_clients_are_not_supported(client):
    with pytest.raises(requests.HTTPError, match="404"):
        client.oauthclient(NOTHING)
    with pytest.raises(requests.HTTPError) as refused:
        client.oauthclient_delete(NOTHING)
    assert refused.value.response.json()["message"] == "The embedded Heroku does not support OAuth clients."


def test_maintenance_features_and_buildpacks_are_changed(platform, app):
    assert app.enable_maintenance_mode().maintenance is True
    assert app.disable_maintenance_mode().maintenance is False
    assert app.enable_feature("runtime-dyno-metadata").enabled is True
    assert app.disable_feature("runtime-dyno-metadata").enabled is False
    assert app.update_buildpacks(["heroku/python"])
    (kept,) = platform.get("/apps/library/buildpack-installations")
    assert kept["buildpack"]["name"] == "heroku/python"
    app.update_buildpacks([])


def test_authorizations_are_read_and_deleted(platform, client):
    made = platform.ask("POST", "/oauth/authorizations", 201, json={"scope": ["read"]}).json()
    assert client.oauthauthorization(made["id"]).id == made["id"]
    assert made["id"] in {each.id for each in client.oauthauthorizations()}
    assert client.oauthauthorization_delete(made["id"])


def test_builds_and_setups_are_created(client, app):
    url = "http://127.0.0.1:9/app.tgz"
    assert app.create_build(url).status == "pending"
    setup = client.create_appsetup({"url": url})
    assert client.get_appsetup(setup.id).id == setup.id
    client.app(setup.app.id).delete()
    with pytest.raises(requests.HTTPError, match="404"):
        app.create_release(NOTHING)


def test_an_app_is_used_by_its_name(client):
    assert client.update_appconfig("library", {"VIA": "name"}).to_dict()["VIA"] == "name"
    assert "app[api]: Release" in client.get_app_log("library", lines=1500)
    assert client.run_command_on_app("library", "true", printout=False, attach=False).type == "run"
    assert client.app("library").restart()
    assert next(iter(client.stream_app_log("library", timeout=20)))


def test_the_known_faults_of_heroku3_are_still_there(client):
    """These three look for an attribute that their class does not have, with Heroku too."""
    for call in (
        lambda: client.oauthauthorization_create(["read"]),
        lambda: client.oauthclient_create("name", "https://example.invalid"),
        lambda: client.oauthtoken_create("a", "b", "c"),
    ):
        with pytest.raises(AttributeError, match="_h"):
            call()
