"""The shipped tasks: what they compute, and what they say to bad input."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).resolve().parents[2] / "worker"


def call(*command, **env):
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **env}
    return subprocess.run(command, cwd=WORKER, env=environ, capture_output=True, text=True, check=False)


def rows(*command, **env):
    done = call(*command, **env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def task(name, **env):
    return rows(sys.executable, "-m", "heroku_task", name, **env)


def test_the_default_task_settles_on_pi_and_repeats_itself():
    once = task("task", n="50", seed="1")

    assert len(once) == 50
    assert abs(once[-1]["estimate"] - 3.1416) < 0.05
    assert once == task("task", n="50", seed="1")
    assert once != task("task", n="50", seed="2")
    assert len(task("task")) == 10


def test_hello_greets():
    assert call(sys.executable, "hello.py", NAME="Daniela").stdout == "Hello Daniela!\n"
    assert call(sys.executable, "hello.py").stdout == "Hello World!\n"


def test_bootstrap_holds_the_statistic_in_its_interval():
    data = [float(i) for i in range(40)]
    (row,) = task("bootstrap", data=json.dumps(data), statistic="median", samples="300")

    assert row["estimate"] == statistics.median(data)
    assert row["low"] < row["estimate"] < row["high"]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "data is missing"),
        ({"data": "[1]"}, "data holds 1 numbers: expected at least 2"),
        ({"data": "[1,2]", "confidence": "2"}, "confidence is 2.0"),
        ({"data": "[1,2]", "samples": "0"}, "samples is 0"),
        ({"data": "[1,2]", "statistic": "meen"}, "expected one of 'mean', 'median', 'stdev'"),
        ({"data": '["a"]'}, "data is"),
    ],
)
def test_bootstrap_says_what_is_wrong(env, message):
    done = call(sys.executable, "-m", "heroku_task", "bootstrap", **env)

    assert done.returncode == 1
    assert message in done.stderr


def test_a_shell_script_is_a_task_too():
    rolled = rows("bash", "dice.sh", N="4")

    assert [row["roll"] for row in rolled] == [1, 2, 3, 4]
    assert all(1 <= row["pips"] <= 6 for row in rolled)


def test_the_procfile_names_what_is_there():
    commands = [line.partition(": ")[2] for line in (WORKER / "Procfile").read_text().splitlines()]

    for command in commands:
        *_, last = command.split()
        assert last == "--describe" or (WORKER / last).is_file() or (WORKER / f"{last}.py").is_file()
