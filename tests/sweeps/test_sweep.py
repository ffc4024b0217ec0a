"""Tests of heroku_magic.sweeps.sweep."""

from __future__ import annotations

import copy
import pickle
import random
import re
import threading
import time

import numpy as np
import pandas as pd
import pytest
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, Secret, TaskFailed, connect
from heroku_magic.api.transport import Transport
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import Interrupted, SweepFailed

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
    def echo(seed: int, wrong: bool = False, pause: float = 0.0):
        __import__("time").sleep(pause)
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
def heroku(folder, shared_server):
    return connect(worker=folder, say=lambda _: None)


@pytest.fixture
def shell(start_shell, folder, shared_server):
    return start_shell(folder)


def refused(heroku, *arguments, **options):
    with pytest.raises(InvalidParameters) as caught:
        heroku.sweep(*arguments, **options)
    return caught.value.issues


def test_the_rows_of_all_combinations_are_in_the_grids_order(heroku):
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


def test_a_change_of_the_computers_time_leaves_the_age_of_a_sweep_alone(heroku, monkeypatch):
    sweep = heroku.sweep("point", {"seed": [1]}, {"pause": 30.0})
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 3600)
    assert 0 < sweep.age < 60
    sweep.cancel()


def test_an_error_names_the_numbers_of_numpy_without_their_type(heroku):
    error = heroku.sweep("point", {"seed": np.array([1])}, {"fail": 1}).exception(60)
    assert str(error).splitlines()[1] == "  seed=1: ValueError: seed 1 is bad"


def test_the_error_of_a_sweep_keeps_its_outcomes_in_a_pickle(heroku):
    sweep = heroku.sweep("point", {"seed": range(3), "region": ["eu"]}, {"fail": 1}, jobs=3)
    error = sweep.exception(60)
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again)) == (SweepFailed, str(error))
    assert again.sweep.id == sweep.id
    pd.testing.assert_frame_equal(again.partial, sweep.partial)
    pd.testing.assert_frame_equal(again.sweep.runs(), sweep.runs())
    assert again.sweep.facts() == sweep.facts()
    (kept,), (failed,) = again.sweep.failures(), sweep.failures()
    assert (kept.place, kept.parameters, kept.facts, kept.log) == (1, failed.parameters, failed.facts, failed.log)
    assert str(kept.error) == str(failed.error)
    assert kept.error.run.logs() == failed.error.run.logs()
    assert copy.copy(error).sweep is sweep


def test_a_callback_of_a_sweep_may_start_another_one(heroku):
    done, found = threading.Event(), []

    def start_another(ended):
        found.append(heroku.sweep("point", {"seed": [5]}, {"n": 1}).result(60)["x"].tolist())
        done.set()

    sweep = heroku.sweep("point", {"seed": range(2)})
    sweep.add_done_callback(start_another)

    assert sweep.wait(60)
    assert done.wait(60)
    assert found == [[50]]


def test_one_log_session_serves_all_runs(heroku, monkeypatch):
    from heroku_magic.api.client import HerokuClient

    opened = []
    create = HerokuClient.create_log_session
    monkeypatch.setattr(
        HerokuClient, "create_log_session", lambda self, *a, **k: opened.append(k) or create(self, *a, **k)
    )
    heroku.tasks()
    opened.clear()
    heroku.sweep("point", {"seed": range(12)}, jobs=6).result(60)
    assert [session["dyno"] for session in opened] == ["run"]


def test_a_sweep_of_n_runs_sends_n_requests_and_at_most_five_more(heroku, monkeypatch):
    requests, send = [], Transport.send
    heroku.tasks()
    monkeypatch.setattr(Transport, "send", lambda self, *a, **k: requests.append(a[:2]) or send(self, *a, **k))
    heroku.sweep("point", {"seed": range(40)}, jobs=4).result(60)
    assert sum(method == "POST" and url.endswith("/dynos") for method, url in requests) == 40
    assert len(requests) <= 40 + 5


def test_no_more_than_jobs_runs_are_concurrent(heroku):
    sweep = heroku.sweep("point", {"seed": range(6)}, {"pause": 0.2}, jobs=2)
    most = 0
    while not sweep.wait(0.02):
        most = max(most, len(heroku.dynos()))
    assert most == 2


def test_failed_runs_are_named_and_the_rows_of_the_others_are_kept(heroku):
    sweep = heroku.sweep("point", {"seed": range(4)}, {"fail": 2})
    with pytest.raises(SweepFailed, match=r"1 of 4 runs failed(.|\n)*seed=2: ValueError: seed 2 is bad") as caught:
        sweep.result(60)
    assert sorted(set(caught.value.partial["seed"])) == [0, 1, 3]
    assert caught.value.sweep is sweep
    assert sweep.failures()[0].log == ["seed 2"]
    runs = sweep.runs()
    assert runs["state"].tolist() == ["done", "done", "failed", "done"]
    assert runs["exit_status"].tolist() == [0, 0, 1, 0]
    assert runs["error"][2] == "ValueError: seed 2 is bad"


def test_fail_fast_stops_after_the_first_failure(heroku):
    sweep = heroku.sweep("point", {"seed": range(30)}, {"fail": 0, "pause": 0.05}, jobs=1, fail_fast=True)
    sweep.wait(60)
    assert sweep.counts()["cancelled"] >= 28
    assert heroku.dynos() == []


def test_a_failed_task_is_retried_only_on_request(heroku):
    sweep = heroku.sweep("point", {"seed": [1, 2]}, {"fail": 1}, retries=2)
    sweep.wait(60)
    assert sweep.runs()["attempts"].tolist() == [1, 1]
    sweep = heroku.sweep("point", {"seed": [1, 2]}, {"fail": 1}, retries=2, retry_tasks=True)
    sweep.wait(60)
    assert sweep.runs()["attempts"].tolist() == [3, 1]


def test_zero_retries_are_accepted(shell):
    df = shell.run_cell("%heroku run point --each seed={range(2)} --retries 0").result
    assert df["seed"].unique().tolist() == [0, 1]


def test_a_cancelled_sweep_stops_all_dynos(heroku):
    sweep = heroku.sweep("point", {"seed": range(20)}, {"pause": 60}, jobs=4)
    while sweep.counts().get("running", 0) < 4 or not heroku.dynos():
        pass
    assert sweep.cancel()
    assert sweep.wait(30)
    assert heroku.dynos() == []
    assert sweep.counts() == {"cancelled": 20}
    assert not sweep.cancel()
    with pytest.raises(SweepFailed, match=r"^20 of 20 runs were cancelled or not started"):
        sweep.result()


def test_outcomes_are_yielded_as_they_complete(heroku):
    sweep = heroku.sweep("point", {"seed": range(5)})
    assert len({outcome.facts["run"] for outcome in sweep.as_completed()}) == 5


def test_each_row_of_a_table_is_a_run(heroku):
    cases = pd.DataFrame({"seed": [1, 2], "region": ["eu", "us"]})
    df = heroku.sweep("point", {"cases": cases}, {"n": 1}).result(60)
    assert df[["seed", "region"]].to_dict("records") == cases.to_dict("records")


def test_a_sample_runs_a_part_of_the_grid(heroku):
    df = heroku.sweep("point", {"seed": range(10**6)}, {"n": 1}, sample=3, seed=1).result(60)
    assert len(df) == 3
    assert df["x"].tolist() == (df["seed"] * 10).tolist()


def test_a_script_that_prints_json_can_be_swept(heroku):
    df = heroku.sweep("plain", {"seed": [1, 2, 3]}).result(60)
    assert df["seed_squared"].tolist() == [1, 4, 9]


def test_a_column_with_a_parameters_name_must_have_its_value_and_appears_once(heroku):
    df = heroku.sweep("echo", {"seed": [1, 2]}).result(60)
    assert df.to_dict("list") == {"seed": [1, 2], "y": [1, 1]}
    sweep = heroku.sweep("echo", {"seed": range(1, 30)}, {"wrong": True}, jobs=1)
    with pytest.raises(SweepFailed, match="row 0: the task reports seed=2, but the run had seed=1"):
        sweep.result(60)
    assert sweep.counts() == {"failed": 1, "cancelled": 28}, "the first contradiction stops the sweep"
    assert sweep.partial is None


def test_all_problems_are_reported_before_a_dyno_starts(heroku):
    assert refused(heroku, "point", {"seed": ["a", 1, "b"], "region": [1]}) == [
        "seed is the text 'a': expected a whole number.",
        "region is 1: expected text.",
        "seed is the text 'b': expected a whole number.",
    ]
    assert "has no parameter sead. Did you mean seed?" in refused(heroku, "point", {"sead": [1]}, {"seed": 1})[0]
    assert "1,000,000 combinations are more than 10,000 runs" in refused(heroku, "point", {"seed": range(10**6)})[0]
    assert "there are no values" in refused(heroku, "point", {"seed": []})[0]
    assert "seed is missing" in refused(heroku, "point", {"cases": [{"seed": 1}, {"region": "us"}]})[0]
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
    ("line", "message"),
    [
        ("--each seed", "--each seed has no values. Assign them in the body, or use --each seed={seed} to take"),
        ("--each seed=5", "its value is text ('5')"),
        ("--each seed={5}", "its value is a single int"),
        ("--each 9", "expected NAME"),
        ("--each seed={[1]} --each seed={[2]}", '"seed" is given twice'),
        ("--each seed={[1]} --seed x", "--seed x: expected a whole number."),
        ("--each seed={[1]} --jobs 0", "expected a whole number of at least 1"),
        ("--each seed={[1]} --detach", "detach needs an app on Heroku"),
        ("--each seed={[1]} --chunk some", "expected a whole number of at least 1, or auto"),
        ("--each seed={[1]} --max-cost cheap", "expected dollars, such as 0.50"),
        ("--each seed={[]}", "there are no values"),
    ],
)
def test_an_invalid_line_is_refused_with_the_name_of_its_option(shell, line, message):
    error = shell.run_cell(f"%heroku run point {line}").error_in_exec
    assert isinstance(error, InvalidOptions | InvalidParameters)
    assert message in str(error)


def test_a_failed_sweep_fails_its_cell_and_does_not_bind_its_name(shell, capsys):
    done = shell.run_cell("%heroku run point --each seed={range(3)} --arg fail=1 --out df")
    assert isinstance(done.error_in_exec, SweepFailed)
    assert "df" not in shell.user_ns
    assert capsys.readouterr().out.count("seed=1: ValueError: seed 1 is bad") == 1
    kept = shell.run_cell("%heroku run point --each seed={range(3)} --arg fail=1 --no-raise").result
    assert sorted(set(kept["seed"])) == [0, 2]


# -- chunks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [2, 7, 100, "auto"])
def test_combinations_that_share_a_dyno_have_the_same_rows(heroku, chunk):
    grid, fixed = {"region": ["eu", "us"], "seed": range(12)}, {"n": 2}
    alone = heroku.sweep("point", grid, fixed).result(60)
    sweep = heroku.sweep("point", grid, fixed, chunk=chunk)
    together = sweep.result(60)
    pd.testing.assert_frame_equal(together, alone)
    assert together.attrs["heroku"]["verified"]
    dynos = {2: 12, 7: 4, 100: 1}.get(chunk)
    assert len(sweep.spans()) == dynos if dynos else len(sweep.spans()) <= 24


def test_a_failure_in_a_chunk_affects_one_combination(heroku):
    sweep = heroku.sweep("point", {"seed": range(6)}, {"fail": 2}, chunk=6)
    with pytest.raises(SweepFailed, match=r"1 of 6 runs failed(.|\n)*seed=2: ValueError: seed 2 is bad") as caught:
        sweep.result(60)
    assert sorted(set(caught.value.partial["seed"])) == [0, 1, 3, 4, 5]
    (failed,) = sweep.failures()
    assert 'raise ValueError(f"seed {seed} is bad")' in str(failed.error)
    assert sweep.runs()["exit_status"].tolist() == [0, 0, 1, 0, 0, 0]
    assert len(set(sweep.runs()["dyno"])) == 1


def test_only_the_failed_combination_of_a_chunk_is_retried(heroku):
    sweep = heroku.sweep("point", {"seed": range(6)}, {"fail": 2}, chunk=6, retries=2, retry_tasks=True)
    sweep.wait(60)
    assert sweep.runs()["attempts"].tolist() == [1, 1, 3, 1, 1, 1]


def test_outcomes_of_a_chunk_are_yielded_as_they_complete(heroku):
    sweep = heroku.sweep("point", {"seed": range(3)}, {"pause": 0.5}, chunk=3)
    first = next(sweep.as_completed())
    assert not sweep.done()
    assert first.result()["x"].tolist() == [0, 1]
    assert sweep.counts()["done"] < 3
    assert sweep.result(60)["x"].tolist() == [0, 1, 10, 11, 20, 21]


def test_a_chunk_too_large_for_one_environment_is_divided(heroku):
    import random

    words = [random.Random(number).randbytes(3000).hex() for number in range(8)]
    sweep = heroku.sweep("point", {"region": words}, {"seed": 1, "n": 1}, chunk=8)
    assert sweep.result(60)["region"].tolist() == words
    assert 1 < len(sweep.spans()) < 8


def test_a_cancelled_chunk_keeps_the_results_so_far(heroku):
    sweep = heroku.sweep("point", {"seed": range(5)}, {"pause": 0.4}, chunk=5)
    done = next(sweep.as_completed()).parameters["seed"]
    sweep.cancel()
    assert sweep.wait(30)
    assert done in set(sweep.partial["seed"])
    assert sweep.counts()["cancelled"]
    assert heroku.dynos() == []


def test_a_plain_script_cannot_run_in_chunks(heroku):
    with pytest.raises(
        InvalidOptions, match="plain does not support that: it is not a task of heroku_task, or its app has an older"
    ):
        heroku.sweep("plain", {"seed": [1, 2]}, chunk=2)


@pytest.mark.usefixtures("processes")
def test_files_and_tables_of_a_chunk_belong_to_their_combination(tmp_path):
    folder = make_worker(
        tmp_path / "worker",
        draw="""
            from heroku_task import emit_file, task

            @task
            def draw(seed: int):
                with open(f"/tmp/{seed}.txt", "w") as file:
                    file.write("x" * seed)
                emit_file(f"/tmp/{seed}.txt")
                return [] if seed == 2 else None if seed == 3 else [{"y": seed}]
            """,
    )
    sweep = connect(worker=folder, say=lambda _: None).sweep("draw", {"seed": range(5)}, chunk=5)
    ended = {outcome.parameters["seed"]: outcome for outcome in sweep.as_completed()}
    assert {seed: one.files for seed, one in ended.items()} == {seed: {f"{seed}.txt": b"x" * seed} for seed in range(5)}
    assert [len(ended[seed].result()) for seed in (0, 1, 2, 4)] == [1, 1, 0, 1]
    assert ended[3].result() is None
    assert sweep.result(60)["y"].tolist() == [0, 1, 4]


# -- money -----------------------------------------------------------------------------------------


@pytest.fixture
def priced(folder, monkeypatch, tmp_path, processes):
    """The same app used like a real one, where dynos cost money."""
    server = embedded(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", server.token.reveal())
    return connect("worker", size="basic", prices={"basic": 2_592_000}, say=lambda _: None)


def test_the_cost_of_a_sweep_is_added_up(priced):
    sweep = priced.sweep("point", {"seed": range(3)}, {"pause": 0.2})
    df = sweep.result(60)
    assert df.attrs["heroku"]["dollars"] == pytest.approx(sweep.runs()["seconds"].sum(), rel=0.01)
    assert sweep.dollars == df.attrs["heroku"]["dollars"]
    assert sweep.expected_dollars == pytest.approx(sweep.dollars)


def test_a_sweep_whose_measured_cost_exceeds_the_budget_is_refused(priced):
    priced.run("point", {"seed": 1, "pause": 0.3})
    assert "more than the $1 of --max-cost" in refused(priced, "point", {"seed": range(100)}, max_cost=1.0)[0]
    assert priced.dynos() == []


def test_a_dry_run_with_a_budget_is_refused_like_the_sweep_and_keeps_the_timeout(priced):
    estimate = priced.estimate("echo", {"seed": range(3)}, max_cost=500)
    assert estimate.spec.timeout == priced.settings.timeout
    priced.run("point", {"seed": 1, "pause": 0.3})
    with pytest.raises(InvalidParameters, match=r"more than the \$1 of --max-cost"):
        priced.estimate("point", {"seed": range(100)}, max_cost=1.0)


def test_a_budget_stops_a_running_sweep(priced):
    grid = {"seed": range(40)}
    sweep = priced.sweep("echo", grid, {"pause": 0.4}, jobs=2, max_cost=2.0)
    with pytest.raises(SweepFailed, match="--max-cost"):
        sweep.result(60)
    assert 0 < sweep.counts()["done"] < 40
    assert sweep.dollars < 3.0
    assert priced.dynos() == []


def test_a_computer_whose_time_is_set_changes_neither_the_cost_nor_the_duration_of_a_sweep(priced, monkeypatch):
    real, shift = time.time, iter(range(0, 10**9, 7200))
    monkeypatch.setattr(time, "time", lambda: real() + next(shift))
    sweep = priced.sweep("point", {"seed": range(3)}, {"pause": 0.2}, max_cost=300.0)
    sweep.result(60)

    assert sweep.seconds < 60
    assert sweep.dollars < 60


@pytest.mark.parametrize(("size", "message"), [("eco", "the price of eco is not known"), (None, "give --size")])
@pytest.mark.usefixtures("processes")
def test_a_budget_needs_a_price(folder, monkeypatch, tmp_path, size, message):
    server = embedded(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", server.token.reveal())
    heroku = connect("worker", size=size, say=lambda _: None)
    for start in (
        lambda: heroku.sweep("point", {"seed": [1]}, max_cost=1),
        lambda: heroku.submit("point", {"seed": 1}, max_cost=1),
    ):
        with pytest.raises(InvalidOptions, match=message):
            start()


def test_the_budget_of_a_single_run_limits_its_dynos_life(priced):
    run = priced.submit("point", {"seed": 1, "pause": 60}, max_cost=2.0)
    with pytest.raises(TaskFailed, match="the time limit of 2 s was reached"):
        run.result(60)
    with pytest.raises(InvalidOptions, match="is less than the price of one second on basic"):
        priced.submit("point", {"seed": 1}, max_cost=0.5)


def test_an_estimate_sends_only_get_requests_and_needs_no_secret(priced, monkeypatch):
    requests, send = [], Transport.send
    monkeypatch.setattr(
        Transport, "send", lambda self, method, *a, **k: requests.append(method) or send(self, method, *a, **k)
    )
    estimate = priced.estimate("plain", {"seed": range(50)}, {"n": 2}, secrets=["key"])
    assert estimate.combinations == 50
    assert set(requests) <= {"GET"}
    assert "Nothing was started." in str(estimate)


def test_a_dry_run_prints_the_estimate(shell, capsys):
    assert shell.run_cell("%%heroku point --each seed --dry-run --jobs 3\nseed = range(9)").result is None
    message = capsys.readouterr().out
    assert "9 runs of point on embedded" in message
    assert "3 at once" in message
    assert "Nothing was started." in message
    shell.run_cell("%heroku run point --arg seed=1 --dry-run")
    assert "One run of point" in capsys.readouterr().out
    assert shell.run_cell("%heroku ps").result.empty


# -- a cell's lines --------------------------------------------------------------------------------


def test_an_interrupted_cell_is_resumed_by_the_next(shell, tmp_path):
    file = tmp_path / "s.jsonl"
    shell.run_cell(f"%heroku run point --each seed={{range(3)}} --arg fail=1 --save {file}")
    assert file.exists()
    shell.run_cell("import heroku_magic")
    resumed = shell.run_cell("df = %heroku resume")
    assert isinstance(resumed.error_in_exec, SweepFailed)  # the same run fails again; the others are not repeated
    assert shell.run_cell("heroku_magic.last.runs()").result["attempts"].tolist() == [1, 2, 1]
    kept = shell.run_cell(f"%heroku resume {file} --no-raise").result
    assert sorted(set(kept["seed"])) == [0, 2]


class Impatient:
    """A display that is interrupted with Ctrl-C as soon as all dynos are up."""

    def __init__(self, sweep, **_):
        self.sweep = sweep

    def follow(self):
        while not self.sweep._scheduler.runs() or not all(run.up_at for run in self.sweep._scheduler.runs()):
            time.sleep(0.01)
        raise KeyboardInterrupt


def test_a_second_interrupt_detaches_and_reports_what_may_still_run(shell, monkeypatch):
    monkeypatch.setattr("heroku_magic.display.job_display.SweepOutput", Impatient)
    line = "%heroku run point --each seed={range(9)} --arg pause=60 --jobs 2"
    error = shell.run_cell(line).error_in_exec
    assert isinstance(error, Interrupted)
    assert re.search(
        r"Stopped following hs-\w+ before all its dynos were gone\. run\.\d+, run\.\d+ of embedded may still",
        str(error),
    )
    assert shell.run_cell("%heroku last").result.wait(30)
    assert shell.run_cell("%heroku ps").result.empty


def test_an_interrupt_before_the_first_drawing_stops_the_sweep(shell, monkeypatch):
    def interrupted(*_, **__):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr("heroku_magic.display.job_display.SweepOutput", interrupted)
    error = shell.run_cell("%heroku run point --each seed={range(9)} --arg pause=60 --jobs 2").error_in_exec
    assert isinstance(error, SweepFailed)
    assert "It was stopped" in str(error)
    assert shell.run_cell("%heroku ps").result.empty


def test_options_that_contradict_each_other_are_refused(shell):
    error = shell.run_cell("%heroku run point --arg seed=1 --cache --no-cache").error_in_exec
    assert isinstance(error, InvalidOptions)
    assert str(error) == "--cache and --no-cache contradict each other. Give one of them."


@pytest.mark.parametrize(
    "option", ["--zip", "--jobs 3", "--chunk auto", "--retries 2", "--fail-fast", "--save s.jsonl"]
)
def test_sweep_options_are_refused_for_a_single_run(shell, option):
    error = shell.run_cell(f"%heroku run point --arg seed=1 {option}").error_in_exec
    assert isinstance(error, InvalidOptions)
    assert f"{option.split()[0]} is for sweeps. To start a sweep, use --each NAME" in str(error)


@pytest.mark.parametrize(
    "options",
    [{"jobs": -1}, {"jobs": 0}, {"retries": -1}, {"chunk": -2}, {"chunk": "all"}, {"sample": 0}, {"retry_tasks": True}],
)
def test_invalid_numbers_are_refused(heroku, options):
    with pytest.raises(InvalidOptions, match=next(iter(options))):
        heroku.sweep("point", {"seed": range(3)}, **options)


def test_resume_without_a_previous_sweep_is_refused(shell, monkeypatch):
    monkeypatch.setattr("heroku_magic.app.recorded_app._last", None)
    error = shell.run_cell("%heroku resume").error_in_exec
    assert "No sweep has been started in this kernel" in str(error)


def test_a_background_sweep_binds_its_name_when_it_is_done(shell):
    sweep = shell.run_cell("%heroku run point --each seed={range(3)} --arg n=1 --bg --out df").result
    assert sweep.wait(60)
    for _ in range(100):
        if "df" in shell.user_ns:
            break
        time.sleep(0.02)
    assert shell.user_ns["df"]["seed"].tolist() == [0, 1, 2]


def test_a_command_cannot_be_swept(shell):
    error = shell.run_cell("%heroku run --each n={[1, 2]} -- date").error_in_exec
    assert "--each is for tasks" in str(error)


@pytest.mark.parametrize("values", [[Secret("swordfish")], ["open", Secret("swordfish")]])
def test_a_secret_cannot_be_swept(heroku, values):
    assert "a secret must be the same in every run" in refused(heroku, "plain", {"seed": values})[0]


@pytest.mark.parametrize("each", [{"seed": [1, 2]}, {"cases": [{"seed": 1}, {"n": 2}]}])
def test_a_parameter_cannot_be_both_swept_and_fixed(heroku, each):
    assert "seed is given twice, once by --each" in refused(heroku, "point", each, {"seed": 1})[0]


@pytest.mark.usefixtures("processes")
def test_a_long_check_is_announced(folder, monkeypatch):
    messages = []
    monkeypatch.setattr("heroku_magic.app.sweep_planner.MANY", 2)
    heroku = connect(worker=folder, say=messages.append)
    heroku.sweep("point", {"seed": range(3)}, {"n": 1}).result(60)
    heroku.sweep("point", {"seed": range(1000)}, {"n": 1}, sample=2).result(60)
    assert [text for text in messages if "Checking" in text] == ["Checking 3 values before the first dyno starts"]


def test_a_billion_combinations_are_refused(heroku):
    message = refused(heroku, "point", {"seed": range(10**6), "n": range(1000)})[0]
    assert message.startswith("1,000,000,000 combinations are more than 1,000,000: --sample K draws K of them")
    message = refused(heroku, "point", {"seed": range(10**10), "n": range(10**10)})[0]
    assert message.startswith("100,000,000,000,000,000,000 combinations are more than 1,000,000")


@pytest.mark.usefixtures("processes")
def test_parameters_named_like_columns_of_runs_are_kept_beside_them(tmp_path):
    source = """
        from heroku_task import task

        @task
        def job(state: str, run: int, error: float):
            return {"y": run}
        """
    heroku = connect(worker=make_worker(tmp_path / "worker", job=source), say=lambda _: None)
    sweep = heroku.sweep("job", {"state": ["NY", "LA"], "run": [7]}, {"error": 0.5})
    assert sweep.result(60)["state"].tolist() == ["NY", "LA"]
    runs = sweep.runs()
    assert runs[["state", "run", "state_"]].to_numpy().tolist() == [["NY", 7, "done"], ["LA", 7, "done"]]
    assert runs["run_"].str.startswith("hm-").all()
    assert runs["error"].isna().all()


def test_an_estimate_accepts_all_options_of_a_sweep(heroku):
    estimate = heroku.estimate(
        "point", {"seed": [1, 2]}, retries=3, retry_tasks=True, fail_fast=True, sample=2, seed=1, save="x.jsonl"
    )
    assert estimate.combinations == 2
    with pytest.raises(TypeError):
        heroku.estimate("point", {"seed": [1, 2]}, jbos=3)


def keys_of(arguments, scale=1):
    return [*arguments], scale


def test_dicts_are_the_values_of_an_argument_and_rows_under_any_other_name(heroku):
    sweep = heroku.sweep(None, {"arguments": [{"a": 1}, {"b": 2}]}, {"scale": 3}, code=keys_of, jobs=2)
    assert sweep.result(60)["value"].tolist() == [(["a"], 3), (["b"], 3)]
    assert heroku.function(keys_of).map([{"a": 1}, {"b": 2}], jobs=2) == [(["a"], 1), (["b"], 1)]

    rows = heroku.sweep(None, {"cases": [{"arguments": "ab", "scale": 5}]}, code=keys_of)
    assert rows.result(60)["value"].tolist() == [(["a", "b"], 5)]


def test_arguments_that_do_not_fit_a_function_are_refused_before_a_dyno_starts(heroku):
    missing = r"keys_of\(\): missing a required argument: 'arguments'. It takes: arguments, scale."
    with pytest.raises(InvalidParameters, match=missing):
        heroku.submit(None, {"argument": 1}, code=keys_of)
    with pytest.raises(InvalidParameters, match=missing):
        heroku.sweep(None, {"scale": [1, 2]}, code=keys_of)
    with pytest.raises(
        InvalidParameters, match=r"got an unexpected keyword argument 'b'\. It takes: arguments, scale."
    ):
        heroku.sweep(None, {"cases": [{"arguments": "a"}, {"arguments": "a", "b": 1}]}, code=keys_of)
    assert heroku.run(None, {"0": "ab", "1": 2}, code=keys_of)["value"].tolist() == [(["a", "b"], 2)]


def test_a_sample_of_an_endless_range_is_planned_at_once(heroku):
    sweep = heroku.sweep("point", {"seed": range(10**15), "n": range(10**15)}, {"fail": 0}, sample=1, seed=1, jobs=1)
    assert len(sweep) == 1
    sweep.cancel()


def upper(word):
    return word.upper()


NOISE = random.Random(1).randbytes(60_000).hex()  # no environment can hold it


@pytest.mark.parametrize("code", ["[{'n': len(word)}]", upper])
def test_a_value_too_large_for_a_chunk_is_refused_wherever_it_is(heroku, code):
    for words in (["a", NOISE], [NOISE, "a"]):
        with pytest.raises(InvalidOptions, match=r"these are too large for it\. Leave out --chunk"):
            heroku.sweep(None, {"word": words}, code=code, chunk=2)


def test_a_value_of_a_task_too_large_for_a_chunk_names_the_option(heroku):
    with pytest.raises(InvalidParameters, match=r"Without --chunk it may be of any size\."):
        heroku.sweep("point", {"region": ["eu", NOISE]}, {"seed": 1}, chunk=2)
