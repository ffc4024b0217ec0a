"""What a warm dyno is doing is shown, a call and its dyno can be stopped, and only `retries` repeats a call."""

from __future__ import annotations

import os
import re
import signal
import threading
import time

import pytest
from workers import make_worker

from heroku_magic import InvalidOptions, RunCancelled, connect
from heroku_magic.api.resources import Slug
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import Interrupted
from heroku_magic.magics import run_verbs
from heroku_magic.runs import started_by_call
from heroku_magic.text.notifier import notifications_to

SLOW = "import time\ntime.sleep(1)\n[{'square': n * n}]"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(60)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory, processes):
    return embedded(make_worker(tmp_path_factory.mktemp("lease") / "shop"))


@pytest.fixture
def heroku(server, use_as_heroku):
    use_as_heroku(server)
    heroku = connect("shop", say=lambda _: None, size="standard-1x")
    yield heroku
    heroku.warm(0)
    wait_for(lambda: heroku.dynos() == [])


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_ps_and_status_show_what_a_warm_dyno_is_doing(heroku, start_shell):
    (dyno,) = heroku.warm(1)
    assert f"{dyno.dyno} (up; warm: idle 4:" in heroku.status()["our dynos"]
    assert re.search(r"0 calls, (less than )?\$", heroku.status()["our dynos"])
    run = heroku.submit(code=SLOW, parameters={"n": 3}, warm=True)
    wait_for(lambda: dyno.state == "busy")
    assert re.search(r"warm: busy, 1 call, (less than )?\$", heroku.status()["our dynos"])
    run.result(60)

    shell = start_shell()
    shell.run_cell("%config HerokuMagics.app = 'shop'\n%config HerokuMagics.size = 'standard-1x'\nlisted = %heroku ps")
    (state,) = shell.user_ns["listed"]["warm"]
    assert re.fullmatch(r"idle 4:\d\d, 1 call, (\$0\.000\d+|less than \$0\.0001) so far", state)
    heroku.warm(0)
    wait_for(lambda: heroku.dynos() == [])
    shell.run_cell("listed = %heroku ps")
    assert "warm" not in shell.user_ns["listed"]


def test_a_dyno_that_has_ended_costs_no_more(heroku):
    (dyno,) = heroku.warm(1)
    heroku.warm(0)
    cost, idle = (dyno.seconds, dyno.dollars), dyno.idle_left
    time.sleep(0.3)
    assert ((dyno.seconds, dyno.dollars), dyno.idle_left) == (cost, idle)


def test_a_call_that_does_not_end_is_stopped_with_its_dyno(heroku):
    run = heroku.submit(code=STUBBORN, warm=True)
    wait_for(lambda: "begun" in run.logs())
    assert run.is_warm
    run.cancel()
    assert run.stop_warm_dyno()
    with pytest.raises(RunCancelled, match=f"and its warm dyno {run.dyno} with it"):
        run.result(30)
    assert not run.stop_warm_dyno()
    assert heroku.warm() == []


class Followed:
    """The output and the run of a warm call, whose reader is interrupted several times."""

    id, is_warm, outcome = "hm-00000000", True, "done"

    def __init__(self, interrupts, has_dyno):
        self.interrupts, self.has_dyno, self.stopped = interrupts, has_dyno, 0

    def follow(self):
        self.interrupts -= 1
        if self.interrupts >= 0:
            raise KeyboardInterrupt

    def stop_warm_dyno(self):
        self.stopped += 1
        return self.has_dyno

    def leftover_message(self):
        return "It may still run."


@pytest.mark.parametrize(("patience", "has_dyno", "stopped"), [(60, True, 0), (0, True, 3), (0, False, 1)])
def test_a_later_interrupt_stops_the_dyno_if_the_call_has_had_its_time(
    monkeypatch, capsys, patience, has_dyno, stopped
):
    monkeypatch.setattr(started_by_call, "CALL_PATIENCE", patience)
    call = Followed(3, has_dyno)
    if has_dyno:
        run_verbs._follow_to_end(call, call)
    else:
        with pytest.raises(Interrupted, match="It may still run"):
            run_verbs._follow_to_end(call, call)
    assert call.stopped == stopped
    assert f"Another interrupt after {patience} s stops its dyno, too." in capsys.readouterr().out


@pytest.mark.alone
def test_a_later_interrupt_of_a_script_stops_the_dyno_of_a_call_that_does_not_end(heroku, monkeypatch):
    monkeypatch.setattr(started_by_call, "CALL_PATIENCE", 0)
    told, runs = [], []

    def submit():
        runs.append(heroku.submit(code=STUBBORN, warm=True))
        return runs[0]

    def interrupt_twice():
        wait_for(lambda: runs and "begun" in runs[0].logs())
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(lambda: "Another interrupt after 0 s stops its dyno, too." in " ".join(map(str, told)))
        if not runs[0].done():  # the dyno ends it after 2 s
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_twice, daemon=True).start()
    with notifications_to(told.append):
        run = started_by_call.run_to_end(submit)
    with pytest.raises(RunCancelled, match=r"and its warm dyno run\.\d+ with it"):
        run.result(0)
    assert heroku.warm() == []


def test_only_retries_repeat_the_call_of_a_dyno_that_breaks(heroku):
    sweep = heroku.sweep(None, {"n": [1, 2, 3]}, code=SLOW, warm=True, jobs=1, retries=1)
    wait_for(lambda: [dyno for dyno in heroku.warm() if dyno.calls])
    (dyno,) = heroku.warm()
    heroku.stop(dyno.dyno)
    assert sweep.result(60)["square"].tolist() == [1, 4, 9]
    assert dyno.dyno not in {dyno.dyno for dyno in heroku.warm()}


def test_an_app_without_python_is_refused_before_a_dyno_starts(heroku, monkeypatch):
    slug = Slug("1", process_types={"web": "node server.js"}, buildpack_provided_description="Node.js")
    monkeypatch.setattr(heroku.client, "slug", lambda app, one: slug)
    heroku._catalog._slugs.clear()
    for start in (lambda: heroku.submit(code="1", warm=True), lambda: heroku.warm(1), heroku.pool):
        with pytest.raises(InvalidOptions, match=r"was built for Node\.js, without Python.*%heroku run -- COMMAND"):
            start()
    assert heroku.dynos() == []
    monkeypatch.undo()
    heroku._catalog._slugs.clear()  # a release's slug never changes, so it is requested once
    assert len(heroku.warm(1)) == 1
