"""A pool of warm dynos is an executor: calls give values, errors and cancellations as those of the standard library."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import inspect
import itertools
import os
import pickle
import random
import signal
import sys
import tempfile
import textwrap
import threading
import time
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ProcessPoolExecutor, as_completed
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from types import SimpleNamespace

import pytest
from loops import run_loop
from workers import make_worker

from heroku_magic import InvalidOptions, Secret, TaskFailed, connect
from heroku_magic.app.connection import bare_spec
from heroku_magic.app.emulator_process import embedded
from heroku_magic.bundle.build import CallBundle
from heroku_magic.errors import InputTooLarge, LogStreamError
from heroku_magic.warm.pool_call import PoolRunner
from heroku_magic.warm.warm_dyno import WarmDyno
from heroku_magic.warm.warm_dynos import WarmDynos

TASK = """
    from heroku_task import task

    @task
    def square(n: int, power: int = 2):
        if n < 0:
            raise KeyError("negative")
        return {"y": n**power}
    """

FATAL = """
    import os
    from heroku_task import task

    os._exit(9)

    @task
    def fatal(n: int):
        return {"n": n}
    """
ENDLESS = """
    import time
    from heroku_task import task

    time.sleep(600)

    @task
    def endless(n: int):
        return {"n": n}
    """


@pytest.fixture(scope="module")
def server(tmp_path_factory, processes):
    folder = tmp_path_factory.mktemp("pool") / "shop"
    return embedded(make_worker(folder, {"other": "echo hi"}, square=TASK, fatal=FATAL, endless=ENDLESS))


@pytest.fixture
def heroku(server, use_as_heroku):
    use_as_heroku(server)
    heroku = connect("shop", say=lambda _: None)
    yield heroku
    heroku.warm(0)


def _wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_the_signatures_are_those_of_an_executor(heroku):
    pool = heroku.pool(jobs=3)
    assert isinstance(pool, Executor)
    assert pool._max_workers == 3
    for name in ("submit", "map", "shutdown"):
        ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (type(pool), Executor))
        assert {n: (p.kind, p.default) for n, p in theirs.items() if n != "buffersize"} == {
            n: (p.kind, p.default) for n, p in ours.items()
        }
    known = inspect.signature(ProcessPoolExecutor).parameters
    ours = inspect.signature(heroku.pool).parameters
    assert [ours[name].default for name in ("initializer", "initargs")] == [known["initializer"].default, ()]
    pool.shutdown()
    assert heroku.warm() == []


@pytest.mark.parametrize("method", ["result", "exception"])
def test_an_interrupt_that_the_system_gives_another_thread_reaches_whoever_waits_for_a_call(heroku, method):
    with heroku.pool(jobs=1) as pool:
        call = pool.submit(lambda: __import__("time").sleep(3_000))
        _wait_for(call.running)
        threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            getattr(call, method)()
        with pytest.raises(FutureTimeout):  # another class before Python 3.11
            getattr(call, method)(0.01)
        assert call.cancel()


def test_values_arrive_in_order_and_exactly(heroku):
    with heroku.pool(jobs=2) as pool:
        assert list(pool.map(pow, range(6), [2] * 6)) == [0, 1, 4, 9, 16, 25]
        assert list(pool.map(lambda a, b: (a, {b}), "xy", "yz", chunksize=2)) == [("x", {"y"}), ("y", {"z"})]
        assert list(pool.map(str, range(7), chunksize=3)) == [*"0123456"]
        assert list(pool.map(str, [])) == []
        assert pool.submit(dict, fn=1, self=2).result(60) == {"fn": 1, "self": 2}
        assert {one.result() for one in as_completed([pool.submit(abs, -n) for n in range(5)])} == {0, 1, 2, 3, 4}


def test_a_function_is_sent_as_it_is_at_that_moment(heroku):
    state = {"factor": 1}

    def scaled(n):
        return n * state["factor"]

    with heroku.pool(jobs=1) as pool:
        first = pool.submit(scaled, 5)
        state["factor"] = 10
        second = pool.submit(scaled, 5)
        assert (first.result(60), second.result(60)) == (5, 50)


def test_an_endless_iterator_is_read_as_its_results_are(heroku):
    read = itertools.count()
    with heroku.pool(jobs=1) as pool:
        values = pool.map(lambda n: n * n, read)
        assert list(itertools.islice(values, 6)) == [0, 1, 4, 9, 16, 25]
        values.close()
    assert next(read) < 20


def test_an_error_is_that_of_the_function_and_says_where(heroku):
    with heroku.pool(jobs=2) as pool:
        error = pool.submit(divmod, 1, 0).exception(60)
        assert isinstance(error, ZeroDivisionError)
        assert isinstance(error, TaskFailed)
        copy = pickle.loads(pickle.dumps(error))
        assert isinstance(copy, ZeroDivisionError)
        assert str(copy) == str(error)

        with pytest.raises(KeyError, match=r"^KeyError: 'b'\n"):
            pool.submit(lambda: {"a": 1}["b"]).result(60)
        assert isinstance(pool.submit(b"\xff".decode).exception(60), TaskFailed)
        crashed = pool.submit(lambda: __import__("os")._exit(7)).exception(60)
        assert "exit status 7" in str(crashed)
        assert pool.submit(abs, -1).result(60) == 1
        with pytest.raises(TypeError, match="missing"):
            pool.submit(lambda a, b: a, 1)


def test_a_task_is_a_function_of_the_pool(heroku):
    with heroku.pool(jobs=2) as pool:
        square = pool.task("square")
        assert square(3, power=3)["y"].tolist() == [27]
        assert [frame["y"].item() for frame in pool.map(square, [1, 2], [2, 3])] == [1, 8]
        assert [frame["y"].item() for frame in pool.map(square, [1, 2], chunksize=2)] == [1, 4]
        assert isinstance(pool.submit(square, -1).exception(60), KeyError)
        with pytest.raises(InvalidOptions, match="runs only Python tasks"):
            pool.task("other")
    with heroku.executor("square", warm=True, jobs=1) as executor:
        assert type(executor) is type(pool)
        assert [frame["y"].item() for frame in executor.map(executor.task, [5])] == [25]


def test_cancelling_stops_a_call_that_runs_and_its_dyno_goes_on(heroku):
    with heroku.pool(jobs=1) as pool:
        running = pool.submit(time.sleep, 60)
        _wait_for(running.running)
        waiting = pool.submit(abs, -2)
        assert running.cancel()
        assert running.cancelled()
        assert not running.running()
        with pytest.raises(CancelledError):
            running.result(0)
        assert waiting.result(30) == 2
        assert not waiting.cancel()
        assert [dyno.calls for dyno in heroku.warm()] == [2]


def test_cancelling_an_await_stops_the_call(heroku):
    async def give_up(pool):
        call = pool.submit(time.sleep, 60)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(call), 0.2)
        return call, await pool.submit(abs, -3)

    with heroku.pool(jobs=1) as pool:
        call, value = run_loop(give_up(pool))
        assert call.cancelled()
        assert value == 3


def test_awaiting_a_call_that_raises_stop_iteration_is_an_error(heroku):
    async def wait_for(call):
        return await call

    with heroku.pool(jobs=1) as pool, pytest.raises(TaskFailed, match="StopIteration"):
        run_loop(wait_for(pool.submit(next, iter(()))))


def test_a_pool_uses_idle_dynos_and_stops_only_its_own(heroku):
    (kept,) = heroku.warm(1)
    with heroku.pool(jobs=2) as pool:
        calls = [pool.submit(lambda: __import__("time").sleep(3)) for _ in range(2)]
        _wait_for(lambda: sum(call.running() for call in calls) == 2)
        assert {dyno.state for dyno in heroku.warm()} == {"busy"}
        assert len(heroku.warm()) == 2
        assert [call.result(30) for call in calls] == [None, None]
        assert kept.calls == 1
        assert len(heroku.run("square", {"n": 2}, warm=True)) == 1  # on the dyno that is not the pool's
        assert kept.calls == 2
    assert [dyno.dyno for dyno in heroku.warm()] == [kept.dyno]


def test_the_boot_of_a_dyno_says_what_will_stop_it(server, use_as_heroku):
    use_as_heroku(server)
    said = []
    heroku = connect("shop", say=said.append)
    with heroku.pool(jobs=1, idle=90) as pool:
        assert pool.submit(pow, 2, 3).result() == 8
    heroku.warm(1)
    heroku.warm(0)
    pooled, kept = (text.partition(" s. ")[2] for text in said if "is warm after" in text)
    assert pooled.startswith("It stops with its pool, or after 1.5 min without a call")
    assert kept.startswith("It stops by itself after 5 min without a call")
    assert kept.endswith("`%heroku warm 0` stops it now.")


def test_a_dyno_that_breaks_ends_its_calls_with_an_error_and_is_replaced(heroku):
    with heroku.pool(jobs=1) as pool:
        call = pool.submit(time.sleep, 60)
        _wait_for(lambda: any(dyno.calls for dyno in heroku.warm()))
        (dyno,) = heroku.warm()
        _wait_for(call.running)
        heroku.stop(dyno.dyno)
        assert isinstance(error := call.exception(30), LogStreamError)
        assert "which may have run" in str(error)
        assert pool.submit(abs, -4).result(30) == 4
    assert heroku.warm() == []


def test_a_call_that_dies_or_stays_in_an_import_ends_and_is_not_repeated(heroku):
    with heroku.pool(jobs=1) as pool:
        assert "exit status 9" in str(pool.submit(pool.task("fatal"), 1).exception(30))
        assert [dyno.calls for dyno in heroku.warm()] == [1]
        assert pool.submit(abs, -4).result(30) == 4
    with heroku.executor("endless", warm=True, jobs=1, timeout=1) as executor:
        assert "the time limit of 1 s was reached" in str(executor.submit(executor.task, 1).exception(30))
        assert "the time limit of 1 s was reached" in str(executor.submit(time.sleep, 60).exception(30))


def test_the_calls_of_a_pool_wait_while_the_app_is_at_its_limit_and_can_be_cancelled(heroku):
    heroku.warm(0)
    others = [heroku.submit(code="import time\ntime.sleep(60)") for _ in range(2 * os.cpu_count())]
    try:
        while {run.state for run in others} != {"up"}:
            time.sleep(0.05)
        with heroku.pool(jobs=2) as pool:
            futures = [pool.submit(abs, -number) for number in range(3)]
            time.sleep(1.5)
            assert [future.done() for future in futures] == [False] * 3
            assert [future.cancel() for future in futures] == [True] * 3
        with heroku.pool(jobs=2) as pool:
            futures = [pool.submit(abs, -number) for number in range(3)]
            time.sleep(0.5)
            others.pop().cancel()
            assert [future.result(30) for future in futures] == [0, 1, 2]
    finally:
        for run in others:
            run.cancel()


def test_the_dyno_says_that_a_time_limit_ended_a_call_whatever_the_clocks_say(heroku, monkeypatch):
    monkeypatch.setattr(PoolRunner, "seconds", lambda _: 0.1)
    with heroku.executor("endless", warm=True, jobs=1, timeout=1) as executor:
        assert "the time limit of 1 s was reached" in str(executor.submit(time.sleep, 60).exception(30))


def test_a_connection_that_breaks_while_a_call_is_sent_ends_the_call_once(heroku, monkeypatch):
    send_call = WarmDyno._send_call

    def broken(dyno, call, *rest):
        monkeypatch.setattr(WarmDyno, "_send_call", send_call)
        dyno.downlink.calls[call.number] = call
        dyno._end()
        raise BrokenPipeError

    heroku.warm(1)
    with heroku.pool(jobs=1) as pool:
        monkeypatch.setattr(WarmDyno, "_send_call", broken)
        first, second = pool.submit(abs, -1), pool.submit(abs, -2)
        assert "may have run" in str(first.exception(30))
        assert second.result(30) == 2


def test_calls_are_added_while_others_end(heroku):
    dyno = WarmDyno(heroku.client, bare_spec(heroku, "warm dyno", None), None, idle=1, on_change=lambda: None)
    usual, ended = sys.getswitchinterval(), threading.Event()

    def add():
        for number in itertools.cycle(range(50)):
            dyno.downlink.calls[number] = None
            dyno.downlink.calls.pop((number + 25) % 50, None)
            if ended.is_set():
                return

    adding = threading.Thread(target=add)
    sys.setswitchinterval(1e-6)
    try:
        adding.start()
        for _ in range(20_000):
            dyno.downlink.running_call()
    finally:
        sys.setswitchinterval(usual)
        ended.set()
        adding.join()


def test_an_initializer_runs_before_each_call_and_breaks_the_pool_if_it_fails(heroku):
    def prepare(name, value):
        __import__("os").environ[name] = value

    with heroku.pool(jobs=1, initializer=prepare, initargs=("READY", "yes")) as pool:
        assert list(pool.map(lambda _: __import__("os").environ["READY"], range(2))) == ["yes", "yes"]
    with heroku.pool(jobs=1, initializer=lambda: 1 / 0) as pool:
        calls = [pool.submit(abs, -1) for _ in range(3)]
        for call in calls:
            assert isinstance(call.exception(30), BrokenExecutor)
        with pytest.raises(BrokenExecutor, match="initializer of the pool failed: ZeroDivisionError") as caught:
            pool.submit(abs, -1)
        assert "error.run" not in str(caught.value)  # it has none


def test_calls_without_isolation_share_a_process_and_what_an_initializer_has_prepared(heroku):
    prepared, counts = [], {}

    def prepare(text):
        prepared.append((os.getpid(), text))

    def count(name):
        counts[name] = counts.get(name, 0) + 1
        return os.getpid(), counts[name], prepared

    with heroku.pool(jobs=1, isolate=False, initializer=prepare, initargs=("model",)) as pool:
        *results, last = pool.map(count, "aba")
        assert pool.submit(os.getpid).result() == last[0] != os.getpid()
        assert pool.submit(count, "a").result()[1:] == (3, [(last[0], "model")])  # another function ran in between
    assert [number for _, number, _ in [*results, last]] == [1, 1, 2]
    assert last[2] == [(last[0], "model")]
    assert (prepared, counts) == ([], {})  # here


def test_the_state_of_the_functions_used_last_is_kept(heroku):
    def counter(number):
        calls = []

        def count():
            calls.append(number)
            return len(calls)

        return count

    one, *others = map(counter, range(9))
    with heroku.pool(jobs=1, isolate=False) as pool:
        assert [pool.submit(one).result() for _ in range(2)] == [1, 2]
        assert [pool.submit(other).result() for other in others[:7]] == [1] * 7
        assert [pool.submit(fn).result() for fn in (one, others[0])] == [3, 2]
        assert [pool.submit(fn).result() for fn in (others[7], others[1])] == [1, 1]  # the one used longest ago is gone
        assert pool.submit(one).result() == 4


def test_a_crash_without_isolation_takes_the_state_with_it_but_not_the_dyno(heroku):
    prepared = []

    def crash_or_count(is_last):
        prepared.append(os.getpid())
        return os._exit(3) if is_last else len(prepared)

    with heroku.pool(jobs=1, isolate=False, initializer=lambda: prepared.append("ready")) as pool:
        assert [pool.submit(crash_or_count, False).result() for _ in range(2)] == [2, 3]
        with pytest.raises(TaskFailed):
            pool.submit(crash_or_count, True).result()
        assert pool.submit(crash_or_count, False).result() == 2
        assert len(pool.usage._dynos) == 1


def test_calls_with_and_without_isolation_use_different_dynos(heroku):
    with heroku.pool(jobs=1) as isolated, heroku.pool(jobs=1, isolate=False) as shared:
        ids = [[pool.submit(os.getppid).result() for _ in range(2)] for pool in (isolated, shared)]
        assert len(heroku.dynos()) == 2
    assert ids[0][0] == ids[0][1] != ids[1][0] == ids[1][1]


def test_cancelling_a_call_without_isolation_leaves_the_ones_behind_it(heroku):
    with heroku.pool(jobs=1, isolate=False) as pool:
        assert pool.submit(abs, -1).result() == 1
        long, after = pool.submit(time.sleep, 60), pool.submit(abs, -2)
        while not long.running():
            time.sleep(0.01)
        assert long.cancel()
        assert after.result(20) == 2


class Reader:
    """An object that a process makes anew when it reads a function that uses it."""

    def __init__(self, opens=None):
        self.opens, self.reader, self.file = opens, os.getpid(), None

    def __getstate__(self):
        return {"opens": self.opens}

    def __setstate__(self, state):
        self.__init__(opens := state["opens"])
        if opens == "thread":
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        elif opens == "folder":
            self.file = tempfile.TemporaryDirectory()
        elif opens == "exit":
            atexit.register(os.getpid)
        elif opens == "variable":
            os.environ["READER"] = str(os.getpid())
        elif opens == "numbers":
            random.random()
        elif opens:
            self.file = Path(opens).open()  # noqa: SIM115 - it stays open


@pytest.mark.parametrize(
    ("opens", "calls"),
    [(None, 1), *((opens, 4) for opens in ("/dev/null", "thread", "folder", "exit", "variable", "numbers"))],
)
def test_a_dyno_reads_a_function_once_unless_reading_changes_its_process(opens, calls, heroku):
    reader, used = Reader(opens), []

    def use():
        used.append("once")
        return os.getpid(), reader.reader, len(used)

    with heroku.pool(jobs=1) as pool:
        results = [pool.submit(use).result() for _ in range(4)]
    readers = [reader for _, reader, _ in results]
    assert len({pid for pid, _, _ in results}) == 4
    assert [count for _, _, count in results] == [1] * 4
    assert readers[0] == results[0][0]  # the first call finds out what reading does
    assert len(set(readers[1:])) == (1 if calls == 1 else 3)
    assert (readers[1:] == [pid for pid, _, _ in results[1:]]) == (calls == 4)


class Ring:
    """An object that refers to itself, and notes in a file which process frees it."""

    def __init__(self, file):
        self.file, self.itself, self.data = file, self, bytes(11_000_000)

    def __del__(self):
        with Path(self.file).open("a", encoding="ascii") as freed:
            freed.write(f"{os.getpid()}\n")


def test_a_dyno_frees_a_function_once_another_one_is_called(heroku, tmp_path):
    def user_of(ring):
        return lambda: (ring.file, os.getppid())[1]

    files = [tmp_path / "first", tmp_path / "second"]
    with heroku.pool(jobs=1) as pool:
        parents = {pool.submit(user_of(Ring(file))).result() for file in files for _ in range(3)}
        (parent,) = parents
        assert f"{parent}\n" in files[0].read_text()


class Client:
    """An object that looks its token up when it is read."""

    def __init__(self):
        self.token = os.environ.get("PHRASE")

    def __reduce__(self):
        return Client, ()


def test_a_function_that_looks_up_a_secret_when_it_is_read_finds_that_of_its_call(heroku, monkeypatch):
    client = Client()
    found = []
    for phrase in ("open sesame", "swordfish"):
        monkeypatch.setenv("PHRASE", phrase)
        call = heroku.function(lambda: len(client.token or ""), warm=True, secrets=["PHRASE"], quiet=True)
        found += [call.remote() for _ in range(3)]
    look = heroku.function(lambda: "PHRASE" in os.environ, warm=True, quiet=True)
    found += [look.remote() for _ in range(2)]
    assert found == [11, 11, 11, 9, 9, 9, False, False]


def test_a_function_keeps_its_state_once_calls_share_a_process_because_of_an_import(server, heroku):
    package = server.folder / "site-packages"
    package.mkdir()
    starts = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    (package / "starts_a_thread.py").write_text(starts)
    heroku.set_config("PYTHONPATH", Secret(str(package)))
    used = []

    def use():
        import starts_a_thread  # noqa: F401

        used.append("once")
        return len(used)

    with heroku.pool(jobs=1) as pool:
        counts = [pool.submit(use).result() for _ in range(4)]
    heroku.unset_config("PYTHONPATH")
    assert counts == [1, 1, 2, 3]


def test_a_large_function_is_not_measured_for_an_error_that_nobody_gets(heroku, monkeypatch):
    large = os.urandom(100_000)
    with heroku.pool(jobs=1) as pool, monkeypatch.context() as patch:
        patch.setattr(CallBundle, "_part_sizes", lambda *_: pytest.fail("this compresses everything once more"))
        assert [*pool.map(lambda at: large[at], range(2))] == [*large[:2]]
    with pytest.raises(InputTooLarge, match=r"of them are code\..* Without --detach it may be of any size"):
        heroku.submit(code=lambda: len(large), detach=True)


def test_a_dyno_that_has_read_a_function_uses_the_new_version_of_its_module(heroku, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def call():
        import swift_rules

        return swift_rules.factor

    for isolate in (True, False):
        found = []
        with heroku.pool(jobs=1, isolate=isolate) as pool:
            for factor in (2, 2, 2, 30):
                (tmp_path / "swift_rules.py").write_text(f"factor = {factor}\n")
                sys.modules.pop("swift_rules", None)
                importlib.invalidate_caches()
                found.append(pool.submit(call).result())
        assert found == [2, 2, 2, 30]


@pytest.mark.parametrize("isolate", [True, False])
def test_each_call_finds_the_functions_and_classes_of_the_notebook_by_their_names(isolate, heroku):
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    source = """
    import pickle

    class Point:
        def __init__(self, x):
            self.x = x

    def double(point):
        return 2 * point.x

    def call(point):
        assert isinstance(point, Point)
        twice = pickle.loads(pickle.dumps(double))
        return twice(pickle.loads(pickle.dumps(point)))
    """
    exec(textwrap.dedent(source), names)
    with heroku.pool(jobs=1, isolate=isolate) as pool:
        assert [pool.submit(names["call"], names["Point"](x)).result() for x in range(4)] == [0, 2, 4, 6]


def test_a_failure_shows_no_lines_of_what_the_pool_wraps_around_a_function(heroku):
    def fails(n):
        return 1 // n

    with heroku.pool(jobs=1, initializer=len, initargs=("",)) as pool, pytest.raises(ZeroDivisionError) as caught:
        next(pool.map(fails, [0, 1], chunksize=2))
    assert "return 1 // n" in str(caught.value)
    assert str(caught.value).count("→") == 1


def test_shutdown_ends_the_dynos_once_the_calls_have_ended(heroku):
    pool = heroku.pool(jobs=1)
    calls = [pool.submit(time.sleep, 0.2) for _ in range(3)]
    _wait_for(calls[0].running)
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, -1)
    assert calls[0].result(30) is None
    assert calls[2].cancelled()
    _wait_for(lambda: heroku.warm() == [])


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"jobs": 0}, "jobs is 0"), ({"jobs": 1000}, "1000 warm dynos"), ({"idle": 0}, "idle is 0")],
)
def test_a_pool_that_cannot_exist_is_refused(heroku, options, expected):
    with pytest.raises(InvalidOptions, match=expected):
        heroku.pool(**options)
    with pytest.raises(TypeError, match="callable"):
        heroku.pool(initializer=3)


def test_the_idle_time_of_a_dyno_begins_anew_with_the_end_of_each_call(heroku):
    with heroku.pool(jobs=1, idle=60) as pool:
        first, second = (pool.submit(time.sleep, seconds) for seconds in (1.5, 30))
        first.result()
        _wait_for(second.running)  # so that the pool has not given the dyno back
        (dyno,) = heroku.warm()
        assert 60 - dyno.idle_left < dyno.seconds - 1
        second.cancel()


def test_a_dyno_that_is_never_idle_goes_on(heroku):
    def process(_):
        time.sleep(0.5)
        return os.getppid()

    with heroku.pool(jobs=1, idle=4) as pool:
        assert len({*pool.map(process, range(10))}) == 1


def test_calls_do_not_wait_for_a_dyno_of_an_earlier_release_to_end(heroku):
    with heroku.pool(jobs=1) as pool:
        first = [pool.submit(time.sleep, 0.5) for _ in range(2)]
        _wait_for(first[0].running)
        heroku.set_config("NEW_VALUE", Secret("1"))
        rest = [pool.submit(os.environ.get, "NEW_VALUE") for _ in range(3)]
        assert [one.result(30) for one in rest] == ["1"] * 3
    heroku.unset_config("NEW_VALUE")


@pytest.mark.parametrize(("release", "expected"), [(3, True), (4, False), (None, True)])
def test_a_dyno_takes_calls_unless_another_release_is_known(release, expected):
    spec = SimpleNamespace(kind="kind", timeout=10)
    info = SimpleNamespace(release=SimpleNamespace(version=3))
    dyno = SimpleNamespace(info=info, spec=spec, idle_left=100.0, seconds_left=80_000.0, running=lambda: True)
    assert WarmDynos(None, lambda: release).can_take(dyno, spec) is expected


@pytest.fixture
def distant(embedded_heroku, use_as_heroku, tmp_path, monkeypatch):
    """An app 0.2 s away, and how many calls each dyno had ahead at the moment of each call."""
    folder = make_worker(tmp_path / "far")
    use_as_heroku(embedded_heroku("--app", f"far={folder}", "--time", "round-trip=0.2"))
    ahead, call = [], WarmDyno.call

    def counted(dyno, *args, **options):
        ahead.append(len(dyno.downlink.calls))
        return call(dyno, *args, **options)

    monkeypatch.setattr(WarmDyno, "call", counted)
    heroku = connect("far", say=lambda _: None)
    yield heroku, ahead
    heroku.warm(0)


def test_short_calls_are_sent_ahead_and_long_ones_are_not(distant):
    heroku, ahead = distant
    heroku.warm(2)
    with heroku.pool(jobs=1) as pool:
        assert list(pool.map(abs, range(60))) == [*range(60)]
        assert 4 <= max(ahead) <= 32
        ahead.clear()
        assert list(pool.map(time.sleep, [0.4] * 4)) == [None] * 4
        ahead.clear()
        assert list(pool.map(time.sleep, [0.4] * 3)) == [None] * 3
        assert max(ahead) == 0


def test_calls_behind_a_long_one_move_to_another_dyno(distant):
    heroku, ahead = distant
    heroku.warm(2)
    with heroku.pool(jobs=2) as pool:
        list(pool.map(abs, range(30)))
        ahead.clear()
        long = pool.submit(time.sleep, 60)
        short = [pool.submit(abs, n) for n in range(20)]
        assert [one.result(30) for one in short] == [*range(20)]
        assert not long.done()
        long.cancel()


def test_all_calls_on_a_dyno_that_breaks_are_named(distant):
    heroku, _ = distant
    (dyno,) = heroku.warm(1)
    with heroku.pool(jobs=1) as pool:
        list(pool.map(abs, range(20)))
        calls = [pool.submit(time.sleep, 60) for _ in range(3)]
        _wait_for(lambda: len(dyno.downlink.calls) > 1)
        sent = len(dyno.downlink.calls)
        heroku.stop(dyno.dyno)
        for call in calls[:sent]:
            assert "may have run" in str(call.exception(30))
        pool.cancel()


def test_a_call_that_leaves_a_pool_of_processes_open_ends(heroku):
    def squares():
        from concurrent.futures import ProcessPoolExecutor

        left_open = ProcessPoolExecutor(2)
        return list(left_open.map(pow, range(4), [2] * 4))

    with heroku.pool(jobs=1) as pool:
        assert [future.result(30) for future in [pool.submit(squares) for _ in range(2)]] == [[0, 1, 4, 9]] * 2
