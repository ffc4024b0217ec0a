"""A failed run's error starts with the task's own exception and ends with what to do."""

from __future__ import annotations

import pytest

from heroku_magic.protocol.records import Failure, SourceFrame
from heroku_magic.runs.failures import describe_failure
from heroku_magic.runs.spec import RunSpec
from heroku_magic.runs.tracebacks import failure_in, remarks


def described(status=1, failure=None, log=(), time_limit=None, spec=None, **facts):
    spec = RunSpec("demo", "demo", "simulate", "simulate", {}, **(spec or {}))
    return describe_failure(spec, status, failure, log, time_limit=time_limit, dyno="run.4822", **facts)


def test_the_text_shows_exception_source_lines_and_where_to_look():
    frame = SourceFrame("simulate.py", 14, "simulate", [(13, "    for i in range(n):"), (14, "        x = 1 / 0")])

    assert described(failure=Failure("ZeroDivisionError", "division by zero", [frame])).splitlines() == [
        "ZeroDivisionError: division by zero",
        "  simulate.py:14  in simulate",
        "      13 |     for i in range(n):",
        "  →   14 |         x = 1 / 0",
        "simulate ended with exit status 1 · rows so far: %heroku last",
        "whole log: %heroku logs run.4822",
    ]


def test_carets_mark_the_failing_expression():
    frame = SourceFrame("<cell>", 3, "<module>", [(2, "a = 0"), (3, "b = [1, 2 / a]")], (8, 13))

    assert described(failure=Failure("ZeroDivisionError", "division by zero", [frame])).splitlines()[2:5] == [
        "       2 | a = 0",
        "  →    3 | b = [1, 2 / a]",
        "         |         ^^^^^",
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (3, "exit status 3"),
        (127, "not found"),
        (137, "SIGKILL"),
        (143, "SIGTERM"),
        (139, "SIGSEGV"),
        (None, "unknown exit status"),
    ],
)
def test_the_exit_status_is_explained(status, expected):
    assert expected in described(status).splitlines()[0]


def test_a_plain_scripts_exception_is_read_from_its_log():
    log = ["Traceback (most recent call last):", '  File "x.py", line 1', "app.errors.OddError: no luck"]

    assert described(log=log).startswith("app.errors.OddError: no luck\n")
    assert described(log=["ValueError: printed, not raised"]).startswith("simulate ended with exit status 1")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("numpy", "numpy"),
        ("sklearn", "scikit-learn"),
        ("PIL", "pillow"),
        ("yaml", "pyyaml"),
        ("distutils", "setuptools"),
        ("_pytest", "pytest"),  # which is known because it is installed here
    ],
)
def test_a_missing_package_names_the_line_to_add(module, line):
    by_record = described(failure=Failure("ModuleNotFoundError", f"No module named '{module}'", missing=module))
    by_log = described(
        log=["Traceback (most recent call last):", f"ModuleNotFoundError: No module named '{module}.sub'"]
    )

    assert f"requirements.txt: {line}\n" in by_record
    assert f"requirements.txt: {line}\n" in by_log
    assert "If it is your own file, put it into the worker's folder instead" in by_record


def test_a_module_that_python_cannot_run_is_missing_too():
    assert "requirements.txt: gunicorn\n" in described(log=["/app/.heroku/bin/python3.12: No module named gunicorn"])


@pytest.mark.parametrize(
    "line", ["/app/bin/python: No module named heroku_task", "ModuleNotFoundError: No module named 'heroku_task'"]
)
def test_a_missing_helper_is_copied_not_installed(line):
    text = described(log=[line])

    assert "The app has no heroku_task.py. Put the one that `%heroku init` writes beside the Procfile.\n" in text
    assert "requirements.txt" not in text


@pytest.mark.parametrize("module", ["json.nosuch", "tkinter", "_ctypes"])
def test_no_package_is_suggested_for_a_module_of_python_itself(module):
    name = None if "." in module else module
    for text in (
        described(failure=Failure("ModuleNotFoundError", f"No module named '{module}'", missing=name)),
        described(log=["Traceback (most recent call last):", f"ModuleNotFoundError: No module named '{module}'"]),
    ):
        assert f"No module named '{module}'" in text
        assert "requirements.txt" not in text


@pytest.mark.parametrize(
    ("folder", "content", "cell"),
    [
        ("myworker", None, "%%writefile -a myworker/requirements.txt\npandas"),
        ("myworker", "numpy\n", "%%writefile -a myworker/requirements.txt\npandas"),
        ("myworker", "", "%%writefile -a myworker/requirements.txt\npandas"),
        ("my worker", "numpy", '%%writefile -a "my worker/requirements.txt"\n\npandas'),
    ],
)
def test_a_missing_package_of_a_known_folder_ends_with_a_cell_to_paste(tmp_path, monkeypatch, folder, content, cell):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / folder / "requirements.txt"
    file.parent.mkdir()
    if content is not None:
        file.write_text(content)
    text = described(log=["ModuleNotFoundError: No module named 'pandas.core'"], spec={"requirements": file})
    assert text.endswith(f"\n\n{cell}")
    assert f"For all runs, add it to {folder}/requirements.txt with the cell below." in text


def test_a_time_limit_is_named_instead_of_the_signal():
    text = described(143, time_limit=2)

    assert text.startswith("the time limit of 2 s was reached")
    assert "--timeout" in text
    assert "--max-cost" not in text
    assert "(at most 24h), and raise --max-cost." in described(143, time_limit=2, spec={"counts_boot": True})


@pytest.mark.parametrize(
    ("spec", "consequence"),
    [
        ({}, "Heroku ended the task"),
        ({"is_warm": True}, "the call was ended"),
        ({"is_warm": True, "is_once": True}, "Heroku ended the task"),
    ],
)
def test_a_time_limit_ends_the_task_or_a_call_on_a_warm_dyno(spec, consequence):
    assert described(143, time_limit=2, spec=spec).startswith(f"the time limit of 2 s was reached, so {consequence}\n")


def test_a_dyno_that_used_too_much_memory_is_not_reported_as_stopped_from_outside():
    text = described(143, Failure("Terminated", "SIGTERM"), is_out_of_memory=True)
    assert text.startswith("simulate ended with exit status 143 (out of memory)\n")
    assert "SIGTERM" not in described(143, time_limit=2)
    assert "(its time limit was reached)" in described(143, time_limit=2)


SCRIPT = """\
starting
Traceback (most recent call last):
  File "/app/load.py", line 5, in load
    return {}["k"]
           ~~^^^^^
KeyError: 'k'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/main.py", line 9, in <module>
    load()
  File "/usr/lib/python3.12/json/decoder.py", line 1, in decode
    pass
  File "/app/load.py", line 7, in load
    raise ValueError("no config") from error
ValueError: no config"""


def test_the_error_of_a_script_has_its_source_lines_and_its_causes():
    assert described(log=SCRIPT.splitlines()).splitlines()[:-2] == [
        "ValueError: no config",
        "  main.py:9  in <module>",
        "  →    9 | load()",
        "  load.py:7  in load",
        '  →    7 | raise ValueError("no config") from error',
        "  caused by KeyError: 'k'  (load.py:5)",
    ]
    assert failure_in(SCRIPT.splitlines()).traceback == SCRIPT.partition("\n")[2]


@pytest.mark.parametrize("log", [[], ["ValueError: printed"], ["Traceback (most recent call last):", "  nothing"]])
def test_a_log_without_a_traceback_has_no_failure(log):
    assert failure_in(log) is None


def test_hostile_text_is_harmless():
    frame = SourceFrame("\x1b[31mx.py", 1, "\u202ef", [(1, "\x07 code")])
    text = described(failure=Failure("E\x1b]0;t\x07", "\u202em", [frame]))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x07" not in text


def test_packages_of_one_run_are_suggested_only_where_a_run_may_have_them():
    failure = Failure("ModuleNotFoundError", "No module named 'numpy'", missing="numpy")
    of_task, of_command = described(failure=failure), described(failure=failure, spec={"accepts_packages": False})
    assert "For this run alone: --with numpy\nFor all runs, add this line" in of_task
    assert "--with" not in of_command
    assert "is not installed on the dyno. Add this line to the worker's requirements.txt: numpy\n" in of_command


def test_rows_are_mentioned_only_if_there_are_any():
    assert described(has_rows=False).endswith("exit status 1\nwhole log: %heroku logs run.4822")
    assert "rows so far" in described()


def test_no_command_is_broken_at_the_edge_of_a_narrow_terminal():
    failure = Failure("ModuleNotFoundError", "No module named 'beautifulsoup4'", missing="beautifulsoup4")
    for text in (described(), described(143, time_limit=3600), described(failure=failure)):
        assert max(len(line) for line in text.splitlines() if "%heroku" in line or "--with" in line) <= 78
    assert described(143, time_limit=3600).splitlines()[-2:] == [
        "simulate ended with exit status 143 (its time limit was reached)",
        "rows so far: %heroku last · whole log: %heroku logs run.4822",
    ]


GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "job.py", line 3, in job
  |     raise error
  | ExceptionGroup: two
  |
  | reasons (2 sub-exceptions)
  | in all
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "job.py", line 1, in job
    | ValueError: first
    | of row 3
    +---------------- 2 ----------------
    | ExceptionGroup: more (1 sub-exception)
    +-+---------------- 1 ----------------
      | KeyError: 'k'
      +------------------------------------
"""


def test_the_notes_of_an_exception_and_the_members_of_a_group_are_shown():
    assert remarks(GROUP, "two\n\nreasons (2 sub-exceptions)") == [
        "  in all",
        "    ValueError: first",
        "    of row 3",
        "    ExceptionGroup: more (1 sub-exception)",
        "      KeyError: 'k'",
    ]
    chain = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    assert remarks(f"KeyError: 1\na note{chain}ValueError: a\n b\u2028c\nin row 2\n", "a\n b\u2028c") == ["  in row 2"]


def test_a_message_that_was_shortened_has_no_notes():
    assert remarks("ValueError: a\nb\nc", "a\n[...]\nc") == []
    assert remarks("TaskError: a\nb\n", "a\nb") == []


def test_a_failure_has_the_notes_of_its_exception_below_its_message():
    failure = Failure("ValueError", "bad", traceback="Traceback (most recent call last):\nValueError: bad\nin row 3\n")
    assert described(failure=failure).splitlines()[:2] == ["ValueError: bad", "  in row 3"]
