"""A notebook remembers where its cells run, and finds the dynos of all apps that it uses."""

from __future__ import annotations

import re
import textwrap
from types import SimpleNamespace

import pytest
from workers import make_worker

import heroku_magic
from heroku_magic import InvalidOptions, connect
from heroku_magic.app.connect import open_apps
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import NotFound, SettingsError
from heroku_magic.ledger import location
from heroku_magic.ledger.recorder import recorder
from heroku_magic.magics.app_search import find_dyno, find_log
from heroku_magic.runs.registry import record_place

TASK = """
    import time
    from heroku_task import task

    @task
    def main(n: int = 1, seconds: float = 0.0):
        time.sleep(seconds)
        yield {"folder": "%s", "n": n}
    """


@pytest.fixture
def shell(start_shell, elsewhere):
    for name in ("red", "blue"):
        make_worker(elsewhere / name, task=TASK % name)
    return start_shell()


def run(shell, text):
    result = shell.run_cell(textwrap.dedent(text))
    result.raise_error()
    return result.result


def served(shell):
    return run(shell, "%%heroku --quiet")["folder"].tolist()


def test_the_folder_of_a_cell_becomes_the_default_and_one_line_reports_it(shell, capsys):
    run(shell, "%%heroku --worker red")
    out = capsys.readouterr().out
    run(shell, "%%heroku --worker red")

    assert out.count("Cells without --worker or --app use ./red from now on.") == 1
    assert "from now on" not in capsys.readouterr().out
    assert served(shell) == ["red"]
    assert run(shell, "%heroku run --local --quiet")["folder"].tolist() == ["red"]
    assert connect().run()["folder"].tolist() == ["red"]
    assert heroku_magic.form().run().result()["folder"].tolist() == ["red"]
    run(shell, "%heroku tasks --worker blue")
    assert served(shell) == ["blue"]


def test_a_folder_never_replaces_a_chosen_app(shell, capsys, monkeypatch):
    run(shell, "%heroku create shop-2")
    run(shell, "%%heroku --worker red")

    assert connect().app == "shop-2"
    monkeypatch.setenv("HEROKU_APP", "shop-2")
    run(shell, "%config HerokuMagics.app = None")
    run(shell, "%%heroku --worker blue")
    assert connect().app == "shop-2"
    assert "Cells without" not in capsys.readouterr().out


def test_use_with_a_slash_chooses_a_folder(shell, elsewhere):
    run(shell, "%heroku create shop-3")
    run(shell, "%heroku use ./blue")

    assert served(shell) == ["blue"]
    assert connect().settings.worker == elsewhere / "blue"


def test_init_sets_the_folder_only_when_nothing_is_chosen(shell, capsys):
    run(shell, "%heroku init first")
    run(shell, "%heroku init second")

    assert connect().settings.worker.name == "first"
    out = capsys.readouterr().out
    assert "Try it on the embedded Heroku: %heroku run --arg n=5" in out
    assert "Try it on the embedded Heroku: %heroku run --worker second --arg n=5" in out


def test_an_app_on_the_embedded_heroku_is_found_after_a_change_of_the_default_folder(shell):
    run(shell, "%heroku create shop-8")
    run(shell, "%heroku init worker")

    assert "shop-8" in [app.name for app in heroku_magic.account().apps()]
    run(shell, "%heroku destroy shop-8 --confirm shop-8")
    assert "shop-8" not in [app.name for app in heroku_magic.account().apps()]


def test_an_app_is_not_left_out_because_of_a_token_that_logout_revoked(shell, elsewhere, use_as_heroku, capsys):
    server = use_as_heroku(embedded(elsewhere / "red"))
    for line in ("login --scope write-protected", f"run --app {server.app} -q", "logout"):
        run(shell, f"%heroku {line}")
    capsys.readouterr()
    run(shell, f"%heroku status --app {server.app}")
    run(shell, "%heroku status")

    assert "left out" not in capsys.readouterr().out


def test_deploy_takes_no_folder_from_an_earlier_cell(shell):
    run(shell, "%heroku tasks --worker red")
    run(shell, "%heroku create shop-5")

    with pytest.raises(heroku_magic.HerokuMagicError, match="worker"):
        run(shell, "%heroku deploy")


def test_the_dynos_of_every_folder_are_listed_found_and_stopped(shell, capsys):
    red = run(shell, "%heroku run --bg --worker red --arg seconds=60")
    blue = run(shell, "%heroku run --bg --worker blue --arg seconds=60")
    assert red.wait_for_dyno(20)
    assert blue.wait_for_dyno(20)
    run(shell, "%heroku create shop-6")

    table = run(shell, "%heroku ps")
    names = {folder: connect(worker=folder).app for folder in ("red", "blue")}
    assert dict(zip(table["run"], table["app"], strict=True)) == {red.id: names["red"], blue.id: names["blue"]}
    capsys.readouterr()
    run(shell, "%heroku status")
    assert re.search(rf"dynos of {names['red']} +{red.dyno} \(", capsys.readouterr().out)
    run(shell, f"%heroku logs {red.id}")
    assert f"heroku[{red.dyno}]: Starting process" in capsys.readouterr().out
    run(shell, f"%heroku logs {blue.dyno}")
    assert f"heroku[{blue.dyno}]: Starting process" in capsys.readouterr().out
    run(shell, f"%heroku stop {red.dyno} {blue.id}")
    assert red.wait(20)
    assert blue.wait(20)
    with pytest.raises(NotFound, match="not running on any app of this kernel"):
        run(shell, f"%heroku stop {red.id}")


def test_a_sweep_is_not_called_a_dyno_that_does_not_run(shell):
    sweep = run(shell, "%heroku run --bg --worker red --each seconds={[60]}")
    with pytest.raises(InvalidOptions, match=rf"{sweep.id} is a sweep. To stop all its runs, call .cancel\(\)"):
        run(shell, f"%heroku stop {sweep.id}")
    sweep.cancel()


def test_a_run_is_stopped_by_its_id_before_its_dyno_exists(shell):
    run(shell, "handle = %heroku run --bg --worker red --arg seconds=60\n%heroku stop {handle.id}")

    assert shell.user_ns["handle"].wait(20)


def test_resume_goes_where_the_sweep_ran(shell):
    run(shell, "%heroku run --quiet --worker red --each n={[1,2]} --save grid.jsonl")
    run(shell, "%heroku use ./blue")

    assert run(shell, "%heroku resume --quiet")["folder"].tolist() == ["red", "red"]
    assert run(shell, "%heroku resume grid.jsonl --quiet")["folder"].tolist() == ["red", "red"]


def test_an_app_that_does_not_answer_any_more_is_left_out_and_named(shell, api, monkeypatch, capsys):
    run(shell, "%%heroku --worker red --quiet")
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "token-of-gone")
    connect("gone")
    record_place("hm-00000009", api.url, "gone", "run.99")
    for _ in range(3):
        api.answer(401, {"id": "unauthorized", "message": "Invalid credentials provided."})
    capsys.readouterr()
    assert [heroku.app for heroku in open_apps()] == ["red"]
    assert "gone is left out: Invalid credentials provided." in capsys.readouterr().out


def test_an_app_that_was_destroyed_is_not_looked_for_any_more(shell, capsys):
    run(shell, "%heroku create shop-7")
    heroku = connect("shop-7")
    record_place("hm-00000007", heroku.client.base_url, heroku.app, "run.97")
    run(shell, "%heroku destroy shop-7 --confirm shop-7")
    capsys.readouterr()
    run(shell, "%heroku status")
    assert "shop-7" not in capsys.readouterr().out


def test_a_run_that_was_not_detached_here_is_named_before_an_app_is_chosen(shell, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", "token")
    with pytest.raises(InvalidOptions, match='No detached run "hm-0123abcd" was found in this folder'):
        run(shell, "%heroku attach hm-0123abcd")


@pytest.mark.parametrize("line", ["init w", "run", "status"])
def test_a_current_folder_that_was_deleted_is_one_sentence(shell, elsewhere, monkeypatch, line):
    (elsewhere / "gone").mkdir()
    monkeypatch.chdir(elsewhere / "gone")
    (elsewhere / "gone").rmdir()
    with pytest.raises(SettingsError, match="The current folder does not exist any more"):
        run(shell, f"%heroku {line}")


@pytest.mark.parametrize("where", [{"local": True}, {"app": "my-app"}, {}])
def test_connect_in_a_folder_that_was_deleted_says_so(elsewhere, monkeypatch, where):
    (elsewhere / "gone").mkdir()
    monkeypatch.chdir(elsewhere / "gone")
    (elsewhere / "gone").rmdir()
    with pytest.raises(SettingsError, match="The current folder does not exist any more"):
        connect(**where)


@pytest.mark.parametrize("words", ["--idle 10m", "0 --size standard-2x"])
def test_an_option_of_warm_dynos_without_a_number_of_dynos_is_refused(shell, words):
    with pytest.raises(InvalidOptions, match=r"^--(idle|size) needs a number of dynos to keep, such as %heroku warm 2"):
        run(shell, f"%heroku warm {words}")


def test_a_run_that_is_repeated_does_not_change_where_cells_run(shell, elsewhere, monkeypatch):
    monkeypatch.setattr(location, "start_folder", lambda: elsewhere)
    run(shell, "%heroku run --quiet --worker red")
    run(shell, "%heroku run --quiet --worker blue")
    assert run(shell, "%heroku rerun -2 --quiet")["folder"].tolist() == ["red"]
    assert served(shell) == ["blue"]
    recorder.flush()


def test_two_folders_of_one_name_are_different_apps(start_shell, elsewhere):
    for name in ("one", "two"):
        make_worker(elsewhere / name / "same-name", task=TASK % name)
    shell = start_shell()

    names = [connect(worker=f"{name}/same-name").app for name in ("one", "two")]
    assert names == ["same-name", "same-name-2"]
    assert run(shell, "%heroku run --quiet --app same-name-2")["folder"].tolist() == ["two"]


class _App:
    """An app with one dyno and its log."""

    def __init__(self, app, run):
        self.app = self.app_name = app
        self.client = SimpleNamespace(base_url=f"http://{app}.invalid")
        self.dyno = SimpleNamespace(name="run.77", id=app, command=f"task #{run}")

    def dynos(self):
        return [self.dyno]

    def logs(self, dyno):
        return [f"{self.app} {dyno}"] if dyno == "run.77" else []


def test_a_dyno_name_of_two_apps_is_listed_and_needs_the_app_or_the_run():
    apps = [_App("left", "hm-00000001"), _App("right", "hm-00000002")]
    record_place("hm-00000002", apps[1].client.base_url, "right", "run.77")

    with pytest.raises(InvalidOptions, match=r"left \(hm-00000001\), right \(hm-00000002\).*--app NAME.*id of the run"):
        find_dyno(apps, "run.77")
    with pytest.raises(InvalidOptions, match=r"left, right \(hm-00000002\)"):
        find_log(apps, "run.77")
    assert find_dyno(apps, "hm-00000001")[0].app == "left"
    assert find_dyno(apps[1:], "run.77")[0].app == "right"
    assert find_log(apps, "hm-00000001") == ["left run.77"]
    assert find_log(apps, "hm-00000002") == ["right run.77"]
    assert find_log(apps, "run.78") == []
