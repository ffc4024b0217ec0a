"""Progress bars, which overwrite their line: what reaches the log while they move."""

from __future__ import annotations

import subprocess
import sys

import pytest
from worker_app import RUN_KEY, WORKER

from heroku_magic.api.log_lines import LogLine
from heroku_magic.display.run_view import RunView
from heroku_magic.text.sgr import OVERWRITES

HEAD = """
import sys, time
from heroku_task import task
def write(*texts, pause=0.0, to=sys.stderr.name):
    stream = sys.stderr if to == sys.stderr.name else sys.stdout
    for text in texts:
        stream.write(text)
        stream.flush()
        time.sleep(pause)

@task
def bars():
    write("start\\n")
"""


@pytest.fixture
def lines(tmp_path, processes):
    """Run the body of a task, and return the lines on its stderr."""

    def run(*body, key=RUN_KEY, is_one_log=False):
        (tmp_path / "heroku_task.py").write_bytes((WORKER / "heroku_task.py").read_bytes())
        (tmp_path / "bars.py").write_text(HEAD + "".join(f"    {line}\n" for line in body))
        command = [sys.executable, "-m", "heroku_task", "bars"]
        env = {"RUN_KEY": key, "PYTHONUNBUFFERED": "true"}
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT if is_one_log else subprocess.PIPE}
        done = subprocess.run(command, cwd=tmp_path, env=env, check=False, **both)
        return (done.stdout if is_one_log else done.stderr).decode().split("\n")

    return run


def shown(lines):
    view = RunView()
    for line in lines:
        view.feed(LogLine("2024-10-17T22:23:22.209776+00:00", "app", "run.1", line))
    return view.lines()


MOVES = 'write("\\r 0%|", "\\r40%|", "\\r50%|", "\\r60%|", "\\r80%|", pause=0.3)'


def test_a_bar_moves_in_the_log_in_place(lines):
    found = lines(MOVES, 'write("\\r100%|\\n")', 'write("after\\n")')
    assert found[:2] == ["start", " 0%|"]
    assert all(line.startswith(OVERWRITES) for line in found[2:-2])
    assert "\r" not in "".join(found), "an event stream of the log cannot carry it"
    assert 4 <= len(found) <= 7
    assert shown(found) == ["start", "100%|", "after", ""]


def test_a_quick_bar_replaces_no_line_before_it(lines):
    assert shown(lines('write("\\r0%|")', 'write("\\r100%|\\n")'))[:2] == ["start", "100%|"]


def test_a_bar_that_returns_after_its_text_moves_too(lines):
    found = lines('write("1/3\\r", "2/3\\r", "3/3\\r", pause=0.6)', 'write("\\n")')
    assert shown(found)[:2] == ["start", "3/3"]
    assert len(found) > 3


def test_a_bar_that_is_not_ended_is_shown_before_a_traceback(lines):
    found = shown(lines(MOVES, 'raise ValueError("no")'))
    assert found[1:3] == ["80%|", "Traceback (most recent call last):"]


def test_other_text_is_written_as_it_is(lines):
    assert lines('write("a", "b\\n", "c")') == ["start", "ab", "c"]


def test_a_task_may_replace_and_restore_its_streams(lines):
    body = ["import io, gc", "sys.stderr = io.StringIO()", "gc.collect()", "sys.stderr = sys.__stderr__"]
    assert lines(*body, 'write("still there\\n")') == ["start", "still there", ""]


def test_a_task_that_is_run_by_hand_keeps_its_stream(lines):
    assert lines('write("\\r 0%|", "\\r40%|", pause=0.6)', key="") == ["start", "\r 0%|\r40%|"]


def of_one_log(lines, *body):
    """Return what is shown of a task whose streams are one log, as on a dyno."""
    return [line for line in shown(lines(*body, is_one_log=True)) if line and not line.startswith("@hm1 ")]


def test_a_bar_on_stdout_moves_as_one_on_stderr_does(lines):
    assert of_one_log(
        lines, 'write("\\r 0%", "\\r50%", "\\r100%", pause=0.6, to="out")', 'write("\\nend\\n", to="out")'
    ) == [
        "start",
        "100%",
        "end",
    ]


def test_a_line_printed_beside_a_moving_bar_is_kept(lines):
    step = 'write("\\r{0}/3", pause=0.6); write("at {0}\\n", to="out")'
    found = of_one_log(lines, *map(step.format, range(1, 4)), 'write("\\n")')
    assert [line for line in found if line.startswith("at")] == ["at 1", "at 2", "at 3"]
    assert found[-1] == "3/3"
