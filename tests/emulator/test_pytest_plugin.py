"""The pytest plugin as another project uses it: the example of the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from emulators import ROOT

from heroku_magic.emulator.pytest import _resolved

pytestmark = pytest.mark.usefixtures("processes")

TESTS = """
import pytest
import requests


@pytest.fixture(scope="session")
def heroku(embedded_heroku_session):
    return embedded_heroku_session("--app", "demo=app", "--time=grace=1")


@pytest.fixture
def ask(heroku):
    headers = {"Accept": "application/vnd.heroku+json; version=3", "Authorization": f"Bearer {heroku.token}"}
    heroku.requests.clear()

    def send(method, path, **body):
        return requests.request(method, heroku.url + path, json=body or None, headers=headers).status_code

    return send


def test_the_journal_holds_what_was_requested(heroku, ask):
    assert ask("GET", "/apps/demo?x=1") == 200
    assert ask("POST", "/apps/demo/dynos", command="true", env={"A": "1"}) == 201
    assert ask("POST", "/apps/demo/dynos", command="false") == 201
    assert ask("GET", "/apps/nobodys") == 404
    assert [(each.method, each.path, each.status) for each in heroku.requests][::3] == [
        ("GET", "/apps/demo?x=1", 200), ("GET", "/apps/nobodys", 404)
    ]
    (found,) = heroku.requests.matching("POST", "/apps/*/dynos", command="true")
    assert found.body == {"command": "true", "env": {"A": "1"}}
    assert heroku.requests.matching(command="true", env={"A": "2"}) == heroku.requests.matching("PUT") == []
    assert len(heroku.requests.matching(path="/apps/*")) == len(heroku.requests) == 4
    assert "404 GET /apps/nobodys" in repr(heroku.requests)


def test_the_journal_and_the_emulator_are_those_of_the_session(heroku, ask):
    assert len(heroku.requests) == 0
    assert heroku.requests[:] == []


def test_faults_last_for_a_block(heroku, ask):
    with heroku.faults(html_503=1, seed=3):
        assert ask("GET", "/apps") == 503
        with heroku.faults(rate_limit=1):
            assert ask("GET", "/apps") == 429
        assert ask("GET", "/apps") == 503
    assert ask("GET", "/apps") == 200
    with pytest.raises(RuntimeError), heroku.faults(json_500=1):
        raise RuntimeError
    assert ask("GET", "/apps") == 200
    assert [each.status for each in heroku.requests] == [503, 429, 503, 200, 200]


@pytest.mark.parametrize("wrong", [{"no_such_fault": 1}, {"drop_lines": 2}])
def test_an_unknown_fault_is_an_error(heroku, wrong):
    with pytest.raises(ValueError, match="is not"):
        with heroku.faults(**wrong):
            pass


def test_the_fixture_of_a_test_starts_a_new_emulator(embedded_heroku, heroku):
    other = embedded_heroku("--app=demo=app", "--state", "kept")
    assert other.url != heroku.url
    assert len(other.requests) == 0
"""


def test_a_session_of_another_project_has_faults_a_journal_and_folders_beside_its_tests(tmp_path):
    tests = tmp_path / "tests" / "unit"
    (tests / "app").mkdir(parents=True)
    (tests / "app" / "Procfile").write_text("task: true\n")
    (tests / "test_client.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["heroku_magic.emulator.pytest"]\n')
    assert "6 passed" in pytest_of(tmp_path)
    assert (tests / "kept" / "state.json").exists()


def pytest_of(folder):
    """Run pytest in another project, without our environment's plugins, which take most of the time."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q"]
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout + ran.stderr


def test_the_plugin_example_of_the_documentation_passes_in_another_project(tmp_path):
    page = (ROOT / "docs" / "howto" / "test-rig.md").read_text()
    files = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL))
    assert files.keys() == {"conftest.py", "test_jobs.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "Procfile").write_text("task: true\n")
    assert "1 passed" in pytest_of(tmp_path)


def test_a_path_may_contain_an_equals_sign():
    folder = Path("/tests")
    options = ["--state", "a=b", "--env-file=c=d", "--app", "demo=e=f"]
    assert _resolved(options, folder) == ["--state", "/tests/a=b", "--env-file=/tests/c=d", "--app", "demo=/tests/e=f"]
