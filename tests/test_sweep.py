"""sweep: one run for each combination, over one log session, and one DataFrame in the grid's order."""

from __future__ import annotations

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, connect
from heroku_magic.errors import SweepFailed

TASK = """
    import time
    from heroku_task import task

    @task
    def point(seed: int, region: str = "eu", n: int = 2, fail: int = -1, pause: float = 0.0):
        print("seed", seed)
        time.sleep(pause)
        if seed == fail:
            raise ValueError(f"seed {seed} is bad")
        for i in range(n):
            yield {"i": i, "x": seed * 10 + i}
"""
ECHO = """
    from heroku_task import task

    @task
    def echo(seed: int, wrong: bool = False):
        return [{"seed": seed + 1 if wrong else seed, "y": 1}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_worker(
        tmp_path_factory.mktemp("sweep") / "worker",
        {"plain": "python plain.py"},
        point=TASK,
        echo=ECHO,
        plain="import json, os\nprint(json.dumps({'seed_squared': int(os.environ['seed']) ** 2}))\n",
    )


@pytest.fixture
def heroku(folder):
    return connect(worker=folder, say=lambda _: None)


@pytest.fixture
def shell(folder):
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "heroku_magic")
    shell.run_cell(f"%config HerokuMagics.worker = {str(folder)!r}")
    return shell


def refused(heroku, *arguments, **options):
    with pytest.raises(InvalidParameters) as caught:
        heroku.sweep(*arguments, **options)
    return caught.value.issues


def test_all_combinations_run_and_come_back_in_the_grids_order(heroku):
    sweep = heroku.sweep("point", {"region": ["eu", "us"], "seed": range(5)}, {"n": 2}, jobs=4)
    df = sweep.result(60)
    assert list(df.columns) == ["region", "seed", "i", "x"]
    assert df["region"].tolist() == ["eu"] * 10 + ["us"] * 10
    assert df["seed"].tolist() == [seed for seed in range(5) for _ in range(2)] * 2
    assert df["x"].tolist() == [seed * 10 + i for seed in range(5) for i in range(2)] * 2
    assert df["seed"].dtype == "int64"
    assert df.attrs["heroku"]["runs"] == 10
    assert df.attrs["heroku"]["verified"]
    assert sweep.counts() == {"done": 10}


def test_one_log_session_serves_all_runs(heroku, monkeypatch):
    from heroku_magic.client import HerokuClient

    opened = []
    really = HerokuClient.create_log_session
    monkeypatch.setattr(
        HerokuClient, "create_log_session", lambda self, *a, **k: opened.append(k) or really(self, *a, **k)
    )
    heroku.tasks()
    opened.clear()
    heroku.sweep("point", {"seed": range(12)}, jobs=6).result(60)
    assert [session["dyno"] for session in opened] == ["run"]


def test_never_more_than_jobs_run_at_once(heroku):
    sweep = heroku.sweep("point", {"seed": range(6)}, {"pause": 0.2}, jobs=2)
    most = 0
    while not sweep.wait(0.02):
        most = max(most, sweep.counts().get("running", 0))
    assert most == 2


def test_failed_runs_are_named_and_the_others_rows_are_there(heroku):
    sweep = heroku.sweep("point", {"seed": range(4)}, {"fail": 2})
    with pytest.raises(SweepFailed, match=r"1 of 4 runs failed(.|\n)*seed=2: ValueError: seed 2 is bad") as caught:
        sweep.result(60)
    assert sorted(set(caught.value.partial["seed"])) == [0, 1, 3]
    assert caught.value.sweep is sweep
    runs = sweep.runs()
    assert runs["state"].tolist() == ["done", "done", "failed", "done"]
    assert runs["exit_status"].tolist() == [0, 0, 1, 0]
    assert runs["error"][2] == "ValueError: seed 2 is bad"


def test_fail_fast_starts_no_more(heroku):
    sweep = heroku.sweep("point", {"seed": range(30)}, {"fail": 0, "pause": 0.05}, jobs=1, fail_fast=True)
    sweep.wait(60)
    assert sweep.counts()["cancelled"] >= 28
    assert heroku.dynos() == []


def test_a_task_that_fails_is_tried_again_on_request_only(heroku):
    sweep = heroku.sweep("point", {"seed": [1, 2]}, {"fail": 1}, retries=2)
    sweep.wait(60)
    assert sweep.runs()["attempts"].tolist() == [1, 1]
    sweep = heroku.sweep("point", {"seed": [1, 2]}, {"fail": 1}, retries=2, retry_tasks=True)
    sweep.wait(60)
    assert sweep.runs()["attempts"].tolist() == [3, 1]


def test_a_cancelled_sweep_leaves_no_dyno(heroku):
    sweep = heroku.sweep("point", {"seed": range(20)}, {"pause": 60}, jobs=4)
    while sweep.counts().get("running", 0) < 4 or not heroku.dynos():
        pass
    assert sweep.cancel()
    assert sweep.wait(30)
    assert heroku.dynos() == []
    assert sweep.counts() == {"cancelled": 20}
    assert not sweep.cancel()
    with pytest.raises(SweepFailed, match="0 of 20 runs failed, 20 were not made"):
        sweep.result()


def test_runs_are_given_as_they_complete(heroku):
    sweep = heroku.sweep("point", {"seed": range(5)})
    assert len({outcome.facts["run"] for outcome in sweep.as_completed()}) == 5


def test_rows_of_a_table_are_runs(heroku):
    cases = pd.DataFrame({"seed": [1, 2], "region": ["eu", "us"]})
    df = heroku.sweep("point", {"cases": cases}, {"n": 1}).result(60)
    assert df[["seed", "region"]].to_dict("records") == cases.to_dict("records")


def test_a_sample_is_a_part_of_the_grid(heroku):
    df = heroku.sweep("point", {"seed": range(10**6)}, {"n": 1}, sample=3, seed=1).result(60)
    assert len(df) == 3
    assert df["x"].tolist() == (df["seed"] * 10).tolist()


def test_plain_rows_come_back_too(heroku):
    df = heroku.sweep("plain", {"seed": [1, 2, 3]}).result(60)
    assert df["seed_squared"].tolist() == [1, 4, 9]


def test_a_column_with_a_parameters_name_is_kept_once_if_it_says_the_same(heroku):
    df = heroku.sweep("echo", {"seed": [1, 2]}).result(60)
    assert df.to_dict("list") == {"seed": [1, 2], "y": [1, 1]}
    with pytest.raises(InvalidParameters, match="row 0: the task says seed is 2, and the run was made with 1"):
        heroku.sweep("echo", {"seed": [1, 2]}, {"wrong": True}).result(60)


def test_all_faults_are_told_before_anything_starts(heroku):
    assert refused(heroku, "point", {"seed": ["a", 1, "b"], "region": [1]}) == [
        "seed is the text 'a': expected a whole number.",
        "region is 1: expected text.",
        "seed is the text 'b': expected a whole number.",
    ]
    assert "has no parameter sead. Did you mean seed?" in refused(heroku, "point", {"sead": [1]}, {"seed": 1})[0]
    assert "1,000,000 combinations are more than 10,000 runs" in refused(heroku, "point", {"seed": range(10**6)})[0]
    assert "there are no values" in refused(heroku, "point", {"seed": []})[0]
    assert "NaN" in refused(heroku, "plain", {"seed": [1.0, float("nan")]})[0]
    assert "32 kB" in refused(heroku, "plain", {"seed": [1, "x" * 40_000]})[0]
    assert heroku.dynos() == []


def test_a_cell_with_each_is_a_sweep(shell, capsys):
    done = shell.run_cell(
        "%%heroku point --each region,seed --jobs 4 --out df\nregion = ['eu', 'us']\nseed = range(3)\nn = 1"
    )
    assert done.success
    df = shell.user_ns["df"]
    assert df["region"].tolist() == ["eu"] * 3 + ["us"] * 3
    assert "point × 6 ✓ 6 done" in capsys.readouterr().out
    assert shell.run_cell("%heroku last").result.counts() == {"done": 6}


def test_a_line_with_each_is_an_expression(shell):
    shell.run_cell("df = %heroku run point --each seed={range(4)} --arg n=1")
    assert shell.user_ns["df"]["seed"].tolist() == [0, 1, 2, 3]
    shell.run_cell("df = %heroku run point --each seed={[1, 2]} --each region={['a', 'b']} --zip --arg n=1")
    assert shell.user_ns["df"]["region"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--each seed", "--each seed: no values: assign them in the body"),
        ("--each seed=5", "its value is text ('5')"),
        ("--each seed={5}", "its value is one int"),
        ("--each 9", "expected NAME"),
        ("--each seed={[1]} --each seed={[2]}", "seed is given twice"),
        ("--each seed={[1]} --jobs 0", "expected a whole number from 1 on"),
        ("--each seed={[1]} --detach", "detach needs an app on Heroku"),
        ("--each seed={[1]} --chunk some", "expected a whole number from 1 on, or auto"),
        ("--each seed={[1]} --max-cost cheap", "expected dollars, such as 0.50"),
        ("--each seed={[]}", "there are no values"),
    ],
)
def test_bad_lines_are_refused_by_name(shell, line, said):
    error = shell.run_cell(f"%heroku run point {line}").error_in_exec
    assert isinstance(error, InvalidOptions | InvalidParameters)
    assert said in str(error)


def test_a_failed_sweep_fails_its_cell_and_leaves_its_name_unbound(shell, capsys):
    done = shell.run_cell("%heroku run point --each seed={range(3)} --arg fail=1 --out df")
    assert isinstance(done.error_in_exec, SweepFailed)
    assert "df" not in shell.user_ns
    assert "✗ seed=1: ValueError: seed 1 is bad" in capsys.readouterr().out
    kept = shell.run_cell("%heroku run point --each seed={range(3)} --arg fail=1 --no-raise").result
    assert sorted(set(kept["seed"])) == [0, 2]
