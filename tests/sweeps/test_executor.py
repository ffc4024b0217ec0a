"""Tests of heroku_magic.sweeps.executor."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Executor, as_completed, wait

import pytest
from loops import run_loop
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, RunCancelled, TaskFailed, connect
from heroku_magic.sweeps.launcher import Launcher


@pytest.fixture(scope="module")
def heroku(tmp_path_factory, processes):
    folder = make_worker(
        tmp_path_factory.mktemp("executor") / "worker",
        square="""
            import time
            from heroku_task import task

            @task
            def square(n: int, power: int = 2, pause: float = 0.0):
                time.sleep(pause)
                if n < 0:
                    raise ValueError("negative")
                return {"y": n**power}
            """,
        show="""
            from heroku_task import task

            @task
            def show(word: str):
                print("it is", word)
            """,
    )
    return connect(worker=folder, say=lambda _: None)


def values(frames):
    return [frame["y"].item() for frame in frames]


def test_map_returns_results_in_order(heroku):
    with heroku.executor("square", jobs=3) as executor:
        assert isinstance(executor, Executor)
        assert values(executor.map(executor.task, range(8))) == [n**2 for n in range(8)]
        assert values(executor.map(executor.task, [2, 3], [3, 4])) == [8, 81]


def test_futures_work_with_the_functions_of_the_standard_library(heroku):
    with heroku.executor("square") as executor:
        futures = {executor.submit(executor.task, n, power=3): n for n in range(5)}
        assert {futures[future]: future.result()["y"].item() for future in as_completed(futures)} == {
            n: n**3 for n in range(5)
        }


def test_callbacks_that_wait_sleep_or_raise_hold_up_no_call(heroku, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    done, last, order, executor = threading.Event(), threading.Event(), [], heroku.executor("square", jobs=1)

    def wait_for_another(future):
        order.append(executor.submit(executor.task, future.result()["y"].item()).result(timeout=30)["y"].item())
        done.set()

    def fail(future):
        order.append("fails")
        raise RuntimeError("a callback failed")

    first = executor.submit(executor.task, 3)
    first.add_done_callback(fail)
    first.add_done_callback(wait_for_another)
    first.add_done_callback(lambda future: last.set())
    executor.submit(executor.task, 2).add_done_callback(lambda future: time.sleep(60))

    assert done.wait(30)
    assert last.wait(30)
    assert order == ["fails", 81]
    assert executor.submit(executor.task, 4).result(timeout=30)["y"].item() == 16
    executor.shutdown()


def test_a_callback_of_a_call_that_has_ended_is_called_at_once(heroku):
    with heroku.executor("square") as executor:
        future = executor.submit(executor.task, 2)
        future.result(timeout=30)
    called = []
    future.add_done_callback(lambda one: called.append((one, threading.current_thread())))
    assert called == [(future, threading.current_thread())]


def test_a_callback_of_a_cancelled_call_is_called(heroku):
    called = threading.Event()
    with heroku.executor("square", jobs=1) as executor:
        executor.submit(executor.task, 2, pause=0.5)
        waiting = executor.submit(executor.task, 3)
        waiting.add_done_callback(lambda one: called.set())
        assert waiting.cancel()
    assert called.wait(10)


def test_a_failed_task_fails_only_its_own_future(heroku):
    with heroku.executor("square") as executor:
        bad, good = executor.submit(executor.task, -1), executor.submit(executor.task, 1)
        with pytest.raises(TaskFailed, match="ValueError: negative"):
            bad.result(30)
        assert good.result(30)["y"].item() == 1


def test_a_waiting_call_can_be_cancelled(heroku):
    with heroku.executor("square", jobs=1) as executor:
        first = executor.submit(executor.task, 1, pause=0.5)
        second, third = executor.submit(executor.task, 2), executor.submit(executor.task, 3)
        assert second.cancel()
        wait([first, third], timeout=30)
        assert not first.cancelled()
        assert third.result()["y"].item() == 9


@pytest.mark.parametrize("wait_first", [True, False])
def test_a_call_that_runs_or_is_on_its_way_can_be_cancelled_and_its_dyno_stops(heroku, wait_first):
    with heroku.executor("square", jobs=1) as executor:
        future = executor.submit(executor.task, 1, pause=60)
        wait_until(future.running)
        if wait_first:
            wait_until(lambda: [dyno for dyno in heroku.dynos() if dyno.state == "up"])
        assert future.cancel()
        assert future.cancelled()
        assert not future.running()
        assert executor.submit(executor.task, 3).result(30)["y"].item() == 9  # one dyno at a time
    wait_until(lambda: not heroku.dynos())


def test_an_await_that_takes_too_long_stops_the_dyno_of_its_call(heroku):
    async def main():
        with heroku.executor("square") as executor, pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(executor.submit(executor.task, 1, pause=60), 1)

    run_loop(main())
    wait_until(lambda: not heroku.dynos())


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_more_than_jobs_runs_are_concurrent(heroku):
    with heroku.executor("square", jobs=2) as executor:
        futures = [executor.submit(executor.task, n, pause=0.3) for n in range(5)]
        most = 0
        while not all(future.done() for future in futures):
            most = max(most, len(heroku.dynos()))
        assert most == 2


def test_arguments_are_checked_before_a_dyno_starts(heroku):
    with heroku.executor("square") as executor:
        for arguments, message in [
            (("x",), "n is the text 'x'"),
            ((1, 2, 3, 4), "takes 3 positional arguments, but got 4"),
            ((), "n is missing"),
        ]:
            with pytest.raises(InvalidParameters, match=message):
                executor.submit(executor.task, *arguments)
        with pytest.raises(InvalidParameters, match="n is passed twice"):
            executor.submit(executor.task, 1, n=2)
        with pytest.raises(InvalidOptions, match="This executor runs the task square"):
            executor.submit(print, 1)
    assert heroku.dynos() == []


def test_after_shutdown_submit_raises(heroku):
    executor = heroku.executor("square")
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(executor.task, 1)


def test_an_interrupt_in_the_with_block_stops_all_dynos(heroku):
    def interrupted():
        with heroku.executor("square", jobs=2) as executor:
            futures.extend(executor.submit(executor.task, n, pause=60) for n in range(4))
            while len(heroku.dynos()) < 2:
                threading.Event().wait(0.02)
            raise KeyboardInterrupt

    futures = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert heroku.dynos() == []
    assert all(isinstance(future.exception(), RunCancelled) for future in futures[:2])
    assert all(future.cancelled() for future in futures[2:])


def test_calling_the_task_runs_it(heroku):
    executor = heroku.executor("square")
    assert executor.task.__name__ == "square"
    assert executor.task(3)["y"].item() == 9


def test_threads_that_submit_concurrently_start_one_launcher(heroku, monkeypatch):
    started, start = [], Launcher.start
    monkeypatch.setattr(
        Launcher, "start", lambda self, name: (time.sleep(0.1), started.append(name), start(self, name))
    )
    with heroku.executor("square") as executor:
        threads = [threading.Thread(target=executor.submit, args=(executor.task, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(started) == 1


def test_a_secret_of_a_call_is_masked_when_its_log_is_read_again(heroku, monkeypatch):
    monkeypatch.setenv("word", "swordfish")
    with heroku.executor("show", secrets=["word"]) as executor:
        executor.submit(executor.task).result(30)
        (run,) = [line.dyno for line in heroku.logs("") if line.message == "it is ***"]
    assert not any("swordfish" in line.message for line in heroku.logs(run))


def test_a_secret_of_a_function_is_masked_when_its_log_is_read_again(heroku, monkeypatch):
    def show():
        print("it was", os.environ["PHRASE"])

    monkeypatch.setenv("PHRASE", "open sesame")
    with heroku.executor(secrets=["PHRASE"]) as executor:
        executor.submit(show).result(30)
    assert [line.message for line in heroku.logs("") if "it was" in line.message] == ["it was ***"]


def test_an_internal_error_ends_every_future(heroku, monkeypatch):
    are_submitted = threading.Event()
    monkeypatch.setattr("heroku_magic.sweeps.executor._Calls.poll", lambda _: are_submitted.wait(30) and 1 / 0)
    executor = heroku.executor("square", jobs=1)
    futures = [executor.submit(executor.task, n, pause=60) for n in range(3)]
    are_submitted.set()
    wait(futures, timeout=30)
    assert all(future.done() for future in futures)
    while heroku.dynos():
        time.sleep(0.05)
    with pytest.raises(RuntimeError, match="cannot schedule new futures"):
        executor.submit(executor.task, 4)
