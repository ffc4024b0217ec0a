"""A task in a real process, and what the notebook's decoder reads of it."""

from __future__ import annotations

import _thread
import json
import signal
import textwrap
import time
from types import SimpleNamespace

import pytest
from worker_app import SECRET, python_of

from heroku_magic.protocol.records import Declaration, Failure, Progress

pytestmark = pytest.mark.usefixtures("processes")

HEAD = "from heroku_task import emit, progress, task\n"
PSEUDO_FIELDS = """\
from dataclasses import InitVar, dataclass
from typing import ClassVar

@dataclass
class R:
    a: int
    b: InitVar[int]
    c: ClassVar[int] = 3
"""
QUERY = "import sqlite3\ndb = sqlite3.connect(':memory:')\ndb.row_factory = sqlite3.Row\n"


def run(app, body, *, head=HEAD, signature="def job():", **options):
    """Run a task whose function has this body."""
    body = textwrap.indent(textwrap.dedent(body), "    ")
    return app.task(f"{head}@task\n{signature}\n{body}\n").run(**options)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("yield {'a': 1}\nyield {'a': 2}", [{"a": 1}, {"a": 2}]),
        ("return {'a': 1}", [{"a": 1}]),
        ("return [{'a': 1}, {'b': 2}]", [{"a": 1, "b": None}, {"a": None, "b": 2}]),
        ("emit({'a': 1})\nemit([{'a': 2}])", [{"a": 1}, {"a": 2}]),
        ("yield [{'a': 1}, {'a': 2}]", [{"a": 1}, {"a": 2}]),
        ("return iter([{'a': 1}])", [{"a": 1}]),
        ("return\nyield", []),
        ("return []", []),
        ("print('no table')", None),
        ("import pandas\nreturn pandas.DataFrame({'a': [1, 2]})", [{"a": 1}, {"a": 2}]),
        ("import pandas\nreturn pandas.DataFrame({'a': []})", []),
        ("import collections\nreturn collections.namedtuple('R', 'a b')(1, 2)", [{"a": 1, "b": 2}]),
        ("import dataclasses\nyield dataclasses.make_dataclass('R', ['a'])(1)", [{"a": 1}]),
        (f"{PSEUDO_FIELDS}\nyield R(1, 2)", [{"a": 1}]),
        ("yield {'a': 1}\nreturn [{'a': 2}]", [{"a": 1}, {"a": 2}]),
    ],
)
def test_the_notebook_reads_the_rows_of_a_task(app, body, rows):
    out = run(app, body)

    assert (out.status, out.decoded_rows) == (0, rows), out.stderr
    assert out.decoded_end == (0, len(rows or ()))
    assert out.decoded(Declaration)[0].task == "job"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("True", True),
        ("10**30", 10**30),
        ("'é😀\\u2028'", "é😀\u2028"),
        ("{'k': [1, (2, 3)]}", {"k": [1, [2, 3]]}),
        ("__import__('numpy').int64(3)", 3),
        ("__import__('numpy').arange(2)", [0, 1]),
        ("__import__('datetime').date(2026, 1, 2)", "2026-01-02"),
        ("__import__('decimal').Decimal('1.10')", "1.10"),
        ("__import__('pathlib').Path('a/b')", "a/b"),
        ("__import__('enum').Enum('E', 'x').x", 1),
        ("float('inf')", float("inf")),
    ],
)
def test_the_notebook_receives_plain_values(app, value, sent):
    assert run(app, f"return {{'v': {value}}}").decoded_rows == [{"v": sent}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("yield 3", "a row must be a dict of columns and values, not int: 3"),
        ("yield {'x': {1, 2}}", "column 'x' holds set"),
        ("yield {'f': print}", "column 'f' holds builtin"),
        (f"{QUERY}yield from db.execute('select 1 a, 2 a')", "two columns of the table have the same name: ['a', 'a']"),
    ],
)
def test_an_invalid_row_is_a_type_error_that_names_it(app, body, message):
    out = run(app, body)

    assert out.decoded_failure.type == "TypeError"
    assert message in out.decoded_failure.message


def test_every_line_is_short_ascii_and_long_rows_are_sent_in_parts(app):
    out = run(app, "for i in range(5000):\n    yield {'i': i, 'text': 'é' * (9000 if i == 7 else 3)}")

    assert [row["i"] for row in out.decoded_rows] == list(range(5000))
    assert out.decoded_rows[7]["text"] == "é" * 9000
    assert max(map(len, out.stdout.splitlines())) < 4000
    assert all(line.isascii() for line in out.stdout.splitlines())


def test_a_row_of_a_slow_task_does_not_wait_for_the_next_one(app):
    process = app.task(f"{HEAD}import time\n@task\ndef job():\n    yield {{'a': 1}}\n    time.sleep(30)\n").start()
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.kill()
    process.communicate()

    assert " rows " in lines[1]


def test_progress_reports_the_first_and_the_last_state_and_not_all(app):
    states = run(app, "for i in progress(range(1000), text='x'):\n    pass").decoded(Progress)

    assert states[0] == Progress(0, 1000, "x")
    assert states[-1] == Progress(1000, 1000, "x")
    assert len(states) < 10


@pytest.mark.parametrize(
    ("total", "shown"), [("20 / 4", 5), ("__import__('numpy').int64(4)", 4), ("-1", None), ("float('nan')", None)]
)
def test_a_progress_bar_with_any_total_leaves_the_result_complete(app, total, shown):
    out = run(app, f"for i in progress(range(3), total={total}, text=7):\n    yield {{'i': i}}")

    assert out.decoded(Progress)[-1] == Progress(3, shown, "7")
    assert out.decoded_end == (0, 3)


def test_a_task_may_parse_the_command_line_of_its_own_script(app):
    body = "import argparse\nreturn {'prog': argparse.ArgumentParser().prog, **vars(argparse.ArgumentParser().parse_args())}"
    assert run(app, body).decoded_rows == [{"prog": "job.py"}]


def test_an_exception_becomes_a_failure_with_its_frames(app):
    out = run(app, "yield {'a': 1}\n\nraise ValueError('bad luck')")

    assert (out.status, out.decoded_end) == (1, (1, 1))
    assert out.decoded_rows == [{"a": 1}]
    assert (out.decoded_failure.type, out.decoded_failure.message) == ("ValueError", "bad luck")
    (frame,) = out.decoded_failure.frames
    assert (frame.file, frame.line, frame.function) == ("job.py", 6, "job")
    assert frame.source[-1] == (6, "    raise ValueError('bad luck')")
    assert "ValueError: bad luck" in out.stderr
    assert "heroku_task.py" not in out.stderr


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ("import sys; sys.exit(3)", 3, "SystemExit", "exit status 3"),
        ("import sys; sys.exit(256 + 4)", 4, "SystemExit", "exit status 260"),
        ("import sys; sys.exit('no way')", 1, "SystemExit", "no way"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt", ""),
        ("class E(Exception):\n    def __str__(self): return 1\nraise E", 1, "E", "(its message cannot be shown)"),
    ],
)
def test_each_way_to_exit_has_its_status(app, body, status, kind, message):
    out = run(app, body)

    assert out.status == status
    assert out.decoder.end.status == status
    assert (out.decoded_failure.type, out.decoded_failure.message) == (kind, message)


def test_a_task_that_exits_with_zero_has_succeeded(app):
    out = run(app, "yield {'a': 1}\nimport sys; sys.exit()")

    assert (out.status, out.decoded_end, out.decoded(Failure)) == (0, (0, 1), [])


def test_a_missing_package_is_named_and_a_missing_name_in_an_own_module_is_not(app):
    assert run(app, "pass", head=HEAD + "import nowhere.at_all\n").decoded_failure.missing == "nowhere"
    app.write("mine.py", "")
    assert run(app, "pass", head=HEAD + "from mine import nothing\n").decoded_failure.missing is None


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("def broken(:\n", "SyntaxError", ""),
        ("x = 1\n", "TaskError", "exactly one function marked with @task; found: none"),
        (f"{HEAD}@task\ndef a(): pass\n@task\ndef b(): pass\n", "TaskError", "found: a, b"),
    ],
)
def test_a_file_that_is_not_a_task_is_reported_with_the_reason(app, source, kind, message):
    out = app.task(source).run()

    assert out.status == 1
    assert out.decoded_failure.type == kind
    assert message in out.decoded_failure.message
    assert out.decoded_end == (1, 0)


def test_a_missing_file_is_reported(app):
    assert "there is no nope.py beside heroku_task.py" in app.run("nope").decoded_failure.message


def test_sigterm_sends_the_pending_rows(app):
    source = (
        f"{HEAD}import time\n@task\ndef job():\n    yield {{'a': 1}}\n    print('up', flush=True)\n    time.sleep(30)\n"
    )
    process = app.task(source).start()
    while "up" not in process.stdout.readline():
        pass
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=10)

    assert process.returncode == 143
    assert '"type":"Terminated"' in rest
    assert '{"status":143,"rows":1,' in rest


SIGNATURE = """def job(
    i: int = 1, f: float = 1.0, b: bool = False, s: str = "", l: list[int] = [], d: dict[str, float] = {},
    o: Optional[int] = None, c: Literal["x", 2] = "x", u=None, a: "int | str" = 0,
):"""
TYPES = f"from __future__ import annotations\n{HEAD}from typing import Literal, Optional\n"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("i", "7", 7),
        ("f", "7", 7.0),
        ("b", "Yes", True),
        ("b", "off", False),
        ("s", "007", "007"),
        ("s", "", ""),
        ("l", "[1,2]", [1, 2]),
        ("d", '{"a":1}', {"a": 1}),
        ("o", "null", None),
        ("o", "5", 5),
        ("c", "2", 2),
        ("u", "plain text", "plain text"),
        ("u", "[1]", [1]),
        ("u", '"5"', "5"),
        ("a", "5", 5),
        ("a", '"5"', "5"),
        ("a", "five", "five"),
    ],
)
def test_an_environment_variable_is_converted_to_the_declared_type(app, name, text, value):
    out = run(
        app, f"return {{'v': {name}, 'kind': type({name}).__name__}}", head=TYPES, signature=SIGNATURE, **{name: text}
    )

    assert out.decoded_rows == [{"v": value, "kind": type(value).__name__}], out.stderr


def test_all_faults_of_the_environment_are_reported_together(app):
    out = run(app, "pass", head=TYPES, signature="def job(n: int, m: int, c: Literal['x'] = 'x'):", n="many", c="y")

    assert (
        out.decoded_failure.message
        == "n is 'many': expected a whole number; m is missing; c is 'y': expected one of 'x'"
    )


def test_the_key_is_not_in_the_environment_of_the_task(app):
    out = run(app, "import os\nreturn {'names': sorted(os.environ)}")

    assert "RUN_KEY" not in out.decoded_rows[0]["names"]
    assert SECRET.hex() not in "".join(out.stdout.splitlines())


def test_a_forked_child_cannot_send_records_of_its_parent(app):
    body = """
        import os
        yield {'i': 0}
        if os.fork() == 0:
            yield {'child': 1}
        else:
            os.wait()
            yield {'i': 1}
    """
    out = run(app, body)

    assert out.decoded_rows == [{"i": 0}, {"i": 1}]
    assert out.decoded_end == (0, 2)
    assert "a child process cannot emit" in out.stderr


def test_threads_that_emit_concurrently_leave_no_gap(app):
    body = """
        import threading
        threads = [threading.Thread(target=lambda: [emit({'i': i}) for i in range(500)]) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """
    out = run(app, body)

    assert len(out.decoded_rows) == 2000
    assert out.decoder.missing() == []


def test_text_without_a_newline_is_printed_before_the_record(app):
    out = run(app, "print('half', end='')\nemit({'a': 1})")

    assert out.decoded_rows == [{"a": 1}]
    assert "half" in out.decoded_log


def test_without_a_key_rows_are_json_lines_and_a_failure_is_a_traceback(app):
    out = run(app, "yield {'a': 1}\nraise ValueError('x')", keyed=False)

    assert [json.loads(line) for line in out.stdout.splitlines()] == [{"a": 1}]
    assert out.status == 1
    assert out.stderr.endswith("ValueError: x\n")


def test_describe_reads_sources_without_running_them(app):
    app.task(f'{HEAD}open("ran", "w")\n@task\ndef job(n: int, k: str = "x"):\n    """Do it.  n: how many."""\n')
    app.task("def (:", "bad")
    lines = [
        "job: python -m heroku_task job",
        "bad: python -m heroku_task bad",
        "sh: bash x.sh",
        "web: x",
        "describe: x",
    ]
    app.write("Procfile", "\n".join(lines))
    out = app.run("--describe")
    rows = {row["task"]: row["parameters"] for row in out.decoded_rows}

    assert rows == {
        "job": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "description": "how many."},
                "k": {"type": "string", "default": "x"},
            },
            "required": ["n"],
            "additionalProperties": False,
            "description": "Do it.",
        },
        "bad": None,
        "sh": None,
    }
    assert not (app.folder / "ran").exists()
    assert out.decoded_end == (0, 3)


def test_describe_without_a_procfile_is_a_failure_without_traceback(app):
    out = app.run("--describe")

    assert "no Procfile" in out.decoded_failure.message


def test_the_helper_runs_on_python_3_9(app):
    out = run(app, "return {'n': n}", head=TYPES, signature="def job(n: int | None = 3):", python=python_of("3.9"))

    assert out.decoded_rows == [{"n": 3}], out.stderr


def test_a_thread_runs_when_its_start_returns(helper, monkeypatch):
    """Python 3.10 and older crash if one begins while they exit."""
    begun = []

    def start_late(function, args):
        _thread.start_new_thread(lambda: (time.sleep(0.1), begun.append("begun"), function(*args)), ())

    late = SimpleNamespace(start_new_thread=start_late, allocate_lock=_thread.allocate_lock)
    monkeypatch.setattr(helper, "_thread", late)
    helper._start_thread(list)
    assert begun == ["begun"]
