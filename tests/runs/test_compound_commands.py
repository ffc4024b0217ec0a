"""A Procfile line that does more than run the helper hides no failure and loses no row."""

from __future__ import annotations

import pytest
from workers import make_worker

from heroku_magic import ResultIncomplete, TaskFailed, connect
from heroku_magic.app.emulator_process import embedded

DRAWS = """
    from heroku_task import task

    @task
    def {name}(n: int = 3, fails: bool = False):
        for i in range(n):
            yield {{"who": "{name}", "i": i}}
        if fails:
            raise ValueError("as it should")
    """
ENDINGS = {
    "echo": "; echo done",
    "pipe": " | cat",
    "or": " || true",
    "background": " & wait",
    "block": "; true; }",
}
HEADS = {"block": "{ "}
SILENT = {
    "nowhere": "python -m heroku_task draws > /dev/null; true",
    "file": "python -m heroku_task draws > rows.txt",
    "nice": "FROM='a b' nice -n 5 timeout 60 python -m heroku_task 'draws' > rows.txt",
    "group": "(python -m heroku_task draws --bad || true)",
    "missing": "no/such/python -m heroku_task draws; true",
}


@pytest.fixture(scope="module")
def heroku(tmp_path_factory, processes):
    procfile = {name: f"{HEADS.get(name, '')}python -m heroku_task draws{end}" for name, end in ENDINGS.items()}
    procfile |= SILENT
    procfile["both"] = "python -m heroku_task draws && python -m heroku_task more"
    procfile["loop"] = "for _ in 1 2 3; do python -m heroku_task draws; done"
    procfile["worse"] = "python -m heroku_task draws; exit 3"
    sources = {name: DRAWS.format(name=name) for name in ("draws", "more")}
    server = embedded(make_worker(tmp_path_factory.mktemp("compound") / "shop", procfile, **sources))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEROKU_HOST", server.url)
        patch.setenv("HEROKU_API_KEY", server.token.reveal())
        yield connect("shop", say=lambda _: None)


@pytest.mark.parametrize("task", ENDINGS)
def test_a_failed_task_is_a_failure_whatever_the_rest_of_its_line_does(heroku, task):
    run = heroku.submit(task, {"fails": True})

    with pytest.raises(TaskFailed, match=r"^ValueError: as it should") as caught:
        run.result(60)
    assert run.exit_status == 1
    assert "The task itself ended with exit status 1, but the dyno's command line with 0" in str(caught.value)
    assert len(run.partial) == 3


def test_a_failed_task_fails_its_run_of_a_sweep(heroku):
    sweep = heroku.sweep("pipe", {"fails": [False, True]}, {"n": 2})
    sweep.wait(60)
    assert sweep.counts() == {"done": 1, "failed": 1}
    assert sweep.failures()[0].parameters == {"fails": True}


def test_a_line_that_fails_after_its_task_is_a_failure(heroku):
    run = heroku.submit("worse")
    error = run.exception(60)
    assert run.exit_status == 3
    assert "The task itself ended with exit status 0, but the dyno's command line with 3" in str(error)


@pytest.mark.parametrize(("task", "who"), [("both", ["draws"] * 3 + ["more"] * 3), ("loop", ["draws"] * 9)])
def test_the_rows_of_all_processes_of_a_line_arrive_in_order(heroku, task, who):
    df = heroku.run(task)
    assert df["who"].tolist() == who
    assert df["i"].tolist() == [0, 1, 2] * (len(who) // 3)
    assert df.attrs["heroku"]["verified"]


@pytest.mark.parametrize("task", SILENT)
def test_a_task_of_the_helper_whose_records_do_not_arrive_is_an_error(heroku, task):
    with pytest.raises(ResultIncomplete, match="nothing that heroku_task sends has arrived"):
        heroku.run(task)


def test_a_line_whose_records_others_read_runs_for_its_log_alone(heroku):
    run = heroku.submit(command="python -m heroku_task draws | grep -c @hm1", rows=False)
    assert run.result(60) is None
    assert run.logs().strip().isdigit()


def test_a_line_that_need_not_run_its_task_may_send_nothing(heroku):
    assert heroku.run(command="false && python -m heroku_task draws; true") is None
