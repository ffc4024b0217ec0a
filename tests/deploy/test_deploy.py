"""A folder becomes a release, or an error reports why not and what is unchanged."""

from __future__ import annotations

import json
import re
import time

import pytest
import requests
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from wheels import wheel_of
from workers import make_worker

from heroku_magic import BuildFailed, DeployRefused, InvalidOptions, Secret, account, connect, init
from heroku_magic.api.client import HerokuClient
from heroku_magic.api.log_lines import LogLine
from heroku_magic.display import RunView
from heroku_magic.display.html import run_html
from heroku_magic.display.words import text
from heroku_magic.errors import Interrupted, Unauthorized, Unreachable
from heroku_magic.runs.events import StateChange
from heroku_magic.text.notifier import notifications_to

pytestmark = pytest.mark.usefixtures("no_other_python")


@pytest.fixture
def platform(platform, monkeypatch):
    monkeypatch.setattr("heroku_magic.deploy.deploy.POLL", 0.05)
    return platform


@pytest.fixture
def messages():
    return []


@pytest.fixture
def heroku(platform, messages, processes):
    account().create("shop")
    return connect("shop", say=messages.append)


@pytest.fixture
def folder(tmp_path):
    path = init(tmp_path / "worker")
    (path / "requirements.txt").write_text("")  # nothing to download
    return path


def faults(platform, **values):
    with requests.Session() as http:
        http.trust_env = False
        answer = http.put(
            f"{platform.url}/emulator/faults",
            json={"faults": values, "seed": 1},
            headers={"Authorization": f"Bearer {platform.token}", "Accept": "application/vnd.heroku+json; version=3"},
            timeout=20,
        )
        assert answer.ok, answer.text


def notes(deploy):
    return [event.note for event in deploy.events() if isinstance(event, StateChange) and event.note]


def output(deploy):
    return [event.message for event in deploy.events() if isinstance(event, LogLine)]


def test_a_folder_is_built_released_and_run(heroku, folder):
    done = heroku.deploy(folder)
    assert (done.app, done.version, done.tasks, done.is_new) == ("shop", 2, ("task",), True)
    assert done.slug_size > 1000
    assert done.heaviest[0][0] == "heroku_task.py"
    assert "Released v2 of shop · tasks: task" in str(done)
    assert heroku.run(parameters={"n": 3})["result"].tolist() == [0, 1, 4]


def test_an_unchanged_folder_is_not_built_again(heroku, folder):
    heroku.deploy(folder)
    second = heroku.deploy(folder)
    assert (second.version, second.is_new) == (2, False)
    assert str(second) == "Nothing to do: v2 of shop was built from exactly this folder."
    assert len(heroku.client.builds("shop")) == 1

    heroku.set_config("A", Secret("value"))
    assert not heroku.deploy(folder).is_new, "a release of config vars runs the same slug"
    (folder / "task.py").write_text((folder / "task.py").read_text() + "\n")
    assert heroku.deploy(folder).version == 4


def test_a_package_from_requirements_is_installed_and_used(heroku, folder):
    (folder / "requirements.txt").write_text(f"./{wheel_of('iniconfig', folder)}\n")
    (folder / "task.py").write_text(
        "from heroku_task import task\n\n@task\ndef main():\n    import iniconfig\n    return [{'name': iniconfig.__name__}]\n"
    )
    deploy = heroku.start_deploy(folder)
    deploy.result()
    assert any("iniconfig" in line for line in output(deploy))
    assert heroku.run()["name"].tolist() == ["iniconfig"]


def test_what_the_platform_accepts_is_reported_and_deployed(heroku, folder):
    with (folder / "Procfile").open("a") as procfile:
        procfile.write("other:python x.py\n")
    (folder / "env.sh").write_text("A=1\n")
    reported = []
    with notifications_to(reported.append):
        heroku.start_deploy(folder).result()
    assert reported[0].startswith("env.sh may hold secrets, judging by its name")
    assert "Heroku ignores `other:python x.py`" in reported[1]


def test_a_failed_build_fails_the_deploy_and_keeps_the_old_release(heroku, folder):
    heroku.deploy(folder)
    (folder / "broken-1.0-py3-none-any.whl").touch()
    (folder / "requirements.txt").write_text("./broken-1.0-py3-none-any.whl\n")
    with pytest.raises(BuildFailed, match="The build failed; the previous release stays active") as caught:
        heroku.deploy(folder)
    assert "broken-1.0-py3-none-any.whl" in str(caught.value)
    assert "Building on the" in caught.value.output
    assert heroku.run(parameters={"n": 2})["result"].tolist() == [0, 1]
    assert [release.version for release in heroku.releases()] == [2, 1]


def test_a_failed_release_command_fails_the_deploy(heroku, folder):
    with (folder / "Procfile").open("a") as procfile:
        procfile.write("release: echo migrating; exit 3\n")
    with pytest.raises(BuildFailed, match="The release command failed") as caught:
        heroku.deploy(folder)
    assert "migrating" in caught.value.output
    with pytest.raises(BuildFailed):
        heroku.deploy(folder)  # what was never released is no reason to do nothing


def test_a_release_command_is_announced_and_awaited(heroku, folder):
    with (folder / "Procfile").open("a") as procfile:
        procfile.write("release: sleep 0.3; echo migrated\n")
    deploy = heroku.start_deploy(folder)
    assert deploy.result().version == 2
    assert "migrated" in output(deploy)


def test_the_processes_that_a_first_deploy_starts_are_scaled_to_zero(heroku, folder):
    with (folder / "Procfile").open("a") as procfile:
        procfile.write("web: sleep 100\n")
    deploy = heroku.start_deploy(folder)
    deploy.result()
    assert "web scaled to 0: nothing is billed until a cell runs" in notes(deploy)
    assert {kind.type: kind.quantity for kind in heroku.client.formation("shop")} == {
        "task": 0,
        "describe": 0,
        "web": 0,
    }

    heroku.client.scale("shop", {"web": 1})
    (folder / "task.py").write_text((folder / "task.py").read_text() + "\n")
    heroku.deploy(folder)
    assert next(kind.quantity for kind in heroku.client.formation("shop") if kind.type == "web") == 1, (
        "as its owner chose"
    )


def plain(lines):
    """Remove the version and the sizes, which differ between builds of nearly the same folder."""
    return [re.sub(r"v\d|\d+\.\dK", "", line) for line in lines]


@pytest.mark.parametrize("times", [1, 3])
def test_an_interrupted_build_output_has_no_missing_and_no_repeated_lines(heroku, folder, platform, times):
    heroku.deploy(folder)
    (folder / "task.py").write_text((folder / "task.py").read_text() + "\n")
    whole = heroku.start_deploy(folder)
    whole.result()
    faults(platform, **{"cut-output": times})
    (folder / "task.py").write_text((folder / "task.py").read_text() + "\n")
    cut = heroku.start_deploy(folder)
    assert cut.result().version == 4
    assert plain(output(cut)) == plain(output(whole))


def test_an_interrupted_upload_is_retried_once(heroku, folder, platform):
    faults(platform, **{"cut-upload": 1})
    deploy = heroku.start_deploy(folder)
    assert deploy.result().version == 2
    assert "The upload was interrupted: trying again" in notes(deploy)


def test_an_upload_that_is_interrupted_twice_leaves_the_app_unchanged(heroku, folder, platform):
    faults(platform, **{"cut-upload": 2})
    with pytest.raises(Unreachable, match="The upload was interrupted, and shop is unchanged"):
        heroku.deploy(folder)
    assert heroku.client.builds("shop") == []


def test_creates_that_are_refused_just_after_a_release_are_retried(heroku, folder, platform):
    faults(platform, **{"conflict-after-release": 2})
    heroku.deploy(folder)
    assert heroku.run(parameters={"n": 1})["result"].tolist() == [0]


def test_a_build_with_a_lost_response_is_followed_or_reported(api, monkeypatch, folder, elsewhere):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "token")
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    api.answer(200, [{"id": "r1", "version": 1, "slug": None}])
    api.answer(201, {"source_blob": {"put_url": f"{api.url}/put", "get_url": f"{api.url}/get"}})
    api.answers.append((200, {}, b""))
    monkeypatch.setattr("heroku_magic.api.client.put_blob", lambda *_: api.answers.popleft())
    api.hang_up()
    api.answer(200, [])
    with pytest.raises(Unreachable, match="Whether a build of shop was started is unknown: %heroku releases"):
        connect("shop", say=lambda _: None).deploy(folder)


def test_a_token_that_is_revoked_during_a_build_leaves_word_that_the_build_continues(heroku, folder, monkeypatch):
    def refuse(*_):
        raise Unauthorized("Invalid credentials provided.", status=401)

    monkeypatch.setattr(HerokuClient, "build", refuse)
    with pytest.raises(
        Unauthorized, match=r"provided\. The build continues at Heroku and will be released: %heroku releases"
    ) as caught:
        heroku.deploy(folder)
    assert "`heroku ps:scale web=0 --app shop` in a terminal stops it" in str(caught.value)


def test_a_first_release_whose_processes_cannot_be_stopped_leaves_word_that_they_are_billed(
    heroku, folder, monkeypatch
):
    def refuse(*_):
        raise Unauthorized("Invalid credentials provided.", status=401)

    monkeypatch.setattr(HerokuClient, "formation", refuse)
    with pytest.raises(Unauthorized) as caught:
        heroku.deploy(folder)
    assert str(caught.value) == (
        "Invalid credentials provided. shop is released: if the app has a web process, Heroku then starts and bills "
        "it. `heroku ps:scale web=0 --app shop` in a terminal stops it."
    )


def test_all_problems_are_reported_before_anything_is_sent(heroku, folder):
    (folder / "task.py").unlink()
    (folder / ".python-version").write_text("new")
    with pytest.raises(DeployRefused) as caught:
        heroku.deploy(folder)
    assert len(caught.value.issues) == 2
    assert heroku.client.builds("shop") == []


def test_one_text_instead_of_a_list_of_allowed_files_is_refused(heroku, folder):
    with pytest.raises(InvalidOptions, match=r"allow is '\.env': expected a list of texts, such as \['\.env'\]"):
        heroku.deploy(folder, allow=".env")


@pytest.mark.usefixtures("processes")
def test_a_folder_that_the_emulator_serves_needs_no_deploy(elsewhere, folder):
    with pytest.raises(InvalidOptions, match=r"serves \./worker live: there is nothing to deploy"):
        connect(worker=folder, say=lambda _: None).deploy(folder)


@pytest.mark.usefixtures("processes")
def test_a_deploy_to_the_embedded_heroku_runs(elsewhere, folder):
    app = account().create()
    heroku = connect(app.name, say=lambda _: None)
    try:
        heroku.deploy(folder)
        df = heroku.run(parameters={"n": 2})
        assert df["result"].tolist() == [0, 1]
        assert df.attrs["heroku"]["dollars"] == 0.0
        assert df.attrs["heroku"]["app"] == f"{app.name} (embedded)"
    finally:
        heroku.destroy(confirm=app.name)


def test_an_earlier_release_is_released_again(heroku, folder):
    heroku.deploy(folder)
    (folder / "task.py").write_text((folder / "task.py").read_text().replace("number**power}", "-1}"))
    heroku.deploy(folder)
    assert heroku.run(parameters={"n": 2})["result"].tolist() == [-1, -1]
    assert heroku.rollback("v2").version == 4
    assert heroku.run(parameters={"n": 2})["result"].tolist() == [0, 1]
    for unknown in ("v9", "latest", ""):
        with pytest.raises(InvalidOptions, match="%heroku releases lists them"):
            heroku.rollback(unknown)


def test_the_display_shows_the_progress_and_the_result_of_a_deploy(heroku, folder):
    deploy = heroku.start_deploy(folder)
    view, seen = RunView(), []
    for event in deploy.events():
        view.feed(event)
        seen.append(text(view))
        run_html(view, final=False)
    assert any("deploy ● uploading" in one for one in seen)
    assert any("deploy ● building · shop" in one for one in seen)
    assert text(view).startswith("deploy ✓ done · v2 · shop · ")
    assert "Released v2 of shop" in text(view)
    assert "-----&gt; Building on the" in run_html(view, final=True)


def test_hostile_output_is_escaped(heroku, folder):
    with (folder / "Procfile").open("a") as procfile:
        procfile.write("release: printf '\\033[31m<script>\\302\\233\\n'\n")
    deploy = heroku.start_deploy(folder)
    deploy.result()
    view = RunView()
    for event in deploy.events():
        view.feed(event)
    shown = run_html(view, final=True)
    assert "<script>" not in shown
    assert "&lt;script&gt;\\x9b" in shown


def test_an_interrupted_wait_reports_that_the_deploy_continues(heroku, folder):
    with (folder / "Procfile").open("a") as procfile:
        procfile.write("release: sleep 1\n")
    deploy = heroku.start_deploy(folder)
    until = time.monotonic() + 60
    while deploy._state in {"requested", "uploading"}:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert "The build continues at Heroku" in deploy.give_up()
    assert deploy.result().version == 2


def test_an_upload_that_was_given_up_is_not_built_even_if_it_has_arrived(heroku, folder, monkeypatch):
    said, upload = [], HerokuClient.upload

    def upload_and_give_up(client, source, archive, size):
        upload(client, source, archive, size)
        said.append(deploy.give_up())

    monkeypatch.setattr(HerokuClient, "upload", upload_and_give_up)
    deploy = heroku.start_deploy(folder)

    with pytest.raises(Interrupted, match="The upload was stopped; shop is unchanged"):
        deploy.result()
    assert said == ["The upload was stopped; shop is unchanged."]
    assert heroku.client.builds("shop") == []


def test_only_the_first_build_of_an_app_may_start_its_web_process(heroku, folder):
    heroku.deploy(folder)
    (folder / "Procfile").write_text((folder / "Procfile").read_text() + "release: sleep 1\n")
    deploy = heroku.start_deploy(folder)
    while deploy._state in {"requested", "uploading"}:
        time.sleep(0.01)
    assert "ps:scale" not in deploy.give_up()
    deploy.result()


def test_the_urls_of_a_deploy_are_not_shown(heroku, folder, caplog):
    caplog.set_level("DEBUG")
    deploy = heroku.start_deploy(folder)
    deploy.result()
    shown = repr(list(deploy.events())) + repr(deploy) + caplog.text
    assert "/blobs/" not in shown
    assert "/streams/" not in shown


def test_a_beginners_first_steps_work_in_cells(platform, tmp_path, capsys):
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "heroku_magic")
    shell.run_cell("%heroku init worker")
    task = tmp_path / "worker" / "task.py"
    task.write_text(task.read_text().replace("number**power}", "number * 100}"))
    for cell in ("%heroku create shop", "%heroku deploy worker", "%%heroku --arg n=3 --out df\n", "%heroku deploy"):
        assert shell.run_cell(cell).success, cell
    assert shell.user_ns["df"]["result"].tolist() == [0, 100, 200]
    shell.run_cell("releases = %heroku releases")
    assert shell.user_ns["releases"]["version"].tolist() == ["v2", "v1"]
    shell.run_cell("%heroku rollback v2\n%heroku destroy shop --confirm shop")
    out = capsys.readouterr().out
    assert "Released v2 of shop · tasks: task" in out
    assert "Nothing to do: v2 of shop was built from exactly this folder." in out
    assert "Released v3 of shop, a copy of v2." in out
    assert "Destroyed shop." in out
    assert json.dumps(platform.token) not in out


def test_a_quiet_deploy_shows_its_output_only_if_it_fails(platform, tmp_path, capsys):
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "heroku_magic")
    shell.run_cell("%heroku init worker\n%heroku create shop")
    capsys.readouterr()
    shell.run_cell("%heroku deploy --quiet").raise_error()
    assert capsys.readouterr().out == ""
    (tmp_path / "worker" / "Procfile").write_text("release: false\n")
    assert isinstance(shell.run_cell("%heroku deploy --quiet").error_in_exec, BuildFailed)
    assert "deploy ✗ failed" in capsys.readouterr().out


def test_only_a_release_with_code_is_offered_for_a_rollback(platform, folder):
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "heroku_magic")
    shell.run_cell(f"%heroku create shop\n%heroku deploy {folder} -q").raise_error()
    heroku = connect("shop")
    heroku.client.set_config_vars(heroku.app, {"A": Secret("some value")})
    shown = repr(shell.run_cell("%heroku releases").result)
    assert re.findall(r"rollback (v\d)", shown) == ["v2"]


def test_many_files_are_deployed(heroku, tmp_path):
    folder = make_worker(tmp_path / "big", {"count": "ls data | wc -l"})
    (folder / "requirements.txt").touch()
    (folder / "data").mkdir()
    for number in range(2000):
        (folder / "data" / f"é {number}.txt").write_text(str(number))
    heroku.deploy(folder)
    run = heroku.submit("count")
    run.result(60)
    assert run.logs().strip() == "2000"
