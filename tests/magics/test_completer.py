"""Completion as front ends request it: the kernel's complete request, and a terminal's Tab key."""

from __future__ import annotations

import os
import sys
import time

import IPython
import pytest
from IPython.core.interactiveshell import InteractiveShell
from kernels import kernel
from traitlets.config import Config
from workers import make_worker

from heroku_magic.magics.completion import Match, Matches
from heroku_magic.magics.ipython_completion import _as_symbol, _matches

IS_MATCHER = IPython.version_info >= (8, 6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("completer")
    make_worker(
        home / "worker",
        {"slow": "sleep 60"},
        simulate="""
            from __future__ import annotations
            from typing import Annotated, Literal
            from heroku_task import task

            @task
            def simulate(points: Annotated[int, {"minimum": 1}] = 3, method: Literal["naive", "fast"] = "fast"):
                return {"points": points}
            """,
    )
    return home


@pytest.fixture(scope="module")
def shared(folder, kernels):
    with kernel(folder) as started:
        started.run("%heroku run simulate -q")
        yield started


def offered(started, code, at=None):
    """What the kernel offers, without what an old IPython's jedi adds of its own."""
    found = started.complete(code, at)
    return found if IS_MATCHER else [text for text in found if not text.startswith("%")]


@pytest.mark.skipif(os.name == "nt", reason="the embedded Heroku needs bash")
@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("%heroku lo", ["logs", "login", "logout"]),
        ("%%heroku si", ["simulate"]),
        ("df = %heroku run si", ["simulate"]),
        ("x = 1\ndf = %heroku run si", ["simulate"]),
        ("%%heroku simulate --arg ", ["points=", "method="]),
        ("%%heroku simulate --arg method=f", ["fast"]),
        ("%%heroku simulate --si", ["--size"]),
        ("%%heroku simulate --size st", ["standard-1x", "standard-2x"]),
        ("%%heroku --worker w", ["worker/"]),
    ],
)
def test_the_kernel_completes_our_lines(shared, code, found):
    assert sorted(set(offered(shared, code)) & {*found, "slow", "--arg"}) == sorted(found)
    if IS_MATCHER:
        assert shared.complete(code) == found


@pytest.mark.skipif(os.name == "nt", reason="the embedded Heroku needs bash")
def test_the_first_line_is_completed_above_a_body(shared):
    first = "%%heroku simulate --arg me"

    assert "method=" in shared.complete(f"{first}\npoints = 5\n", len(first))
    body = "%%heroku simulate\npoints = 5\nme"
    assert not IS_MATCHER or shared.complete(body) == ["method = "]
    assert not IS_MATCHER or "'fast'" in shared.complete(f"{body}thod = ")


@pytest.mark.skipif(os.name == "nt", reason="the embedded Heroku needs bash")
def test_variables_and_running_dynos_are_offered(shared):
    shared.run("our_result = 5\nrun = %heroku run slow --bg")
    shared.run("run.wait_for_dyno(20)")
    dyno = shared.run("run.dyno").value.strip("'")
    try:
        assert "our_result" in shared.complete("%%heroku -o our")
        assert dyno in shared.complete("%heroku stop run")
    finally:
        shared.run("run.cancel()")


@pytest.mark.skipif(not IS_MATCHER, reason="an older IPython takes no word beside a completion")
def test_a_size_is_offered_with_its_price(shared):
    reply = shared.client.complete("%%heroku --size standard-1", reply=True, timeout=30)["content"]

    assert reply["metadata"]["_jupyter_types_experimental"][0]["type"] == "$0.035/h"


@pytest.fixture
def shell(home):
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    yield shell
    InteractiveShell.clear_instance()


def registered(shell):
    matchers = [getattr(one, "matcher_identifier", "") for one in getattr(shell.Completer, "custom_matchers", [])]
    hooks = [key for key in shell.strdispatchers["complete_command"].regexs if "heroku" in str(key)]
    return matchers.count("heroku_magic") + len(hooks)


def test_unloading_removes_completion_and_reloading_adds_it_once(shell):
    shell.run_line_magic("load_ext", "heroku_magic")
    shell.run_line_magic("reload_ext", "heroku_magic")
    assert registered(shell) == 1
    shell.run_line_magic("unload_ext", "heroku_magic")
    assert registered(shell) == 0


def test_a_warm_completion_is_quick(shell):
    """The promise is 50 ms; this waits for ten times as long, for a busy machine."""
    shell.run_line_magic("load_ext", "heroku_magic")
    (magics,) = [one for one in shell.configurables if type(one).__name__ == "HerokuMagics"]
    magics.complete("%%heroku ", True)
    began = time.process_time()
    for line in ("%heroku ", "%%heroku ", "%%heroku --size ", "%heroku use ", "%heroku stop ", "%%heroku --arg "):
        magics.complete(line, True)

    assert time.process_time() - began < 0.5


@pytest.mark.usefixtures("processes")
def test_the_first_completion_imports_nothing_heavy(shell):
    code = (
        "import sys, IPython\n"
        "shell = IPython.core.interactiveshell.InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'heroku_magic')\n"
        "(magics,) = [one for one in shell.configurables if type(one).__name__ == 'HerokuMagics']\n"
        "for line in ('%heroku ', '%%heroku ', '%%heroku --size ', '%%heroku --arg n'): magics.complete(line, True)\n"
        "assert not {'pandas', 'requests', 'ipywidgets', 'heroku_magic.app.heroku'} & set(sys.modules)\n"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_means_no_completions_and_no_output(capsys):
    def fails(text, is_first_line):
        raise RuntimeError("no")

    assert _matches(fails, "%heroku ", is_first_line=True) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("replaces", "symbol", "word"),
    [(2, "si", "simulate"), (0, "", "simulate"), (2, "work/si", "work/simulate"), (3, "si", "imulate")],
)
def test_an_older_ipython_gets_words_as_it_splits_them(replaces, symbol, word):
    assert _as_symbol(Match("simulate"), Matches(replaces).replaces, symbol) == word


@pytest.mark.usefixtures("processes")
def test_the_tab_key_of_a_terminal_completes(folder):
    pexpect = pytest.importorskip("pexpect", reason="a pseudo-terminal needs POSIX")
    env = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "TERM": "xterm", "HOME": str(folder)}
    command = ["-m", "IPython", "--ext", "heroku_magic", "--no-banner", "--no-confirm-exit"]
    child = pexpect.spawn(
        sys.executable, command, cwd=str(folder), env=env, encoding="utf-8", timeout=30, dimensions=(40, 120)
    )
    try:
        child.expect(r"In \[")
        time.sleep(1)
        for line, more in (("%heroku run sim", "ulate"), ("%heroku lo", "logout")):
            child.send(line)
            time.sleep(0.5)
            child.send("\t")
            child.expect(more)
            child.sendcontrol("c")
            time.sleep(0.5)
    finally:
        child.close(force=True)
