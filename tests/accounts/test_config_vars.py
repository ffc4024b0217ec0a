"""Config var values come from a hidden prompt or a Secret, only their names are shown, and a change is announced."""

from __future__ import annotations

import pytest

from heroku_magic import InvalidOptions, Secret, account, connect


@pytest.fixture
def platform(platform, monkeypatch):
    """Return an account with one app that the environment selects."""
    monkeypatch.setenv("HEROKU_APP", "shop")
    account().create("shop")
    return platform


@pytest.fixture
def shell(start_shell):
    return start_shell()


@pytest.fixture
def typed(monkeypatch):
    prompts = []
    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: prompts.append(prompt) or "hunter2-value")
    return prompts


def test_a_config_var_is_prompted_for_set_listed_by_name_and_unset(platform, shell, capsys, typed):
    shell.run_cell("%heroku config\n%heroku config PASSWORD\n%heroku config:set OTHER\n%heroku config")
    out = capsys.readouterr().out
    assert typed == ["Value of PASSWORD: ", "Value of OTHER: "]
    assert out.splitlines() == [
        "shop has no config vars.",
        "Changing PASSWORD makes a release of shop and restarts what its formation runs.",
        "Changing OTHER makes a release of shop and restarts what its formation runs.",
        "OTHER     ***",
        "PASSWORD  ***",
    ]
    assert account().client.config_vars("shop") == {"PASSWORD": "hunter2-value", "OTHER": "hunter2-value"}

    shell.run_cell("%heroku config --unset PASSWORD\n%heroku config:unset OTHER")
    assert connect("shop").config() == []
    assert "Changing PASSWORD" in capsys.readouterr().out


def test_unsetting_an_unknown_config_var_is_refused_and_changes_nothing(platform):
    heroku = connect("shop", say=lambda _: None)
    heroku.set_config("KEPT", Secret("value"))
    with pytest.raises(InvalidOptions, match="shop has no config var GONE"):
        heroku.unset_config("KEPT", "GONE")
    assert heroku.config() == ["KEPT"]
    with pytest.raises(InvalidOptions, match="Name the config var to remove"):
        heroku.unset_config()


@pytest.mark.parametrize("line", ["PASSWORD=hunter2", "config:set PASSWORD=hunter2", "PASSWORD --unset OTHER"])
def test_a_value_on_the_command_line_is_refused_and_not_shown(platform, shell, capsys, typed, line):
    line = line if line.startswith("config") else f"config {line}"
    assert isinstance(shell.run_cell(f"%heroku {line}").error_in_exec, InvalidOptions)
    assert "hunter2" not in "".join(capsys.readouterr())
    assert typed == []


@pytest.mark.parametrize("name", ["HEROKU_KEY", "__KEY", "9KEY", "A-B", "A B", "\x1b[31mA"])
def test_an_invalid_name_is_refused_before_the_prompt(platform, typed, name):
    with pytest.raises(InvalidOptions, match="is not a valid name of a config var"):
        connect("shop").set_config(name)
    assert typed == []


def test_a_value_is_a_secret_in_all_stack_frames_of_the_package(api):
    from heroku_magic.api.client import HerokuClient

    api.answer(200, {})
    HerokuClient(api.url, Secret("token")).set_config_vars("shop", {"A": Secret("value"), "B": None})
    assert api.requests[0][3] == {"A": "value", "B": None}
