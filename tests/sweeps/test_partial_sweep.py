"""A sweep that fails in part: the rows so far are shown, and the last line of the error gets them."""

from __future__ import annotations

import pytest
from workers import make_worker

import heroku_magic
from heroku_magic.errors import SweepFailed
from heroku_magic.sweeps.failures import Failures

TASK = """
    from heroku_task import task

    @task
    def half(n: int):
        if n % 4 == 3:
            raise ValueError(f"no half of {n}")
        return [{"half": n / 2}]
"""
CELL = "n = range(4)"


@pytest.fixture
def shell(start_shell, tmp_path):
    return start_shell(make_worker(tmp_path / "worker", half=TASK))


def test_the_rows_so_far_are_shown_and_the_last_line_of_the_error_gets_them(shell, capsys):
    with pytest.raises(SweepFailed) as caught:
        shell.run_cell_magic("heroku", "half --each n --out df", CELL)
    assert "df" not in shell.user_ns
    assert "half" in capsys.readouterr().out.splitlines()[-4]
    last = str(caught.value).splitlines()[-1]
    assert last == "res = heroku_magic.last.partial   # 3 of 4 runs"
    exec(last, shell.user_ns)
    assert shell.user_ns["res"]["half"].tolist() == [0.0, 0.5, 1.0]


def test_without_raising_the_rows_are_assigned_and_the_missing_ones_counted(shell):
    shell.run_cell_magic("heroku", "half --each n --no-raise --out df", CELL)
    table = shell.user_ns["df"]
    assert table["n"].tolist() == [0, 1, 2]
    assert table.attrs["heroku"]["failed"] == 1


def test_runs_that_did_not_start_are_missing_too(shell):
    shell.run_cell_magic("heroku", "half --each n --no-raise --fail-fast --jobs 1 --out df", "n = [1, 3, 5, 6]")
    assert shell.user_ns["df"].attrs["heroku"]["failed"] == 3


def test_without_any_result_the_error_offers_no_rows(shell):
    with pytest.raises(SweepFailed) as caught:
        shell.run_cell_magic("heroku", "half --each n", "n = [3, 7]")
    assert str(caught.value).splitlines()[-1] == "No run has a result; %heroku resume runs what is missing."


def test_failures_show_themselves(shell, capsys):
    with pytest.raises(SweepFailed):
        shell.run_cell_magic("heroku", "half --each n", CELL)
    failures = heroku_magic.last.failures()
    bundle = failures._repr_mimebundle_()
    assert bundle["text/plain"].startswith("✗ n=3: ValueError: no half of 3 (run.")
    assert "raise ValueError(f&#34;no half of {n}&#34;)" in bundle["text/html"]
    capsys.readouterr()
    shell.run_cell("heroku_magic.last.failures()\n")
    assert "✗ n=3: ValueError: no half of 3" in capsys.readouterr().out
    assert Failures([], ["n"], failures._display)._repr_mimebundle_()["text/html"] == "No run has failed."


def test_the_error_has_the_lines_of_the_source_once(shell, capsys):
    with pytest.raises(SweepFailed) as caught:
        shell.run_cell_magic("heroku", "half --each n", "n = [1, 3, 7]")
    lines = str(caught.value).splitlines()
    assert lines[:2] == ["2 of 3 runs failed.", "  n=3: ValueError: no half of 3"]
    assert sum("→" in line for line in lines) == 2
    assert "no half" not in capsys.readouterr().out.partition("✗")[2].partition("\n")[0]
