"""`%%dyno` in a real IPython shell, on an app without heroku_magic: a Procfile with only `web`."""

from __future__ import annotations

import os
import pathlib
import random
import string
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import heroku_magic
from heroku_magic import InvalidOptions, InvalidParameters, RunCancelled, Secret, TaskFailed, connect
from heroku_magic.bundle.build import CellBundle
from heroku_magic.bundle.program import read_cell
from heroku_magic.bundle.shipped import COMMAND
from heroku_magic.errors import SweepFailed

PACKAGES = str(Path(pd.__file__).parents[1])


def make_app(folder):
    (folder / "Procfile").write_text("web: python -m http.server $PORT\n")
    (folder / "theirs.py").write_text("def area(r):\n    return 3 * r * r\n")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_app(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def with_pandas(tmp_path_factory):
    """The same with what requirements.txt would install: it finds the packages of this Python."""
    app = make_app(tmp_path_factory.mktemp("analyst"))
    (app / ".env").write_text(f"PYTHONPATH={PACKAGES}\n")
    return app


@pytest.fixture
def heroku(folder, shared_server):
    return connect(worker=folder, say=lambda _: None)


@pytest.fixture
def analyst(with_pandas, processes):
    return connect(worker=with_pandas, say=lambda _: None)


@pytest.fixture
def shell(start_shell, folder, shared_server):
    return start_shell(folder)


def run(shell, text):
    """Run a cell as a user would; return its value or raise what it raised."""
    result = shell.run_cell(textwrap.dedent(text))
    result.raise_error()
    return result.result


def test_a_cell_uses_variables_of_the_notebook_and_emits_rows(shell):
    shell.user_ns.update(threshold=0.5, names=["ada", "grace"])
    cell = """\
        %%dyno -i threshold,names --arg n=1000 --out df
        import random
        hits = [x for x in (random.random() for _ in range(n)) if x > threshold]
        emit({"name": names[0], "hits": len(hits)})
        """

    assert run(shell, cell) is None
    assert shell.user_ns["df"]["name"].tolist() == ["ada"]
    assert 300 < shell.user_ns["df"]["hits"][0] < 700
    assert shell.user_ns["df"].attrs["heroku"]["verified"]
    assert shell.user_ns["df"].attrs["heroku"]["task"] == "cell"


def test_the_value_of_the_last_expression_is_the_cells_value(shell):
    df = run(shell, "%%dyno --arg n=3\n[{'i': i} for i in range(n)]")

    assert df["i"].tolist() == [0, 1, 2]


def test_no_line_runs_in_the_notebook(shell, tmp_path):
    shell.user_ns["place"] = str(tmp_path / "ran")
    run(shell, "%%dyno -i place\nimport os\nopen(place, 'w').write(str(os.getpid()))\nmine = 1;")

    assert int((tmp_path / "ran").read_text()) != os.getpid()
    assert "mine" not in shell.user_ns


def test_unicode_future_lines_and_the_apps_own_modules(shell, capsys):
    shell.user_ns["größe"] = 2
    cell = """\
        %%dyno -i größe
        from __future__ import annotations
        import theirs

        def f(x: nowhere) -> ü: ...

        print("é 😀")
        theirs.area(größe)
        """

    assert run(shell, cell)["value"].tolist() == [12]
    assert "\né 😀\n" in capsys.readouterr().out


def test_a_table_goes_in_and_comes_back_with_its_types(analyst):
    day = pd.Timestamp("2026-01-31", tz="Europe/Berlin")
    df = pd.DataFrame({"x": [1, 2], "w": ["a", None], "t": [day, pd.NaT]}, index=pd.Index(["p", "q"], name="k"))
    code = "print(df.index.name, df.loc['q', 'x'], df['t'].dtype)\ndf.sort_values('x', ascending=False)"
    run = analyst.submit(code=code, parameters={"df": df})

    back = run.result(60)
    expected = df.reset_index()[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(back, expected, check_column_type=False)
    assert run.logs() == f"k 2 {df['t'].dtype}"


def test_a_table_needs_pandas_in_the_app(heroku):
    run = heroku.submit(code="df", parameters={"df": pd.DataFrame({"a": [1]})})

    with pytest.raises(TaskFailed, match='"df" is a table, and pandas is not installed in the app') as caught:
        run.result(60)
    file = heroku.settings.worker / "requirements.txt"
    assert str(caught.value).endswith(f"\n\n%%writefile -a {file}\npandas")


def test_a_figure_a_file_and_an_index_come_back(analyst):
    code = """
import pandas as pd, matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1, 2, 3])
display(fig)
plt.figure().gca().plot([3, 2, 1])
pd.DataFrame({"k": ["a", "a", "b"], "x": [1, 2, 3]}).groupby("k").mean()
"""
    run = analyst.submit(code=code)

    assert run.result(90).to_dict("records") == [{"k": "a", "x": 1.5}, {"k": "b", "x": 3.0}]
    assert [*run.files] == ["figure-1.png", "figure-2.png"]
    assert all(content.startswith(b"\x89PNG") for content in run.files.values())


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ("pd.Series([1, 2], name='n')", [{"n": 1}, {"n": 2}]),
        ("np.arange(2)", [{"value": 0}, {"value": 1}]),
        ("np.float64(0.5)", [{"value": 0.5}]),
        ("pd.DataFrame({'a': [1, 2]})[1:]", [{"a": 2}]),
        (
            "pd.DataFrame({'a': [1, 2]}).describe().loc[['min', 'max']]",
            [{"index": "min", "a": 1.0}, {"index": "max", "a": 2.0}],
        ),
    ],
)
def test_values_of_numpy_and_pandas_are_tables(analyst, value, rows):
    run = analyst.submit(code=f"import numpy as np, pandas as pd\n{value}")

    assert run.result(60).to_dict("records") == rows


def test_a_failure_shows_the_cells_line_three_with_its_caret(shell, capsys):
    with pytest.raises(TaskFailed) as caught:
        run(shell, "%%dyno\nx = 0\ny = [10 / x, 1]\nz = 2")

    text = str(caught.value)
    assert text.startswith("ZeroDivisionError: division by zero\n  <cell>:3  in <module>\n")
    assert "  →    3 | y = [10 / x, 1]" in text
    assert "4 |" not in text
    if sys.version_info >= (3, 11):
        assert "         |      ^^^^^^" in text
    assert '  File "<cell>", line 3, in <module>\n    y = [10 / x, 1]\n' in caught.value.run.logs()
    assert "Traceback" not in capsys.readouterr().out, "the error shows what matters of it"


def test_a_missing_package_names_the_line_for_requirements(shell):
    with pytest.raises(TaskFailed, match=r"%%writefile -a .*requirements\.txt\nscikit-learn$"):
        run(shell, "%%dyno\nimport sklearn")


def test_a_name_that_only_the_notebook_has_suggests_sending_it(shell, capsys):
    shell.user_ns["limits"] = [1, 2]
    with pytest.raises(TaskFailed, match="NameError"):
        run(shell, "%%dyno\nprint(limits)")
    assert '"limits" is a variable of this notebook. To send it along: `%%dyno -i limits`' in capsys.readouterr().out
    with pytest.raises(TaskFailed, match="NameError"):
        run(shell, "%%dyno\nprint(limit)")
    assert "is a variable of this notebook" not in capsys.readouterr().out


def test_twenty_values_make_twenty_rows(shell):
    shell.user_ns["seeds"] = range(20)
    df = run(shell, "%%dyno --each seeds --arg k=2\n{'double': k * seeds}")

    assert df["seeds"].tolist() == [*range(20)]
    assert df["double"].tolist() == [2 * seed for seed in range(20)]
    assert df.attrs["heroku"]["runs"] == 20
    assert df.attrs["heroku"]["verified"]


def test_combinations_can_share_a_dyno(shell):
    df = run(shell, "%%dyno --each a={range(20)} --chunk 10\nleft = 'b' in globals()\nb = a\n{'b': b, 'left': left}")

    assert df["b"].tolist() == [*range(20)]
    assert not df["left"].any()
    assert df.attrs["heroku"]["dynos"] == 2


def test_a_saved_sweep_can_be_resumed(heroku, tmp_path):
    code = "import os\nif k == 2 and not os.path.exists(mark):\n    raise ValueError('not yet')\n{'square': k * k}"
    each, mark, saved = {"k": range(4)}, tmp_path / "mark", tmp_path / "sweep.jsonl"
    with pytest.raises(SweepFailed, match="k=2: ValueError: not yet"):
        heroku.sweep(None, each, {"mark": str(mark)}, code=code, save=saved).result(60)
    mark.touch()

    df = heroku.resume(saved).result(60)
    assert df["square"].tolist() == [0, 1, 4, 9]


def test_ten_thousand_lines_arrive(heroku):
    run = heroku.submit(code="for i in range(10_000):\n    print('line', i)")

    assert run.result(60) is None
    assert run.logs().splitlines() == [f"line {i}" for i in range(10_000)]


def test_cancelling_stops_the_dyno(heroku):
    run = heroku.submit(code="import time\nprint('up')\ntime.sleep(60)")
    while "up" not in run.logs() and not run.wait(0.05):
        pass
    run.cancel()

    with pytest.raises(RunCancelled):
        run.result(30)
    assert heroku.dynos() == []


def test_the_largest_input_that_fits_arrives(heroku):
    rng, text = random.Random(1), ""
    while True:
        longer = text + "".join(rng.choices(string.ascii_letters, k=300))
        try:
            CellBundle(read_cell("text"), {"text": longer}).build_env()
        except InvalidParameters:
            break
        text = longer

    assert len(text) > 15_000
    assert heroku.submit(code="text", parameters={"text": text}).result(60)["value"].tolist() == [text]


def test_the_list_of_dynos_does_not_show_how_code_travels(shell):
    shell.run_cell("%%dyno --warm\n1").raise_error()
    dynos = repr(shell.run_line_magic("heroku", "ps"))
    shell.run_line_magic("heroku", "warm 0")

    assert "code of a notebook" in dynos
    assert "base64" not in dynos


@pytest.fixture
def shop(shared_server, monkeypatch, tmp_path):
    """The same app as if it was on Heroku: by a host and a token."""
    server = shared_server
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", server.token.reveal())
    return connect(server.app, say=lambda _: None)


def test_a_detached_cell_can_be_attached_from_another_connection(shop):
    code = "import time\nfor i in range(n):\n    emit({'i': i})\n    time.sleep(0.05)"
    left = shop.submit(code=code, parameters={"n": 10}, detach=True)
    left.wait_for_dyno(30)
    written = next(Path(".heroku/runs").iterdir()).read_text()

    assert "RUN_CODE" not in written.replace(COMMAND.replace('"', '\\"'), ""), "what was shipped is not written down"
    assert connect(shop.app, say=lambda _: None).attach(left.id).result(60)["i"].tolist() == [*range(10)]


def test_a_cell_keeps_to_the_pace_and_reads_no_process_types(shop, monkeypatch):
    monkeypatch.setattr(
        "heroku_magic.api.client.HerokuClient.formation", lambda *_: pytest.fail("asked for process types")
    )
    run = shop.submit(code="import os\n[name for name in os.environ if name.startswith('RUN_')]")

    assert run._spec.env["RUN_PACE"] == "200"
    assert run.result(60).empty


def commands():
    """What all processes were started with."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at processes as Linux shows them")
def test_source_inputs_and_secrets_are_in_neither_command_nor_log_nor_ps(heroku):
    parts = ["source", "input", "secret"]
    hidden = [f"canary-{part}-of-{'dyno'}s" for part in parts]  # not as one literal: this test's own process has it
    code = f"import time, os\nmark = {hidden[0]!r}\nprint('here', len(KEY), sorted(os.environ))\ntime.sleep(60)"
    run = heroku.submit(code=code, parameters={"mine": hidden[1], "KEY": Secret(hidden[2])})
    while "here" not in run.logs() and not run.wait(0.05):
        pass
    (dyno,) = heroku.dynos()
    seen = [dyno.command, repr(run), repr(run._spec), *map(str, heroku.logs("")), *commands(), run.logs()]
    run.cancel()
    run.wait(30)

    assert dyno.command == f"{COMMAND} #{run.id}"
    assert any(COMMAND.partition("'")[2].rstrip("'") in one for one in seen[3:])
    assert any("Starting process with command" in one for one in seen)
    assert not [(part, one[:200]) for part in hidden for one in seen if part in one]
    assert "RUN_" not in run.logs()


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("%%dyno", InvalidParameters, "The cell has no code"),
        ("%%dyno\n", InvalidParameters, "The cell has no code"),
        ("%%dyno\nx = (1", InvalidParameters, r"<cell>:2"),
        ("%%dyno\n!ls", InvalidParameters, "That is IPython syntax, and the dyno runs plain Python"),
        ("%%dyno task\n1", InvalidOptions, "To run a task, use %%heroku TASK"),
        ("%%dyno -i nmaes\n1", InvalidOptions, "--input nmaes: there is no variable nmaes. Did you mean names"),
        ("%%dyno --input names --arg names=1\n1", InvalidOptions, '"names" is given by --input and by --arg'),
        ("%%dyno --each names --arg names=1\n1", InvalidOptions, '"names" is given twice'),
        ("%%dyno --each nmaes\n1", InvalidOptions, "--each nmaes: there is no variable"),
        (
            "%%dyno --each x\nx = [1, 2]",
            InvalidOptions,
            "there is no variable x. Assign it in an earlier cell: this one runs on the dyno.",
        ),
        ("%%dyno --arg emit=1\n1", InvalidParameters, '"emit" is a function that every cell has on the dyno'),
        ("%%dyno --arg f={print}\n1", InvalidParameters, "f: a function cannot be passed as a value"),
        ("%%dyno -i sub.x\n1", InvalidOptions, "expected names of variables"),
        ("%%dyno -i a, b\n1", InvalidOptions, "such as a,b without blanks"),
        ("%%dyno -i a=3\n1", InvalidOptions, "for a value use --arg"),
        ("%%dyno --form\n1", InvalidOptions, "There is no option --form"),
        ("%%dyno --any-type\n1", InvalidOptions, "There is no option --any-type"),
        ("%%dyno -- ls\n1", InvalidOptions, "A command after -- cannot be combined"),
        ("%%dyno --each t={tables}\n1", InvalidParameters, "t: a DataFrame cannot be passed"),
        ("%%dyno --each t={tables}\n1", InvalidParameters, "Send a list of them with -i, and sweep over its places"),
        ("%%heroku\nfor i in x: pass", InvalidParameters, "To run the cell's own code, use %%dyno"),
    ],
)
def test_bad_cells_are_rejected_before_anything_starts(shell, monkeypatch, cell, error, message):
    monkeypatch.setattr("heroku_magic.api.client.HerokuClient.create_dyno", lambda *_, **__: pytest.fail("a dyno"))
    shell.user_ns.update(names=["a"], tables=[pd.DataFrame({"a": [1]})] * 2)
    with pytest.raises(error, match=message):
        run(shell, cell)


def test_code_and_a_task_cannot_be_combined(heroku):
    for options in ({"task": "web"}, {"task": None, "command": "true"}):
        with pytest.raises(InvalidOptions, match="Give only one of these: code, a task or a command"):
            heroku.submit(**options, code="1")
    with pytest.raises(InvalidOptions, match="Give only one of these: code, a task or a command"):
        heroku.sweep("web", {"k": [1]}, code="k")


def test_dry_run_prints_the_cost(shell, capsys):
    assert run(shell, "%%dyno --each k={range(8)} --dry-run\nk") is None
    assert "8 runs of cell" in capsys.readouterr().out


def test_help_shows_the_form_of_the_cell(shell, capsys):
    run(shell, "%%dyno --help")

    text = capsys.readouterr().out
    assert text.startswith("%%dyno [options]")
    assert "-i, --input NAME[,NAME…]" in text
    assert "%%dyno -i names" in text


def test_tab_completes_options_and_variables(shell):
    shell.user_ns.update(threshold=1, thrift=2)

    assert completed(shell, "%%dyno --in") == ["--input"]
    assert completed(shell, "%%dyno -i thr") == ["threshold", "thrift"]
    assert completed(shell, "%%dyno -i x,thre") == ["threshold"]
    assert completed(shell, "%%dyno --each thre") == ["threshold"]


def completed(shell, line):
    from heroku_magic.magics import HerokuMagics

    (magics,) = [one for one in shell.magics_manager.registry.values() if isinstance(one, HerokuMagics)]
    found = magics.complete(line, is_first_line=True).found
    return [match.text for match in found]


def test_unloading_removes_the_magic(shell):
    run(shell, "%unload_ext heroku_magic")

    assert shell.find_cell_magic("dyno") is None
    run(shell, "%load_ext heroku_magic")
    assert shell.find_cell_magic("dyno") is not None


def test_a_background_run_assigns_its_table_at_the_end(shell, tmp_path):
    wait = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}):\n    time.sleep(0.02)\n"
    handle = run(shell, f"%%dyno --bg --out later\n{wait}{{'a': 1}}")
    assert "later" not in shell.user_ns

    (tmp_path / "go").touch()
    handle.wait(30)
    until = time.monotonic() + 10
    while "later" not in shell.user_ns and time.monotonic() < until:
        time.sleep(0.02)
    assert shell.user_ns["later"]["a"].tolist() == [1]


def test_a_secret_does_not_silently_replace_a_config_var(analyst, monkeypatch):
    (Path(analyst.settings.worker) / ".env").write_text(f"PYTHONPATH={PACKAGES}\nKEY=configured\n")
    monkeypatch.setenv("KEY", "hunter2-hunter2")
    with pytest.raises(InvalidParameters, match="KEY is a config var of embedded: --override KEY"):
        analyst.submit(code="KEY", secrets=["KEY"])

    assert analyst.submit(code="len(KEY)", secrets=["KEY"], override=["KEY"]).result(60)["value"].tolist() == [15]


def test_a_secret_is_a_name_of_the_cell_and_masked(shell, monkeypatch, capsys):
    monkeypatch.setenv("KEY", "hunter2-hunter2")
    df = run(
        shell, "%%dyno --secret KEY\nimport os\nprint(KEY, os.environ['KEY'] == KEY, [KEY])\n{'n': len(KEY), 'k': KEY}"
    )

    assert df.to_dict("records") == [{"n": 15, "k": "***"}]
    out = capsys.readouterr().out
    assert "\n*** True [Secret(***)]\n" in out
    assert "hunter2" not in out


# -- functions -------------------------------------------------------------------------------------

OFFSET = 5


def shifted(x):
    return x + OFFSET


@heroku_magic.function
def scaled(x, by=2):
    """Scale."""
    print("scaling", x)
    return shifted(x) * by


@pytest.fixture
def mine(heroku):
    return heroku.function(scaled.__wrapped__)


def test_a_function_runs_here_when_it_is_called():
    assert scaled(1) == 12
    assert scaled.__doc__ == "Scale."
    assert scaled.__name__ == "scaled"


def test_remote_returns_the_functions_value(mine):
    assert mine.remote(1, by=3) == 18
    assert heroku_magic.last.logs() == "scaling 1"


@pytest.mark.parametrize("chunk", [1, 4])
def test_map_returns_all_in_order(mine, chunk):
    assert mine.map(range(8), chunk=chunk) == [2 * (x + OFFSET) for x in range(8)]
    assert mine.map([1, 2], [10, 100]) == [60, 700]
    assert mine.map([]) == []


@pytest.mark.parametrize("chunk", [1, 4])
def test_map_takes_any_values_and_returns_them_exactly(heroku, chunk):
    values = [(1, "a"), {3}, None, b"x", {(1, 2): float("inf")}, "text"]
    assert heroku.function(lambda value: value).map(values, chunk=chunk) == values


def test_the_value_of_a_function_does_not_clash_with_an_argument(heroku):
    sweep = heroku.sweep(None, {"value": [1, {2}]}, code=lambda value: [value])
    assert sweep.result(60).to_dict("list") == {"value": [1, {2}], "result": [[1], [{2}]]}
    assert sweep.runs()["value"].tolist() == [1, {2}]


def test_a_sweep_that_is_saved_has_no_arrays_as_parameters(heroku, tmp_path):
    with pytest.raises(InvalidParameters, match="The sweep cannot be saved: it has arrays or tables"):
        heroku.sweep(None, {"x": [1, np.array([2])]}, code=lambda x: x, save=tmp_path / "journal")
    assert not (tmp_path / "journal").exists()


def fails_once(x, folder):
    mark = pathlib.Path(folder, "failed")
    if isinstance(x, set) and not mark.exists():
        mark.touch()
        raise ValueError(x)
    return x, type(x).__name__, (type(x), x)[1:]


def test_a_resumed_sweep_of_a_function_has_exact_arguments_and_values(heroku, tmp_path):
    values = [(1, 2), {3}, b"x"]
    with pytest.raises(SweepFailed):
        heroku.sweep(None, {"x": values, "folder": [str(tmp_path)]}, code=fails_once, save=tmp_path / "journal").result(
            60
        )

    sweep = heroku.resume(tmp_path / "journal")
    assert sweep.result(60)["value"].tolist() == [(x, type(x).__name__, (x,)) for x in values]
    assert len(sweep.known()) == 3


def test_a_failure_on_the_dyno_shows_the_functions_lines(mine):
    with pytest.raises(
        TaskFailed, match=r"TypeError: can only concatenate(.|\n)*<shifted>:\d+  in shifted(.|\n)*return x \+ OFFSET"
    ):
        mine.remote("a")
    with pytest.raises(SweepFailed, match=r"1 of 2 runs failed(.|\n)*x='a': TypeError"):
        mine.map([1, "a"])


def test_arguments_that_do_not_fit_start_nothing(mine, monkeypatch):
    monkeypatch.setattr("heroku_magic.api.client.HerokuClient.create_dyno", lambda *_, **__: pytest.fail("a dyno"))
    with pytest.raises(TypeError, match="missing a required argument"):
        mine.remote()
    with pytest.raises(InvalidParameters, match=r"x: an object of type _thread\.lock cannot be pickled"):
        mine.remote(threading.Lock())
    with pytest.raises(InvalidOptions, match='"sise" is not an option of a function'):
        heroku_magic.function(sise="basic")
    with pytest.raises(InvalidOptions, match=r"'basic' is not a function\. Options are keywords: size='standard-2x'"):
        heroku_magic.function("basic")


def gives(kind):
    if kind == "tuple":
        return (1, "a")
    if kind == "set":
        return {1}
    if kind == "object":
        return object()
    if kind == "rows":
        from heroku_task import emit

        emit({"a": 1})
    return None


def test_a_value_that_cannot_be_returned_is_an_error(heroku):
    made = heroku.function(gives)

    assert made.remote("tuple") == (1, "a")
    assert made.remote("set") == {1}
    assert made.remote("none") is None
    with pytest.raises(TaskFailed, match="the result of gives is of type object, and cannot be sent exactly"):
        made.remote("object")
    with pytest.raises(TaskFailed, match='"gives" emitted rows; a function must return its result instead'):
        made.remote("rows")


def table_of(packages, n):
    import sys

    sys.path.append(packages)
    import pandas as pd

    return pd.DataFrame({"x": range(n), "t": pd.Timestamp("2026-01-31", tz="UTC")})


def test_a_table_comes_back_with_its_types(heroku):
    df = heroku.function(table_of).remote(PACKAGES, 3)

    assert df["x"].tolist() == [0, 1, 2]
    assert "UTC" in str(df["t"].dtype)
    assert heroku.function(table_of).remote(PACKAGES, 0).shape == (0, 2)


def test_an_executor_runs_functions(heroku):
    with heroku.executor(jobs=2) as executor:
        assert list(executor.map(scaled, [1, 2, 3])) == [12, 14, 16]
        assert executor.submit(len, [1, 2]).result() == 2


def test_a_function_has_secrets_in_its_environment(heroku, monkeypatch):
    monkeypatch.setenv("KEY", "hunter2-hunter2")

    assert heroku.function(secret_length, secrets=["KEY"]).remote() == 15


def secret_length():
    import os

    return len(os.environ["KEY"])


def test_functions_are_called_from_any_thread(mine):
    results = []
    threads = [threading.Thread(target=lambda x=x: results.append(mine.remote(x))) for x in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [10, 12, 14]


@pytest.mark.parametrize("value", [{"a": np.array([1])}, [np.array([1])], np.float64(2)])
def test_a_value_of_numpy_in_an_app_without_numpy_is_an_error_with_a_remedy(heroku, value):
    message = r'"value" needs numpy or pandas, and numpy is not installed in the app(.|\n)*requirements\.txt'
    with pytest.raises(TaskFailed, match=message):
        heroku.run(code="1", parameters={"value": value})


def test_an_array_in_an_app_without_numpy_is_an_error_with_a_remedy(heroku):
    message = r'"values" is an array, and numpy is not installed in the app(.|\n)*requirements\.txt'
    with pytest.raises(TaskFailed, match=message):
        heroku.run(code="values[0]", parameters={"values": np.array([1, 2])})
    assert heroku.function(reversed_list).remote([1, 2, 3]) == [3, 2, 1]


def reversed_list(values):
    return values[::-1]
