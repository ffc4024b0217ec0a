"""The first run with new requirements: what the installer does is shown, and a stop ends it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from heroku_magic import connect
from heroku_magic.api.resources import InstallationProgress
from heroku_magic.display.html import run_html, sweep_html
from heroku_magic.display.run_view import RunView
from heroku_magic.display.sweep_view import SweepView
from heroku_magic.errors import RunCancelled, Unreachable
from heroku_magic.runs.create_dyno import Stopped
from heroku_magic.runs.events import StateChange
from heroku_magic.runs.installation import wait_for_installation
from heroku_magic.runs.spec import RunSpec

UV = """#!/bin/sh
echo $$ > {home}/pid
echo 'Resolved 2 packages'
echo 'Downloading tiny'
exec sleep 60
"""


class Client:
    def __init__(self, *found):
        self.found = [*found]
        self.cancelled = []

    def installation(self, app):
        found = self.found.pop(0) if self.found else None
        if isinstance(found, Exception):
            raise found
        return found

    def cancel_installation(self, app):
        self.cancelled.append(app)


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "requirements.txt").write_text("a\nb\n")
    return RunSpec("shop", "embedded", "task", "task", {}, requirements=tmp_path / "requirements.txt")


def progress(line, seconds, packages=2):
    return InstallationProgress(packages, line, seconds)


def test_each_new_line_and_second_is_reported_once(spec):
    client, told = Client(progress("", 0.1), progress("", 0.3), progress(" Got a ", 0.6), progress("Got a", 2.2, 1)), []
    wait_for_installation(client, spec, lambda _: False, told.append)
    assert told == [
        "installing 2 packages · 0 s",
        "installing 2 packages · Got a · 1 s",
        "installing 1 package · Got a · 2 s",
    ]


def test_a_stop_ends_the_installer(spec):
    client = Client(progress("", 0.1))
    with pytest.raises(Stopped, match="while its packages were being installed"):
        wait_for_installation(client, spec, lambda _: True, lambda _: None)
    assert client.cancelled == ["shop"]


def test_the_create_request_reports_what_is_wrong(spec):
    wait_for_installation(Client(Unreachable("no")), spec, lambda _: True, lambda _: None)


@pytest.mark.parametrize("requirements", [None, Path("no/such/requirements.txt")])
def test_without_requirements_nothing_is_requested(requirements):
    spec = RunSpec("shop", "embedded", "task", "task", {}, requirements=requirements)
    wait_for_installation(Client(ValueError()), spec, lambda _: False, lambda _: None)


def test_the_view_shows_the_activity_until_the_dyno_exists():
    view = RunView()
    view.feed(StateChange("requested", 0.0, activity="installing 3 packages · <b> · 4 s"))
    assert "<div>installing 3 packages · &lt;b&gt; · 4 s</div>" in run_html(view, final=False)
    view.feed(StateChange("starting", 1.0, dyno="run.1"))
    assert "installing" not in run_html(view, final=False)


@pytest.fixture
def slow_folder(tmp_path, monkeypatch):
    """A folder whose packages take a minute to install."""
    folder, home = tmp_path / "slow", tmp_path / "bin"
    folder.mkdir()
    home.mkdir()
    (folder / "Procfile").write_text("hello: echo hello\n")
    (folder / "requirements.txt").write_text("tiny\nsmall  # both\n")
    (home / "uv").write_text(UV.format(home=home))
    (home / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    return folder


@pytest.mark.usefixtures("processes")
def test_a_sweep_that_waits_for_packages_says_so(slow_folder):
    sweep = connect(worker=slow_folder, say=lambda _: None).sweep("hello", {"n": [1, 2, 3]})
    deadline = time.monotonic() + 20
    while "Downloading" not in sweep.activity and time.monotonic() < deadline:
        time.sleep(0.05)
    view = SweepView(sweep)
    assert view.progress.startswith("0/3 · installing 2 packages · Downloading tiny · ")
    assert "installing 2 packages · Downloading tiny" in sweep_html(view)
    sweep.cancel()
    sweep.wait(20)
    assert sweep.activity == ""


@pytest.mark.usefixtures("processes")
def test_a_run_that_waits_for_packages_says_so_and_stops_at_once(tmp_path, slow_folder):
    run = connect(worker=slow_folder, say=lambda _: None).submit("hello")
    activities = (event.activity for event in run if isinstance(event, StateChange) and event.activity)
    assert next(one for one in activities if "Downloading" in one).startswith(
        "installing 2 packages · Downloading tiny"
    )
    began = time.monotonic()
    run.cancel()
    assert isinstance(run.exception(10), RunCancelled)
    assert "was stopped while its packages were being installed" in str(run.exception())
    print(f"stopped after {time.monotonic() - began:.2f} s")
    pid = int((tmp_path / "bin" / "pid").read_text())
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the installer still runs")
