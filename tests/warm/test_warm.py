"""Calls on warm dynos give what runs on dynos of their own give, without a boot, and do not change each other."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import re
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import psutil
import pytest
from workers import make_worker

from heroku_magic import RunCancelled, TaskFailed, connect
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import InvalidOptions, LogStreamError, ResultIncomplete
from heroku_magic.text.secret import Secret
from heroku_magic.warm.warm_dyno import WarmDyno

TASK = """
    import os, sys, time
    from heroku_task import Secret, emit, emit_file, metric, progress, task
    print("imported")
    calls = []

    @task
    def count(n: int = 3, how: str = "", token: Secret = Secret("")):
        calls.append(n)
        print("out", n, len(calls), flush=True)
        print("err", token, file=sys.stderr, flush=True)
        if how == "raise":
            raise ValueError("no luck")
        if how == "exit":
            os._exit(7)
        if how == "crash":
            os.kill(os.getpid(), 11)
        if how == "sleep":
            time.sleep(60)
        if how == "memory":
            held = b"x" * (480 << 20)
            time.sleep(60)
        if how == "stubborn":
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        if how == "forge":
            os.write(1, b"@hm1 00000000 0 end 000000000000000000000000 {}\\n")
        if how == "argv":
            print(sys.argv)
        if how == "file":
            open("a.txt", "w").write("content")
            emit_file("a.txt")
            metric("loss", 0.5)
        for i in progress(range(n)):
            yield {"i": i}
    """


EARLY = """
    import heroku_task
    from heroku_task import emit, task
    print("key:", repr(heroku_task._sender._run_id))
    emit({"i": -1})

    @task
    def early():
        yield {"i": 0}
    """
STUCK = """
    import os, time
    from heroku_task import task
    time.sleep(600)

    @task
    def stuck(): ...
    """
LOADED = """
    import threading, time
    from heroku_task import task, warm_up

    @warm_up
    def load():
        global model
        model = time.monotonic()
        print("loaded")

    @task
    def loaded():
        print("model", model)
    """
THREADED = """
    import threading, time
    from heroku_task import task
    threading.Thread(target=time.sleep, args=(600,), name="keeper", daemon=True).start()
    calls = []

    @task
    def threaded(how: str = ""):
        calls.append(how)
        if how == "crash":
            import os
            os._exit(7)
        return [{"calls": len(calls)}]
    """


SEEDED = """
    import random
    from heroku_task import task
    random.seed(7)

    @task
    def seeded():
        return [{"x": random.random()}]
    """
MOVED = """
    import logging, os, random, signal, tempfile
    from heroku_task import task
    random.seed(7)
    logging.basicConfig(level="DEBUG")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.chdir(tempfile.gettempdir())

    @task
    def moved():
        ignores = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        level = logging.getLogger().level
        is_moved = os.getcwd() == os.path.realpath(tempfile.gettempdir())
        return [{"is_moved": is_moved, "ignores": ignores, "level": level}]
    """
SEPARATE = """
    import logging, os
    from heroku_task import task

    @task
    def {name}():
        return [{{"process": os.getppid(), "level": logging.getLogger().level}}]
    """
FOLDERED = """
    import os, tempfile
    from heroku_task import task
    folder = tempfile.TemporaryDirectory()

    @task
    def foldered():
        return [{"exists": os.path.isdir(folder.name)}]
    """
SURROUNDED = """
    import os
    from heroku_task import task
    before = {*os.environ}

    @task
    def surrounded():
        yield {"new": sorted({*os.environ} - before)}
    """
CONNECTED = THREADED.replace("threaded", "connected").replace(
    'threading.Thread(target=time.sleep, args=(600,), name="keeper", daemon=True).start()',
    "import socket; ends = socket.socketpair()",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory, processes):
    folder = make_worker(
        tmp_path_factory.mktemp("warm") / "shop",
        {"other": "echo hi"},
        count=TASK,
        stuck=STUCK,
        early=EARLY,
        loaded=LOADED,
        threaded=THREADED,
        connected=CONNECTED,
        seeded=SEEDED,
        moved=MOVED,
        **{name: SEPARATE.format(name=name) for name in (f"separate_{number}" for number in range(4))},
        foldered=FOLDERED,
        surrounded=SURROUNDED,
    )
    return embedded(folder)


@pytest.fixture
def heroku(server, use_as_heroku):
    use_as_heroku(server)
    heroku = connect("shop", say=lambda _: None)
    yield heroku
    heroku.warm(0)


def names(heroku):
    return [dyno.name for dyno in heroku.dynos()]


def test_calls_share_a_dyno_and_nothing_else(heroku):
    runs = [heroku.submit("count", {"n": n}, warm=True) for n in (0, 1, 2)]
    frames = [run.result(60) for run in runs]

    assert [frame["i"].tolist() if len(frame) else [] for frame in frames] == [[], [0], [0, 1]]
    assert all(frame.attrs["heroku"]["verified"] for frame in frames)
    assert len({run.dyno for run in runs}) == 1 == len(names(heroku))
    assert all(f"out {n} 1" in run.logs() for n, run in enumerate(runs))  # each sees a module without earlier calls
    assert ["imported" in run.logs() for run in runs] == [True, False, False]
    assert [dyno.calls for dyno in heroku.warm()] == [3]


@pytest.mark.parametrize(
    ("how", "status", "expected"), [("raise", 1, "no luck"), ("exit", 7, "status 7"), ("crash", 139, "SIGSEGV")]
)
def test_a_call_that_fails_or_crashes_ends_the_call_and_not_the_dyno(heroku, how, status, expected):
    heroku.warm(1)
    failed = heroku.submit("count", {"how": how}, warm=True)
    assert expected in str(failed.exception(60))
    assert isinstance(failed.exception(), TaskFailed)
    assert failed.exit_status == status
    assert "err" in failed.logs()

    after = heroku.submit("count", warm=True)
    assert len(after.result(60)) == 3
    assert after.dyno == failed.dyno


def test_a_call_that_has_not_begun_when_the_one_before_kills_its_parent_runs_in_another(heroku):
    def kill_the_parent_later():
        import os
        import signal
        import subprocess

        parent = os.getppid()
        os.kill(parent, signal.SIGSTOP)
        subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {parent}"], start_new_session=True)
        return parent

    with heroku.pool(jobs=1) as pool:
        first = pool.submit(kill_the_parent_later).result()
        assert pool.submit(os.getppid).result() != first


@pytest.mark.parametrize("how", ["sleep", "stubborn"])
def test_cancelling_a_call_leaves_the_dyno(heroku, how):
    heroku.warm(1)
    run = heroku.submit("count", {"how": how}, warm=True)
    deadline = time.monotonic() + 30
    while "out" not in run.logs() and time.monotonic() < deadline:
        time.sleep(0.02)
    run.cancel()
    with pytest.raises(RunCancelled, match="stays warm"):
        run.result(30)
    assert len(heroku.run("count", warm=True)) == 3
    assert names(heroku) == [run.dyno]


def test_the_timeout_is_that_of_the_call(heroku):
    heroku.warm(1)
    run = heroku.submit("count", {"how": "sleep"}, warm=True, timeout=1)
    assert "time limit of 1 s" in str(run.exception(30))
    assert "The call has used 80% of its time limit of 1 s; --timeout extends it." in {
        getattr(event, "note", None) for event in run
    }
    assert "dyno was stopped" not in run.logs()
    assert len(heroku.run("count", warm=True)) == 3


def test_files_metrics_secrets_and_printed_records_are_as_in_other_runs(heroku, monkeypatch):
    monkeypatch.setenv("token", "hunter2-hunter2")
    run = heroku.submit("count", {"how": "file"}, warm=True, secrets=["token"])
    assert len(run.result(60)) == 3
    assert run.files == {"a.txt": b"content"}
    assert run.metrics["value"].tolist() == [0.5]
    assert "hunter2" not in run.logs()

    forged = heroku.submit("count", {"how": "forge"}, warm=True)
    assert len(forged.result(60)) == 3
    assert "@hm1 00000000" in forged.logs()


@pytest.mark.parametrize("warm", [True, False])
def test_a_task_has_the_command_line_of_its_own_script(heroku, warm):
    run = heroku.submit("count", {"how": "argv"}, warm=warm)
    run.result(60)
    assert "['count.py']" in run.logs()


def test_cells_and_functions_run_on_the_same_dyno(heroku):
    values = heroku.run(code="import os\n[{'n': n * n, 'pid': os.getpid()}]", parameters={"n": 12}, warm=True)
    assert values["n"].tolist() == [144]

    with pytest.raises(ResultIncomplete, match=r"\(os._exit\(\) leaves it out\)"):
        heroku.run(code="import os\nos._exit(0)", warm=True)

    @heroku.function(warm=True)
    def add(a, b=1):
        return {"sum": a + b, "tuple": (a, b)}

    assert add.remote(2, b=3) == {"sum": 5, "tuple": (2, 3)}
    assert add.remote(1) == {"sum": 2, "tuple": (1, 1)}
    assert len(heroku.warm()) == 1


def test_a_large_result_arrives_exactly_and_fast_output_is_not_lost(heroku):
    code = "for i in range(20_000):\n    print('line', i)\n[{'i': i, 'text': 'x' * 50} for i in range(20_000)]"
    run = heroku.submit(code=code, warm=True)
    assert run.result(120)["i"].tolist() == list(range(20_000))
    assert run.logs().splitlines()[-1] == "line 19999"
    assert run.logs().count("line ") == 20_000


@pytest.mark.parametrize(
    ("task", "options", "expected"),
    [
        ("count", {"detach": True}, "cannot be combined"),
        (None, {"command": "ls"}, "not commands"),
        ("other", {}, "runs `echo hi`.*python -m heroku_task NAME"),
    ],
)
def test_what_a_warm_dyno_cannot_run_is_refused_before_one_starts(heroku, task, options, expected):
    with pytest.raises(InvalidOptions, match=expected):
        heroku.submit(task, warm=True, **options)
    assert heroku.warm() == []


def test_text_that_looks_like_a_line_of_heroku_does_not_end_a_call(heroku):
    code = "print('State changed from up to complete', flush=True)\nimport time; time.sleep(0.5)\n[{'n': 1}]"
    first = heroku.submit(code=code, warm=True)
    assert first.wait_for_dyno(30)
    second = heroku.submit(code="print('second')\n[{'n': 2}]", warm=True)
    assert (first.result(60)["n"].tolist(), second.result(60)["n"].tolist()) == ([1], [2])
    assert first.logs() == "State changed from up to complete"
    assert second.logs() == "second"
    assert first.dyno == second.dyno


def test_lines_of_any_length_arrive_in_full(heroku):
    code = "import sys\nprint('é' * 6_000_000)\nprint('b', end='')\nprint('c' * 3, file=sys.stderr, end='')\n[{'n': 1}]"
    run = heroku.submit(code=code, warm=True)
    assert run.result(120)["n"].tolist() == [1]
    assert sorted(line.replace("é", "") or len(line) for line in run.logs().split("\n") if line[0] != "é") == [
        "b",
        "ccc",
    ]
    assert max(map(len, run.logs().split("\n"))) == 6_000_000


def test_programs_that_a_call_leaves_behind_end_with_it(heroku):
    code = "import subprocess\n[{'pid': subprocess.Popen(['sleep', '987']).pid}]"
    (pid,) = heroku.run(code=code, warm=True)["pid"]
    deadline = time.monotonic() + 10
    while _runs(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(int(pid))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_call_finds_neither_the_key_of_the_connection_nor_that_of_the_run(heroku):
    run = heroku.submit("early", warm=True)
    run.result(60)
    assert "key: ''" in run.logs()  # while the module is imported before the call
    shown = heroku.submit(code="print(open('/proc/self/environ').read().replace(chr(0), ' '))", warm=True)
    shown.result(60)
    assert "RUN_KEY=hm-" in shown.logs()
    assert not re.search(r"hm-[0-9a-f]{8}:[0-9a-f]{64}", shown.logs())


def test_rows_that_a_module_emits_while_it_is_imported_arrive_in_every_call(heroku):
    for _ in range(2):
        assert heroku.run("early", warm=True)["i"].tolist() == [-1, 0]
    assert heroku.run("early")["i"].tolist() == [-1, 0]


def test_an_import_that_does_not_end_ends_with_the_timeout(heroku, server):
    (server.folder / "endless.py").write_text("import time\ntime.sleep(600)\n")
    code = "import endless"
    run = heroku.submit(code=code, warm=True, timeout=1)
    assert run.exception(30) is not None
    assert len(heroku.run("count", warm=True)) == 3

    stuck = heroku.submit("stuck", warm=True, timeout=1)
    with pytest.raises(TaskFailed, match="the time limit of 1 s was reached"):
        stuck.result(30)
    assert stuck.dyno == run.dyno
    assert len(heroku.run("count", warm=True)) == 3
    assert [dyno.dyno for dyno in heroku.warm()] == [run.dyno]


def test_a_call_that_fills_the_dyno_ends_and_says_so(heroku):
    run = heroku.submit("count", {"how": "memory"}, warm=True)
    with pytest.raises(TaskFailed, match="out of memory") as error:
        run.result(60)
    assert "try --size standard-2x" in str(error.value)
    assert heroku.submit("count", warm=True).result(60).attrs["heroku"]["dyno"] == run.dyno


def test_memory_that_the_processes_of_a_call_share_counts_once(heroku):
    code = """
        import multiprocessing, time
        held = b"x" * (120 << 20)
        workers = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(1,)) for _ in range(5)]
        [one.start() for one in workers]
        [one.join() for one in workers]
        [one.exitcode for one in workers]
        """
    assert heroku.submit(code=code, warm=True).result(60)["value"].tolist() == [0] * 5


def test_a_warm_up_runs_once_for_all_calls_and_also_on_a_dyno_of_its_own(heroku):
    runs = [heroku.submit("loaded", warm=warm) for warm in (True, True, False)]
    logs = [(run.result(60), run.logs())[1] for run in runs]
    assert [log.count("loaded") for log in logs] == [1, 0, 1]
    models = [re.search(r"model (\S+)", log)[1] for log in logs]
    assert models[0] == models[1] != models[2]


@pytest.mark.parametrize(
    ("task", "reason"), [("threaded", "has started the thread keeper"), ("connected", "has opened a connection")]
)
def test_calls_share_a_process_if_an_import_has_opened_what_a_fork_would_lose(heroku, task, reason):
    first, second = (heroku.submit(task, warm=True) for _ in range(2))
    assert [run.result(60)["calls"].tolist() for run in (first, second)] == [[1], [2]]
    assert f"because an import {reason}" in first.logs()
    assert "because an import" not in second.logs()

    assert heroku.submit(task, {"how": "crash"}, warm=True).exception(60) is not None
    third = heroku.run(task, warm=True)
    assert third["calls"].tolist() == [1]
    assert third.attrs["heroku"]["dyno"] == first.dyno


def test_calls_draw_other_random_numbers(packed):
    heroku = connect(worker=packed, say=lambda _: None)
    code = "import pandas, random, numpy\n[{'x': random.random(), 'y': float(numpy.random.rand())}]"
    draws = [heroku.run(code=code, warm=True).iloc[0] for _ in range(4)]
    assert len({row["x"] for row in draws}) == len({row["y"] for row in draws}) == 4
    heroku.warm(0)


def test_random_numbers_that_a_task_seeds_are_those_of_a_dyno_of_its_own(heroku):
    seeded = [heroku.run("seeded", warm=warm)["x"].tolist() for warm in (False, True, True)]
    assert seeded == [[random.Random(7).random()]] * 3


def test_what_the_import_of_a_task_sets_reaches_the_calls_of_this_task_only(heroku):
    looks = "import logging, os, random\n[{'app': os.path.exists('Procfile'), 'x': random.random(), "
    looks += "'level': logging.getLogger().level}]"
    looked = []
    for _ in range(2):
        for _ in range(2):
            assert heroku.run("moved", warm=True).to_dict("records") == [
                {"is_moved": True, "ignores": True, "level": logging.DEBUG}
            ]
        looked.append(heroku.run(code=looks, warm=True).iloc[0].to_dict())
        assert heroku.run("seeded", warm=True)["x"].tolist() == [random.Random(7).random()]
        assert len(heroku.run("count", warm=True)) == 3
        assert heroku.run("separate_0", warm=True)["level"].tolist() == [logging.WARNING]
    assert [(one["app"], one["level"]) for one in looked] == [(True, logging.WARNING)] * 2
    assert looked[0]["x"] != looked[1]["x"]
    assert [dyno.calls for dyno in heroku.warm()] == [12]


def test_each_of_three_tasks_has_a_process_and_a_fourth_takes_the_place_of_the_oldest(heroku):
    def process(number):
        return heroku.run(f"separate_{number}", warm=True)["process"].iloc[0]

    first = [process(number) for number in (0, 1, 2)]
    assert len({*first}) == 3
    assert [process(number) for number in (2, 1, 0)] == first[::-1]
    fourth = process(3)
    assert fourth not in first
    assert [process(number) for number in (0, 1)] == first[:2]
    assert not psutil.pid_exists(first[2])
    assert process(2) not in (*first, fourth)


def test_a_folder_of_an_import_outlives_the_first_call(heroku):
    assert [heroku.run("foldered", warm=True)["exists"].tolist() for _ in range(3)] == [[True]] * 3


def test_an_error_shows_the_cell_that_raised_it_after_other_cells_have_run(heroku):
    def shown(code):
        with pytest.raises(TaskFailed) as failed:
            heroku.run(code=code, warm=True)
        time.sleep(0.05)  # for a rehearsal of the next call
        return [line in str(failed.value) for line in ("| one = 1 / 0", "| two = 2 / 0")]

    codes = ["one = 1 / 0", "one = 1 / 0", "two = 2 / 0", "one = 1 / 0"]
    assert [shown(code) for code in codes] == [[True, False], [True, False], [False, True], [True, False]]


def test_a_cell_that_has_ended_the_process_that_keeps_state_can_run_again(heroku, tmp_path):
    code = f"import os, pathlib\nmark = pathlib.Path({str(tmp_path / 'mark')!r})\nis_second = mark.exists()\nmark.touch()\n"
    code += "is_second or os._exit(3)\n[{'n': 1}]"
    with pytest.raises(TaskFailed, match="exit status 3"):
        heroku.run(code=code, warm=True, isolate=False)
    assert heroku.run(code=code, warm=True, isolate=False)["n"].tolist() == [1]


@pytest.mark.parametrize(
    ("end", "status", "shown"),
    [("raise ValueError('no luck')", 1, "ValueError: no luck"), ("sys.exit(4)", 4, ""), ("sys.exit('bad')", 1, "bad")],
)
def test_a_process_that_a_call_has_forked_ends_as_python_does(heroku, end, status, shown):
    code = f"import os, sys\nif (child := os.fork()) == 0:\n    {end}\n"
    run = heroku.submit(code=f"{code}[{{'n': os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}}]", warm=True)
    assert run.result(60)["n"].tolist() == [status]
    assert shown in run.logs()


def test_processes_forked_from_the_notebook_have_connections_and_warm_dynos_of_their_own(heroku):
    context = multiprocessing.get_context("fork")
    values, (dyno,) = context.SimpleQueue(), heroku.warm(1)

    def call(n):
        values.put(heroku.run(code=f"[{{'n': {n}}}]", warm=n % 2 == 1)["n"].item())

    time.sleep(0.2)  # a thread that ends at a fork may hold a lock of OpenSSL, which the child would wait for for ever
    # A computer with two cores has room for four dynos.
    children = [context.Process(target=call, args=(n,)) for n in range(3)]
    try:
        for child in children:
            child.start()
        for child in children:
            child.join(30)
        assert [child.exitcode for child in children] == [0] * 3
    finally:
        for child in children:
            child.kill()
    assert sorted(values.get() for _ in children) == [0, 1, 2]
    assert heroku.run(code="[{'n': 4}]", warm=True).attrs["heroku"]["dyno"] == dyno.dyno
    assert dyno.calls == 1


@pytest.mark.parametrize("warm", [True, False])
def test_an_executor_is_refused_in_a_process_that_was_forked(heroku, warm):
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()
    with heroku.executor(warm=warm, jobs=1) as executor:
        assert executor.submit(abs, -1).result(60) == 1

        def submit():
            try:
                executor.submit(abs, -2)
            except BrokenExecutor as error:
                said.put(str(error))
            os._exit(0)

        child = context.Process(target=submit)
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert "Create another one here" in said.get()
        assert executor.submit(abs, -3).result(60) == 3


def test_an_object_among_the_modules_whose_attributes_cannot_be_read_is_skipped(heroku):
    code = "import sys\nclass Lazy:\n    def __getattr__(self, name): raise ImportError(name)\n"
    table = heroku.run(code=code + "sys.modules['lazy'] = Lazy()\n[{'n': 1}]", warm=True)
    assert table["n"].tolist() == [1]


def test_a_rehearsal_leaves_nothing_in_the_environment_of_a_call(heroku):
    for _ in range(3):
        assert heroku.run("surrounded", warm=True)["new"].tolist() == [[]]
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux to see the processes of a dyno")
def test_the_process_of_the_next_call_is_forked_while_a_call_runs(heroku):
    code = """
        import os, time
        time.sleep(0.5)  # until the process of the call before has ended
        parent, until = os.getppid(), time.monotonic() + 20
        while time.monotonic() < until:
            with open(f"/proc/{parent}/task/{parent}/children") as children:
                others = [one for one in map(int, children.read().split()) if one != os.getpid()]
            others = [one for one in others if open(f"/proc/{one}/stat").read().split(") ")[1][0] != "Z"]
            if others:
                break
            time.sleep(0.01)
        [{"own": os.getpid(), "next": others}]
        """
    heroku.run(code="1", warm=True)
    first, second = (heroku.run(code=textwrap.dedent(code), warm=True).iloc[0] for _ in range(2))
    assert first["next"] == [second["own"]]


def test_calls_that_are_not_isolated_share_their_state_on_a_dyno_of_their_own(heroku):
    counts = [heroku.submit("count", {"n": 1}, warm=True, isolate=False) for _ in range(3)]
    assert {re.search(r"out 1 (\d)", (run.result(60), run.logs())[1])[1] for run in counts} == {"1", "2", "3"}
    other = heroku.submit("count", {"n": 1}, warm=True)
    assert "out 1 1" in (other.result(60), other.logs())[1]
    assert {run.dyno for run in counts} != {other.dyno}
    assert sorted("keeps state" in dyno.state for dyno in heroku.warm()) == [False, True]

    code = "import json\njson.calls = getattr(json, 'calls', 0) + 1\n[{'calls': json.calls}]"
    tables = [heroku.run(code=code, warm=True, isolate=False) for _ in range(2)]
    assert [table["calls"].tolist() for table in tables] == [[1], [2]]


def test_a_pool_of_threads_and_a_thread_stay_where_calls_keep_state(heroku):
    begin = (
        "import json, threading\nfrom concurrent.futures import ThreadPoolExecutor\njson.pool = ThreadPoolExecutor(1)\n"
    )
    use = "import json, time\n[{'n': json.pool.submit(abs, -3).result()}]"
    assert heroku.run(code=begin + use, warm=True, isolate=False)["n"].tolist() == [3]
    code = "import json, threading, time\nthreading.Thread(target=time.sleep, args=(600,), name='stays').start()"
    with pytest.raises(TaskFailed, match="stays did not end"):
        heroku.run(code=code, warm=True, isolate=False)
    assert heroku.run(code=use, warm=True, isolate=False)["n"].tolist() == [3]
    assert len(heroku.run("count", warm=True, isolate=False)) == 3


def test_calls_that_share_their_state_do_not_share_their_environment(heroku):
    looks = "import os\n[{'n': os.environ.get('n'), 'left': os.environ.get('LEFT')}]"
    heroku.run("count", {"n": 1}, warm=True, isolate=False)  # its parameter is in the environment
    heroku.run(code="import os\nos.environ['LEFT'] = 'here'", warm=True, isolate=False)
    table = heroku.run(code=looks, warm=True, isolate=False)
    assert table.to_dict("records") == [{"n": None, "left": None}]


def test_a_call_that_ends_a_shared_process_loses_only_its_state(heroku):
    first = heroku.submit("count", warm=True, isolate=False)
    assert len(first.result(60)) == 3
    for how, options in (("exit", {}), ("sleep", {"timeout": 1}), ("stubborn", {"timeout": 1})):
        assert heroku.submit("count", {"how": how}, warm=True, isolate=False, **options).exception(60) is not None
        run = heroku.submit("count", {"n": 1}, warm=True, isolate=False)
        assert "out 1 1" in (run.result(60), run.logs())[1]
        assert run.dyno == first.dyno


def test_keeping_state_needs_a_warm_dyno(heroku):
    with pytest.raises(InvalidOptions, match="add warm=True"):
        heroku.submit("count", isolate=False)


def test_a_failed_call_does_not_point_to_a_log_that_lacks_it(heroku):
    text = str(heroku.submit("count", {"how": "raise"}, warm=True).exception(60))
    assert "%heroku logs" not in text
    assert text.endswith("rows and log: %heroku last")


def test_the_number_of_warm_dynos_is_a_target(heroku):
    heroku.warm(2)
    first = {dyno.dyno for dyno in heroku.warm()}
    assert len(first) == 2
    assert {dyno.dyno for dyno in heroku.warm(2)} == first
    assert len(heroku.warm(1)) == 1
    assert heroku.warm(0) == []
    with pytest.raises(InvalidOptions, match="1000 warm dynos are more than"):
        heroku.warm(1000)
    with pytest.raises(InvalidOptions, match="idle is 4000"):
        heroku.warm(1, idle=4000)


def test_a_dyno_without_the_time_for_a_call_is_replaced_before_it(heroku):
    (first,) = heroku.warm(1, life=20)
    run = heroku.submit("count", warm=True)
    assert len(run.result(60)) == 3
    assert run.dyno == first.dyno

    time.sleep(max(11 - first.seconds, 0))
    run = heroku.submit("count", warm=True)
    assert len(run.result(60)) == 3
    assert run.dyno != first.dyno
    _wait_until_gone(heroku, first.dyno)


def test_fewer_dynos_do_not_interrupt_a_call(heroku):
    heroku.warm(2)
    run = heroku.submit(code="import time; time.sleep(2)\n[{'n': 1}]", warm=True)
    assert run.wait_for_dyno(30)
    assert [dyno.dyno for dyno in heroku.warm(1)] == [run.dyno]
    assert len(run.result(60)) == 1


def _wait_until_gone(heroku, dyno):
    deadline = time.monotonic() + 30
    while dyno in names(heroku) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert dyno not in names(heroku)


def test_an_idle_dyno_ends_by_itself_and_the_next_call_boots_another(heroku):
    (dyno,) = heroku.warm(1, idle=3)
    _wait_until_gone(heroku, dyno.dyno)
    run = heroku.submit("count", warm=True)
    assert len(run.result(60)) == 3
    assert run.dyno != dyno.dyno


def test_a_dyno_that_is_stopped_breaks_its_call_with_an_error_that_says_so(heroku):
    heroku.warm(1)
    run = heroku.submit("count", {"how": "sleep"}, warm=True)
    deadline = time.monotonic() + 30
    while "out" not in run.logs() and time.monotonic() < deadline:
        time.sleep(0.02)
    heroku.stop(run.dyno)
    with pytest.raises(LogStreamError, match="broke during the call, which may have run"):
        run.result(60)
    assert len(heroku.run("count", warm=True)) == 3


def test_a_new_release_gets_a_new_dyno(heroku):
    run = heroku.submit("count", warm=True)
    run.result(60)
    heroku.set_config("NEW_VALUE", Secret("1"))
    code = "import os\n[{'value': os.environ.get('NEW_VALUE')}]"
    after = heroku.submit(code=code, warm=True)
    assert after.result(60)["value"].tolist() == ["1"]
    assert after.dyno != run.dyno
    heroku.unset_config("NEW_VALUE")


def test_no_dyno_is_left_when_the_process_is_killed(server, heroku):
    script = textwrap.dedent(
        """
        import os, signal
        from heroku_magic import connect
        heroku = connect("shop", say=lambda _: None)
        heroku.run("count", warm=True)
        print(heroku.warm()[0].dyno, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.startswith("run."), ended.stderr
    _wait_until_gone(heroku, ended.stdout.strip())


def test_a_sweep_runs_on_few_warm_dynos_of_which_one_stays(heroku):
    sweep = heroku.sweep("count", {"n": range(1, 13)}, warm=True, jobs=2)
    table = sweep.result(120)
    assert table.groupby("n").size().tolist() == list(range(1, 13))
    assert sweep.spans() == []  # its dynos live longer than it
    assert 1 <= len({outcome.dyno for outcome in sweep.known()}) <= 2
    deadline = time.monotonic() + 10
    while len(heroku.warm()) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(heroku.warm()) == 1

    double = heroku.function(lambda x: 2 * x)
    assert heroku.function(warm=True)(double.__wrapped__).map([1, 2, 3], jobs=2) == [2, 4, 6]


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_dyno_that_boots_when_its_sweep_is_cancelled_does_not_stay(heroku, monkeypatch):
    begun, may_go_on, boot, booted = threading.Semaphore(0), threading.Event(), WarmDyno.boot, 0

    def slow_boot(self):
        nonlocal booted
        begun.release()
        assert may_go_on.wait(30)
        boot(self)
        booted += 1

    monkeypatch.setattr(WarmDyno, "boot", slow_boot)
    sweep = heroku.sweep("count", {"n": range(1, 5)}, warm=True, jobs=2)
    assert begun.acquire(timeout=30)
    assert begun.acquire(timeout=30)
    sweep.cancel()
    sweep.wait(30)
    may_go_on.set()
    wait_until(lambda: booted == 2 and len(heroku.warm()) == 1)


def test_a_call_that_is_cancelled_while_its_dyno_boots_does_not_say_that_there_is_none(heroku, monkeypatch):
    may_go_on, boot = threading.Event(), WarmDyno.boot
    monkeypatch.setattr(WarmDyno, "boot", lambda self: may_go_on.wait(30) and boot(self))
    run = heroku.submit("count", warm=True)
    run.cancel()
    may_go_on.set()
    with pytest.raises(RunCancelled, match="count was stopped before it was called"):
        run.result(30)
    wait_until(lambda: not any(heroku._warm._boots_of(kind) for kind in [*heroku._warm._boots]))


def test_a_failed_run_of_a_warm_sweep_does_not_disturb_the_others(heroku):
    sweep = heroku.sweep("count", {"how": ["", "raise", "crash", ""]}, warm=True, jobs=2)
    sweep.wait(60)
    assert [outcome.state for outcome in sorted(sweep.known(), key=lambda one: one.place)] == [
        "done",
        "failed",
        "failed",
        "done",
    ]


def test_a_cell_boots_a_warm_dyno_and_the_verb_lists_and_stops_it(server, start_shell, capsys):
    shell = start_shell(server.folder)
    shell.run_cell("df = %heroku run count --arg n=2 --warm\nlisted = %heroku warm")
    assert shell.user_ns["df"]["i"].tolist() == [0, 1]
    assert shell.user_ns["listed"]["calls"].tolist() == [1]
    if sys.platform == "linux":  # elsewhere the system does not say
        assert int(shell.user_ns["listed"]["memory"][0].removesuffix(" MB")) > 10
    assert shell.user_ns["listed"]["state"][0].startswith("idle 4:5")
    assert "is warm after" in capsys.readouterr().out

    shell.run_cell("%heroku warm 0")
    assert capsys.readouterr().out.strip() == f"1 warm dyno stopped: {shell.user_ns['listed']['dyno'][0]}."
    shell.run_cell("%heroku warm 0")
    assert "No dyno is warm." in capsys.readouterr().out
    shell.run_cell("%heroku warm many")
    assert '"many" is not a number of dynos' in capsys.readouterr().out
