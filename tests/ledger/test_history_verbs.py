"""The verbs of the history, in the notebook's shell."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workers import make_worker

import heroku_magic
from heroku_magic import InvalidOptions
from heroku_magic.ledger import location
from heroku_magic.ledger.history import database

TASKS = {
    "measure": """
        from pathlib import Path
        from heroku_task import task

        @task
        def measure(file: Path):
            return {"length": len(file.read_text())}
        """,
    "count": """
        from heroku_task import task

        @task
        def count(n: int = 3, word: str = "x"):
            print("counting to", n)
            return [{"i": i, "word": word} for i in range(n)]
        """,
    "declares": """
        from heroku_task import task

        @task(cache=True)
        def declares():
            return {"n": 1}
        """,
    "secretive": """
        from heroku_task import Secret, task

        @task
        def secretive(KEY: Secret, n: int = 1):
            return {"length": len(str(KEY))}
        """,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_worker(tmp_path_factory.mktemp("app") / "worker", **TASKS)


@pytest.fixture
def shell(start_shell, folder, shared_server, ledger_folder):
    return start_shell(folder)


def _line(shell, line):
    return shell.run_line_magic("heroku", line)


def _error(shell, cell):
    return str(shell.run_cell(cell).error_in_exec)


def test_history_filters_and_forgets(shell, capsys):
    _line(shell, "run count --arg n=1")
    assert "ZeroDivisionError" in _error(shell, "%%dyno\n1 / 0")
    _line(shell, "run count --arg n=2 --no-history")

    assert _line(shell, "history")["task"].tolist() == ["cell", "count"]
    assert _line(shell, "history --failed")["exit_status"].tolist() == [1]
    assert _line(shell, "history --limit 1")["task"].tolist() == ["cell"]
    assert len(_line(shell, "history --since 1d")) == 2
    nothing = _line(shell, "history --cached")
    assert (len(nothing), repr(nothing), nothing._repr_html_()) == (0, *["The history has no run to show."] * 2)
    assert _line(shell, "history count")["n"].tolist() == [1]
    assert "expected a time, such as 90s" in _error(shell, "%heroku history --since yesterday")
    _line(shell, "history --forget -1")
    assert _line(shell, "history")["task"].tolist() == ["count"]
    _line(shell, "history --forget all")
    assert len(_line(shell, "history")) == 0
    assert "Deleted 1 run from the history." in capsys.readouterr().out


def test_the_table_expands_to_log_rows_and_pictures_and_ends_with_a_sum(shell):
    shell.run_cell_magic(
        "dyno",
        "",
        "print('<b>by me@example.com')\nopen('p.png', 'wb').write(bytes([137]) + b'PNG\\r\\n\\x1a\\n...')\n"
        "emit_file('p.png')\n[{'a<b': 1}]",
    )
    assert "ZeroDivisionError" in _error(shell, "%%dyno\n1 / 0")
    table = _line(shell, "history")
    html, text = table._repr_html_(), repr(table)
    seconds = table["seconds"].sum()
    assert text.splitlines()[0].split() == ["run", "task", "started", "seconds", "dollars", "exit_status", "rows"]
    assert f"{table['started'][0]:%Y-%m-%d %H:%M}" in text
    assert text.splitlines()[2] == "    ZeroDivisionError: division by zero"
    assert max(map(len, text.splitlines())) <= 78
    assert text.splitlines()[-1] == f"2 runs · {seconds:.1f} s · $0.0000"
    assert f"<div>2 runs · {seconds:.1f} s · $0.0000</div>" in html
    cells = re.findall(r"<td style=[^>]*>([^<]*)</td>", html)
    assert cells[2:5] == [f"{table['started'][0]:%Y-%m-%d %H:%M}", f"{table['seconds'][0]:.1f}", "0.0000"]
    assert html.count("<details>") == 2
    assert "&lt;b&gt;by ***@***" in html
    assert "<th>a&lt;b</th>" in html
    assert "data:image/png;base64,iVBORw0KGgouLi4=" in html
    assert "ZeroDivisionError: division by zero</summary>" in html
    assert type(table[table["exit_status"] == 1]) is pd.DataFrame


def test_the_table_is_shown_after_an_entry_was_deleted_and_with_many_columns(shell):
    shell.run_cell_magic("dyno", "", "[{f'c{n}': n for n in range(100)}]")
    run = heroku_magic.last.id
    shell.run_cell_magic("dyno", "", "print('kept')")
    table = _line(shell, "history")
    assert "<th>c99</th>" in table._repr_html_()
    assert "<th>c50</th>" not in table._repr_html_()
    _line(shell, f"history --forget {run}")
    html = table._repr_html_()
    assert f"There is no run &#34;{run}&#34;" in html
    assert "kept" in html


def test_show_repeats_the_output_and_returns_the_table(shell, capsys, tmp_path):
    expected = _line(shell, "run count --arg n=2")
    output = capsys.readouterr().out
    again = _line(shell, "show -1")
    assert capsys.readouterr().out.splitlines()[-2:] == output.splitlines()[-2:]
    pd.testing.assert_frame_equal(again, expected)
    _line(shell, "show -1 --out df")
    pd.testing.assert_frame_equal(shell.user_ns["df"], expected)

    page = tmp_path / "report.html"
    _line(shell, f"show -1 --export {page}")
    text = page.read_text()
    assert re.search(r"count</b>.*✓ exit 0", text, re.DOTALL)
    assert "counting to 2" in text
    assert "<td>x</td>" in text

    table = tmp_path / "table.csv"
    table.write_text("n\n1\n")
    assert "is not a page. Expected a name that ends in .html." in _error(shell, f"%heroku show -1 --export {table}")
    assert table.read_text() == "n\n1\n"

    assert "ZeroDivisionError" in _error(shell, "%%dyno\n1 / 0")
    capsys.readouterr()
    assert _line(shell, "show -1") is None
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_rerun_takes_the_recorded_code_and_parameters_and_changes(shell, capsys):
    _line(shell, "run count --arg n=2 --arg word=Ada")
    first = heroku_magic.last
    table = _line(shell, f"rerun {first.id}")
    assert table["word"].tolist() == ["Ada", "Ada"]
    assert "cached" not in table.attrs["heroku"]
    message = f"Running count again with the code and parameters of {first.id} "
    assert message in capsys.readouterr().out
    assert len(_line(shell, "rerun -1 --arg n=3")) == 3
    shell.run_cell("x = 5")
    shell.run_cell_magic("dyno", "--arg k=7 --arg when={(1, 2)}", "[{'k': k, 'when': str(when)}]")
    assert _line(shell, "rerun -1").to_dict("records") == [{"k": 7, "when": "(1, 2)"}]
    _line(shell, "run -- echo hello")
    assert _line(shell, "rerun -1") is None
    assert heroku_magic.last.logs() == "hello"


def test_rerun_never_reads_the_cache_and_replaces_it(shell):
    first = _line(shell, "run count --cache")
    again = _line(shell, "rerun -1")
    assert "cached" not in again.attrs["heroku"]
    hit = _line(shell, "run count --cache")
    assert hit.attrs["heroku"]["cached"] == again.attrs["heroku"]["run"] != first.attrs["heroku"]["run"]


def test_rerun_does_not_read_the_cache_whatever_the_notebook_and_the_task_say(shell, monkeypatch):
    _line(shell, "run declares")
    _line(shell, "run declares --no-cache")
    kept_out = heroku_magic.last.id
    monkeypatch.setattr(location, "_cache", lambda: True)
    assert "cached" in _line(shell, "run declares").attrs["heroku"]
    assert "cached" not in _line(shell, f"rerun {kept_out}").attrs["heroku"]


def test_an_input_comes_from_the_variable_of_its_name_only_if_it_is_the_same(shell):
    shell.run_cell("names = ['Ada', 'Grace']\ntags = {'a', 'b', (1, 2.5)}")
    shell.run_cell_magic("dyno", "-i names,tags --arg k=1", "[{'n': len(names), 'k': k}]")
    run = heroku_magic.last.id
    assert _line(shell, f"rerun {run}")["n"].tolist() == [2]
    shell.run_cell("names = ['Ada']; del tags")
    assert _error(shell, f"%heroku rerun {run}") == (
        f'{run} cannot be repeated: the variable "names" has changed since; "tags" is known only by its '
        "hash, and there is no variable of that name. --arg NAME={NAME} passes it as it is now."
    )
    assert _line(shell, f"rerun {run} --arg names={{names}} --arg tags=1")["n"].tolist() == [1]


def test_a_function_and_a_sweep_are_repeated(shell):
    shell.run_cell(
        "import heroku_magic\n@heroku_magic.function\ndef add(a, b=1):\n    return {'sum': a + b}\nvalue = add.remote(2, b=3)"
    )
    assert shell.user_ns["value"] == {"sum": 5}
    _line(shell, "rerun -1")
    assert heroku_magic.last.parts[0].rows == [{"value": {"sum": 5}}]
    _line(shell, "run count --arg word=w --each n={[1,2]} --jobs 1")
    sweep = heroku_magic.last
    again = _line(shell, f"rerun {sweep.id} --arg word=v")
    assert again["word"].tolist() == ["v"] * 3
    assert again["n"].tolist() == [1, 2, 2]
    assert "cannot be repeated with one value for n, which differs" in _error(shell, "%heroku rerun -1 --arg n=3")


def test_the_program_of_a_function_is_kept_once_for_all_its_calls_until_they_are_forgotten(shell):
    def programs():
        heroku_magic.history()
        return database()._call(lambda ledger: ledger.execute("SELECT count(*) FROM programs").fetchone()[0])

    heroku = heroku_magic.connect()
    double, triple = (heroku.function(fn, quiet=True) for fn in (lambda n: 2 * n, lambda n: 3 * n))
    assert [double.remote(n) for n in range(3)] == [0, 2, 4]
    assert triple.remote(2) == 6
    assert programs() == 2
    oldest = heroku_magic.history()["run"].iloc[-1]
    _line(shell, f"rerun {oldest}")
    assert programs() == 2
    _line(shell, "history " + " ".join(f"--forget {run}" for run in heroku_magic.history()["run"][1:4]))
    assert programs() == 1
    assert heroku_magic.get_run(-1).request.bundle
    _line(shell, f"rerun {oldest}")
    _line(shell, "history --forget all")
    assert programs() == 0


def test_what_takes_much_space_in_a_request_is_not_kept_with_each_run(shell):
    table = os.urandom(150_000)

    def look(at):
        return table[at]

    def count(words):
        return len(words)

    heroku, words = heroku_magic.connect(), [f"word {n}" for n in range(20_000)]
    for fn, argument, value in [(look, 3, table[3]), (count, words, 20_000)]:
        function = heroku.function(fn, quiet=True)
        assert function.remote(argument) == value
    large, many = heroku_magic.history()["run"][:2][::-1]
    assert database().path.stat().st_size < 200_000
    message = "look, with the variables that it uses, was too large to keep. Call it again."
    assert message in _error(shell, f"%heroku rerun {large}")
    assert "known only by its hash, and there is no variable of that name" in _error(shell, f"%heroku rerun {many}")
    shell.user_ns["words"] = words
    _line(shell, f"rerun {many}")
    assert heroku_magic.last.parts[0].rows == [{"value": 20_000}]


def test_a_sweep_of_a_function_is_repeated_as_it_was_sent(shell):
    shell.run_cell(
        """
        import heroku_magic
        from dataclasses import dataclass

        @heroku_magic.function(quiet=True)
        def scale(n, factor=1, when=None):
            return {"scaled": n * factor, "when": str(when)}

        values = scale.map([1, 2], [5, 6], [(1, 2), {3}], chunk=2)
        """
    )
    mapped = heroku_magic.last.id
    del shell.user_ns["scale"]
    again = _line(shell, f"rerun {mapped}")
    assert again["value"].tolist() == shell.user_ns["values"]
    assert again["value"].tolist() == [{"scaled": 5, "when": "(1, 2)"}, {"scaled": 12, "when": "{3}"}]

    def double(n, factor=1):
        return n * factor

    heroku = heroku_magic.connect()
    first = heroku.sweep(None, {"n": [1, 2, 3]}, {"factor": 2}, code=double, sample=2, seed=1, chunk="auto")
    expected = first.result()
    pd.testing.assert_frame_equal(_line(shell, f"rerun {first.id}"), expected, check_flags=False)
    assert _line(shell, f"rerun {first.id} --arg factor=10")["value"].tolist() == [5 * n for n in expected["value"]]
    assert heroku_magic.history()["parameters"].tolist()[0] == {"factor": 10, "n": "2 values"}


def test_a_run_of_a_sweep_is_repeated_and_compared_with_its_own_parameters(shell, capsys):
    def double(n, factor=1):
        return n * factor

    heroku = heroku_magic.connect()
    sweeps = [
        heroku.sweep("count", {"n": [2, 1]}, {"word": "w"}, jobs=1),
        heroku.sweep(None, {"k": [2, 1]}, {"word": "w"}, code="[{'k': k, 'word': word}]", jobs=1),
        heroku.sweep(None, {"n": [2, 1]}, {"factor": 10}, code=double, jobs=1),
    ]
    assert [sweep.exception() for sweep in sweeps] == [None] * 3
    last = [sweep.runs()["run"][1] for sweep in sweeps]
    tables = [_line(shell, f"rerun {run} -q") for run in last]
    assert tables[0].to_dict("records") == [{"i": 0, "word": "w"}]
    assert tables[1].to_dict("records") == [{"k": 1, "word": "w"}]
    assert tables[2]["value"].tolist() == [10]
    assert _line(shell, f"rerun {last[1]} -q --arg k=7")["k"].tolist() == [7]
    capsys.readouterr()
    _line(shell, f"diff {last[1]} -1")
    text = capsys.readouterr().out
    assert "parameter k: 1 → 7" in text
    assert "@@" not in text  # the code is the same
    chunked = heroku.sweep(None, {"k": [1, 2]}, code="[{'k': k}]", chunk=2)
    assert chunked.exception() is None
    run = chunked.runs()["run"][0]
    assert _error(shell, f"%heroku rerun {run}") == (
        f"{run} ran several combinations of {chunked.id}: %heroku rerun {chunked.id} repeats them all."
    )


def test_a_sweep_whose_values_are_not_kept_is_not_repeated_with_others(shell, monkeypatch):
    def count(x):
        return len(str(x)) // 100

    monkeypatch.setenv("KEY", "correct-horse")
    heroku = heroku_magic.connect()
    _line(shell, "run secretive --secret KEY")
    for values in ([np.ones(2), np.ones(2)], [Path, Path], ["a", "a correct-horse"], ["x" * 600_000] * 2):
        sweep = heroku.sweep(None, {"x": values}, code=count, chunk=2)
        sweep.wait()
        assert _error(shell, f"%heroku rerun {sweep.id}") == (
            f"{sweep.id} cannot be repeated, because the values of x are not kept: they contained a secret, have no "
            "exact form, or are too large. Start the sweep again with these values."
        )


def test_a_sweep_over_files_of_a_task_is_not_repeated_with_their_names(shell, tmp_path):
    files = [tmp_path / name for name in ("a", "bcd")]
    for file in files:
        file.write_text(file.name)
    sweep = heroku_magic.connect().sweep("measure", {"file": files})
    assert sweep.result(60)["length"].tolist() == [1, 3]
    assert "the values of file are not kept" in _error(shell, f"%heroku rerun {sweep.id}")


def test_secrets_are_requested_again(shell, monkeypatch):
    monkeypatch.setenv("KEY", "correct-horse")
    _line(shell, "run secretive --secret KEY")
    monkeypatch.setenv("KEY", "correct-horse-battery")
    assert _line(shell, "rerun -1")["length"].tolist() == [len("correct-horse-battery")]


def test_diff_says_what_differs(shell, capsys):
    shell.run_cell_magic("dyno", "--arg n=2", "print('a')\n[{'i': i, 'n': 0} for i in range(n)]")
    shell.run_cell_magic("dyno", "--arg n=2", "print('a')\n[{'i': i, 'n': i} for i in range(n)]")
    shell.run_cell_magic("dyno", "--arg n=3", "print('a')\n[{'i': i, 'n': i} for i in range(n)]")
    capsys.readouterr()

    cells = _line(shell, "diff -3 -2")
    text = capsys.readouterr().out
    assert "-[{'i': i, 'n': 0} for i in range(n)]\n+[{'i': i, 'n': i} for i in range(n)]" in text
    assert "table: 2 rows × 2 columns, 1 row differs" in text
    assert cells.to_dict("list") == {("n", "first"): [0], ("n", "second"): [1]}
    assert _line(shell, "diff -2 -1") is None
    text = capsys.readouterr().out
    assert "parameter n: 2 → 3" in text
    assert "table: 2 rows × 2 columns → 3 rows × 2 columns" in text
    shell.run_cell("import heroku_magic\nbase = 1\n@heroku_magic.function\ndef add(n):\n    return n + base")
    shell.run_cell("first = add.remote(1); base = 2; second = add.remote(1)")
    _line(shell, "diff -2 -1")
    assert "\ncode: the same text, but something that it uses differs\n" in capsys.readouterr().out
    _line(shell, "diff -1 -1")
    assert "table: equal, 1 row × 1 column" in capsys.readouterr().out
    assert "%heroku diff expects RUN RUN" in _error(shell, "%heroku diff -1")


def test_diff_of_sweeps_names_the_values_that_were_swept(shell, capsys):
    for values in ("[1, 2]", "[1, 3]"):
        _line(shell, f"run count --each n={{{values}}} --arg word=w")
    capsys.readouterr()
    _line(shell, "diff -2 -1")
    text = capsys.readouterr().out
    assert "parameter n: [1, 2] → [1, 3]" in text
    assert "parameter word" not in text
    _line(shell, "diff -1 -1")
    assert "parameter" not in capsys.readouterr().out


def test_diff_tells_values_apart_that_python_takes_for_equal(shell, capsys):
    for values in ([1, math.nan], [True, math.nan]):
        heroku_magic.connect().sweep(None, {"n": values}, code=lambda n: 1, chunk=2).result(60)
    _line(shell, "diff -2 -1")
    assert "parameter n: [1, nan] → [True, nan]" in capsys.readouterr().out
    _line(shell, "diff -1 -1")
    assert "parameter" not in capsys.readouterr().out


def test_status_says_what_today_cost(shell, capsys):
    _line(shell, "run count")
    _line(shell, "status")
    assert re.search(r"today +1 run, \$0\.0000", capsys.readouterr().out)


def test_the_setting_switches_the_history_off(shell, ledger_folder):
    shell.run_line_magic("config", "HerokuMagics.history = False")
    _line(shell, "run count")
    assert not (ledger_folder / ".heroku").exists()
    assert "No history is kept here" in _error(shell, "%heroku show -1")
    assert repr(_line(shell, "history")).startswith("No history is kept here")
    with pytest.raises(InvalidOptions, match="No history is kept here"):
        heroku_magic.get_run()


def test_completion_knows_the_runs(shell):
    _line(shell, "run count")
    run = heroku_magic.last.id
    heroku_magic.history()
    complete = shell.magics_manager.registry["HerokuMagics"].complete
    assert [match.text for match in complete("%heroku show ", True).found] == ["-1", run]
