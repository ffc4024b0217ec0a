"""Completion knows existing connections, a Procfile, and what it fetched in the background."""

from __future__ import annotations

import sys
import time

import pytest
from workers import make_worker

from heroku_magic import connect
from heroku_magic.accounts.settings import Choice
from heroku_magic.accounts.tokens import Kept, forget, keep
from heroku_magic.api.host import base_url
from heroku_magic.app.emulator_process import embedded, running
from heroku_magic.magics.completion_sources import CompletionSources
from heroku_magic.text.secret import Secret

TASK = """
    from heroku_task import task

    @task
    def simulate(n: int = 3):
        return {"n": n}
    """


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_worker(
        tmp_path_factory.mktemp("known") / "shop-eu", {"web": "sleep 9", "slow": "sleep 60"}, simulate=TASK
    )


@pytest.fixture
def account(folder, monkeypatch, processes):
    server = embedded(folder)
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", server.token.reveal())
    return server


def known(**chosen):
    return CompletionSources(lambda: Choice(**chosen), lambda: ["df", "_hidden", "data"])


def soon(look):
    """What a background thread finds out in the end."""
    until = time.monotonic() + 20
    while not look() and time.monotonic() < until:
        time.sleep(0.05)
    return look()


def names(tasks):
    return [task.name for task in tasks]


def test_without_a_connection_the_procfile_names_the_tasks(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("heroku_magic.magics.completion_sources._connections", list)
    before = len(running())

    assert names(known(worker=str(folder)).tasks({})) == ["slow", "simulate"]
    assert names(known().tasks({"worker": str(folder)})) == ["slow", "simulate"]
    assert names(known().tasks({})) == ["task", "hello", "bootstrap", "mandelbrot", "dice"]
    assert len(running()) == before, "nothing is started"


@pytest.mark.parametrize("name", ["HEROKU_APP", "HEROKU_API_KEY", "HEROKU_HOST"])
def test_the_procfile_is_not_read_if_the_line_would_run_on_an_app(monkeypatch, name):
    monkeypatch.setattr("heroku_magic.magics.completion_sources._connections", list)
    monkeypatch.setenv(name, "x")

    assert known().tasks({}) == []
    assert known(app="my-app").tasks({}) == []
    assert names(known(app="my-app").tasks({"local": ""})) != []


def test_the_procfile_is_not_read_after_a_login(monkeypatch):
    monkeypatch.setattr("heroku_magic.magics.completion_sources._connections", list)
    keep(base_url(), Kept(Secret("token"), "a prompt"))
    try:
        assert known().tasks({}) == []
    finally:
        forget(base_url())


@pytest.mark.usefixtures("processes")
def test_a_connection_knows_the_parameters_of_its_tasks(folder):
    connect(worker=folder, say=lambda _: None).tasks()

    (simulate,) = [task for task in known(worker=str(folder)).tasks({}) if task.name == "simulate"]
    assert [parameter.name for parameter in simulate.parameters] == ["n"]


def test_each_line_offers_the_tasks_of_the_app_it_would_run_on(folder, account):
    connect("shop-eu", say=lambda _: None).run("simulate")

    assert sorted(names(known(app="shop-eu").tasks({}))) == ["simulate", "slow"]
    assert sorted(names(known().tasks({"app": "shop-eu"}))) == ["simulate", "slow"]
    assert known().tasks({"app": "shop-us"}) == []


def test_apps_are_fetched_in_the_background(account, monkeypatch):
    facts = known()

    assert soon(facts.apps) == ["shop-eu"]


def test_dynos_of_this_process_are_known_at_once_and_others_after_a_fetch(folder, account):
    connection = connect("shop-eu", say=lambda _: None)
    run = connection.submit("slow")
    run.wait_for_dyno(20)
    try:
        assert run.dyno in known(app="shop-eu").dynos({})
        facts = known(app="shop-eu")
        connection.known_dynos = list
        assert soon(lambda: facts.dynos({})) == [run.dyno]
    finally:
        del connection.known_dynos
        run.cancel()


@pytest.mark.large
def test_nothing_is_fetched_twice_in_ten_seconds_and_failures_are_silent(api, monkeypatch, capsys):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "token")
    monkeypatch.setattr("heroku_magic.magics.completion_sources._connections", list)
    api.answer(401, {"id": "unauthorized", "message": "no"})
    facts = known()
    for _ in range(5):
        assert facts.apps() == []
    soon(lambda: api.requests)
    time.sleep(0.2)

    assert len(api.requests) == 1
    assert capsys.readouterr() == ("", "")


def test_completion_does_not_import_connect(monkeypatch):
    monkeypatch.delitem(sys.modules, "heroku_magic.app.connect")

    assert known(worker="nowhere").dynos({}) == []
    assert "heroku_magic.app.connect" not in sys.modules


def test_hidden_variables_are_left_out():
    assert known().variables() == ["data", "df"]


def test_runs_and_sweeps_of_this_folder_can_be_attached(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".heroku" / "sweeps").mkdir(parents=True)
    (tmp_path / ".heroku" / "sweeps" / "hs-0123abcd.jsonl").write_text("{}")
    assert known().runs() == ["hs-0123abcd"]
