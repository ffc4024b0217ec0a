"""A temporary app is created with a tag and destroyed after its block, on failure or at the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

import heroku_magic
from heroku_magic import InvalidOptions, SettingsError, account, connect, login, logout, temporary_app
from heroku_magic.accounts.apps import temporary
from heroku_magic.accounts.leftovers import is_leftover_app
from heroku_magic.api.client import HerokuClient
from heroku_magic.errors import NotFound, Refused

PROCFILE = "task: echo '{\"n\": 1}'\nweb: sleep 600\n"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "worker"
    folder.mkdir()
    (folder / "Procfile").write_text(PROCFILE)
    (folder / "requirements.txt").touch()
    (folder / ".python-version").write_text("3.13\n")
    return folder


@pytest.fixture
def platform(platform, folder):
    """Return the account of the environment, with a worker folder in the current folder."""
    return platform


@pytest.fixture
def shell(start_shell):
    return start_shell()


def apps():
    return [app.name for app in account(say=lambda _: None).apps()]


def quiet(_):
    pass


def test_a_temporary_app_is_created_used_and_destroyed(platform):
    with temporary_app(say=quiet) as heroku:
        assert apps() == [heroku.app]
        assert heroku.app.startswith("hm-temp-")
        assert heroku.run("task").to_dict("records") == [{"n": 1}]
        assert {kind.quantity for kind in heroku.client.formation(heroku.app)} == {0}, "nothing is billed"
    assert apps() == []


def test_a_connection_creates_it_in_its_own_account(platform):
    account().create("shop")
    with connect("shop", say=quiet).temporary_app("worker/") as heroku:
        assert apps() == [heroku.app, "shop"]
    assert apps() == ["shop"]


@pytest.mark.usefixtures("processes")
def test_without_an_account_it_is_created_on_the_embedded_heroku(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with connect(say=quiet).temporary_app(folder) as heroku:
        assert heroku.app_name == f"{heroku.app} (embedded)"
        assert heroku.run("task").to_dict("records") == [{"n": 1}]
    assert heroku.app not in apps()


def test_it_is_destroyed_after_any_failure(platform, folder):
    with pytest.raises(ZeroDivisionError), temporary_app(say=quiet):
        1 / 0  # noqa: B018 - it fails, that is all
    assert apps() == []

    (folder / "requirements.txt").write_text("./absent.whl")
    with pytest.raises(heroku_magic.HerokuMagicError, match=r"requirements\.txt, line 1"), temporary_app(say=quiet):
        pytest.fail("nothing was deployed")
    assert apps() == []


def test_nothing_is_created_before_the_block(platform):
    temporary_app(say=quiet)
    assert apps() == []


def test_an_app_that_heroku_refuses_needs_no_token(platform, monkeypatch):
    def refuse(*_, **__):
        raise Refused("You have reached the limit of 100 apps.", status=422)

    monkeypatch.setattr(HerokuClient, "create_app", refuse)
    with pytest.raises(Refused, match="makes room"), temporary_app(say=quiet):
        pytest.fail("there is no app")
    assert temporary(platform.url) == []


def test_an_app_that_the_user_already_destroyed_is_not_an_error(platform):
    with temporary_app(say=quiet) as heroku:
        heroku.destroy(confirm=heroku.app)
    assert apps() == []


def test_a_failed_destroy_is_reported_and_hides_no_error(platform, monkeypatch):
    messages = []
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    opened = []

    def fail(heroku):
        opened.append(heroku)
        heroku.client._transport.base_url = "http://127.0.0.1:9"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), temporary_app(say=messages.append) as heroku:
        fail(heroku)
    (heroku,) = opened
    assert f"{heroku.app} could not be destroyed: The Platform API does not answer" in messages[-1]
    assert messages[-1].endswith("heroku_magic tries again when this process ends.")
    heroku.client._transport.base_url = platform.url
    heroku.on_message = pytest.fail
    heroku.account.discard(heroku.app)


def in_a_process(program, platform, *, ends_badly=False):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **platform.environ},
    )
    assert bool(done.returncode) == ends_badly, done.stderr
    return done


def test_it_is_destroyed_when_the_process_ends(platform):
    done = in_a_process(
        """
        from heroku_magic.app.connect import create_temporary
        print(create_temporary().app)
        """,
        platform,
    )
    assert done.stdout.startswith("hm-temp-")
    assert done.stderr == ""
    assert apps() == []


def test_a_process_reports_at_its_end_what_it_could_not_destroy(platform):
    done = in_a_process(
        """
        import tenacity
        from heroku_magic.app.connect import create_temporary
        tenacity.nap.time.sleep = lambda _: None
        heroku = create_temporary()
        heroku.client._transport.base_url = "http://127.0.0.1:9"
        """,
        platform,
    )
    (left,) = apps()
    assert f"the temporary app {left} could not be destroyed" in done.stderr
    assert "%heroku destroy --leftovers" in done.stderr
    assert is_leftover_app(left)
    list(account().remove_leftovers())


def test_the_app_of_a_crashed_process_is_found_by_the_next_status_without_a_chosen_app(platform, shell, capsys):
    in_a_process(
        """
        import os
        from heroku_magic.app.connect import create_temporary
        create_temporary()
        os._exit(9)
        """,
        platform,
        ends_badly=True,
    )
    (left,) = apps()
    shell.run_cell("%heroku status")
    out = capsys.readouterr().out
    assert "app            none is chosen" in out
    assert f"leftovers      {left} (%heroku destroy --leftovers removes them)" in out
    shell.run_cell("%heroku destroy --leftovers\n%heroku destroy --leftovers")
    out = capsys.readouterr().out
    assert f"Destroyed {left}." in out
    assert "left nothing behind" in out
    assert apps() == []


def test_an_app_of_a_running_process_or_of_another_machine_is_not_touched(platform, monkeypatch):
    with temporary_app(say=quiet) as heroku:
        assert account().leftovers().apps == []
        monkeypatch.setattr("heroku_magic.accounts.leftovers._machine", lambda: "000000")
        left = account().leftovers()
        assert (left.apps, left.elsewhere) == ([], [heroku.app])
        leftovers = account().status()["leftovers"]
        assert leftovers.startswith(f"of other machines, perhaps in use: {heroku.app}")
        assert list(account().remove_leftovers()) == []
        assert apps() == [heroku.app]


def test_a_line_magic_creates_an_app_that_cells_use_until_the_kernel_ends(platform, shell, capsys):
    shell.run_cell("%heroku deploy --temporary\ndf = %heroku run task")
    (name,) = apps()
    out = capsys.readouterr().out
    assert f"Cells run on {name} from now on.\nIt is destroyed when this kernel ends." in out
    assert shell.user_ns["df"].attrs["heroku"]["app"] == name
    shell.run_cell(f"%heroku destroy {name} --confirm {name}")
    assert apps() == []
    assert isinstance(shell.run_cell("%heroku deploy --temporary --app shop").error_in_exec, InvalidOptions)


def test_a_line_magic_with_a_failed_deploy_leaves_no_app(platform, shell, folder):
    (folder / "requirements.txt").write_text("./absent.whl")
    result = shell.run_cell("%heroku deploy --temporary")
    assert "requirements.txt, line 1" in str(result.error_in_exec)
    assert apps() == []


def test_a_token_is_not_revoked_while_a_temporary_app_needs_it(platform):
    login(scope=["identity", "write-protected"], expires=600)
    with temporary_app(say=quiet) as heroku, pytest.raises(SettingsError, match="still needed for hm-temp-"):
        logout()
    assert logout() == "HEROKU_API_KEY"
    with pytest.raises(NotFound):
        account().client.app(heroku.app)
