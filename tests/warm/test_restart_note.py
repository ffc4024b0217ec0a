"""A kernel says how many warm dynos the one before it has stopped."""

from __future__ import annotations

import subprocess
import sys

import pytest

from heroku_magic.warm import restart_note

SCRIPT = """
from heroku_magic.warm import restart_note
restart_note.add("run.1")
restart_note.add("run.2")
restart_note.add("run.3")
restart_note.discard("run.2")
"""


@pytest.mark.usefixtures("elsewhere", "processes")
def test_the_next_kernel_reports_the_dynos_that_were_warm_at_the_end_once(start_shell, capsys):
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
    start_shell()
    shown = "The previous kernel stopped 2 warm dynos when it ended: run.1, run.3."
    assert shown in capsys.readouterr().out
    assert restart_note.message() == ""


@pytest.mark.usefixtures("elsewhere", "processes")
def test_the_dynos_of_a_kernel_that_runs_are_not_reported(monkeypatch):
    monkeypatch.setattr(restart_note, "_file", None)
    monkeypatch.setattr(restart_note, "_names", set())
    restart_note.add("run.1")
    assert restart_note.message() == ""
    restart_note.discard("run.1")
    assert [*restart_note.FOLDER.iterdir()] == []


@pytest.mark.usefixtures("elsewhere")
def test_a_file_that_is_not_ours_is_left_alone():
    restart_note.FOLDER.mkdir(parents=True)
    (restart_note.FOLDER / "12~").touch()
    assert restart_note.message() == ""
