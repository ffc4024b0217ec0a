"""The calls of a pool are one entry of the ledger, however many they are."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from workers import make_worker

import heroku_magic
from heroku_magic import InvalidOptions, connect
from heroku_magic.app.rerun import rerun
from heroku_magic.display.job_display import bundle
from heroku_magic.ledger.history import find
from heroku_magic.ledger.recorder import recorder
from heroku_magic.runs.request import RunRequest
from heroku_magic.warm.pool_usage import PoolUsage

PRIVATE = """
    from heroku_task import task

    @task(history=False)
    def private():
        return {"n": 1}
    """
SQUARE, CUBE = (SimpleNamespace(task=name, request=RunRequest()) for name in ("square", "cube"))


class Dyno:
    """A dyno at ten cents per second that has lived for some seconds. owner: the pool that booted it."""

    info = SimpleNamespace(size="Basic", name="run.1", release=SimpleNamespace(version=7))
    spec = SimpleNamespace(price=lambda _, seconds: seconds / 10)

    def __init__(self, owner, seconds, idle_left=60.0):
        self.owner, self.seconds, self.idle_left = owner, seconds, idle_left


@pytest.fixture
def reports():
    return []


@pytest.fixture
def usage(reports):
    usage = PoolUsage(RunRequest(kind="pool"), "shop", "https://api.example")
    usage.on_report = reports.append
    return usage


def test_a_dyno_of_the_pool_costs_its_life_once_and_a_lent_one_its_calls(usage, reports):
    own, lent, ended = Dyno("the pool", 50.0), Dyno(None, 1000.0), Dyno("the pool", 90.0, idle_left=-30.0)
    usage.report()
    for dyno in (own, lent, ended):
        usage.count(SQUARE, 2.0, None, dyno)
        usage.count(SQUARE, 3.0, None, dyno)
    usage.report("joblib")
    own.seconds = 70.0
    usage.count(CUBE, 1.0, ValueError("bad"), own)
    usage.count(CUBE, 0.0, TypeError("worse"), None)
    usage.report()
    assert [report.name for report in reports] == ["joblib", "pool"]
    assert [report.dollars for report in reports] == [pytest.approx(5.0 + 0.5 + 6.0), pytest.approx(2.0)]
    assert [[*map(vars, report.functions.values())] for report in reports] == [
        [{"calls": 6, "failed": 0, "seconds": 15.0}],
        [{"calls": 2, "failed": 2, "seconds": 1.0}],
    ]
    assert [report.error for report in reports] == ["", "ValueError: bad"]
    usage.count(CUBE, 1.0, None, own)
    usage.discard()
    usage.report()
    assert len(reports) == 2


def test_an_unknown_price_is_not_a_sum(usage, reports):
    dyno = Dyno(None, 10.0)
    dyno.spec = SimpleNamespace(price=lambda *_: None)
    usage.count(SQUARE, 2.0, None, dyno)
    usage.count(SQUARE, 2.0, None, Dyno(None, 10.0))
    usage.report()
    assert reports[0].dollars is None


@pytest.fixture(scope="module")
def heroku(tmp_path_factory, processes):
    worker = make_worker(tmp_path_factory.mktemp("app") / "worker", private=PRIVATE)
    return connect(worker=worker, say=lambda _: None)


def test_a_pool_is_one_entry_with_a_row_per_function_once_it_is_shut_down(heroku, ledger_folder):
    def invert(n):
        return 1 / n

    heroku.warm(1)
    with heroku.pool(jobs=1) as pool:
        assert sum(pool.map(pow, range(200), [2] * 200)) == sum(n**2 for n in range(200))
        assert isinstance(pool.submit(invert, 0).exception(), ZeroDivisionError)
        assert len(heroku_magic.history()) == 0
    (row,) = heroku_magic.history().to_dict("records")
    assert row["parameters"] == {"calls": 201, "failed": 1, "dynos": 1}
    assert (row["task"], row["app"], row["rows"], row["dollars"], row["cached"]) == ("pool", "embedded", 2, 0.0, False)
    assert row["error"] == "1 of 201 calls failed. The first one: ZeroDivisionError: division by zero"
    assert 0 < row["seconds"] < 600

    again = heroku_magic.get_run(row["run"])
    assert again.partial[["function", "calls", "failed"]].to_dict("records") == [
        {"function": "pow", "calls": 200, "failed": 0},
        {"function": "invert", "calls": 1, "failed": 1},
    ]
    assert "1 of 201 calls failed" in bundle(again)["text/plain"]
    with pytest.raises(InvalidOptions, match="cannot be repeated, because the history only counts the calls of a pool"):
        rerun(heroku, find(row["run"]), {}, {})

    with heroku.pool(jobs=1) as pool:
        pool.submit(pool.task("private")).result()
    assert heroku_magic.history()["run"].tolist() == [row["run"]]

    for history in (False, True):  # a pool that is never shut down is written at the end of the process
        executor = heroku.executor(jobs=1, warm=True, history=history)
        assert executor.submit(divmod, 17, 5).result() == (3, 2)
        executor.usage.report()
    assert heroku_magic.history()["run"].tolist()[1:] == [row["run"]]
    assert recorder._pools[-1] is executor.usage
    heroku.warm(0)
