"""kill -9 of the kernel, the embedded Heroku or the dyno leaves nothing running and no variable half bound."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal
from workers import make_worker

import heroku_magic
from heroku_magic import TaskFailed, connect
from heroku_magic.api import log_stream as logstream
from heroku_magic.app.emulator_process import _running, embedded
from heroku_magic.errors import HerokuMagicError

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="whose a process is, is read from its environment in /proc"
)

ROOT = Path(__file__).resolve().parents[2]
N = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory, processes):
    return make_worker(
        tmp_path_factory.mktemp("killed") / "shop",
        count=f"""
            import os, time
            from heroku_task import task

            @task
            def count(n: int = {N}, pause: float = 0.05, mark: str = "", gate: str = "."):
                for i in range(n):
                    print(f"row {{i}}.")
                    yield {{"i": i, "x": i / 3, "word": "é" * i, "none": None if i % 2 else i}}
                    time.sleep(pause)
                while not os.path.exists(gate):
                    time.sleep(pause)
            """,
        strays="""
            import subprocess, sys, time
            from heroku_task import task

            @task
            def strays(mark: str = ""):
                subprocess.Popen(["sleep", "100"], start_new_session=True)
                print("row 0.")
                time.sleep(100)
            """,
    )


def marked(mark):
    """The processes that have this text in their environment, by their number: what they run."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # not ours, or gone
            is_marked = mark.encode() in (place / "environ").read_bytes()
            if is_marked and (place / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def wait_until(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


class Notebook:
    """A process with an IPython shell that runs one cell; it, its emulator and its dynos carry the mark."""

    def __init__(self, folder, task, home):
        self.mark = f"{home.name}-{os.getpid()}"
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        cell = f"%%heroku {task} --worker {folder} --arg mark={self.mark} --out df"
        script = f"""
            from IPython.core.interactiveshell import InteractiveShell
            from traitlets.config import Config

            config = Config()
            config.HistoryManager.enabled = False
            shell = InteractiveShell.instance(config=config)
            shell.run_line_magic("load_ext", "heroku_magic")
            print("ready", flush=True)
            shell.run_cell({cell!r})
            """
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", textwrap.dedent(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), "MARK": self.mark},
        )

    def wait_for(self, words):
        assert any(words in line for line in self.process.stdout), f"{words!r} was never shown"

    def emulator(self):
        return next((pid for pid, line in marked(self.mark).items() if "-m heroku_magic.emulator" in line), None)

    def kill(self):
        self.process.kill()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def notebook(folder, tmp_path, processes):
    started = []

    def start(task):
        started.append(Notebook(folder, task, tmp_path))
        return started[0]

    yield start
    started[0].close()


@pytest.mark.parametrize("words", ["ready", "row 0.", f"row {N - 1}."])
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_outlives_a_killed_kernel(notebook, words, seed):
    started = notebook("count")
    started.wait_for(words)
    time.sleep(random.Random(f"{words} {seed}").uniform(0, 0.3))
    assert words == "ready" or started.emulator()
    started.kill()

    wait_until(lambda: not marked(started.mark))
    assert list(started.temporary.iterdir()) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_outlives_a_kernel_and_an_emulator_killed_at_once(notebook, seed):
    started = notebook("count")
    started.wait_for("row 0.")
    time.sleep(random.Random(seed).uniform(0, 0.3))
    os.kill(started.emulator(), signal.SIGKILL)
    started.kill()

    wait_until(lambda: not marked(started.mark))
    assert list(started.temporary.iterdir()) == []


@pytest.mark.parametrize("victim", ["kernel", "emulator"])
def test_processes_outside_the_dynos_process_group_end_too(notebook, victim):
    started = notebook("strays")
    started.wait_for("row 0.")
    emulator = started.emulator()
    # A process that is just being replaced by another program has no environment for a moment.
    wait_until(lambda: "sleep 100 " in marked(started.mark).values())
    if victim == "emulator":
        os.kill(emulator, signal.SIGKILL)
    started.kill()

    wait_until(lambda: not marked(started.mark))


@pytest.fixture
def shell(start_shell, folder, elsewhere):
    """A notebook in this very process, whose emulator serves the folder."""
    return start_shell(folder)


@contextmanager
def killing(shell, rows, victims):
    """Meanwhile, once so many rows are there, kill whom `victims()` names."""
    before = shell.run_line_magic("heroku", "last")

    def kill():
        wait_until(lambda: heroku_magic.last is not before and len(heroku_magic.last.parts or ()) >= rows)
        for pid in victims():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("rows", [1, N // 2])
def test_a_cell_whose_emulator_is_killed_fails_and_leaves_its_name_unbound(shell, folder, tmp_path, monkeypatch, rows):
    monkeypatch.setattr(logstream, "MAX_ATTEMPTS", 3)  # twice as impatient
    shell.user_ns["df"] = "of an earlier cell"
    with killing(shell, rows, lambda: [_running[folder].process.pid]):
        result = shell.run_cell(f"%%heroku count --out df --arg mark={tmp_path.name}")

    assert isinstance(result.error_in_exec, HerokuMagicError)
    assert not isinstance(result.error_in_exec, TaskFailed), "the platform failed, not the task"
    assert "The embedded Heroku ended while count was running, and its dynos with it" in str(result.error_in_exec)
    assert "df" not in shell.user_ns
    wait_until(lambda: not marked(tmp_path.name))

    shell.run_cell("%%heroku count --out df\npause = 0").raise_error()
    assert shell.user_ns["df"]["i"].tolist() == list(range(N)), "the next cell has a new embedded Heroku"


@pytest.mark.parametrize("rows", [1, N // 2])
def test_a_cell_whose_dyno_is_killed_fails_with_137_and_the_rows_so_far(shell, tmp_path, rows):
    shell.user_ns["df"] = "of an earlier cell"
    with killing(shell, rows, lambda: marked(tmp_path.name)):
        result = shell.run_cell(f"%%heroku count --out df --arg mark={tmp_path.name}")

    error = result.error_in_exec
    assert isinstance(error, TaskFailed)
    assert error.run.exit_status == 137
    assert "137 (SIGKILL" in str(error)
    assert rows <= len(error.partial) < N
    assert error.partial["i"].tolist() == list(range(len(error.partial)))
    assert "df" not in shell.user_ns


@pytest.fixture
def heroku(folder, monkeypatch, tmp_path, processes):
    """An emulator that outlives the kernels which use it, as if it were the real Heroku."""
    server = embedded(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", server.token.reveal())
    return connect("shop", say=lambda _: None)


def killed(code, seconds):
    """What a Python prints first; it is killed so many seconds later."""
    script = 'import heroku_magic\nheroku = heroku_magic.connect("shop", say=lambda _: None)\n' + code
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline().strip()
        time.sleep(seconds)
        process.kill()
    return said


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_detached_run_whose_kernels_were_killed_gives_the_frame_of_a_direct_run(heroku, tmp_path, seed, is_over):
    random_, gate = random.Random(seed), tmp_path / "gate"
    submit = f"run = heroku.submit('count', {{'gate': {str(gate)!r}}}, detach=True)"
    wait = "\nrun.wait_for_dyno()\nprint(run.id, flush=True)\nrun.wait()"
    run_id = killed(submit + wait, random_.uniform(0, 0.5))
    assert killed(f"run = heroku.attach({run_id!r})" + wait, random_.uniform(0, 0.5)) == run_id
    gate.touch()
    if is_over:
        wait_until(lambda: not heroku.dynos())
    attached = heroku.attach(run_id).result(30)

    direct = heroku.run("count", {"pause": 0})
    assert_frame_equal(attached, direct)
    assert attached.attrs["heroku"]["run"] == run_id
    assert attached.attrs["heroku"]["verified"]
