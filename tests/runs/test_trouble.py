"""Runs under platform faults: what is repaired, what is reported and what is an error."""

from __future__ import annotations

import os
import random
import re
import threading
import time

import pytest
import requests
from workers import make_worker

from heroku_magic import RunCancelled, TaskFailed, connect
from heroku_magic.api import loss_stream
from heroku_magic.api.client import HerokuClient
from heroku_magic.api.error_codes import SHIPPER
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import NotFound, ResultIncomplete


@pytest.fixture(scope="module")
def server(tmp_path_factory, processes):
    folder = make_worker(
        tmp_path_factory.mktemp("trouble") / "shop",
        {
            "plain": 'for i in $(seq 1 50); do echo "{\\"i\\": $i}"; done',
            "long": 'for i in $(seq 1 4000); do echo "{\\"i\\": $i}"; done',
        },
        count="""
            import time
            from heroku_task import task

            @task
            def count(n: int = 30, pause: float = 0.0):
                for i in range(n):
                    yield {"i": i}
                    time.sleep(pause)
            """,
    )
    return embedded(folder)


@pytest.fixture
def heroku(server, use_as_heroku, processes):
    """The embedded Heroku as if it were the real one, whose faults are set by `heroku.faults`."""
    use_as_heroku(server)
    heroku = connect("shop", say=lambda _: None)
    assert len(heroku.run("count")) == 30

    def faults(seed=1, **values):
        named = {name.replace("_", "-"): value for name, value in values.items()}
        headers = {
            "Authorization": f"Bearer {server.token.reveal()}",
            "Accept": "application/vnd.heroku+json; version=3",
        }
        body = {"faults": named, "seed": seed}
        requests.put(f"{server.url}/emulator/faults", json=body, headers=headers, timeout=10).raise_for_status()

    heroku.faults = faults
    yield heroku
    faults()


@pytest.mark.parametrize("fault", ["drop_lines", "drop_lines_silent", "double_lines", "reorder_lines"])
@pytest.mark.parametrize("task", ["count", "plain"])
def test_a_disturbed_stream_is_repaired_from_the_backlog(heroku, task, fault):
    heroku.faults(**{fault: 0.3})
    df = heroku.run(task)

    assert df["i"].tolist() == (list(range(30)) if task == "count" else list(range(1, 51)))
    assert df.attrs["heroku"]["verified"] == (task == "count")


@pytest.mark.parametrize("task", ["count", "plain"])
def test_unrecoverable_lines_are_an_error(heroku, task):
    heroku.faults(lose_lines=0.5)
    run = heroku.submit(task, {"n": 2000} if task == "count" else {})

    with pytest.raises(ResultIncomplete, match=r"result is incomplete: .*(are missing|is missing|were lost)"):
        run.result(60)


@pytest.mark.parametrize("fault", ["lose_lines", "drop_lines"])
def test_losses_among_more_lines_than_heroku_keeps_fail_single_runs_and_sweeps(heroku, fault):
    heroku.faults(**{fault: 0.002}, seed=7)
    sweep = heroku.sweep("long", {"k": [1, 2]})
    assert isinstance(heroku.submit("long").exception(60), ResultIncomplete)
    sweep.wait(60)
    assert sweep.counts() == {"failed": 2}
    assert all("lines of its log were lost" in str(outcome.error) for outcome in sweep.failures())


@pytest.mark.parametrize("sweep", [False, True])
def test_a_dyno_waits_for_the_stream_of_losses_that_it_may_need(heroku, monkeypatch, sweep):
    create = HerokuClient.create_log_session

    def slow(client, app, *, dyno, **options):
        if dyno == SHIPPER:
            time.sleep(1)
        return create(client, app, dyno=dyno, **options)

    monkeypatch.setattr(HerokuClient, "create_log_session", slow)
    heroku.faults(lose_lines=0.001, seed=22)  # early ones only, which the log history no longer shows at the end
    run = heroku.sweep("long", {"k": [1]}) if sweep else heroku.submit("long")

    assert "lines of its log were lost" in str(run.exception(60))


def test_a_long_output_whose_reports_of_losses_cannot_be_read_is_doubtful(heroku, monkeypatch):
    create = HerokuClient.create_log_session

    def failing(client, app, *, dyno, **options):
        if dyno == SHIPPER:
            raise NotFound("no such log", status=404)
        return create(client, app, dyno=dyno, **options)

    monkeypatch.setattr(HerokuClient, "create_log_session", failing)
    monkeypatch.setattr(loss_stream, "OPENING", 0.1)

    assert "reports of lost lines could not be read" in str(heroku.submit("long").exception(60))
    assert len(heroku.run("plain")) == 50


def test_a_long_output_without_losses_is_a_result(heroku):
    assert len(heroku.run("long")) == 4000


@pytest.mark.parametrize("task", ["count", "plain"])
def test_rows_that_arrive_after_the_end_are_read_from_the_backlog(heroku, task):
    heroku.faults(late_lines=1.5)
    run = heroku.submit(task)
    assert len(run.result()) == (30 if task == "count" else 50)

    list(run)  # the lines themselves come now, and are only log
    assert run.partial.shape[0] == (30 if task == "count" else 50)


def test_a_task_that_heroku_ran_twice_gives_its_rows_once_or_fails(heroku):
    heroku.faults(run_twice=1)
    run = heroku.submit("count")
    assert run.result(60)["i"].tolist() == list(range(30))
    assert any("Heroku ran this dyno's command twice" in (getattr(event, "note", "") or "") for event in run)

    with pytest.raises(ResultIncomplete, match="Heroku ran it twice"):
        heroku.run("plain")


def test_running_out_of_memory_names_a_remedy(heroku):
    heroku.faults(over_memory=1)
    with pytest.raises(
        TaskFailed, match=r"R15: the dyno used far more memory than Standard-1X has.*--size standard-2x"
    ):
        heroku.run("count", {"n": 3, "pause": 2})


def test_a_dyno_that_heroku_stops_is_evicted_even_if_its_task_ignores_that(embedded_heroku, use_as_heroku, tmp_path):
    folder = make_worker(tmp_path / "deaf", {"deaf": "trap '' TERM; echo begun; sleep 60"})
    use_as_heroku(embedded_heroku("--app", f"deaf={folder}", "--time", "grace=0.3"))
    heroku = connect("deaf", say=lambda _: None)
    run = heroku.submit("deaf")
    assert any("begun" in str(event) for event in run)  # up to the first such line
    heroku.client.stop_dyno("deaf", run.dyno)
    assert "R12" in str(run.exception(30))
    assert run.exit_status == 137
    assert run.was_evicted


@pytest.mark.parametrize("fault", ["reset_before_create", "reset_after_create"])
def test_a_lost_create_response_runs_the_task_once(heroku, fault):
    heroku.faults(**{fault: 0.7}, seed=3)
    run = heroku.submit("count", {"n": 3, "pause": 0.2})
    if (error := run.exception(60)) is None:
        assert run.result()["i"].tolist() == [0, 1, 2]
    else:
        assert "unknown whether a dyno was started" in str(error)
    heroku.faults()
    mine = [dyno for dyno in heroku.dynos() if dyno.command.endswith(run.id)]
    assert len(mine) <= 1


def test_two_clients_with_lost_responses_touch_only_their_own_dynos(heroku):
    heroku.faults(reset_after_create=1)
    runs = [heroku.submit("count", {"n": 5, "pause": 0.1}) for _ in range(2)]

    assert [run.result(60)["i"].tolist() for run in runs] == [[0, 1, 2, 3, 4]] * 2
    assert len({run.dyno for run in runs}) == 2


def test_conflicts_after_a_release_and_rate_limits_are_retried(heroku):
    heroku.faults(conflict_after_release=2, rate_limit=0.2)
    assert len(heroku.run("count")) == 30


@pytest.fixture
def full(heroku):
    """The app has as many dynos as the embedded Heroku allows at once, for two seconds."""
    runs = [heroku.submit("count", {"n": 4, "pause": 0.5}) for _ in range(2 * (os.cpu_count() or 1))]
    assert all(run.wait_for_dyno(20) for run in runs)
    yield heroku
    for run in runs:
        run.cancel()
        run.wait(60)


def test_a_run_waits_for_an_app_at_its_limit_and_reports_it(full):
    run = full.submit("count", {"n": 2})

    assert run.result(60)["i"].tolist() == [0, 1]
    notes = [event.note for event in run if getattr(event, "note", None)]
    assert any("Waiting until one ends. Press Ctrl-C to give up." in note for note in notes)


@pytest.mark.parametrize(("text", "warm"), [("small", True), (random.Random(1).randbytes(40_000).hex(), False)])
def test_a_call_waits_for_an_app_at_its_limit_as_a_run_does(full, text, warm):
    run = full.submit(None, {"text": text}, code="len(text)", rows=True, warm=warm)

    assert run.result(60)["value"].tolist() == [len(text)]
    notes = [event.note for event in run if getattr(event, "note", None)]
    assert any("Waiting until one ends. Press Ctrl-C to give up." in note for note in notes)
    full.warm(0)


@pytest.mark.parametrize("text", ["small", random.Random(1).randbytes(40_000).hex()])
def test_a_call_waiting_for_capacity_can_be_cancelled(full, text):
    run = full.submit(None, {"text": text}, code="len(text)", rows=True, warm=text == "small")
    assert not run.wait_for_dyno(0.8)
    run.cancel()

    with pytest.raises(RunCancelled, match="before it was called"):
        run.result(20)
    assert not any("heroku_task --serve" in dyno.command for dyno in full.dynos())


def test_a_sweep_over_warm_dynos_queues_for_an_app_at_its_limit_by_itself(full):
    sweep = full.sweep("count", {"n": [1, 2]}, jobs=2, warm=True)

    assert len(sweep.result(60)) == 3
    assert any("Continuing with 1 at once." in note for note in sweep.notes)
    assert not any("Press Ctrl-C to give up" in note for note in sweep.notes)
    full.warm(0)


def test_a_run_that_waits_for_warm_dynos_says_how_to_stop_those_that_wait_too(heroku):
    heroku.warm(2 * (os.cpu_count() or 1))
    run = heroku.submit("count", {"n": 2})
    said = next(note for event in run if "Waiting until" in (note := getattr(event, "note", None) or ""))
    heroku.warm(0)
    assert "Waiting until one ends. `%heroku warm 0` stops those that wait for calls. Press Ctrl-C to give up." in said
    assert run.result(60)["i"].tolist() == [0, 1]


def test_a_run_waiting_for_capacity_can_be_cancelled(full):
    run = full.submit("count")
    assert not run.wait_for_dyno(0.3)
    run.cancel()

    with pytest.raises(RunCancelled, match="before its dyno was created"):
        run.result(20)


@pytest.mark.alone
def test_one_lookup_detects_a_stale_stream_for_all_runs(heroku, monkeypatch):
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs import registry, runner

    asked = []
    really = HerokuClient.dynos
    monkeypatch.setattr(HerokuClient, "dynos", lambda self, app: asked.append(app) or really(self, app))
    monkeypatch.setattr(runner, "SILENCE", 0.5)
    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 1.0)
    heroku.faults(stale_stream=1)
    runs = [heroku.submit("count", {"n": 3}) for _ in range(3)]

    assert [each.result(30)["i"].tolist() for each in runs] == [[0, 1, 2]] * 3
    assert len(asked) <= 4


def test_a_dyno_whose_log_no_thread_can_follow_is_stopped(heroku, monkeypatch):
    start = threading.Thread.start

    def start_others(thread):
        if thread.name.startswith("heroku-log-run"):
            raise RuntimeError("can't create new thread at interpreter shutdown")  # as from Python 3.12 on
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_others)
    error = heroku.submit("count", {"n": 100}).exception(30)
    assert re.fullmatch(
        r"The log of (run\.\d+) cannot be followed: can't create new thread at interpreter shutdown\. \1 was stopped\.",
        str(error),
    )
    assert heroku.dynos() == []
