"""An app that our cells made, looked at and run with the official CLI: nobody can tell who made it."""

from __future__ import annotations

import pytest

from heroku_magic import account, connect, init

pytestmark = pytest.mark.cli("releases", "ps", "run")


@pytest.fixture
def app(platform, monkeypatch, tmp_path):
    monkeypatch.setenv("HEROKU_HOST", platform.url)
    monkeypatch.setenv("HEROKU_API_KEY", platform.token)
    monkeypatch.chdir(tmp_path)
    app = account().create()
    folder = init(tmp_path / "worker")
    (folder / "requirements.txt").write_text("")  # nothing to download
    connect(app.name, say=lambda _: None).deploy(folder)
    yield app.name
    account().destroy(app.name, confirm=app.name)


def test_the_official_cli_lists_our_release_and_runs_our_task(heroku, app):
    releases = heroku("releases", "-a", app).stdout
    assert "v2" in releases
    assert "Deploy " in releases
    assert "No dynos on" in heroku("ps", "-a", app).stdout
    run = heroku("run", "-a", app, "--exit-code", "--env", "n=3", "python -m heroku_task task")
    assert "2 to the power of 2 is 4" in run.stdout
    assert '{"number":2,"result":4}' in run.stdout, "without a key the helper prints plain rows"
