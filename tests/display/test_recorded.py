from __future__ import annotations

from types import SimpleNamespace

from heroku_magic.display.recorded import show_again
from heroku_magic.runs.events import StateChange


def test_a_terminal_shows_the_error_of_an_earlier_run_once(capsys):
    ended = StateChange("failed", 0.0, dyno="run.1", exit_status=3, error="task ended with exit status 3")
    job = SimpleNamespace(events=lambda timeout: iter([ended]), exception=lambda: ValueError("3"), partial=None)

    assert show_again(job, verbose=False) is None
    assert capsys.readouterr().out.count("task ended with exit status 3") == 1
