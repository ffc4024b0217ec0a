"""Runs, sweeps, functions and calls of pools are awaited without blocking the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest
from kernels import kernel
from loops import run_loop
from workers import make_worker

from heroku_magic import RunCancelled, SweepFailed, TaskFailed, connect
from heroku_magic.api.log_lines import LogLine
from heroku_magic.runs.events import StateChange

TASK = """
    import time
    from heroku_task import task

    @task
    def wait(n: int = 2, seconds: float = 0.0):
        for i in range(n):
            print("line", i, flush=True)
            yield {"i": i}
        time.sleep(seconds)
        if n < 0:
            raise ValueError("negative")
    """


@pytest.fixture(scope="module")
def folder(tmp_path_factory, processes):
    return make_worker(tmp_path_factory.mktemp("await") / "shop", wait=TASK)


@pytest.fixture(scope="module")
def heroku(folder):
    return connect(worker=folder, say=lambda _: None)


def test_an_await_gives_the_result_and_lets_the_loop_go_on(heroku):
    async def main():
        ticks, run = 0, heroku.submit("wait", {"seconds": 0.3})
        waiting = asyncio.ensure_future(run)
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks, await waiting, await run, await heroku.sweep("wait", {"n": [1, 2]})

    ticks, first, again, table = run_loop(main())
    assert ticks >= 5
    assert first["i"].tolist() == again["i"].tolist() == [0, 1]
    assert len(table) == 3


def test_an_await_raises_what_the_result_raises(heroku):
    async def main():
        with pytest.raises(TaskFailed, match="ValueError: negative"):
            await heroku.submit("wait", {"n": -1})
        with pytest.raises(SweepFailed):
            await heroku.sweep("wait", {"n": [-1]})

    run_loop(main())


@pytest.mark.parametrize("start", ["submit", "sweep"])
def test_cancelling_an_await_cancels_what_runs_and_a_shield_prevents_it(heroku, start):
    def begin(seconds):
        if start == "submit":
            return heroku.submit("wait", {"seconds": seconds})
        return heroku.sweep("wait", {"n": [1, 1]}, {"seconds": seconds})

    async def main():
        job, shielded = begin(60), begin(1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(job, 0.2)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(shielded), 0.2)
        return job, await shielded

    job, table = run_loop(main())
    assert job.wait(30)
    assert isinstance(job.exception(), RunCancelled | SweepFailed)
    assert len(table) == 2


def test_events_arrive_in_an_async_for(heroku):
    async def main():
        run = heroku.submit("wait", {"n": 3})
        seen = [event async for event in run]
        assert seen == [*run]
        async for _ in run:  # leaving early is possible
            break
        return seen

    seen = run_loop(main())
    assert [event.message for event in seen if type(event) is LogLine and event.source == "app"] == [
        "line 0",
        "line 1",
        "line 2",
    ]
    assert [event.state for event in seen if isinstance(event, StateChange)][-1] == "done"


def test_cancelling_an_async_for_cancels_the_run(heroku):
    async def main():
        run = heroku.submit("wait", {"seconds": 60})

        async def read():
            async for _ in run:
                pass

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(read(), 0.3)
        return run

    run = run_loop(main())
    assert run.wait(30)
    assert run.cancelled()


def test_an_await_adds_no_tasks_to_those_of_the_user(heroku):
    async def main():
        function = heroku.function(lambda: __import__("time").sleep(2) or 6 * 7)
        waiting = asyncio.create_task(function.remote_async())
        await asyncio.sleep(0.1)
        return await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}), waiting.result()

    assert run_loop(main()) == ([42], 42)


def test_a_function_is_awaited_and_cancelled(heroku):
    @heroku.function
    def slow(seconds):
        __import__("time").sleep(seconds)
        return {"slept": seconds}

    async def main():
        values = await asyncio.gather(slow.remote_async(0.1), slow.remote_async(0))
        began = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(slow.remote_async(60), 0.5)
        return values, time.monotonic() - began

    values, seconds = run_loop(main())
    assert values == [{"slept": 0.1}, {"slept": 0}]
    assert seconds < 30


@pytest.mark.usefixtures("kernels")
def test_a_notebook_awaits_and_the_stop_button_stops_the_run(folder, tmp_path):
    with kernel(tmp_path) as notebook:
        shown = notebook.run(
            f"""
            from heroku_magic import connect
            heroku = connect(worker={str(folder)!r}, say=lambda _: None)
            df = await heroku.submit("wait", {{"n": 3}})
            print(df["i"].tolist())
            with heroku.pool(jobs=1) as pool:
                print(await pool.submit(abs, -5))
            run = heroku.submit("wait", {{"seconds": 60}})
            """,
            60,
        )
        assert shown.text.splitlines() == ["[0, 1, 2]", "5"], shown.messages
        sent = notebook.start("async for event in run:\n    print(event)")
        notebook.wait_for_text(sent, "line 1")
        notebook.manager.interrupt_kernel()
        assert [message for _, message in notebook.messages(sent)]
        assert notebook.run("run.wait(30); print(run.state)", 60).text == "cancelled\n"


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("wait", ["await run", "await pool.submit(time.sleep, 60)", "await sleep.remote_async()"])
def test_the_stop_button_ends_a_wait_in_which_nothing_happens(folder, tmp_path, wait):
    with kernel(tmp_path) as notebook:
        notebook.run(
            f"""
            import time
            from heroku_magic import connect
            heroku = connect(worker={str(folder)!r}, say=lambda _: None)
            run = heroku.submit("wait", {{"seconds": 60}})
            pool = heroku.pool(jobs=1)
            sleep = heroku.function(lambda: time.sleep(60))
            pool.submit(abs, -5).result()
            """,
            60,
        )
        sent = notebook.start(f"print('begun')\n{wait}")
        notebook.wait_for_text(sent, "begun")
        time.sleep(2)
        notebook.manager.interrupt_kernel()
        ended = [message["content"].get("ename") for _, message in notebook.messages(sent, 15)]
        assert {"CancelledError", "KeyboardInterrupt", "RunCancelled"} & {*ended}
        notebook.run("pool.shutdown(cancel_futures=True)", 60)
