from __future__ import annotations

from datetime import datetime

import pytest

from heroku_magic.display.words import duration, end_line, progress, start_line, text, whole_seconds
from heroku_magic.protocol.records import Progress
from heroku_magic.runs.events import StateChange


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("done", "simulate ✓ exit 0 · run.4821 · v12 · Standard-1X · embedded · 2.1 s · 200 rows verified"),
        (
            "failed",
            "simulate ✗ failed, exit 1 · run.4821 · v12 · Standard-1X · embedded · 3.1 s · at 17/200 · 17 rows kept in .partial",
        ),
        (
            "cancelled",
            "simulate ■ cancelled, exit 143 · run.4821 · v12 · Standard-1X · embedded · 1 min 12 s",
        ),
        (
            "unknown",
            "simulate ? done, exit status unknown · run.4821 · v12 · Standard-1X · embedded · 5.0 s · 1 row, not verified\nThe exit status is unknown: the log ended first.",
        ),
        ("refused", "simulate ✗ failed · my-app · 0.3 s"),
    ],
)
def test_the_end_is_summarised_in_one_line(history, fed, name, line):
    assert text(fed(*history(name))) == line


def test_the_error_is_shown_only_where_no_exception_shows_it(history, fed):
    view = fed(*history("failed"))
    assert "ZeroDivisionError" not in text(view)
    assert text(view, with_error=True).endswith("\n" + view.error)


def test_a_running_run_shows_its_elapsed_time_and_its_deadline(history, fed, clock):
    view = fed(*history("done")[:5])
    clock.now += 12.4
    ends = datetime.fromtimestamp(view.ends_at).astimezone().strftime("%H:%M")
    assert text(view) == "simulate ● up · run.4821 · v12 · Standard-1X · embedded · 12 s"
    clock.now = view.ends_at - 500
    assert text(view).endswith(f" · ends by {ends}")
    assert text(fed(*history("done")[:5], verbose=True)).endswith(f" · ends by {ends}")


def test_a_terminal_has_a_start_and_an_end_line(history, fed):
    events = history("done")
    view = fed(*events[:2], verbose=True)
    ends = datetime.fromtimestamp(view.ends_at).astimezone().strftime("%H:%M")
    assert start_line(view) == f"simulate · run.4821 · v12 · Standard-1X · embedded · ends by {ends} · starting"
    assert end_line(fed(*events)) == "simulate ✓ exit 0 · 2.1 s · 200 rows verified"


def test_a_run_without_a_task_is_called_a_run(fed):
    assert text(fed(StateChange("done", 0.0, exit_status=0, seconds=0.0))) == "run ✓ exit 0 · 0.0 s"


@pytest.mark.parametrize("state", ["done", "failed"])
def test_an_unknown_exit_status_is_never_0(fed, state):
    view = fed(StateChange(state, 0.0, dyno="run.1"))
    assert f"{state}, exit status unknown" in text(view)
    assert "exit 0" not in text(view)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (2.13, "2.1 s"), (59.9, "59.9 s"), (59.96, "1 min 00 s"), (72, "1 min 12 s"), (7_500, "2 h 05 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(12.4, "12 s"), (59.7, "1 min 00 s"), (72.4, "1 min 12 s")])
def test_a_duration_that_changes_has_no_tenths(seconds, words):
    assert whole_seconds(seconds) == words


def advanced(clock, view, *steps):
    for at, step in steps:
        clock.now += at
        view.feed(step)
    return progress(view)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([(0, Progress(0, 200))], "0/200"),
        ([(0, Progress(0, 200)), (10, Progress(100, 200))], "100/200 · 10.00/s · 10 s left"),
        ([(0, Progress(0, 200)), (10, Progress(200, 200))], "200/200 · 20.00/s"),
        ([(0, Progress(0, 20)), (10, Progress(4, 20, "slow"))], "4/20 · 2.50s/it · 40 s left · slow"),
        ([(0, Progress(0)), (10, Progress(50))], "50 · 5.00/s"),
        ([(0, Progress(5_000, 10_000)), (10, Progress(5_100, 10_000))], "5,100/10,000 · 10.00/s · 8 min 10 s left"),
        ([(0, Progress(9, 10)), (10, Progress(3, 10))], "3/10"),
    ],
)
def test_progress_has_a_rate_and_a_time_left(fed, clock, steps, words):
    assert advanced(clock, fed(), *steps) == words


def test_without_progress_there_is_no_progress_text(fed):
    assert progress(fed()) == ""


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (0, 10, "3 rows kept in .partial"),
        (0, None, "3 rows kept in .partial"),
        (3, 10, "at 3/10 · 3 rows kept in .partial"),
        (1, 2, "at 1/2 · 3 rows kept in .partial"),  # several rows per step
    ],
)
def test_the_last_progress_of_a_failed_run_is_left_out_if_more_rows_arrived(fed, done, total, words):
    view = fed(Progress(done, total), StateChange("failed", 0.0, dyno="run.1", exit_status=1, seconds=0.1, rows=3))
    assert text(view) == f"run ✗ failed, exit 1 · run.1 · 0.1 s · {words}"
