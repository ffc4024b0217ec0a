"""Everything that would break a build or a run is found before anything is sent, and reported at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.deploy.checks import problems, processes, warnings

GOOD = {
    "Procfile": "task: python -m heroku_task task\nplain: python -u plain.py --fast\nshell: bash go.sh\n",
    "heroku_task.py": "",
    "task.py": "x = 1\n",
    "plain.py": "",
    "go.sh": "",
    "requirements.txt": "",
    ".python-version": "3.13\n",
}


def faults(**changes):
    files = {name: text for name, text in {**GOOD, **changes}.items() if text is not None}
    return problems(files, files)


def test_a_good_app_has_no_faults():
    assert faults() == []


def test_the_python_checks_skip_other_languages():
    files = {"Procfile": "task: node task.js\n", "package.json": "{}"}
    assert problems(files, files) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"requirements.txt": None}, "add a requirements.txt"),
        ({"uv.lock": ""}, "accepts one file of packages, but there are requirements.txt, uv.lock"),
        ({"requirements.txt": None, "uv.lock": "", ".python-version": None}, "With uv.lock Heroku also needs"),
        ({".python-version": "latest"}, ".python-version says 'latest': expected a version such as 3.13"),
        ({".python-version": "3.8.1"}, "Python 3.8 is too old for Heroku"),
        ({"runtime.txt": "python-2.7"}, "runtime.txt says 'python-2.7'"),
        ({"task.py": None}, "task runs `python -m heroku_task task`, but there is no task.py"),
        ({"heroku_task.py": None}, "there is no heroku_task.py"),
        ({"go.sh": None}, "shell runs `bash go.sh`, but there is no go.sh"),
        ({"plain.py": "def f(:\n"}, "plain.py, line 1 is not valid source of Python 3.13"),
        (
            {"task.py": "match x:\n    case 1: pass\n", ".python-version": "3.9"},
            "task.py, line 2 is not valid source of Python 3.9",
        ),
        ({"task.py": "x = '\0'"}, "task.py"),
    ],
)
def test_each_fault_is_named(changes, expected):
    assert any(expected in fault for fault in faults(**changes)), faults(**changes)


@pytest.mark.parametrize(
    ("procfile", "expected"),
    [
        (None, "There is no Procfile"),
        ("# nothing\n\n", "The Procfile declares no task"),
        ("task node x\n", "Procfile, line 1: Heroku runs `node x` as task: expected `name: command`"),
        ("task : node x\n", "Procfile, line 1: Heroku runs `: node x` as task: expected `name: command`"),
        ("\na: node x\na: node y\n", "Procfile: a is declared 2 times; the last line counts"),
        ("task:node x.js\n", "Procfile, line 1: Heroku ignores `task:node x.js`: expected `name: command`"),
        ("task:\n", "Procfile, line 1: Heroku ignores `task:`"),
        ("größe: node x.js\n", "Procfile, line 1: Heroku ignores `größe: node x.js`"),
        ("\ufefftask: node x.js\n", "Procfile, line 1 begins with a byte-order mark"),
    ],
)
def test_a_line_that_heroku_accepts_and_that_may_surprise_is_a_warning(procfile, expected):
    files = {"package.json": "{}"} | ({} if procfile is None else {"Procfile": procfile})
    found = warnings(files, files)
    assert any(expected in warning for warning in found), found
    assert problems(files, files) == []


def test_all_problems_are_reported_at_once():
    assert len(faults(**{"task.py": "(", "plain.py": None, ".python-version": "new"})) == 3


@given(st.text(max_size=200))
def test_any_procfile_text_is_parsed_without_an_error(text):
    found, _ = processes(text)
    assert all(process.name and process.command for process in found)
    problems({"Procfile"}, {"Procfile": text})
