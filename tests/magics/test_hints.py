"""Hints on mistyped lines name what was probably meant."""

from __future__ import annotations

import pytest
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, SettingsError
from heroku_magic.accounts.settings import worker_folder
from heroku_magic.magics.parser import parse
from heroku_magic.platform_facts.folders import suggest_folder
from heroku_magic.text.secret import Secret


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("rnu boot", "run"),
        ("urn boot", "run"),
        ("ran boot", "run"),
        ("sp x", "ps"),
        ("stpo run.1", "stop"),
        ("from boot", "form"),
        ("deplyo worker", "deploy"),
    ],
)
def test_a_mistyped_verb_before_more_words_names_the_verb(line, meant):
    with pytest.raises(InvalidOptions, match=rf"Did you mean {meant}\?"):
        parse(line, {})


@pytest.mark.parametrize(
    ("line", "body", "meant"),
    [
        ("boot n=100", "", "--arg n=100"),
        ("boot n=100 seed=7", "", "--arg n=100 --arg seed=7"),
        ("boot n = 100", "", "--arg n=100"),
        ("n=100", "", "--arg n=100"),
        ("boot name='Ada L'", "", "--arg name='Ada L'"),
        ("run boot n=100", None, "--arg n=100"),
        ("form boot n=100", None, "--arg n=100"),
        ("run n=100", None, "--arg n=100"),
    ],
)
def test_a_parameter_without_its_option_is_suggested_with_it(line, body, meant):
    with pytest.raises(InvalidOptions) as caught:
        parse(line, {}, body=body)

    assert f"Did you mean {meant}?" in str(caught.value)


def test_a_parameter_on_the_line_of_a_cell_of_code_is_suggested_with_its_option():
    with pytest.raises(InvalidOptions, match=r"Did you mean --arg n=100\?"):
        parse("n=100", {}, body="n", magic="%%dyno")


@pytest.mark.parametrize(
    ("line", "body", "number"),
    [
        ("", "n = 1\nm = nope", 3),
        ("boot", "1 +", 2),
        ("boot \\", "--local\nn = nope", 3),
        ("boot \\", "--local \\\n--quiet\nn = nope", 4),
        ("", "\n\nn = nope", 4),
    ],
)
def test_lines_of_a_body_are_counted_from_the_magic(line, body, number):
    with pytest.raises(InvalidParameters, match=rf"^line {number}: "):
        parse(line, {}, body=body)


@pytest.mark.parametrize("typed", ["mywroker", "./mywroker", "myworke", "Myworker", "myworker2"])
def test_a_mistyped_folder_names_the_nearest_one(typed, elsewhere):
    make_worker(elsewhere / "myworker")
    (elsewhere / "myworke2").mkdir()

    with pytest.raises(SettingsError, match=rf"Did you mean {'./' if '/' in typed else ''}myworker\?"):
        worker_folder(typed)


def test_the_folder_in_a_folder_is_suggested(elsewhere):
    make_worker(elsewhere / "project" / "worker")

    assert suggest_folder("project") == " Did you mean project/worker?"
    assert suggest_folder(f"{elsewhere}/project/wroker/") == f" Did you mean {elsewhere}/project/worker?"
    assert suggest_folder("nothing/like/it") == suggest_folder("~nobody-here/x") == ""


def test_wrong_parameters_are_refused_before_a_secret_is_requested(start_shell, elsewhere, monkeypatch):
    make_worker(
        elsewhere / "worker",
        task="""
            from heroku_task import Secret, task

            @task
            def main(token: Secret, n: int = 1):
                yield {"n": n, "length": len(token)}
            """,
    )
    asked = []
    monkeypatch.setattr("heroku_magic.app.planner.find", lambda name: asked.append(name) or Secret("s" * 30))
    shell = start_shell()

    for line in ("--secret token --arg m=1", "--secret token --arg n=x", "--secret token --each n=1..x"):
        assert isinstance(shell.run_cell(f"%heroku run {line}").error_in_exec, InvalidParameters), line
    assert isinstance(shell.run_cell("%%dyno --secret token\n1 +").error_in_exec, InvalidParameters)
    (issue,) = shell.run_cell("%heroku run --arg token=hunter2").error_in_exec.issues
    assert issue.startswith("token is a secret, and a value on the line stays in the notebook and in the history")
    assert "--secret token" in issue
    assert "hunter2" not in issue
    assert shell.run_cell("%heroku run --quiet --arg token={'x' * 5}").result["length"].tolist() == [5]
    assert asked == []
    assert shell.run_cell("%heroku run --quiet --secret token").result["length"].tolist() == [30]
    assert asked == ["token"]
