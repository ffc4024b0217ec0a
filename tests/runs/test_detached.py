"""Detached runs outlive their kernel and are attached from another one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import nullcontext

import pytest
from emulators import wait_until
from workers import make_worker

from heroku_magic import InvalidOptions, TaskFailed, connect
from heroku_magic.app.emulator_process import embedded


@pytest.fixture(scope="module")
def server(tmp_path_factory, processes):
    """An embedded Heroku that is used as if it were the real one: by HEROKU_HOST and a token."""
    folder = make_worker(
        tmp_path_factory.mktemp("detached") / "shop",
        count="""
            import time
            from heroku_task import task

            @task
            def count(n: int = 3, pause: float = 0.0):
                for i in range(n):
                    yield {"i": i, "x": i / 3}
                    time.sleep(pause)
            """,
        fails="""
            from heroku_task import task

            @task
            def fails():
                raise KeyError("lost")
            """,
    )
    return embedded(folder)


@pytest.fixture
def heroku(server, use_as_heroku, processes):
    use_as_heroku(server)
    return connect("shop", say=lambda _: None)


def in_another_kernel(code):
    """Start a Python that detaches a run, and return its process and the run's id."""
    script = f"""
        import time, heroku_magic
        heroku = heroku_magic.connect("shop", say=lambda text: None)
        {code}
        """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    with process.stdout:
        return process, process.stdout.readline().strip()


def test_a_run_of_a_killed_kernel_is_attached_and_gives_the_same_frame(heroku, tmp_path):
    process, run_id = in_another_kernel(
        "run = heroku.submit('count', {'n': 20, 'pause': 0.05}, detach=True)\n"
        "        run.wait_for_dyno(); print(run.id, flush=True); time.sleep(60)"
    )
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    file = tmp_path / ".heroku" / "runs" / f"{run_id}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".heroku" / ".gitignore").read_text() == "*\n"

    run = heroku.attach(run_id)
    df = run.result(30)

    assert df["i"].tolist() == list(range(20))
    assert df["x"].tolist() == [i / 3 for i in range(20)]
    assert df.attrs["heroku"]["verified"]
    assert (run.id, run.exit_status, run.task) == (run_id, 0, "count")
    assert not file.exists(), "the key goes when the run was read"
    with pytest.raises(InvalidOptions, match=r"No detached run .* read only once\. Available here: none"):
        heroku.attach(run_id)


@pytest.mark.parametrize(
    ("task", "options"),
    [*(("count", one) for one in ("", "--out table", "--bg --out table")), ("fails", ""), ("fails", "--no-raise")],
)
def test_the_key_goes_when_a_cell_took_the_result(heroku, start_shell, tmp_path, task, options):
    run_id = heroku.submit(task, detach=True).id
    folder = tmp_path / ".heroku" / "runs"
    wait_until(lambda: [one.name for one in folder.glob("*")] == [f"{run_id}.json"])
    shell = start_shell()
    with pytest.raises(TaskFailed) if (task, options) == ("fails", "") else nullcontext():
        shell.run_line_magic("heroku", f"attach {run_id} -q {options}")  # on its own app
    wait_until(lambda: not [*folder.glob("*")])


def test_a_run_that_ended_before_its_kernel_was_killed_can_be_attached(heroku, monkeypatch):
    monkeypatch.setattr("heroku_magic.runs.registry._durations", {})
    process, run_id = in_another_kernel(
        "run = heroku.submit('count', {'n': 3}, detach=True)\n"
        "        run.wait(); print(run.id, flush=True); time.sleep(60)"
    )
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert heroku.attach(run_id).result(30)["i"].tolist() == [0, 1, 2]
    assert heroku.estimate("count").measured is None, "nobody knows when it ended"


def test_an_attached_run_costs_what_the_users_prices_say(heroku):
    detached = heroku.submit("count", detach=True)
    detached.wait()
    mine = connect("shop", prices={"standard-1x": 2_592_000}, say=lambda _: None)  # a dollar per second
    run = mine.attach(detached.id)
    run.result(30)
    assert run.dollars == pytest.approx(run.seconds)


def test_an_ended_run_is_attached_from_the_log_history(heroku):
    process, run_id = in_another_kernel(
        "run = heroku.submit('fails', detach=True)\n        run.wait_for_dyno(); print(run.id, flush=True)"
    )
    assert process.wait(20) == 0
    while any(dyno.command.endswith(run_id) for dyno in heroku.dynos()):
        pass

    with pytest.raises(TaskFailed, match="KeyError: 'lost'"):
        heroku.attach(run_id).result(30)


def test_a_process_that_exits_immediately_leaves_an_attachable_run(heroku):
    process, run_id = in_another_kernel("run = heroku.submit('count', detach=True); print(run.id, flush=True)")
    assert process.wait(20) == 0

    assert heroku.attach(run_id).result(30)["i"].tolist() == [0, 1, 2]


def test_an_unknown_run_is_refused_with_a_list_of_known_ones(heroku, tmp_path):
    run = heroku.submit("count", {"n": 1, "pause": 5}, detach=True)
    run.wait_for_dyno()
    for name in ("hm-00000000", "../../etc/passwd", "run.1234"):
        with pytest.raises(InvalidOptions, match=f"Available here: {run.id}"):
            heroku.attach(name)
    saved = tmp_path / ".heroku" / "runs" / f"{run.id}.json"
    saved.write_text(json.dumps({**json.loads(saved.read_text()), "app": "other"}))
    with pytest.raises(InvalidOptions, match='is a run of the app "other" at'):
        heroku.attach(run.id)
    run.cancel()
    run.wait(30)


@pytest.mark.usefixtures("processes")
def test_nothing_can_be_detached_on_the_embedded_heroku(tmp_path):
    with pytest.raises(InvalidOptions, match="end with this kernel"):
        connect(local=True, say=lambda _: None).submit("task", detach=True)


def in_a_script(code, **environ):
    """Run a Python that starts a run and ends; return what it said on standard error."""
    script = f"""
        import heroku_magic
        heroku = heroku_magic.connect("shop", say=lambda text: None)
        run = heroku.submit("count", {{"n": 100, "pause": 1}})
        while run.state != "up":
            run.wait_for_dyno()
        {code}
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr


def test_a_script_that_exits_stops_its_dynos_and_reports_it(heroku):
    said = in_a_script("pass")
    assert "heroku_magic: count was stopped after" in said
    assert heroku.dynos() == []


def test_a_dyno_that_cannot_be_stopped_at_exit_is_reported_with_its_end_time(heroku):
    said = in_a_script("run._runner.client._transport.base_url = 'http://127.0.0.1:9'")
    assert "may still be running. It ends by itself at" in said
    for dyno in heroku.dynos():
        heroku.stop(dyno.name)
