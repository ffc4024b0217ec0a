"""A sweep that ended early continues with what is missing, in the same kernel or in a new one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, connect
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import SweepFailed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_worker(
        tmp_path_factory.mktemp("resumption") / "shop",
        step="""
            import os, time
            from datetime import date
            from heroku_task import Secret, task

            @task
            def step(seed: int, pause: float = 0.0, broken: str = "", day: date = date(2026, 1, 1), token: Secret = ""):
                time.sleep(pause)
                if broken and os.path.exists(broken) and seed % 2:
                    raise ValueError("broken")
                yield {"x": seed * 10, "when": day.isoformat(), "told": len(token), "dyno": os.environ["DYNO"]}
            """,
    )


@pytest.fixture
def heroku(folder, tmp_path, monkeypatch, processes):
    monkeypatch.chdir(tmp_path)
    return connect(worker=folder, say=lambda _: None)


@pytest.fixture
def server(folder, use_as_heroku, processes):
    """The embedded Heroku as if it were the real one."""
    return use_as_heroku(embedded(folder))


def stopped(heroku, count, done, *, jobs=2, **options):
    """A sweep that was stopped after some runs."""
    sweep = heroku.sweep("step", {"seed": range(count)}, {"pause": 0.05}, jobs=jobs, **options)
    for number, _ in enumerate(sweep.as_completed(), 1):
        if number == done:
            sweep.cancel()
    sweep.wait(30)
    return sweep


def test_what_was_done_is_kept_and_only_the_rest_is_run(heroku):
    first = stopped(heroku, 12, 4)
    before = dict(zip(first.partial["seed"], first.partial["dyno"], strict=True))
    again = heroku.resume(first)
    df = again.result(60)
    assert df["x"].tolist() == [seed * 10 for seed in range(12)]
    after = dict(zip(df["seed"], df["dyno"], strict=True))
    assert {seed: after[seed] for seed in before} == before
    assert len(before) >= 4


@pytest.mark.parametrize("save", [None, "s.jsonl"])
def test_a_sweep_that_was_resumed_goes_on_where_its_successor_has_ended(heroku, save):
    first = stopped(heroku, 6, 2, save=save)
    again = heroku.resume(first)
    with pytest.raises(InvalidOptions, match=f"{first.id} has not ended. Wait for it, or stop it first"):
        heroku.resume(first)
    done = again.result(60)
    last = heroku.resume(first)
    assert last.result(60)["dyno"].tolist() == done["dyno"].tolist()
    assert set(last.runs()["run"]) == set(again.runs()["run"])


def test_a_sweep_that_is_not_over_is_not_run_beside_itself(heroku):
    sweep = heroku.sweep("step", {"seed": range(3)}, {"pause": 0.5})
    with pytest.raises(InvalidOptions, match=f"{sweep.id} has not ended. Wait for it, or stop it first"):
        heroku.resume(sweep)
    assert sweep.result(30)["x"].tolist() == [0, 10, 20]


def test_a_file_goes_on_in_another_kernel(heroku, folder, tmp_path):
    first = stopped(heroku, 10, 3, save=tmp_path / "grid.jsonl")
    code = f"""
        import heroku_magic
        heroku = heroku_magic.connect(worker={str(folder)!r}, say=lambda text: None)
        sweep = heroku.resume("grid.jsonl")
        df = sweep.result(60)
        print([*df["x"]], sweep.id, len(sweep.spans()))
        """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    made = 10 - first.counts()["done"]
    assert told.stdout.split() == [*str([seed * 10 for seed in range(10)]).split(), first.id, str(made)]


def test_a_file_keeps_the_options_of_its_runs(heroku, folder, tmp_path):
    first = stopped(heroku, 4, 2, save=tmp_path / "warm.jsonl", warm=True, isolate=False, jobs=1)
    before = first.partial["dyno"].tolist()
    first.journal.close()
    again = connect(worker=folder, say=lambda _: None).resume(tmp_path / "warm.jsonl")
    assert again.result(60)["x"].tolist() == [0, 10, 20, 30]
    assert {*again.result()["dyno"]} == {*before}
    assert (again.plan.first.is_warm, again.plan.first.keeps_state) == (True, True)


def test_a_warm_sweep_without_a_number_of_jobs_is_resumed_where_fewer_dynos_may_run_than_it_would_take(heroku):
    first = stopped(heroku, 12, 2, jobs=None, save="warm.jsonl", warm=True)
    assert heroku.resume(first).result(60)["seed"].tolist() == list(range(12))


def test_a_resume_that_is_refused_leaves_the_file_of_its_sweep(heroku):
    first = stopped(heroku, 12, 2, jobs=2, save="warm.jsonl", warm=True)
    lines = Path("warm.jsonl").read_text()
    heroku._planner.most_at_once = lambda size: 1
    with pytest.raises(InvalidOptions, match="2 warm dynos are more than the 1 that may run at once"):
        heroku.resume(first)
    del heroku._planner.most_at_once
    assert Path("warm.jsonl").read_text() == lines
    assert heroku.resume("warm.jsonl").result(60)["seed"].tolist() == list(range(12))


def test_a_budget_that_starts_over_is_reported(heroku, folder):
    said = []
    first = stopped(heroku, 4, 2, max_cost=1)
    connect(worker=folder, say=said.append).resume(first).result(60)
    assert "The --max-cost budget of $1 starts over; the cost so far is not counted." in said


def test_rows_of_several_releases_are_reported(heroku, folder):
    first = stopped(heroku, 4, 2)
    (before,) = first.facts()["releases"]
    script = folder / "step.py"
    script.write_text(script.read_text().replace("seed * 10", "seed * 10 + 0"))
    again = heroku.resume(first)
    df = again.result(60)
    assert again.notes == [
        f"The app was deployed during the sweep: its rows come from releases v{before} and v{before + 1}."
    ]
    assert df.attrs["heroku"]["releases"] == [before, before + 1]


def test_rows_of_another_folder_are_reported(heroku, folder, tmp_path):
    first, said = stopped(heroku, 4, 2, save=tmp_path / "s.jsonl"), []
    connect(worker=folder, say=said.append).resume("s.jsonl").result(60)
    assert not [text for text in said if "other files" in text]
    shutil.copytree(folder, other := tmp_path / "other")
    (other / "notes.txt").write_text("changed")
    connect(worker=other, say=said.append).resume("s.jsonl").result(60)
    assert f"{first.id} began with other files or another Python: its rows come from those and {other}." in said


def test_failed_runs_are_repeated_and_their_attempts_add_up(heroku, tmp_path):
    marker = tmp_path / "broken"
    marker.write_text("")
    sweep = heroku.sweep("step", {"seed": range(4)}, {"broken": str(marker)}, save="s.jsonl")
    with pytest.raises(SweepFailed, match=r"2 of 4 runs failed(.|\n)*%heroku resume runs what is missing"):
        sweep.result(60)
    marker.unlink()
    again = heroku.resume("s.jsonl")
    assert again.result(60)["x"].tolist() == [0, 10, 20, 30]
    assert again.runs()["attempts"].tolist() == [1, 2, 1, 2]


def test_types_samples_tables_and_chunks_survive_the_file(heroku):
    cases = pd.DataFrame({"seed": [1, 2, 3], "day": [date(2026, 5, n) for n in (1, 2, 3)]})
    first = heroku.sweep("step", {"cases": cases}, save="table.jsonl", chunk=2)
    expected = first.result(60)
    back = heroku.resume("table.jsonl").result(60)
    assert back.equals(expected), "nothing was missing, so nothing was run again"
    sampled = heroku.sweep("step", {"seed": range(1000)}, sample=5, seed=3, save="sample.jsonl").result(60)
    assert heroku.resume("sample.jsonl").result(60).equals(sampled)
    several = heroku.sweep("step", {"seed": range(5)}, chunk="auto", jobs=1, save="auto.jsonl").result(60)
    assert heroku.resume("auto.jsonl").result(60).equals(several)


def test_a_sweep_that_is_refused_leaves_no_file(folder, server, monkeypatch, tmp_path):
    heroku = connect("shop", size="basic", prices={"basic": 2_592_000}, say=lambda _: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidOptions, match="--max-cost 2 is less than a warm dyno costs"):
        heroku.sweep("step", {"seed": [1]}, warm=True, max_cost=2.0, save="s.jsonl")
    assert heroku.sweep("step", {"seed": [1]}, save="s.jsonl").result(60)["x"].tolist() == [10]


def test_arguments_of_a_function_that_do_not_differ_reach_each_call_also_from_the_file(heroku, tmp_path):
    def scale(n, factor=1, broken=".", offsets=()):
        if n == 2 and Path(broken).is_file():
            raise ValueError("broken")
        return n * factor + sum(offsets)

    broken = tmp_path / "broken"
    broken.touch()
    fixed = {"factor": 3, "broken": str(broken), "offsets": (1, 1)}
    first = heroku.sweep(None, {"n": [1, 2]}, fixed, code=scale, save="scale.jsonl", chunk=2)
    assert first.exception(60) is not None
    assert first.counts() == {"done": 1, "failed": 1}
    broken.unlink()
    assert heroku.resume("scale.jsonl").result(60)["value"].tolist() == [5, 8]
    with pytest.raises(InvalidParameters, match="n is given twice, once by --each"):
        heroku.sweep(None, {"n": [1, 2]}, {"n": 3}, code=scale)
    offsets = {"offsets": np.ones(2)}
    heroku.sweep(None, {"n": [1, 2]}, offsets, code=scale, save="arrays.jsonl", chunk=2).wait(60)
    with pytest.raises(InvalidOptions, match="from its file, which lacks the argument offsets"):
        heroku.resume("arrays.jsonl")


def test_the_file_holds_no_secret_and_it_is_found_again(heroku, monkeypatch, tmp_path):
    monkeypatch.setenv("token", "swordfish")
    first = stopped(heroku, 6, 2, save="s.jsonl", secrets=["token"])
    assert "swordfish" not in (tmp_path / "s.jsonl").read_text()
    assert set(heroku.resume("s.jsonl").result(60)["told"]) == {9}
    assert first.counts()["cancelled"]


def test_a_sweep_of_another_app_is_refused_by_name(server, tmp_path):
    heroku = connect("shop", say=lambda _: None)
    heroku.sweep("step", {"seed": [1]}, save="s.jsonl").result(60)
    line, *rest = (tmp_path / "s.jsonl").read_text().split("\n")
    written = json.loads(line) | {"app": "bank"}
    (tmp_path / "s.jsonl").write_text("\n".join([json.dumps(written), *rest]))
    with pytest.raises(InvalidOptions, match=r"is a sweep on bank at .*: choose it with --app bank"):
        heroku.resume("s.jsonl")


def test_a_detached_sweep_whose_kernel_was_killed_is_attached_with_its_live_runs(server):
    code = """
        import time, heroku_magic
        heroku = heroku_magic.connect("shop", say=lambda text: None)
        sweep = heroku.sweep("step", {"seed": range(6)}, {"pause": 3.0}, jobs=3, detach=True)
        while len([run for run in sweep._scheduler.runs() if run.up_at]) < 3:
            time.sleep(0.02)
        print(sweep.id, flush=True)
        time.sleep(60)
        """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    with process.stdout:
        name = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    heroku = connect("shop", say=lambda _: None)
    live = {dyno.name for dyno in heroku.dynos()}
    assert len(live) == 3
    df = heroku.attach(name).result(60)
    assert df["x"].tolist() == [0, 10, 20, 30, 40, 50]
    assert set(df["dyno"][:3]) == live
    assert heroku.dynos() == []


@pytest.mark.parametrize("options", ["jobs=3, save='s.jsonl'", "chunk=4, save='s.jsonl'"])
def test_dynos_of_a_killed_kernel_that_nothing_follows_are_stopped_and_reported(server, options):
    code = f"""
        import time, heroku_magic
        heroku = heroku_magic.connect("shop", say=lambda text: None)
        sweep = heroku.sweep("step", {{"seed": range(4)}}, {{"pause": 3.0}}, {options})
        while not sweep.counts().get("done") or sweep.counts().get("queued") or sweep.counts().get("starting"):
            time.sleep(0.02)
        print(sweep.id, flush=True)
        time.sleep(60)
        """
    said = []
    heroku = connect("shop", say=said.append)
    assert heroku.dynos() == []  # whatever this process has to import is imported before the other one is killed
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    with process.stdout:
        name = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert heroku.dynos()
    # Not the dynos that are seen now: a create may still have been on its way.
    begun = {line["run"] for line in map(json.loads, Path("s.jsonl").read_text().splitlines()) if "run" in line}
    df = heroku.resume("s.jsonl").result(60)
    assert df["x"].tolist() == [0, 10, 20, 30]
    stopped = {line.partition(" ")[0] for line in said if f"left running by the process that started {name}" in line}
    assert stopped
    for dyno in stopped:
        (command,) = [
            line.message
            for line in heroku.logs(dyno)
            if "Starting process with command" in line.message and line.source == "heroku"
        ]
        assert any(run in command for run in begun)
    assert heroku.dynos() == []


def test_a_dyno_that_ends_before_it_is_stopped_is_not_left_over(heroku, monkeypatch):
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.errors import NotFound

    def gone(self, *_):
        raise NotFound("Couldn't find that dyno.")

    sweep = heroku.sweep("step", {"seed": range(2)}, {"pause": 0.5}, save="s.jsonl")
    while not (there := heroku.dynos()):
        pass
    sweep.cancel()
    sweep.wait(30)
    monkeypatch.setattr(HerokuClient, "dynos", lambda *_: there)
    monkeypatch.setattr(HerokuClient, "stop_dyno", gone)
    again = heroku.resume("s.jsonl")
    assert again.result(30)["x"].tolist() == [0, 10]


def test_a_file_whose_sweep_runs_in_this_kernel_is_not_run_beside_it(heroku):
    sweep = heroku.sweep("step", {"seed": range(3)}, {"pause": 0.5}, save="s.jsonl")
    while not sweep.counts().get("running"):
        pass
    with pytest.raises(InvalidOptions, match=f"{sweep.id} is still running in this kernel. Wait for it"):
        heroku.resume("s.jsonl")
    assert sweep.result(30)["x"].tolist() == [0, 10, 20]


def test_a_run_that_ended_while_nobody_looked_is_read_from_the_backlog(server):
    code = """
        import os, signal, heroku_magic
        heroku = heroku_magic.connect("shop", say=lambda text: None)
        sweep = heroku.sweep("step", {"seed": range(2)}, {"pause": 0.5}, jobs=2, detach=True)
        while len([run for run in sweep._scheduler.runs() if run.dyno]) < 2:
            pass
        print(sweep.id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    heroku = connect("shop", say=lambda _: None)
    while heroku.dynos():
        threading.Event().wait(0.05)
    sweep = heroku.attach(told.stdout.strip())
    assert sweep.result(60)["x"].tolist() == [0, 10]
    assert sweep.runs()["attempts"].tolist() == [1, 1]


def test_a_sweep_that_goes_on_is_not_resumed(heroku):
    sweep = heroku.sweep("step", {"seed": range(4)}, {"pause": 0.5}, jobs=2, save="s.jsonl")
    for what in (sweep, "s.jsonl"):
        with pytest.raises(
            InvalidOptions,
            match=r"has not ended|is still running in this kernel|is in use: its sweep is still running|goes on already",
        ):
            heroku.resume(what)
    assert sweep.result(60)["x"].tolist() == [0, 10, 20, 30]
    assert heroku.resume("s.jsonl").result(60)["x"].tolist() == [0, 10, 20, 30]


def test_decimals_are_the_same_parameters_after_the_file(heroku):
    pauses = [Decimal("0.10"), Decimal("0.20")]
    for number, each in enumerate([{"pause": pauses}, {"rows": [{"pause": pause} for pause in pauses]}]):
        heroku.sweep("step", each, {"seed": 1}, save=f"{number}.jsonl").result(60)
        sweep = heroku.resume(f"{number}.jsonl")
        assert sweep.result(60)["pause"].tolist() == ["0.10", "0.20"]
        assert sweep.plan.make_spec([sweep.plan[1]], False).env["pause"] == "0.20"


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        (0, {"terms": {"jobs": "many", "chunk": 1}}),
        (0, {"terms": {}}),
        (0, {"places": [99]}),
        (0, {"places": []}),
        (0, {"axes": [{"names": ["seed"], "values": [1], "are_rows": False}]}),
        (0, {"axes": [{"names": ["seed"], "values": [1, 2], "are_rows": True}]}),
        (-1, {"place": 99}),
        (-1, {"place": -1}),
        (-1, {"state": "splendid"}),
        (-1, {"facts": None}),
        (-1, {"rows": [5]}),
        (-1, {"rows": None, "parts": ["!!"]}),
        (-1, {"files": {"a": "A"}}),
    ],
)
def test_a_file_that_was_changed_by_hand_is_refused(heroku, tmp_path, line, changes):
    heroku.sweep("step", {"seed": range(2)}, save="s.jsonl").result(60)
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | changes)
    (tmp_path / "s.jsonl").write_text("\n".join([*lines, ""]))
    with pytest.raises(InvalidOptions, match="was changed"):
        heroku.resume("s.jsonl")


def test_a_chunk_that_lives_is_taken_up_where_it_is(server):
    code = """
        import heroku_magic, os, signal
        heroku = heroku_magic.connect("shop", say=lambda text: None)
        sweep = heroku.sweep("step", {"seed": range(6)}, {"pause": 0.7}, chunk=6, detach=True)
        print(sweep.id, flush=True)
        for number, _ in enumerate(sweep.as_completed(), 1):
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    sweep = connect("shop", say=lambda _: None).attach(told.stdout.strip())
    df = sweep.result(60)
    assert df["x"].tolist() == [0, 10, 20, 30, 40, 50]
    assert len(set(df["dyno"])) == 1
    assert sweep.runs()["attempts"].tolist() == [1] * 6


@pytest.mark.parametrize("save", [5, b"s.jsonl"])
def test_a_file_that_is_no_path_is_refused_by_the_name_of_its_option(heroku, save):
    expected = r"^save is .*: expected the path of a file, such as 'sweep\.jsonl'\.$"
    with pytest.raises(InvalidOptions, match=expected):
        heroku.sweep("step", {"seed": [1]}, save=save)
    with pytest.raises(InvalidOptions, match=expected):
        heroku.resume(save)
