"""The tests themselves: the CLI that they run reaches this machine only and nobody's account."""

from __future__ import annotations

import pytest
from official import ClosedProxy, executable
from platform_api import wait_until

pytestmark = pytest.mark.cli


def test_no_heroku_of_the_users_path_is_taken(monkeypatch, tmp_path):
    monkeypatch.delenv("HEROKU_CLI", raising=False)
    (tmp_path / "heroku").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert executable().parent != tmp_path


def test_what_would_leave_this_machine_meets_a_closed_door(heroku):
    door = ClosedProxy()
    cli = heroku.start("auth:whoami", HEROKU_PARTICLEBOARD_URL=None, HTTP_PROXY=door.url, HTTPS_PROXY=door.url)
    wait_until(lambda: door.asked)
    cli.kill()
    cli.communicate()
    door.close()
    assert {line.split()[1] for line in door.asked} == {"particleboard.heroku.com:443"}


def test_what_the_cli_writes_it_writes_to_a_scratch_home(heroku):
    heroku("config", "-a", "demo")
    assert "git:credentials" in (heroku.home / "gitconfig").read_text()
    assert sorted(path.name for path in heroku.folder.iterdir()) == []
