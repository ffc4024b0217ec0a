"""heroku: which app, what a task takes, what is refused before a dyno starts; an account played by the emulator."""

from __future__ import annotations

import json
import subprocess
from datetime import date

import numpy as np
import pytest
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, SettingsError, TaskFailed, connect
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import NotFound, RateLimited, Unauthorized, Unreachable


@pytest.fixture(scope="module")
def server(tmp_path_factory, processes):
    """An embedded Heroku that is used as if it were the real one: by HEROKU_HOST and a token."""
    folder = make_worker(
        tmp_path_factory.mktemp("account") / "shop-eu",
        {"hello": "echo Hello $NAME", "web": "sleep 1", "worker": "sleep 1"},
        simulate="""
            from heroku_task import task

            @task
            def simulate(n: int = 3):
                for i in range(n):
                    yield {"i": i}
            """,
    )
    return embedded(folder)


@pytest.fixture
def account(server, use_as_heroku):
    return use_as_heroku(server)


def test_any_number_of_seconds_limits_a_run_and_a_saved_sweep(account, tmp_path):
    heroku = connect(app="shop-eu", say=lambda _: None)
    assert heroku.estimate("simulate", timeout=60.5).spec.timeout == 61
    assert heroku.submit("simulate", timeout=np.float32(60.5)).exception(60) is None
    sweep = heroku.sweep("simulate", {"n": [1]}, timeout=np.int64(60), save=tmp_path / "sweep.jsonl")
    assert sweep.exception(60) is None


def test_a_run_on_an_account_is_the_same_run(account):
    said = []
    df = connect("shop-eu", say=said.append).run("simulate", {"n": 2})

    assert df["i"].tolist() == [0, 1]
    assert df.attrs["heroku"]["app"] == "shop-eu"
    assert df.attrs["heroku"]["dollars"] > 0
    assert any("describe" in line for line in said), "a dyno that costs money is told of"


def test_reading_the_parameters_is_shown_in_words_if_it_takes_long(processes, elsewhere, monkeypatch, capsys):
    import IPython  # noqa: F401 - it shows runs only where IPython is loaded

    monkeypatch.setattr("heroku_magic.display.call_display._MOMENT", 0.0)
    folder = make_worker(elsewhere / "slow", task="import heroku_task\n\n@heroku_task.task\ndef main(n: int): ...")
    connect(worker=folder, say=lambda _: None).tasks()

    out = capsys.readouterr().out
    assert out.startswith("Reading parameters · run.")
    assert "describe" not in out


def test_a_task_on_an_account_gets_its_pace(account):
    assert (
        connect("shop-eu", pace=123, say=lambda _: None).run(command='echo "{\\"pace\\": $RUN_PACE}"')["pace"][0] == 123
    )


def test_a_task_of_the_embedded_heroku_may_print_as_fast_as_it_can(account):
    local = connect(local=True, say=lambda _: None).submit(command="echo pace=$RUN_PACE.")
    local.result()
    assert local.logs() == "pace=."


@pytest.mark.parametrize("where", ["app", "remote", "worker"])
def test_an_empty_name_chooses_nothing(where):
    with pytest.raises(SettingsError, match=r"is empty\. Name one, or leave the argument out\.$"):
        connect(**{where: ""})


@pytest.mark.parametrize("flag", ["local", "warm"])
def test_a_flag_given_as_text_is_refused(flag):
    with pytest.raises(SettingsError, match=rf"^{flag} is 'no': expected True or False\.$"):
        connect(**{flag: "no"})


def test_a_token_without_an_app_lists_the_apps(account):
    with pytest.raises(SettingsError, match=r"HEROKU_API_KEY.*\n  shop-eu\n.*%heroku use"):
        connect()


def test_an_unknown_app_lists_the_known(account):
    with pytest.raises(NotFound, match=r"no app 'shop-us' .from --app.*shop-eu"):
        connect("shop-us").run("simulate")


def test_a_wrong_token_says_where_to_look(account, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", "wrong")

    with pytest.raises(Unauthorized, match="HEROKU_API_KEY"):
        connect("shop-eu").run("simulate")


def test_an_app_without_a_token_says_how_to_give_one(account, monkeypatch):
    monkeypatch.delenv("HEROKU_API_KEY")

    with pytest.raises(SettingsError, match=r"There is no token for 127\.0\.0\.1.*HEROKU_API_KEY"):
        connect("shop-eu")


def test_an_api_that_is_down_is_one_short_error(account, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", "http://127.0.0.1:9")

    with pytest.raises(Unreachable, match="does not answer"):
        connect("shop-eu").run("simulate")


def test_html_and_a_used_up_quota_are_short_errors(api, monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "token")
    for _ in range(4):
        api.answer(503, b"<html>Application Error</html>")
    with pytest.raises(Unreachable, match="status 503"):
        connect("html-app").run("simulate")

    api.answer(429, {"id": "rate_limit", "message": "Your account reached the API rate limit"}, Retry_After="999")
    with pytest.raises(RateLimited, match="reached the API rate limit"):
        connect("busy-app").run("simulate")


def test_git_names_an_app_and_does_not_choose_it(account, monkeypatch):
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "remote", "add", "production", "https://git.heroku.com/shop-eu.git"], check=True)

    with pytest.raises(SettingsError, match="%heroku use shop-eu"):
        connect()
    assert connect(remote="production").app == "shop-eu"


def test_left_out_the_only_candidate_runs_or_all_are_listed(account, tmp_path):
    heroku = connect("shop-eu")
    with pytest.raises(InvalidOptions, match=r"hello, worker, simulate|hello.*simulate"):
        heroku.run()

    lonely = make_worker(tmp_path / "lonely", {"web": "sleep 9", "worker": "sleep 9"})
    (lonely / "Procfile").write_text("web: sleep 9\n")
    local = connect(worker=lonely, say=lambda _: None)
    with pytest.raises(InvalidOptions, match="no task to run, only web"):
        local.run()
    assert local.dynos() == []


def test_types_with_a_meaning_of_their_own_need_any_type(account):
    heroku = connect("shop-eu")
    with pytest.raises(InvalidOptions, match="--any-type"):
        heroku.submit("web")

    run = heroku.submit("web", any_type=True)
    assert run.cancel()
    assert run.wait(10)


def test_parameters_are_checked_before_a_dyno_starts(account):
    heroku = connect("shop-eu")
    with pytest.raises(InvalidParameters) as caught:
        heroku.submit("simulate", {"m": 1, "n": "three"})

    assert len(caught.value.issues) == 2
    assert heroku.dynos() == []


def test_parameters_that_are_not_given_by_name_are_refused(account):
    shop = connect("shop-eu")
    for start in (shop.run, shop.submit, lambda task, given: shop.estimate(task, parameters=given)):
        with pytest.raises(
            InvalidParameters, match=r"^parameters is 3: expected a dict of parameters, such as {'n': 10}"
        ):
            start("simulate", 3)
    for start in (shop.sweep, shop.estimate):
        with pytest.raises(InvalidParameters, match=r"^each is \[1, 2\]: .* such as {'n': \[1, 2\]}\.$"):
            start("simulate", [1, 2])
    assert shop.dynos() == []


def test_an_undeclared_task_takes_anything_but_not_a_config_vars_name(account, server):
    (server.folder / ".env").write_text("SHOP=eu\n")
    heroku = connect("shop-eu")
    heroku._catalog.invalidate()
    with pytest.raises(InvalidParameters, match="SHOP is a config var of shop-eu: --override SHOP"):
        heroku.submit("hello", {"SHOP": "us"})

    run = heroku.submit("hello", {"SHOP": "us", "NAME": "you"}, override=["SHOP"])
    run.result()
    assert run.logs() == "Hello you"
    (server.folder / ".env").unlink()


@pytest.mark.usefixtures("processes")
def test_a_failed_describe_is_reported_and_the_run_continues_unchecked(tmp_path):
    folder = make_worker(
        tmp_path / "odd", show="from heroku_task import task\n@task\ndef show(n: int = 1):\n    return {'n': n}\n"
    )
    (folder / "Procfile").write_text(
        "show: python -m heroku_task show\ndescribe: cd /nowhere-at-all && python -m heroku_task --describe\n"
    )
    said = []

    df = connect(worker=folder, say=said.append).run("show", {"n": 5})

    assert df["n"].tolist() == [5]
    assert any("they are not checked" in line for line in said)


def test_the_release_is_asked_for_at_most_once_in_five_seconds(account, monkeypatch):
    heroku = connect("shop-eu")
    heroku._catalog.invalidate()
    asked = []
    really = heroku.client.current_release
    monkeypatch.setattr(heroku.client, "current_release", lambda app: asked.append(app) or really(app))

    for _ in range(3):
        heroku.run("simulate", {"n": 1})

    assert asked == ["shop-eu"]


def test_tasks_lists_what_they_take(account):
    tasks = {task.name: task for task in connect("shop-eu").tasks()}

    assert tasks.keys() == {"hello", "worker", "simulate"}
    assert tasks["simulate"].signature == "n: int = 3"
    assert tasks["hello"].schema is None


def test_stop_stops_ours_alone(account):
    heroku = connect("shop-eu")
    theirs = heroku.client.create_dyno("shop-eu", "worker", {}, size=None, time_to_live=60)
    with pytest.raises(InvalidOptions, match="not started by heroku_magic"):
        heroku.stop(theirs.name)
    with pytest.raises(NotFound, match="is not running"):
        heroku.stop("run.1")

    assert heroku.stop(theirs.name, any_dyno=True) == theirs.name


def test_a_new_kernel_has_an_emulator_of_its_own_and_a_folder_has_one(server):
    assert embedded(server.folder) is server


@pytest.mark.usefixtures("processes")
def test_a_dead_emulator_is_started_again(tmp_path):
    folder = make_worker(tmp_path / "mortal", {"hello": "echo hi"})
    first = connect(worker=folder, say=lambda _: None)
    assert first.submit("hello").result() is None
    process = embedded(folder).process
    process.kill()
    process.wait()

    assert connect(worker=folder, say=lambda _: None).submit("hello").result() is None


@pytest.mark.usefixtures("processes")
def test_a_folder_that_cannot_be_served_is_reported_at_once(tmp_path):
    (tmp_path / "Procfile").write_bytes(b"\xff\xfe")

    with pytest.raises(Exception, match="Procfile"):
        connect(worker=tmp_path)


@pytest.mark.usefixtures("processes")
def test_the_one_line_about_the_embedded_heroku_comes_once_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_worker(tmp_path / "worker", {"hello": "echo hi"})
    said = []
    connect(say=said.append)
    connect(say=said.append)

    assert said == [
        "Running on the embedded Heroku (no account). Code runs as you, not sandboxed.\nIt serves ./worker."
    ]


# -- declarations ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def declaring(tmp_path_factory):
    """A connection to a worker whose tasks declare themselves in each way there is, some of them wrongly."""
    folder = make_worker(
        tmp_path_factory.mktemp("declaring") / "worker",
        {"dice": "bash dice.sh", "odd": "echo odd"},
        ranged="""
            from __future__ import annotations
            from datetime import date
            from enum import Enum
            from typing import Annotated
            from heroku_task import Secret, task

            class Method(Enum):
                NAIVE = "naive"
                FAST = "fast"

            @task
            def ranged(day: date, n: Annotated[int, {"minimum": 1}] = 1, method: Method = Method.FAST, token: Secret = ""):
                print("the token is", str(token))
                yield {"day": day, "n": n, "method": method.name, "kind": type(day).__name__}
            """,
        wrong="""
            from typing import Annotated
            from heroku_task import task

            @task
            def wrong(n: Annotated[int, {"minimum": 1}] = 0):
                yield {"n": n}
            """,
    )
    (folder / "dice.sh").write_text('for i in $(seq "$N"); do echo "{\\"roll\\": $i}"; done\n')
    dice = {"properties": {"N": {"type": "integer", "minimum": 1, "maximum": 6}}, "required": ["N"]}
    (folder / "dice.schema.json").write_text(json.dumps(dice))
    odd = {"properties": {"n": {"$ref": "#/properties/n"}}}
    (folder / "odd.schema.json").write_text(json.dumps(odd))
    return folder


@pytest.fixture
def said():
    return []


@pytest.fixture
def local(declaring, said, processes):
    return connect(worker=declaring, say=said.append)


def test_a_task_in_another_language_is_checked_by_what_its_file_declares(local):
    assert local.run("dice", {"N": 3})["roll"].tolist() == [1, 2, 3]
    with pytest.raises(InvalidParameters) as caught:
        local.submit("dice", {"N": 7, "M": 1})

    assert caught.value.issues == [
        "dice has no parameter M. It takes: N: int.",
        "N is 7: expected a whole number from 1 up to 6. The nearest valid value is 6.",
    ]


def test_dates_choices_and_ranges_are_checked_here_and_arrive_as_what_they_are(local):
    df = local.run("ranged", {"day": date(2026, 1, 31), "n": 2, "method": "naive"})

    assert df.to_dict("records") == [{"day": "2026-01-31", "n": 2, "method": "NAIVE", "kind": "date"}]
    with pytest.raises(InvalidParameters) as caught:
        local.submit("ranged", {"day": "2026-1-31", "n": 0, "method": "slow"})
    assert len(caught.value.issues) == 3


def test_a_parameter_that_is_declared_secret_is_hidden_without_an_option(local):
    run = local.submit("ranged", {"day": "2026-01-31", "token": "hunter22"})
    run.result()

    assert "the token is ***" in run.logs()
    assert "hunter22" not in run.logs() + repr(run)


def test_a_procfile_without_the_line_that_lists_parameters_is_named(tmp_path, processes):
    source = "from heroku_task import task\n@task\ndef count(n: int = 1):\n    return {'n': n}\n"
    folder = make_worker(tmp_path / "worker", {"describe": "echo none", "plain": "true"}, count=source)
    said = []
    heroku = connect(worker=folder, say=said.append)
    heroku.run("count")
    heroku.run("plain", {"n": 2})
    why = (
        "Its parameters are neither known nor checked here: the Procfile has no line "
        "`describe: python -m heroku_task --describe`."
    )
    assert not any(why in line for line in said)

    heroku.run("count", {"n": 2})
    assert f"count: {why}" in said
    assert why in heroku.task("count").help()
    assert "It declares no parameters" in heroku.task("plain").help()


def test_a_fault_of_a_declaration_is_reported_and_the_task_runs_anyway(local, said):
    local.run("odd", {"n": [1]})

    assert (
        "The declaration of odd is invalid: n: its schema refers to itself (#/properties/n), so any value is accepted."
        in said
    )
    with pytest.raises(TaskFailed, match="n: the default 0 is not allowed: expected a whole number from 1"):
        local.run("wrong")
    assert any(
        line.startswith("The declaration of wrong is invalid: it cannot be read, so parameters are not checked")
        for line in said
    )


def test_known_tasks_are_returned_without_a_request(local, monkeypatch):
    declared = [task.name for task in local.tasks()]
    assert [task.name for task in local.known_tasks()] == declared
    monkeypatch.setattr(local, "client", None)
    assert next(task for task in local.known_tasks() if task.name == "dice").parameters[0].name == "N"
