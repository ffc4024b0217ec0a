"""The shipped worker: each task in its Procfile, run with the command in the Procfile."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from worker_app import WORKER, Result

pytestmark = pytest.mark.usefixtures("processes")


def run(app, process_type, *, keyed=False, **parameters):
    lines = (app.folder / "Procfile").read_text().splitlines()
    command = dict(line.split(": ", 1) for line in lines)[process_type]
    env = app.env(keyed=keyed, **parameters)
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(["bash", "-c", command], cwd=app.folder, env=env, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def test_the_procfile_has_the_tasks_of_the_readme():
    lines = (WORKER / "Procfile").read_text().splitlines()

    assert [line.partition(":")[0] for line in lines] == [
        "task",
        "hello",
        "bootstrap",
        "mandelbrot",
        "dice",
        "describe",
    ]
    assert (WORKER / ".python-version").read_text() == "3.13\n"


def test_the_shipped_tasks_need_no_packages():
    lines = (WORKER / "requirements.txt").read_text().splitlines()

    assert all(line.startswith("#") for line in lines)


def test_task_estimates_pi_with_ten_rows_and_is_reproducible(shipped):
    first, again, other = (run(shipped, "task", keyed=True, seed=seed).rows for seed in ("0", "0", "1"))

    assert [row["darts"] for row in first] == [1000 * i for i in range(1, 11)]
    assert first[-1]["estimate"] == pytest.approx(math.pi, abs=0.1)
    assert first[-1]["error"] == abs(first[-1]["estimate"] - math.pi)
    assert first == again
    assert first != other


def test_task_prints_a_few_lines_whatever_its_size(shipped):
    for n in ("1", "10", "200"):
        assert 1 <= len(run(shipped, "task", keyed=True, n=n).log) <= 7
    assert run(shipped, "task", keyed=True, n="0").rows == []
    assert run(shipped, "task", keyed=True, n="-1").failure["message"] == "n is -1: expected 0 or more rows"


def test_the_tiles_of_mandelbrot_form_one_picture(shipped):
    whole = run(shipped, "mandelbrot", keyed=True, tiles="1", pixels="8", depth="50").rows
    tiles = {
        (row, column): run(
            shipped, "mandelbrot", keyed=True, tiles="2", pixels="4", depth="50", row=row, column=column
        ).rows
        for row in "01"
        for column in "01"
    }
    joined = [
        {"line": left["line"], "brightness": left["brightness"] + right["brightness"]}
        for row in "01"
        for left, right in zip(tiles[row, "0"], tiles[row, "1"], strict=True)
    ]
    assert joined == whole
    assert len({value for line in whole for value in line["brightness"]}) > 20


def test_hello_greets(shipped):
    assert run(shipped, "hello").stdout == "Hello World!\n"
    assert run(shipped, "hello", NAME="Ada").stdout == "Hello Ada!\n"


@pytest.mark.parametrize("statistic", ["mean", "median", "stdev"])
def test_bootstrap_gives_an_interval_around_the_estimate(shipped, statistic):
    data = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10.5]
    result = run(shipped, "bootstrap", keyed=True, data=json.dumps(data), statistic=statistic, samples="500")

    (row,) = result.rows
    assert row["low"] <= row["estimate"] <= row["high"]
    assert row["low"] < row["high"]
    assert (row["statistic"], row["n"], row["samples"], row["confidence"]) == (statistic, 10, 500, 0.95)
    assert result.of("progress")[-1]["done"] == 500


def test_bootstrap_of_equal_numbers_has_no_spread(shipped):
    (row,) = run(shipped, "bootstrap", keyed=True, data="[3, 3, 3]", samples="10").rows

    assert (row["estimate"], row["low"], row["high"]) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"data": "[]"}, "data is '[]': expected a list (each a number) of at least 2 items"),
        ({"data": "[1]"}, "data is '[1]': expected"),
        ({"data": "[1, 2]", "confidence": "1"}, "confidence is '1': expected a number above 0 below 1"),
        ({"data": "[1, 2]", "confidence": "95"}, "confidence is '95': expected"),
        ({"data": "[1, 2]", "samples": "0"}, "samples is '0': expected a whole number from 1"),
    ],
)
def test_bootstrap_rejects_invalid_parameters(shipped, parameters, message):
    failure = run(shipped, "bootstrap", keyed=True, **parameters).failure

    assert failure["type"] == "TaskError"
    assert message in failure["message"]


def test_dice_declares_its_parameters(shipped):
    (row,) = [row for row in run(shipped, "describe", keyed=True).rows if row["task"] == "dice"]

    Draft202012Validator.check_schema(row["parameters"])
    assert list(row["parameters"]["properties"]) == ["N"]


def test_dice_prints_one_json_object_per_roll(shipped):
    rolls = [json.loads(line) for line in run(shipped, "dice").log]

    assert [one["roll"] for one in rolls] == [1, 2, 3, 4, 5]
    assert {one["pips"] for one in rolls} <= set(range(1, 7))
    assert len(run(shipped, "dice", N="7").log) == 7


def test_the_task_in_the_readme_runs(shipped):
    source = (WORKER / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]

    assert len(shipped.task(source, "simulate").run("simulate", n="3").rows) == 3


def test_the_declaration_in_the_readme_is_valid(shipped):
    source = (WORKER / "README.md").read_text(encoding="utf-8").split("```python\n")[2].split("```")[0]
    shipped.task(source, "simulate")
    shipped.write("Procfile", "simulate: python -m heroku_task simulate\n")
    (row,) = shipped.run("--describe").rows

    Draft202012Validator.check_schema(row["parameters"])
    assert list(row["parameters"]["properties"]) == ["n", "method", "shape", "shares", "since", "token"]
    assert shipped.run("simulate", method="naive", since="2026-01-31").rows == [
        {"n": 10, "method": "naive", "since": "2026-01-31"}
    ]
    assert "n is '0'" in shipped.run("simulate", n="0").failure["message"]
