"""Cells and lines in a real IPython shell, on the embedded Heroku."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest
from workers import make_worker

from heroku_magic import (
    HerokuMagicError,
    InvalidOptions,
    InvalidParameters,
    RunCancelled,
    SettingsError,
    TaskFailed,
    connect,
)
from heroku_magic.errors import Interrupted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_worker(
        tmp_path_factory.mktemp("app") / "worker",
        {"hello": "python hello.py", "web": "python -m http.server", "show": "bash show.sh"},
        task="""
            from heroku_task import task, progress

            @task
            def main(n: int = 10, seed: int = 0):
                for i in progress(range(n)):
                    yield {"i": i, "seed": seed}
            """,
        fails="""
            from heroku_task import task

            @task
            def fails():
                yield {"i": 0}
                raise KeyError("lost")
            """,
        empty="""
            from heroku_task import task

            @task
            def empty():
                return []
            """,
        hello="import os\nprint(f\"Hello {os.environ.get('NAME') or 'World'}!\")\n",
        slow="""
            import time
            from heroku_task import task

            @task
            def slow(seconds: float = 60.0):
                yield {"i": 0}
                time.sleep(seconds)
            """,
    )


@pytest.fixture
def shell(start_shell, folder, shared_server):
    (folder / "show.sh").write_text('printf "V=<%s>\\n" "$V"\n')
    return start_shell(folder)


def run(shell, text):
    """Run a cell as a user would; return its value or raise what it raised."""
    result = shell.run_cell(textwrap.dedent(text))
    result.raise_error()
    return result.result


def test_a_cell_needs_only_its_first_line(shell):
    df = run(shell, "%%heroku --arg n=10")

    assert len(df) == 10
    assert df.attrs["heroku"]["task"] == "task"


def test_the_body_sets_the_parameters(shell):
    run(shell, "data = [1, 2, 3]")

    df = run(shell, "%%heroku task\nn = len(data)  # three\n_twice = 2 * n\nseed = max(i * _twice for i in data)\n")

    assert df["seed"].tolist() == [18, 18, 18]


def test_a_line_can_be_assigned(shell):
    run(shell, "k = 3\ndf = %heroku run --arg n={k + 1} --arg seed=$k")

    assert shell.user_ns["df"]["seed"].tolist() == [3] * 4


def test_out_assigns_the_table_and_shows_nothing(shell):
    assert run(shell, "%%heroku --out df\nn = 2") is None
    assert len(shell.user_ns["df"]) == 2


def test_a_functions_locals_can_be_used(shell):
    run(
        shell,
        """
        def call(k):
            return get_ipython().run_cell_magic("heroku", "--arg seed={k}", "n = k")

        def line(k):
            df = %heroku run --arg n={k}
            return df
        """,
    )

    assert len(run(shell, "call(3)")) == 3
    assert len(run(shell, "line(4)")) == 4


def test_an_empty_table_differs_from_no_table(shell):
    assert run(shell, "%%heroku empty").shape == (0, 0)
    assert run(shell, "%%heroku hello") is None


def test_hello_greets(shell, capsys):
    run(shell, "%heroku run hello --arg NAME=Daniela")
    run(shell, "%heroku run hello")

    out = capsys.readouterr().out
    assert "\nHello Daniela!\n" in out
    assert "\nHello World!\n" in out
    assert "exit 0" in out


def test_any_command_runs(shell, capsys):
    run(shell, "%heroku run -- echo hi   there; echo '$$ stays'")

    assert "\nhi there\n$$ stays\n" in capsys.readouterr().out
    with pytest.raises(TaskFailed, match="exit status 3"):
        run(shell, "%heroku run -- bash -c 'exit 3'")


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ("V=1.10", "1.10"),
        ("V=1234567e56", "1234567e56"),
        ('V="a b"', "a b"),
        ('"V=a b"', "a b"),
        ('V={"a":1}', '{"a":1}'),
        ("V='$$x'", "$$x"),
        ("V=😀", "😀"),
        ("V=", ""),
        ("V={text}", "two\nlines"),
    ],
)
def test_the_task_sees_exactly_what_was_typed(shell, capsys, typed, seen):
    shell.user_ns["text"] = "two\nlines"
    run(shell, f"%heroku run show -e {typed}")

    assert f"\nV=<{seen}>\n" in capsys.readouterr().out


def test_values_of_numpy_and_pandas_arrive_plain(shell):
    run(shell, "import numpy as np, pandas as pd\ns = pd.Series([1, 2])")

    df = run(shell, "%%heroku\nn = np.int64(2)\nseed = s.max()\n")

    assert df["seed"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("%%heroku\nprint(1)", InvalidParameters, "line 2"),
        ("%%heroku\nimport os", InvalidParameters, "import"),
        ("%%heroku\nn = nope", InvalidParameters, "NameError"),
        ("%%heroku\nn = open", InvalidParameters, "n: a function"),
        ("%%heroku hello\nPATH = 'x'", InvalidParameters, "PATH"),
        ("%%heroku hello\nX = 'x' * 40_000", InvalidParameters, "presigned URL"),
        ("%%heroku --ar n=1", InvalidOptions, "--arg"),
        ("%%heroku --quiet --quiet", InvalidOptions, "twice"),
        ("%%heroku --sise x", InvalidOptions, "--size"),
        ("%%heroku run task", InvalidOptions, "%%heroku task"),
        ("%heroku task", InvalidOptions, "%heroku (run )?tasks?"),
        ("%%heroku web", InvalidOptions, "--any-type"),
        ("%%heroku taks", InvalidOptions, "Did you mean task"),
        ("%%heroku --arg n=1\nn = 2", InvalidOptions, "is given in the body and by --arg"),
        ("%%heroku --app x --local", SettingsError, "not both"),
        ("%%heroku --size huge", Exception, "huge"),
    ],
)
def test_bad_input_is_rejected_before_anything_starts(shell, cell, error, message):
    from heroku_magic.app.recorded_app import last

    before = last()
    with pytest.raises(error, match=message):
        run(shell, cell)

    started = last() is not before and last().dyno is not None
    assert not started


def test_all_issues_with_the_parameters_are_reported_at_once(shell):
    with pytest.raises(InvalidParameters) as caught:
        run(shell, "%%heroku --arg m=1 --arg n=many --arg seed=1.5")

    assert len(caught.value.issues) == 3
    assert "Did you mean n?" in str(caught.value) or "It takes: n: int" in str(caught.value)


def test_a_failed_task_fails_the_cell_and_deletes_the_variable(shell):
    run(shell, "df = 'from before'")
    with pytest.raises(TaskFailed) as caught:
        run(shell, "%%heroku fails --out df")

    assert str(caught.value).startswith("KeyError: 'lost'")
    assert caught.value.partial["i"].tolist() == [0]
    assert "df" not in shell.user_ns
    assert run(shell, "%heroku last") is caught.value.run


def test_no_raise_returns_the_rows_so_far(shell):
    assert len(run(shell, "%%heroku fails --no-raise")) == 1


def test_an_error_shows_a_few_lines_and_no_internal_frames(shell, capsys):
    shell.run_cell("%%heroku fails")

    out = capsys.readouterr().out
    assert "TaskFailed: KeyError: 'lost'" in out
    assert "fails.py:7" in out
    assert "heroku_magic/magics" not in out
    shell.run_cell("%%heroku fails --verbose")
    assert "heroku_magic/magics" in capsys.readouterr().out


def test_quiet_shows_nothing_of_a_run_that_succeeds(shell, capsys):
    run(shell, "%load_ext heroku_magic")
    run(shell, "%heroku run --arg n=1")
    capsys.readouterr()
    run(shell, "df = %heroku run --quiet --arg n=1")

    assert capsys.readouterr().out == ""


def test_a_background_run_returns_at_once_and_assigns_its_table_at_the_end(shell):
    handle = run(shell, "%%heroku slow --bg --out df\nseconds = 0.3")

    assert not handle.done()
    assert "df" not in shell.user_ns
    assert len(handle.result(timeout=10)) == 1
    assert_soon(lambda: "df" in shell.user_ns)


def test_ps_lists_our_dynos_and_stop_stops_them(shell, capsys):
    handle = run(shell, "%%heroku slow --bg")
    assert_soon(lambda: handle.dyno)

    table = run(shell, "%heroku ps")
    assert table["run"].tolist() == [handle.id]
    run(shell, f"%heroku stop {handle.dyno}")
    with pytest.raises(TaskFailed, match="143"):
        handle.result(timeout=10)
    assert len(run(shell, "%heroku ps")) == 0


def test_logs_shows_a_dynos_log_again(shell, capsys):
    run(shell, "%heroku run hello")
    dyno = run(shell, "%heroku last").dyno
    capsys.readouterr()
    run(shell, f"%heroku logs {dyno}")

    out = capsys.readouterr().out
    assert f"app[{dyno}]: Hello World!" in out
    assert "Process exited with status 0" in out


def test_logs_shows_the_records_of_a_task_only_with_verbose(shell, capsys):
    run(shell, "%heroku run --arg n=2 -q")
    dyno = run(shell, "%heroku last").dyno
    capsys.readouterr()
    run(shell, f"%heroku logs {dyno}")
    out = capsys.readouterr().out
    assert "@hm1" not in out
    assert "Process exited with status 0" in out
    assert re.search(r"Not shown: \d+ lines with rows, progress and the like\. --verbose shows all\.", out)
    run(shell, f"%heroku logs {dyno} --verbose")
    out = capsys.readouterr().out
    assert "@hm1" in out
    assert "Not shown" not in out


def test_logs_without_a_line_says_where_the_log_of_a_run_is(shell, capsys):
    run(shell, "%heroku logs run.1")
    assert capsys.readouterr().out == (
        "No line of run.1 is among the app's last 1,500, which is all that Heroku keeps. `%heroku history` lists the "
        "runs, and `%heroku show RUN` shows the log of one.\n"
    )


def test_tasks_shows_their_parameters(shell, capsys):
    run(shell, "%heroku tasks")
    assert "n: int = 10, seed: int = 0" in capsys.readouterr().out
    run(shell, "%heroku tasks task")
    assert "%%heroku task --arg n=10" in capsys.readouterr().out
    with pytest.raises(InvalidOptions, match='no task "nope"'):
        run(shell, "%heroku tasks nope")


def test_status_shows_where_cells_run(shell, capsys):
    run(shell, "%heroku status")

    out = capsys.readouterr().out
    assert "embedded" in out
    assert "HRKU" not in out


@pytest.mark.parametrize(
    "line", ["%heroku --help", "%heroku", "%heroku run --help", "%%heroku --help", "%heroku help ps"]
)
def test_help_shows_an_example(shell, capsys, line):
    run(shell, line)

    assert "%heroku" in capsys.readouterr().out


def test_settings_are_traits(shell):
    run(shell, "%config HerokuMagics.timeout = 7")

    run(shell, "%%heroku --arg n=1")
    last = run(shell, "%heroku last")
    assert last.ends_at - last.started_at == pytest.approx(7)


def test_after_a_setting_that_was_refused_reloading_says_in_one_sentence_what_to_do(shell, capsys):
    run(shell, "%config HerokuMagics.timeout = -1")
    result = shell.run_cell("%reload_ext heroku_magic")
    assert isinstance(result.error_in_exec, SettingsError)
    assert "'timeout' trait" in str(result.error_in_exec)
    assert "Traceback" not in capsys.readouterr().out
    run(shell, "_ = get_ipython().config.pop('HerokuMagics')")
    run(shell, "%reload_ext heroku_magic")
    assert "heroku" in shell.magics_manager.magics["line"]


def test_reloading_leaves_one_registration_and_unloading_none(shell):
    before = len(shell.input_transformers_cleanup)
    run(shell, "%reload_ext heroku_magic")
    run(shell, "%reload_ext heroku_magic")
    assert len(shell.input_transformers_cleanup) == before
    assert [type(one).__name__ for one in shell.configurables].count("HerokuMagics") == 1
    assert len(run(shell, "%%heroku --arg n=1")) == 1

    run(shell, "%unload_ext heroku_magic")
    assert len(shell.input_transformers_cleanup) == before - 1
    assert "heroku" not in shell.magics_manager.magics["line"]
    run(shell, "%load_ext heroku_magic")


def test_a_terminal_waits_for_a_body(shell):
    assert shell.check_complete("%%heroku --arg n=1")[0] == "incomplete"
    assert shell.check_complete("%%heroku --arg n=1\n\n")[0] == "complete"


def test_edited_code_runs_at_once_with_its_new_parameters(shell, tmp_path):
    source = """
        from heroku_task import task

        @task
        def edit({}):
            return {{"v": {}}}
        """
    folder = make_worker(tmp_path / "worker", edit=source.format("a: int = 1", "a"))
    line = f"%heroku run edit --worker {folder}"
    assert run(shell, f"{line} --arg a=5")["v"].tolist() == [5]

    make_worker(folder, edit=source.format("b: str = 'x'", "b * 2"))
    assert run(shell, f"{line} --arg b=y")["v"].tolist() == ["yy"]
    with pytest.raises(InvalidParameters, match="no parameter a"):
        run(shell, f"{line} --arg a=5")


@pytest.mark.usefixtures("processes")
def test_loading_imports_nothing_heavy():
    script = """
        import sys, IPython
        from IPython.core.interactiveshell import InteractiveShell
        before = set(sys.modules)
        shell = InteractiveShell.instance()
        import heroku_magic
        shell.run_line_magic("load_ext", "heroku_magic")
        heavy = {"pandas", "requests", "ipywidgets", "tornado", "jinja2", "msgspec", "tenacity", "tqdm", "numpy"}
        print(sorted(heavy & (set(sys.modules) - before)))
        """
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("moment", ["_remember", "RunOutput"])
@pytest.mark.parametrize(
    "cell", ["%heroku run slow", "%heroku run slow --bg", "%%heroku slow --each seconds\nseconds = [60, 61]"]
)
def test_an_interrupt_between_the_start_and_the_display_stops_every_dyno_and_says_so(
    shell, folder, monkeypatch, moment, cell
):
    heroku = connect(worker=folder, say=lambda _: None)
    heroku.tasks()

    if moment == "_remember":
        monkeypatch.setattr("heroku_magic.app.heroku.Heroku._remember", _interrupt)
    else:
        monkeypatch.setattr("heroku_magic.magics.run_verbs.RunVerbs._output", _interrupt)
    error = shell.run_cell(cell).error_in_exec

    assert isinstance(error, Interrupted | RunCancelled)
    assert re.search(r"is gone|before its dyno was created|No dyno is left", str(error)), error
    assert heroku.dynos() == []


@pytest.mark.parametrize("cell", ["%%heroku --arg n=2 --out df", "%%heroku --each seed\nseed = [1, 2]"])
def test_an_interrupt_while_the_table_is_made_says_that_the_rows_are_kept(shell, monkeypatch, cell):
    with monkeypatch.context() as patch:
        for name in ("runs.run.partial_frame", "sweeps.sweep.grid_frame"):
            patch.setattr(f"heroku_magic.{name}", _interrupt)
        error = shell.run_cell(cell).error_in_exec

    assert isinstance(error, Interrupted)
    assert "ended; nothing was left running. Its rows are kept: `%heroku last` has .partial." in str(error)
    assert len(run(shell, "%heroku last").partial) >= 2


def _interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("cell", ["%heroku run slow", "%%heroku slow --each seconds\nseconds = [60, 61]"])
def test_a_display_that_fails_stops_every_dyno(shell, folder, monkeypatch, cell):
    def fail(*_, **__):
        raise ValueError("no such colour")

    for name in ("run_output.RunOutput", "sweep_output.SweepOutput"):
        monkeypatch.setattr(f"heroku_magic.display.{name}.follow", fail)
    error = shell.run_cell(cell).error_in_exec

    assert isinstance(error, HerokuMagicError)
    assert re.search(
        r"cannot be shown: ValueError: no such colour\. .*(is gone|before its dyno|No dyno is left)", str(error)
    )
    assert connect(worker=folder, say=lambda _: None).dynos() == []


@pytest.mark.usefixtures("processes")
def test_an_interrupt_stops_the_dyno_and_fails_the_cell(folder):
    script = f"""
        import os, signal, threading, time
        from IPython.core.interactiveshell import InteractiveShell
        import heroku_magic

        def interrupt():
            while not (heroku_magic.last and heroku_magic.last.state == "up"):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        shell = InteractiveShell.instance()
        shell.run_line_magic("load_ext", "heroku_magic")
        shell.run_cell("%config HerokuMagics.worker = {str(folder)!r}")
        threading.Thread(target=interrupt, daemon=True).start()
        failure = shell.run_cell("%%heroku slow").error_in_exec
        print("RESULT", type(failure).__name__, failure)
        print("DYNOS", len(shell.run_cell("%heroku ps").result))
        """
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)

    assert "RESULT RunCancelled slow was stopped after" in out.stdout
    assert "DYNOS 0" in out.stdout


def assert_soon(condition, seconds=10):
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_use_chooses_the_app_that_cells_run_on(shell, folder, monkeypatch, capsys):
    from heroku_magic.app.emulator_process import embedded

    server = embedded(folder)
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", server.token.reveal())
    run(shell, f"%heroku use {server.app}")

    assert f"Cells run on {server.app} from now on." in capsys.readouterr().out
    assert run(shell, "%%heroku --arg n=1").attrs["heroku"]["app"] == server.app
    with pytest.raises(Exception, match="no app 'nobodys-app'"):
        run(shell, "%heroku use nobodys-app")


def test_settings_complete(shell):
    assert "HerokuMagics" in shell.complete("HerokuM", "%config HerokuM")[1]
    assert "HerokuMagics.timeout" in "".join(shell.complete("HerokuMagics.ti", "%config HerokuMagics.ti")[1])


def test_a_form_is_exported_and_what_has_no_effect_on_its_file_is_refused(shell, folder, elsewhere, capsys):
    shell.run_line_magic("heroku", "form task --arg n={(1,50)} --export page.html --timeout 90")
    printed = capsys.readouterr().out
    assert "page.html (" in printed
    assert "runs the task from any browser.\nWhoever opens it needs a Heroku API key." in printed
    assert f"--app demo={folder} --port 5001 --allow-origin null" in printed
    assert 'max="50"' in (elsewhere / "page.html").read_text()
    assert "The dyno ends after 90 s at the latest" in (elsewhere / "page.html").read_text()
    shell.run_line_magic("heroku", "form task --export app.ipynb --secret seed")
    assert "To serve it (after pip install voila):\n  voila app.ipynb\n" in capsys.readouterr().out
    assert "secrets=['seed']" in (elsewhere / "app.ipynb").read_text()
    for line, said in (
        ("form task --export page.html", "exists"),
        ("form task --export other.html --out df", "--out has no effect on a file"),
        ("form task --export other.html --each n={[1,2]}", "--each has no effect on a page"),
        ("form task --export other.html --api-url http://evil.example:80", "is not the address of an embedded Heroku"),
        ("form task --api-url http://localhost:5001", "--api-url has an effect on files only"),
    ):
        with pytest.raises(InvalidOptions, match=said):
            shell.run_line_magic("heroku", line)
    assert not (elsewhere / "other.html").exists()
