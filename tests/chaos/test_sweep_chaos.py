"""Sweeps under platform faults and limits: the result is exact, or each missing run is named."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from chaos import emulator
from workers import make_worker

from heroku_magic import connect
from heroku_magic.api.log_stream import backlog
from heroku_magic.errors import SweepFailed

pytestmark = pytest.mark.chaos


TROUBLE = {
    "drop-lines": 0.05,
    "reset-before-create": 0.02,
    "reset-after-create": 0.02,
    "rate-limit": 0.02,
    "dyno-killed": 0.02,
    "slow-boot": 0.2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A task that appends to a file for each of its calls."""
    marks = tmp_path_factory.mktemp("marks")
    return make_worker(
        tmp_path_factory.mktemp("app") / "worker",
        square=f"""
            import os, time
            from heroku_task import task

            @task
            def square(seed: int, pause: float = 0.05, marks: str = {str(marks)!r}):
                with open(os.path.join(marks, f"{{seed}}.txt"), "a") as file:
                    file.write("x")
                for i in range(3):
                    print("line", i)
                    time.sleep(pause / 3)
                    yield {{"i": i, "square": seed**2}}
            """,
    )


@pytest.fixture
def app(folder, monkeypatch, tmp_path, processes):
    """Start an emulator with faults or limits, and use it like the real Heroku."""
    monkeypatch.chdir(tmp_path)
    for name in ("HEROKU_HOST", "HEROKU_API_KEY"):
        monkeypatch.setenv(name, "")
    return lambda faults=None, *options, seed=1: emulator(folder, faults or {}, seed, "shop", *options)


def expected(count):
    return [(seed, i, seed**2) for seed in range(count) for i in range(3)]


@pytest.mark.parametrize("chunk", [1, 6])
def test_with_retries_a_sweep_under_faults_is_exact_and_every_repeated_call_is_reported(app, tmp_path, chunk):
    with app(TROUBLE):
        heroku = connect("shop", say=lambda _: None)
        options = {"jobs": 12, "retries": 8, "chunk": chunk}
        sweep = heroku.sweep("square", {"seed": range(90)}, {"marks": str(tmp_path)}, **options)
        df = sweep.result(110)
        assert [*df.itertuples(index=False, name=None)] == expected(90)
        called = {seed: len((tmp_path / f"{seed}.txt").read_text()) for seed in range(90)}
        reported = dict(zip(sweep.runs()["seed"], sweep.runs()["attempts"], strict=True))
        assert {seed: times for seed, times in called.items() if times > reported[seed]} == {}
        assert heroku.dynos() == []


def test_with_retries_every_dyno_of_an_uncertain_create_is_stopped_and_billed(app, monkeypatch):
    from heroku_magic.runs import registry

    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 2.0)
    faults = {"json-500-after-create": 0.2, "late-create": 0.15, "reset-after-create": 0.1}
    with app(faults, "--one-offs=100", seed=3):
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(30)}, {"pause": 20.0}, retries=2, jobs=60)
        df = sweep.result(110)
        assert [*df.itertuples(index=False, name=None)] == expected(30)
        until = time.monotonic() + 30
        while heroku.dynos() and time.monotonic() < until:
            time.sleep(0.5)
        assert heroku.dynos() == []
        lines = backlog(heroku.client, "shop", "run")
        started = [line for line in lines if "Starting process with command `square " in line.message]
        assert len(started) > 30, "the faults have made extra dynos"
        assert sweep.facts()["dynos"] == len(started)
        assert sum("is being stopped: a create request whose" in note for note in sweep.notes) == len(started) - 30


def test_dynos_of_the_same_name_keep_their_rows_apart_whatever_the_clock_of_the_log(app):
    with app({"reuse-names": 6, "log-skew": -120, "late-lines": 0.3}):
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(40)}, jobs=4)
        assert [*sweep.result(100).itertuples(index=False, name=None)] == expected(40)
        assert len(set(sweep.runs()["dyno"])) <= 8


def test_without_retries_failed_runs_are_counted_and_the_others_are_exact(app):
    with app({"dyno-killed": 0.3, "lose-lines": 0.02}, seed=5):
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(30)}, {"pause": 2.0}, jobs=10)
        with pytest.raises(SweepFailed) as caught:
            sweep.result(100)
        failed = {outcome.parameters["seed"] for outcome in sweep.failures()}
        assert failed
        assert f"{len(failed)} of 30 runs failed" in str(caught.value)
        partial = caught.value.partial
        rows = [row for row in expected(30) if row[0] not in failed]
        assert [*partial.itertuples(index=False, name=None)] == rows
        assert heroku.dynos() == []


def test_eco_dynos_run_one_at_a_time(app):
    with app():
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(4)}, size="eco")
        assert most_at_once(heroku, sweep) == 1
        assert sweep.result(60)["square"].tolist() == [row[2] for row in expected(4)]


def test_a_limit_below_jobs_is_discovered_and_respected(app):
    with app(None, "--one-offs=3"):
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(24)}, {"pause": 0.3}, jobs=12)
        assert most_at_once(heroku, sweep) <= 3
        assert sweep.result(60)["square"].tolist() == [row[2] for row in expected(24)]
        messages = [note for note in sweep.notes if "at once" in note]
        assert messages
        assert not any(f"Continuing with {count} at once" in note for note in messages for count in range(7, 13)), (
            "no such number ran"
        )
        assert set(sweep.runs()["attempts"]) == {1}


def test_at_most_fifty_standard_dynos_run_at_once(app):
    with app():
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(70)}, {"pause": 8.0}, size="standard-1x")
        assert 45 <= most_at_once(heroku, sweep) <= 50
        assert len(sweep.result(60)) == 210


def test_a_nearly_exhausted_quota_slows_the_sweep_and_the_end_is_announced(app):
    with app(None, "--requests-left=204"):
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(8)}, jobs=8)
        assert len(sweep.result(60)) == 24
        assert any("one run starts every 0.8 s, the last at about" in note for note in sweep.notes)


def test_cancelling_stops_fifty_dynos_with_one_request_each(app):
    with app(None, "--one-offs=50"):
        heroku = connect("shop", say=lambda _: None)
        sweep = heroku.sweep("square", {"seed": range(60)}, {"pause": 60.0}, jobs=50)
        while len([run for run in sweep._scheduler.runs() if run.up_at]) < 50:
            threading.Event().wait(0.05)
        left = heroku.client.requests_left
        assert sweep.cancel()
        assert sweep.wait(30)
        assert heroku.dynos() == []
        assert left - heroku.client.requests_left <= 50 + 10
        assert Counter(sweep.runs()["state"]) == {"cancelled": 60}


def most_at_once(heroku, sweep):
    most = 0
    while not sweep.wait(0.05):
        most = max(most, len([dyno for dyno in heroku.dynos() if dyno.type == "run"]))
    return most
