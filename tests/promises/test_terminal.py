"""IPython in a pseudo-terminal: printed lines, one-line cells, Ctrl-C."""

from __future__ import annotations

import os
import sys
import time

import pytest
from workers import make_worker

pexpect = pytest.importorskip("pexpect", reason="a pseudo-terminal needs POSIX")


@pytest.fixture
def terminal(tmp_path, processes):
    make_worker(
        tmp_path / "worker",
        {"hello": "python hello.py", "slow": "python slow.py"},
        task="""
            from heroku_task import task

            @task
            def main(n: int = 10):
                for i in range(n):
                    yield {"i": i}
            """,
        hello="import os\nprint(f\"Hello {os.environ.get('NAME') or 'World'}!\")\n",
        slow="import time\nprint('early')\ntime.sleep(60)\nprint('late')\n",
    )
    env = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "TERM": "dumb", "HOME": str(tmp_path)}
    command = ["-m", "IPython", "--ext", "heroku_magic", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    child = pexpect.spawn(sys.executable, command, cwd=str(tmp_path), env=env, encoding="utf-8", timeout=20)
    child.expect(r"In \[1\]: ")
    yield child
    try:
        child.close(force=True)
    except pexpect.ExceptionPexpect:  # it was killed, but a busy machine takes its time
        child.wait()


def test_output_appears_immediately_then_the_exit_status(terminal):
    terminal.sendline("%heroku run hello --arg NAME=Daniela")
    terminal.expect(r"hello · run\.\d+ · v\d · Standard-1X · embedded")
    terminal.expect("Hello Daniela!")
    terminal.expect("hello ✓ exit 0 · ")


def test_a_one_line_cell_runs_after_blank_lines_and_may_have_a_body(terminal):
    terminal.sendline("%%heroku --arg n=2")
    terminal.sendline("")
    terminal.sendline("")
    terminal.expect(r"Out\[1\]:")
    terminal.expect(r"0\s+0\s+1\s+1")
    terminal.sendline("%%heroku")
    terminal.sendline("n = 1 + 2")
    terminal.sendline("")
    terminal.sendline("")
    terminal.expect(r"3 rows verified")


def test_ctrl_c_stops_the_dyno(terminal):
    terminal.sendline("%heroku run slow")
    terminal.expect("early")
    terminal.sendintr()
    terminal.expect("RunCancelled: slow was stopped after")
    terminal.sendline("%heroku ps")
    terminal.expect("No dyno is running.")


@pytest.mark.parametrize("awaited", ["slow.remote_async()", "asyncio.gather(slow.remote_async(), run)", "run"])
def test_ctrl_c_stops_the_dynos_of_an_await_and_the_next_one_works(terminal, awaited):
    def enter(cell):
        terminal.sendline(cell)
        terminal.expect(r"In \[\d+\]: ")

    enter("import asyncio; from heroku_magic import connect; heroku = connect(say=lambda _: None)")
    enter("slow = heroku.function(lambda: __import__('time').sleep(60)); quick = heroku.function(lambda: 6 * 7)")
    enter(f"run = heroku.submit('slow') if 'run' in {awaited!r} else None")
    terminal.sendline(f"await {awaited}")
    time.sleep(3)
    terminal.sendintr()
    terminal.expect("CancelledError")
    terminal.expect(r"In \[\d+\]: ")
    enter("from heroku_magic.runs.registry import running_runs; stopped = [one.wait(20) for one in running_runs()]")
    terminal.sendline("%heroku ps")
    terminal.expect("No dyno is running.")
    terminal.sendline("await quick.remote_async()")
    terminal.expect(r"Out\[\d+\]: 42")


def test_help_shows_how_to_use_the_magic(terminal):
    terminal.sendline("%heroku --help")
    terminal.expect(r"%heroku run \[TASK\]")
    terminal.sendline("%heroku?")
    terminal.expect("Run tasks on Heroku one-off dynos")


def test_a_code_cell_runs_on_the_dyno_and_fails_with_its_own_line(terminal):
    terminal.sendline("%%dyno --arg n=3")
    terminal.sendline("print('n is', n)")
    terminal.sendline("[{'i': i} for i in range(n)]")
    terminal.sendline("")
    terminal.sendline("")
    terminal.expect("cell · run")
    terminal.expect("n is 3")
    terminal.expect("3 rows verified")
    terminal.expect(r"Out\[1\]:")
    terminal.sendline("%%dyno")
    terminal.sendline("x = 0")
    terminal.sendline("1 / x")
    terminal.sendline("")
    terminal.sendline("")
    terminal.expect("TaskFailed: ZeroDivisionError")
    terminal.expect("→    3 | 1 / x")


def test_an_empty_code_cell_is_an_error(terminal):
    terminal.sendline("%%dyno")
    terminal.sendline("")
    terminal.sendline("")
    terminal.expect("InvalidParameters: The cell has no code")


@pytest.mark.parametrize("xmode", ["Minimal", "Plain"])
def test_the_lines_of_an_error_stay_apart_in_every_mode(terminal, xmode):
    terminal.sendline(f"%xmode {xmode}")
    terminal.expect(r"In \[2\]: ")
    terminal.sendline("%heroku run nosuchtask --arg n=1")
    terminal.expect(r"The app has: describe, hello,\r\nslow, task\. To run any command: ")
