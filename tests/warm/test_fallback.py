"""Where no dyno can be attached, a call ends soon with the reason, or runs through the log if warm is only a default."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from workers import make_worker

from heroku_magic import InvalidOptions, RunCancelled, connect
from heroku_magic.errors import AttachFailed
from heroku_magic.runs.events import StateChange
from heroku_magic.runs.spec import RunSpec
from heroku_magic.warm import rendezvous
from heroku_magic.warm.warm_dyno import WarmDyno

TASK = """
    from heroku_task import task

    @task
    def count(n: int = 3):
        for i in range(n):
            yield {"i": i}
    """


@pytest.fixture
def start(embedded_heroku, use_as_heroku, tmp_path):
    """Return a function that starts an emulator with options and returns a connection and its messages."""
    connected = []

    def begin(*options, **settings):
        folder = make_worker(tmp_path / "shop", {"other": "echo hi"}, count=TASK)
        use_as_heroku(embedded_heroku("--app", f"shop={folder}", *options))
        messages = []
        connected.append(connect("shop", say=messages.append, **settings))
        return connected[-1], messages

    yield begin
    for heroku in connected:
        heroku.warm(0)


def notes(run):
    """Return what a run reports to its user."""
    return [event.note for event in run if isinstance(event, StateChange) and event.note]


@pytest.mark.parametrize(
    ("fault", "expected"), [("attach-refused=1", "cannot be reached"), ("attach-hang=1", "did not answer")]
)
def test_a_call_that_asks_for_a_warm_dyno_fails_with_the_reason(start, monkeypatch, fault, expected):
    monkeypatch.setattr(rendezvous, "GREETING_TIMEOUT", 1.0)
    monkeypatch.setattr(rendezvous, "GREETING_LOOK", 0.2)
    heroku, _ = start("--fault", fault)
    with pytest.raises(AttachFailed, match=f"{expected}.*was stopped"):
        heroku.run("count", warm=True)
    assert heroku.dynos() == []


def test_where_warm_is_a_default_a_call_runs_through_the_log_and_one_line_says_why(start):
    heroku, _ = start("--fault", "attach-refused=1", warm=True)
    runs = [heroku.submit("count"), heroku.submit(code="[{'i': 0}, {'i': 1}, {'i': 2}]")]
    assert [run.result(60)["i"].tolist() for run in runs] == [[0, 1, 2]] * 2
    assert heroku.run("count")["i"].tolist() == [0, 1, 2]
    assert heroku.sweep("count", {"n": [1, 2]}).result(60)["n"].tolist() == [1, 2, 2]
    why = [note for run in runs for note in notes(run) if "cannot be reached" in note]
    assert 1 <= len(why) <= 2  # of two calls at the same time
    assert "through the app's log" in why[0]
    assert heroku.dynos() == []


def test_the_greeting_is_waited_for_from_when_the_dyno_is_up(start, monkeypatch):
    monkeypatch.setattr(rendezvous, "GREETING_TIMEOUT", 1.0)
    monkeypatch.setattr(rendezvous, "GREETING_LOOK", 0.2)
    heroku, _ = start("--fault", "slow-boot=3")
    assert len(heroku.run("count", warm=True)) == 3


def test_a_default_of_warm_names_its_price_first_and_leaves_out_what_cannot_be_warm(start):
    heroku, _ = start(warm=True, size="standard-1x")
    first, second = notes(heroku.submit("count"))
    assert "A dyno boots for this cell and stays warm for the next ones, for $0.035 per hour" in first
    assert "is warm after" in second
    assert "at most $0.0029" in second
    assert notes(heroku.submit("count")) == []
    assert [dyno.calls for dyno in heroku.warm()] == [2]
    assert heroku.submit("other").exception(60) is None
    assert heroku.submit(command="echo hi").exception(60) is None
    assert [dyno.calls for dyno in heroku.warm()] == [2]


def test_a_budget_pays_for_no_warm_dyno_where_a_task_cannot_have_one(start):
    heroku, _ = start(warm=True, size="standard-1x")
    # 207 s of Standard-1X cost $0.002, and a warm dyno waits for 300 s.
    assert heroku.estimate("other", max_cost=0.002).spec.timeout == 207
    with pytest.raises(InvalidOptions, match=r"300 s that it waits.*turn warm dynos off \(%config HerokuMagics\.warm"):
        heroku.estimate("count", max_cost=0.002)


def test_the_status_counts_the_seconds_that_warm_dynos_wait_also_of_those_that_have_ended(start):
    heroku, _ = start(size="standard-1x", prices={"standard-1x": 26_280})  # $0.01 per second
    assert "warm dynos" not in heroku.status()
    (first,) = heroku.warm(1)
    heroku.submit("count", warm=True).wait(60)
    heroku.warm(0)
    while first.running():
        threading.Event().wait(0.05)
    (second,) = heroku.warm(1)
    before = first.dollars + second.dollars
    text = heroku.status()["warm dynos"]
    assert text.endswith(" in this kernel, with their calls")
    cost = float(text.removeprefix("$").partition(" ")[0])
    assert before - 0.0001 <= cost <= first.dollars + second.dollars + 0.0001


def test_an_eco_dyno_is_said_to_be_the_only_one(start):
    heroku, messages = start(size="eco")
    heroku.warm(1)
    assert "An app may have only one Eco dyno: other runs wait until this one stops." in messages[0]
    with pytest.raises(InvalidOptions, match="2 warm dynos are more than the 1 that may run at once"):
        heroku.warm(2)


def test_idle_seconds_and_the_boot_count_toward_the_budget(start, monkeypatch):
    heroku, _ = start(size="standard-1x")
    with pytest.raises(InvalidOptions, match=r"a warm dyno costs in the 300 s that it waits.*\(\$0.0029\)"):
        heroku.submit("count", warm=True, max_cost=0.002)
    with pytest.raises(InvalidOptions, match="300 s that it waits"):
        heroku.sweep("count", {"n": [1, 2]}, warm=True, max_cost=0.0028)
    assert heroku.dynos() == []
    # 400 s of Standard-1X cost $0.00386, which also pays for the boot, and so for an installation of packages.
    spec = heroku.estimate("count", warm=True, max_cost=0.00386).spec
    assert (spec.timeout, spec.after_boot(60.5).timeout, spec.after_boot(200).timeout) == (100, 39, 1)
    assert heroku.estimate("count", warm=True).spec.after_boot(60).timeout == 3600
    run = heroku.submit("count", warm=True, max_cost=0.00386)
    assert len(run.result(60)) == 3
    assert run.ends_at - run.started_at >= 98
    monkeypatch.setattr(RunSpec, "after_boot", lambda spec, _: replace(spec, timeout=50))
    run = heroku.submit("count", warm=True, max_cost=0.00386)
    assert len(run.result(60)) == 3
    assert run.ends_at - run.started_at < 98


def test_a_resumed_warm_sweep_has_its_whole_budget_again(start):
    heroku, messages = start(size="standard-1x")
    sweep = heroku.sweep("count", {"n": [1, 2]}, warm=True, max_cost=0.01)
    for _ in range(3):
        sweep.result(60)
        sweep = heroku.resume(sweep)
    assert sweep.options.max_cost == 0.01
    assert sum("budget of $0.01 starts over" in message for message in messages) == 3


def test_dynos_boot_at_the_same_time_and_a_call_that_waits_for_one_can_be_cancelled(start, monkeypatch):
    heroku, _ = start("--fault", "slow-boot=3")
    barrier, boot = threading.Barrier(2, timeout=30), WarmDyno.boot

    def together(dyno):
        barrier.wait()
        return boot(dyno)

    monkeypatch.setattr(WarmDyno, "boot", together)
    assert len(heroku.warm(2)) == 2
    heroku.warm(0)

    monkeypatch.setattr(WarmDyno, "boot", boot)
    run = heroku.submit("count", warm=True)
    run.cancel()
    assert isinstance(run.exception(30), RunCancelled)
    assert heroku.warm() == []  # it still boots


def test_cells_are_warm_again_once_a_dyno_could_be_attached(start):
    heroku, _ = start(warm=True)
    heroku._warm.has_failed = True
    heroku.run("count")
    assert heroku.warm() == []
    (dyno,) = heroku.warm(1)
    heroku.run("count")
    assert dyno.calls == 1


def test_the_notebook_setting_makes_cells_warm(start, start_shell, capsys):
    heroku, _ = start()
    shell = start_shell()
    shell.run_cell("%config HerokuMagics.app = 'shop'\n%config HerokuMagics.warm = True")
    for _ in range(2):
        shell.run_cell("df = %heroku run count --arg n=2")
        assert shell.user_ns["df"]["i"].tolist() == [0, 1]
    shell.run_cell("listed = %heroku warm")
    assert shell.user_ns["listed"]["calls"].tolist() == [2]
    assert capsys.readouterr().out.count("A dyno boots for this cell and stays warm") == 1
    shell.run_cell("%config HerokuMagics.warm = False\n%heroku warm 0")
    assert heroku.warm() == []
