"""The official CLI: logs, by number, source, dyno and process type, and as they come."""

from __future__ import annotations

import re

import pytest
from platform_api import wait_until

pytestmark = pytest.mark.cli

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 (\w+)\[([\w.-]+)\]: (.*)")


@pytest.fixture(scope="module")
def dyno(platform):
    """The name of a dyno that has said `one` and `two` and is over."""
    name = platform.create("logged", "echo one; echo two")["name"]
    wait_until(lambda: name not in platform.dynos("logged"))
    return name


def parsed(said):
    return [LINE.fullmatch(line).groups() for line in said.lines]


@pytest.mark.cli("logs --dyno-name")
def test_the_log_of_a_dyno_is_its_life(heroku, dyno):
    told = parsed(heroku("logs", "-a", "logged", "--dyno-name", dyno))
    assert [(source, text) for source, _, text in told] == [
        ("heroku", "Starting process with command `echo one; echo two`"),
        ("heroku", "State changed from starting to up"),
        ("app", "one"),
        ("app", "two"),
        ("heroku", "Process exited with status 0"),
        ("heroku", "State changed from up to complete"),
    ]
    assert {name for _, name, _ in told} == {dyno}


@pytest.mark.cli("logs --source")
def test_a_log_is_filtered_by_source(heroku, dyno):
    told = parsed(heroku("logs", "-a", "logged", "--source", "app", "--dyno-name", dyno))
    assert [text for _, _, text in told] == ["one", "two"]
    assert {source for source, _, _ in parsed(heroku("logs", "-a", "logged", "--source", "heroku"))} == {"heroku"}


@pytest.mark.cli("logs -n", "logs --process-type")
def test_a_log_is_filtered_by_number_and_type(heroku, dyno):
    told = parsed(heroku("logs", "-a", "logged", "--process-type", "run", "-n", "2"))
    assert len(told) == 2
    assert {name.partition(".")[0] for _, name, _ in told} == {"run"}
    assert len(heroku("logs", "-a", "logged", "-n", "1").lines) == 1


@pytest.mark.parametrize("said", ["logs -a demo --dyno-name run.1"], indirect=True)
def test_the_log_of_an_unknown_dyno_is_empty_and_no_error(said):
    assert (said.status, said.stdout) == (0, ""), said


@pytest.mark.cli("logs --tail")
def test_a_tail_shows_the_backlog_and_then_what_comes(heroku, platform, dyno):
    cli = heroku.start("logs", "--tail", "-a", "logged", "--source", "app")
    told = iter(cli.stdout.readline, "")
    assert any(line.endswith(f"app[{dyno}]: two\n") for line in told)
    name = platform.create("logged", "echo three")["name"]
    assert any(line.endswith(f"app[{name}]: three\n") for line in told)
    cli.kill()
    cli.communicate()
