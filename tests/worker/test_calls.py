"""RUN_CALLS: a task is called several times in one process, and each outcome is reported."""

from __future__ import annotations

import json
import zlib
from binascii import b2a_base64

import pytest

pytestmark = pytest.mark.usefixtures("processes")


def packed(calls):
    return b2a_base64(zlib.compress(json.dumps(calls).encode()), newline=False).decode()


@pytest.fixture
def called(app):
    """Return a function that runs a task with these calls."""

    def run(source, *calls, **env):
        app.task(f"from heroku_task import emit, task\n{source}")
        return app.run("job", RUN_CALLS=packed(calls), **env)

    return run


def returns(result):
    return [
        (one["call"], one["status"], one["rows"]) for kind, data in result.records if kind == "return" for one in data
    ]


def test_each_call_adds_its_own_environment_to_that_of_the_dyno(called):
    result = called(
        "@task\ndef job(a: int, b: int = 7, c: int = 0):\n    yield {'a': a, 'b': b, 'c': c}",
        {"a": "1", "b": "2"},
        {"a": "3"},
        {},
        c="5",
    )
    assert result.rows == [{"a": 1, "b": 2, "c": 5}, {"a": 3, "b": 7, "c": 5}]
    assert returns(result) == [(0, 0, 1), (1, 0, 1), (2, 1, None)]
    assert result.of("failure")[0]["message"] == "a is missing"
    assert result.status == 1


def test_a_failed_call_keeps_its_rows_and_does_not_stop_the_others(called):
    result = called(
        "@task\ndef job(n: int):\n    yield {'n': n}\n    if n == 1:\n        raise SystemExit(9)\n    yield {'n': -n}",
        *({"n": str(n)} for n in range(3)),
    )
    assert returns(result) == [(0, 0, 2), (1, 9, 1), (2, 0, 2)]
    assert result.rows == [{"n": 0}, {"n": 0}, {"n": 1}, {"n": 2}, {"n": -2}]
    assert result.end == {"status": 1, "rows": 5}


def test_no_table_an_empty_table_and_rows_are_distinguished(called):
    result = called(
        "@task\ndef job(n: int):\n    return [None, [], {'n': 1}][n]", *({"n": str(n)} for n in (0, 1, 2, 0))
    )
    assert returns(result) == [(0, 0, None), (1, 0, 0), (2, 0, 1), (3, 0, None)]


def test_rows_emitted_by_threads_belong_to_their_call(called):
    source = """
import threading, time

def later(n):
    time.sleep(0.05)
    emit({"n": n})

@task
def job(n: int):
    threading.Thread(target=later, args=(n,)).start()
"""
    result = called(source, {"n": "0"}, {"n": "1"})
    assert returns(result) == [(0, 0, 1), (1, 0, 1)]


@pytest.mark.parametrize("kind", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_a_pool_that_all_calls_share_stays_open(called, kind):
    result = called(
        f"""
from concurrent.futures import {kind}
pool = {kind}(2)

@task
def job(n: int):
    yield from ({{"n": one}} for one in pool.map(abs, [n, -n]))
""",
        *({"n": str(n)} for n in range(3)),
    )
    assert returns(result) == [(n, 0, 2) for n in range(3)]
    assert result.end == {"status": 0, "rows": 6}


def test_a_thousand_small_calls_take_few_lines(called):
    result = called("@task\ndef job(n: int):\n    return {'n': n}", *({"n": str(n)} for n in range(1000)))
    assert [row["n"] for row in result.rows] == [*range(1000)]
    assert len(returns(result)) == 1000
    assert len(result.stdout.splitlines()) < 200


def test_a_signal_ends_all_calls(called):
    source = "import os, signal\n@task\ndef job(n: int):\n    if n:\n        os.kill(os.getpid(), signal.SIGTERM)\n"
    result = called(source, {"n": "0"}, {"n": "1"}, {"n": "0"})
    assert returns(result) == [(0, 0, None)]
    assert result.status == 143


def test_the_task_does_not_see_run_calls(called):
    source = "import os\n@task\ndef job():\n    return {'seen': 'RUN_CALLS' in os.environ}"
    assert called(source, {}).rows == [{"seen": False}]


def test_in_a_shell_the_rows_of_all_calls_are_printed(app):
    app.task("from heroku_task import task\n@task\ndef job(n: int):\n    yield {'n': n}")
    result = app.run("job", keyed=False, RUN_CALLS=packed([{"n": "1"}, {"n": "2"}]))
    assert result.log == ['{"n":1}', '{"n":2}']


def test_each_call_starts_with_the_initial_environment_and_folder(called):
    source = """
import os

@task
def job(n: int, mode: str = "none"):
    seen = {"n": n, "mode": mode, "mark": os.environ.get("MARK"), "folder": os.getcwd()}
    os.environ.update(mode="set by the previous call", MARK="this too")
    os.chdir("/")
    return seen
"""
    rows = called(source, {"n": "1"}, {"n": "2"}, {"n": "3", "mode": "own"}, MARK="given").rows
    assert [(row["mode"], row["mark"]) for row in rows] == [("none", "given"), ("none", "given"), ("own", "given")]
    assert len({row["folder"] for row in rows}) == 1


def test_a_forked_child_that_returns_from_a_call_makes_no_further_calls(called):
    source = """
import os

@task
def job(n: int):
    if os.fork() == 0:
        return None
    os.wait()
    return {"n": n}
"""
    result = called(source, *({"n": str(n)} for n in range(5)))
    assert result.status == 0
    assert result.rows == [{"n": n} for n in range(5)]
    assert returns(result) == [(n, 0, 1) for n in range(5)]
