"""The settings choose the app, the host and the token, and never show a secret."""

from __future__ import annotations

import copy
import pickle
import subprocess

import pytest

from heroku_magic.accounts.settings import Choice, NoApp, git_apps, resolve, worker_folder
from heroku_magic.api.host import base_url
from heroku_magic.errors import InvalidOptions, SettingsError
from heroku_magic.platform_facts.dyno_sizes import DOLLARS_PER_MONTH
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.text.secret import Secret

pytestmark = pytest.mark.usefixtures("elsewhere")


def git_remotes(**urls):
    subprocess.run(["git", "init", "-q"], check=True)
    for name, url in urls.items():
        subprocess.run(["git", "remote", "add", name, url], check=True)


def test_without_settings_the_embedded_heroku_runs_the_bundled_worker():
    settings = resolve(Choice())

    assert settings.is_local
    assert settings.worker == shipped_worker()
    assert (shipped_worker() / "Procfile").is_file()


def test_the_sources_of_the_app_name_have_an_order(monkeypatch):
    monkeypatch.setenv("HEROKU_APP", "from-environment")
    assert resolve(Choice()).app == "from-environment"
    config = Choice(app="from-config", source="%config")
    assert resolve(Choice(), config).app == "from-config"
    assert resolve(Choice(), config).app_source == "%config"
    assert resolve(Choice(app="from-option"), config).app == "from-option"
    assert resolve(Choice(local=True), config).is_local


def test_an_app_together_with_the_embedded_heroku_is_an_error():
    with pytest.raises(SettingsError, match="cannot be combined"):
        Choice(app="x", local=True)


@pytest.mark.parametrize("name", ["HEROKU_API_KEY", "HEROKU_HOST"])
def test_a_token_or_a_host_without_an_app_does_not_select_the_embedded_heroku(name, monkeypatch):
    monkeypatch.setenv(name, "heroku.com")

    with pytest.raises(NoApp):
        resolve(Choice())
    assert resolve(Choice(local=True)).is_local


def test_a_single_git_remote_is_suggested_and_not_used():
    git_remotes(production="https://git.heroku.com/shop-eu.git", origin="https://example.com/x.git")

    with pytest.raises(SettingsError, match=r"'production' names the app shop-eu.*%heroku use shop-eu"):
        resolve(Choice())
    assert resolve(Choice(remote="production")).app == "shop-eu"


def test_two_git_remotes_are_listed_unless_git_config_selects_one():
    git_remotes(production="git@heroku.com:shop-eu.git", staging="ssh://git@heroku.com/shop-test.git")

    with pytest.raises(SettingsError, match="production: shop-eu\n  staging: shop-test"):
        resolve(Choice())

    subprocess.run(["git", "config", "heroku.remote", "staging"], check=True)
    assert git_apps() == {"staging": "shop-test"}


def test_git_runs_again_only_after_a_change(monkeypatch):
    runs, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: runs.append(args) or run(*args, **options))
    git_remotes(production="git@heroku.com:shop-eu.git")
    runs.clear()
    assert [git_apps() for _ in range(3)] == [{"production": "shop-eu"}] * 3
    assert len(runs) == 1

    run(["git", "remote", "set-url", "production", "git@heroku.com:shop-us.git"], check=True)
    assert git_apps() == {"production": "shop-us"}
    run(["git", "remote", "remove", "production"], check=True)
    assert git_apps() == {}


def test_the_git_configuration_of_a_folder_above_counts(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert git_apps() == {}
    monkeypatch.chdir(tmp_path)
    git_remotes(production="git@heroku.com:shop-eu.git")
    monkeypatch.chdir(tmp_path / "below")
    assert git_apps() == {"production": "shop-eu"}
    subprocess.run(["git", "init", "-q"], check=True)
    assert git_apps() == {}


def test_a_remote_of_all_repositories_is_noticed(tmp_path, monkeypatch):
    file = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    assert git_apps() == {}
    file.write_text('[remote "shop"]\nurl = git@heroku.com:shop-eu.git\n')
    assert git_apps() == {"shop": "shop-eu"}


def test_a_named_remote_is_looked_up_each_time(tmp_path):
    git_remotes()
    included = tmp_path / "included"
    subprocess.run(["git", "config", "include.path", str(included)], check=True)
    for app in ("shop-eu", "shop-us"):
        included.write_text(f'[remote "production"]\nurl = git@heroku.com:{app}.git\n')
        assert resolve(Choice(remote="production")).app == app


def test_a_deleted_folder_has_no_remotes(tmp_path, monkeypatch):
    (tmp_path / "deleted").mkdir()
    monkeypatch.chdir(tmp_path / "deleted")
    (tmp_path / "deleted").rmdir()
    with pytest.raises(SettingsError, match="No git remote 'production'"):
        resolve(Choice(remote="production"))


def test_a_changed_remote_is_noticed_in_a_worktree(tmp_path, monkeypatch):
    (tmp_path / "repository").mkdir()
    monkeypatch.chdir(tmp_path / "repository")
    git_remotes(production="git@heroku.com:shop-eu.git")
    author = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run(["git", *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run(["git", "worktree", "add", "-q", "../tree"], check=True)
    monkeypatch.chdir(tmp_path / "tree")
    assert git_apps() == {"production": "shop-eu"}
    subprocess.run(["git", "remote", "remove", "production"], check=True)
    assert git_apps() == {}


def test_an_unknown_git_remote_lists_the_known_ones():
    git_remotes(production="git@heroku.com:shop-eu.git")

    with pytest.raises(SettingsError, match=r"production \(shop-eu\)"):
        resolve(Choice(remote="prod"))


@pytest.mark.parametrize("seconds", [0, -1, 86401])
def test_a_timeout_out_of_range_is_refused(seconds):
    with pytest.raises(SettingsError, match="from 1 to 86400"):
        resolve(Choice(), timeout=seconds)


def test_a_worker_folder_needs_a_procfile(elsewhere):
    with pytest.raises(SettingsError, match="has no Procfile"):
        worker_folder(elsewhere)

    (elsewhere / "worker").mkdir()
    assert worker_folder(None) == shipped_worker()
    (elsewhere / "worker" / "Procfile").write_text("task: python task.py\n")
    assert worker_folder(None) == elsewhere / "worker"


@pytest.mark.parametrize(
    "prices", [["Basic"], 20, {1: 2}, {"Basic": "7"}, {"Basic": -1}, {"Basic": float("nan")}, {"Basic": True}]
)
def test_prices_that_are_no_amounts_by_size_are_refused(prices):
    with pytest.raises(SettingsError, match="expected dollars per month by dyno size"):
        resolve(Choice(), prices=prices)


def test_a_price_replaces_the_list_price_of_its_size_alone():
    assert resolve(Choice(), prices={"standard-1X": 20}).prices == {**DOLLARS_PER_MONTH, "standard-1x": 20.0}


@pytest.mark.parametrize("pace", [-1, "fast", 1.5])
def test_a_pace_that_is_no_number_of_records_is_refused(pace):
    with pytest.raises(InvalidOptions, match=r"^pace is .*: expected a whole number of at least 0\.$"):
        resolve(Choice(local=True), pace=pace)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("heroku.com", "https://api.heroku.com"),
        ("herokudev.com", "https://api.herokudev.com"),
        ("eu.heroku.com", "https://api.eu.heroku.com"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://localhost:5000/", "http://localhost:5000"),
        (" HTTPS://API.Heroku.COM:443/ ", "https://api.heroku.com:443"),
        ("http-proxy.heroku.com", "https://api.http-proxy.heroku.com"),
        ("https://api.heroku.com", "https://api.heroku.com"),
    ],
)
def test_heroku_host_is_parsed_as_by_the_cli(host, url, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", host)
    assert base_url() == url


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evilheroku.com",
        "heroku.com.evil.com",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com:80",
        "http://api.heroku.com",
        "http://evil.com/127.0.0.1",
        "https://user@evil.com#heroku.com",
        "evil.com/x.heroku.com",
        "https://evil.com\\.heroku.com",
        "http://evil.com\\@127.0.0.1",
        "http://127.0.0.1@evil.com",
        "http://127.0.0.1:80@evil.com",
        "https://user:word@api.heroku.com",
        "https://evil.com#.heroku.com",
        "https://evil.com?.heroku.com",
        "https://evil.com/.heroku.com",
        "https://evil.com;.heroku.com",
        "https://evil.com%2f.heroku.com",
        "https://evil.com\t.heroku.com",
        "https://evil.com\n.heroku.com",
        "https://evil.com\uff0f.heroku.com",
        "https://evil.com\u3002heroku.com",
        "https://api.heroku.com.",
        "https://api..heroku.com",
        "https://api.heroku.com:0",
        "https://api.heroku.com:99999",
        "https://api.heroku.com:44\u0663",
        "https://api.heroku.com/path",
        "https:/\\api.heroku.com",
        "ftp://127.0.0.1",
        "https://her\u00f6ku.com",
        "https://api.hero\u212au.com",
        "httpbin.org",
        "[::1]",
        "",
    ],
)
def test_a_foreign_host_gets_no_token(host, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", host)
    with pytest.raises(SettingsError, match="HEROKU_HOST"):
        base_url()


def test_a_secret_is_never_shown():
    secret = Secret("hunter2")

    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>9}", repr([secret]), repr({"a": secret})]
    assert not any("hunter2" in text for text in shown)
    assert copy.deepcopy(secret) is secret
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)
