"""`%%dyno` in a real kernel, in a headless run, and interrupted; on an app with only `web`."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest
from kernels import kernel

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("notebooks")
    (home / "worker").mkdir()
    (home / "worker" / "Procfile").write_text("web: python -m http.server $PORT\n")
    (home / "worker" / ".env").write_text(f"PYTHONPATH={Path(pd.__file__).parents[1]}\n")
    return home


@pytest.fixture(scope="module")
def shared(home, kernels):
    with kernel(home) as started:
        yield started


@pytest.mark.alone
def test_prints_arrive_while_the_cell_runs_and_rows_are_its_value(shared):
    cell = "%%dyno --arg n=3\nimport time\nfor i in range(n):\n    print('tick', i)\n    emit({'i': i})\n    time.sleep(0.3)"
    sent, arrivals = shared.start(cell), {}
    messages = []
    for seconds, message in shared.messages(sent):
        messages.append(message)
        for tick in re.findall(r"tick (\d)", message["content"].get("data", {}).get("text/html", "")):
            arrivals.setdefault(tick, seconds)

    assert list(arrivals) == ["0", "1", "2"]
    assert arrivals["2"] - arrivals["0"] > 0.3
    (value,) = [message for message in messages if message["msg_type"] == "execute_result"]
    assert value["content"]["data"]["text/plain"].split() == ["i", "0", "0", "1", "1", "2", "2"]


def test_an_interrupt_stops_the_dyno(shared):
    sent = shared.start("%%dyno\nimport time\nprint('up')\ntime.sleep(100)")
    shared.wait_for_text(sent, "up")
    time.sleep(0.3)  # Python drops an interrupt that comes while it frees what was drawn
    shared.manager.interrupt_kernel()
    errors = [message["content"] for _, message in shared.messages(sent) if message["msg_type"] == "error"]

    assert errors[0]["ename"] == "RunCancelled"
    assert "cell was stopped" in errors[0]["evalue"]
    assert shared.run("%heroku ps").value == "No dyno is running."


def test_a_failure_is_an_error_output_with_the_cells_own_line(shared):
    name, text = shared.run("%%dyno\nx = 0\ny = 1 / x").error

    assert name == "TaskFailed"
    assert text.startswith("ZeroDivisionError: division by zero\n  <cell>:3  in <module>")


def test_a_figure_and_an_emitted_picture_are_shown_in_the_cell(shared):
    cell = f"""%%dyno
import matplotlib.pyplot as plt
from base64 import b64decode
fig, ax = plt.subplots()
ax.plot([1, 3, 2])
display(fig)
open("dot.png", "wb").write(b64decode("{PNG}"))
emit_file("dot.png");"""
    out = shared.run(cell, timeout=60)

    pictures = [shown["data"]["image/png"] for shown in out.of("display_data") if "image/png" in shown["data"]]
    assert out.error is None
    assert len(pictures) == 2
    assert pictures[1] == PNG
    assert "figure-1.png" in out.shown


def test_a_function_of_a_cell_runs_on_dynos_with_the_cells_line_numbers(shared):
    cell = """import heroku_magic
heroku = heroku_magic.connect(say=lambda text: None)
BASE = 10

def helper(x):
    return BASE / x

@heroku.function
def f(x):
    return helper(x) + 1

f.remote(5), f.map([1, 2]), f(5)"""
    assert shared.run(cell).value == "(3.0, [11.0, 6.0], 3.0)"
    name, text = shared.run("f.remote(0)").error

    assert name == "TaskFailed"
    assert "  <helper>:6  in helper" in text
    assert "→    6 |     return BASE / x" in text


def test_a_class_of_a_cell_goes_with_the_function_that_uses_it(shared):
    shared.run("import heroku_magic\nheroku = heroku_magic.connect(say=lambda text: None)")
    point = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n    y: int = {}"
    pair = "class Pair:\n    def __init__(self, a): self.a = a\n    def twice(self): return {} * self.a"
    shared.run(point.format(2))
    shared.run(pair.format(2))
    use = "@heroku.function\ndef use(x):\n    return Point(Pair(x).twice()).y + Pair(x).twice()\nuse.remote(1)"
    assert shared.run(use).value == "4"

    shared.run(pair.format(10))
    assert shared.run("use.remote(1)").value == "12"
    shared.run(point.format(3))
    assert shared.run("use.remote(1)").value == "13", "classes travel as they are in memory"


def test_ten_thousand_lines_arrive_and_the_output_stays_small(shared):
    out = shared.run("%%dyno\nfor i in range(10_000):\n    print('line', i, 'x' * 90)", timeout=60)

    assert out.error is None
    assert "line 9999" in out.shown
    assert len(out.shown) < 300_000
    assert shared.run("import heroku_magic; len(heroku_magic.last.logs().splitlines())").value == "10000"


@pytest.mark.usefixtures("kernels")
def test_a_headless_notebook_has_values_and_ends_at_the_error(home, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    notebook = nbformat.v4.new_notebook()
    cells = [
        "%load_ext heroku_magic",
        "%%dyno --arg n=2\n{'n': n}",
        "%%dyno\n\nraise KeyError('é')",
        "print('not reached')",
    ]
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]

    with pytest.raises(nbclient.exceptions.CellExecutionError, match="KeyError: 'é'"):
        nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(home)}}).execute()

    value = next(output for output in notebook.cells[1].outputs if output.output_type == "execute_result")
    assert value["data"]["text/plain"].split() == ["n", "0", "2"]
    (error,) = [output for output in notebook.cells[2].outputs if output.output_type == "error"]
    assert error.ename == "TaskFailed"
    assert "<cell>:3  in <module>" in error.evalue
    assert notebook.cells[3].outputs == []


def test_a_cell_without_a_body_reports_what_is_missing(shared):
    name, text = shared.run("%%dyno --arg n=1").error

    assert name == "InvalidParameters"
    assert "Write the code to run on the dyno below the %%dyno line" in text


def test_tab_offers_options_and_variables(shared):
    shared.run("threshold = 1")

    assert "--input" in shared.complete("%%dyno --in")
    assert shared.complete("%%dyno -i thresh") == ["threshold"]


FUNCTIONS = """
import heroku_magic
from threading import Thread

@heroku_magic.function
def double(x):
    return 2 * x

@heroku_magic.function(quiet=True)
def triple(x):
    return 3 * x
"""


def test_calls_of_functions_are_shown_in_the_cell_that_makes_them(shared):
    shared.run(FUNCTIONS)
    one, loop, all_ = map(shared.run, ["double.remote(2)", "[double.remote(n) for n in (1, 2)]", "double.map([1, 2])"])

    assert [out.value for out in (one, loop, all_)] == ["4", "[2, 4]", "[2, 4]"]
    assert "exit 0" in one.shown
    assert len(loop.of("display_data")) == 1, "one place, whatever the number of calls"
    assert "2 done" in all_.shown


@pytest.mark.parametrize(
    "code",
    [
        "triple.remote(2)",
        "triple.map([1])",
        "thread = Thread(target=double.remote, args=[1]); thread.start(); thread.join()",
        *(
            f"exec('double.remote(1)', {{'__name__': {name!r}, 'double': double}})"
            for name in ("joblib.x", "_pytest.x")
        ),
    ],
)
def test_quiet_functions_and_calls_of_other_code_show_nothing(shared, code):
    shared.run(FUNCTIONS)
    out = shared.run(code)
    assert out.error is None
    assert out.of("display_data") == []
