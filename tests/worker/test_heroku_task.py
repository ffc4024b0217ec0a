"""The helper as a real process: what a task gives, and what goes wrong in it, become records that add up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.records import Declaration, Failure, Progress, RecordDecoder, RunKey

ROOT = Path(__file__).resolve().parents[2]
KEY = bytes(range(32))
RUN_KEY = f"hm-0123abcd:{KEY.hex()}"
HEAD = "from heroku_task import emit, progress, task\n"


class Told:
    """What a task's process printed, read as the notebook reads it."""

    def __init__(self, process):
        self.status = process.returncode
        self.error = process.stderr.decode()
        self.lines = process.stdout.decode("ascii", "replace").splitlines()
        self.decoder = RecordDecoder(RunKey("hm-0123abcd", KEY))
        self.records, self.log = [], []
        for line in self.lines:
            text, records = self.decoder.feed(line)
            self.records += records
            self.log += [text] if text is not None else []

    def of(self, kind):
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def rows(self):
        return None if self.decoder.parts is None else frame(self.decoder.parts, {}).to_dict("records")

    @property
    def end(self):
        """The exit status and the count of rows that the end mark tells; everything that it counts is here."""
        assert self.decoder.verified, self.decoder.problem()
        return self.decoder.end.status, self.decoder.end.rows

    @property
    def failure(self):
        (failure,) = self.of(Failure)
        return failure


@pytest.fixture
def app(tmp_path):
    shutil.copy(ROOT / "worker" / "heroku_task.py", tmp_path)
    return tmp_path


def start(app, *words, keyed=True, python=sys.executable, **env):
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **env}
    environ |= {"RUN_KEY": RUN_KEY} if keyed else {}
    command = [python, "-m", "heroku_task", *words]
    return subprocess.Popen(command, cwd=app, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def told(process):
    process.stdout_, process.stderr_ = process.communicate(timeout=30)
    return Told(subprocess.CompletedProcess(process.args, process.returncode, process.stdout_, process.stderr_))


def run(app, body, *, head=HEAD, signature="def t():", keyed=True, python=sys.executable, **env):
    """Run a task whose function has this body."""
    (app / "t.py").write_text(f"{head}@task\n{signature}\n{textwrap.indent(textwrap.dedent(body), '    ')}\n")
    return told(start(app, "t", keyed=keyed, python=python, **env))


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
    ],
)
def test_what_a_task_gives_becomes_rows(app, body, rows):
    out = run(app, body)

    assert (out.status, out.rows) == (0, rows), out.error
    assert out.end == (0, len(rows or ()))
    assert out.of(Declaration)[0].task == "t"


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
def test_values_arrive_as_plain_values(app, value, sent):
    assert run(app, f"return {{'v': {value}}}").rows == [{"v": sent}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("yield 3", "a row must be a dict of columns and values, not int: 3"),
        ("yield {'x': {1, 2}}", "column 'x' holds set"),
        ("yield {'f': print}", "column 'f' holds builtin"),
    ],
)
def test_a_row_without_a_form_is_a_type_error_that_names_it(app, body, message):
    out = run(app, body)

    assert out.failure.type == "TypeError"
    assert message in out.failure.message


def test_every_line_is_short_ascii_and_long_rows_come_in_parts(app):
    out = run(app, "for i in range(5000):\n    yield {'i': i, 'text': 'é' * (9000 if i == 7 else 3)}")

    assert [row["i"] for row in out.rows] == list(range(5000))
    assert out.rows[7]["text"] == "é" * 9000
    assert max(map(len, out.lines)) < 4000
    assert all(line.isascii() for line in out.lines)


def test_a_slow_tasks_row_does_not_wait_for_its_next_one(app):
    (app / "t.py").write_text(f"{HEAD}import time\n@task\ndef t():\n    yield {{'a': 1}}\n    time.sleep(30)\n")
    process = start(app, "t")
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.kill()
    process.communicate()

    assert b" rows " in lines[1]


def test_progress_tells_the_first_and_the_last_and_not_all(app):
    told_of = run(app, "for i in progress(range(1000), text='x'):\n    pass").of(Progress)

    assert told_of[0] == Progress(0, 1000, "x")
    assert told_of[-1] == Progress(1000, 1000, "x")
    assert len(told_of) < 10


def test_an_exception_becomes_a_failure_with_its_places(app):
    out = run(app, "yield {'a': 1}\n\nraise ValueError('bad luck')")

    assert (out.status, out.end) == (1, (1, 1))
    assert out.rows == [{"a": 1}]
    assert (out.failure.type, out.failure.message) == ("ValueError", "bad luck")
    (frame,) = out.failure.frames
    assert (frame.file, frame.line, frame.function) == ("t.py", 6, "t")
    assert frame.source[-1] == (6, "    raise ValueError('bad luck')")
    assert "ValueError: bad luck" in out.error
    assert "heroku_task.py" not in out.error


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
def test_each_way_to_end_has_its_true_status(app, body, status, kind, message):
    out = run(app, body)

    assert out.status == status
    assert out.decoder.end.status == status
    assert (out.failure.type, out.failure.message) == (kind, message)


def test_a_task_that_exits_with_zero_has_succeeded(app):
    out = run(app, "yield {'a': 1}\nimport sys; sys.exit()")

    assert (out.status, out.end, out.of(Failure)) == (0, (0, 1), [])


def test_a_package_that_is_missing_is_named_and_a_typo_of_ones_own_is_not(app):
    assert run(app, "pass", head=HEAD + "import nowhere.at_all\n").failure.missing == "nowhere"
    (app / "mine.py").write_text("")
    assert run(app, "pass", head=HEAD + "from mine import nothing\n").failure.missing is None


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("def broken(:\n", "SyntaxError", ""),
        ("x = 1\n", "TaskError", "exactly one function marked with @task; found: none"),
        (f"{HEAD}@task\ndef a(): pass\n@task\ndef b(): pass\n", "TaskError", "found: a, b"),
    ],
)
def test_a_file_that_is_no_task_says_why(app, source, kind, message):
    (app / "t.py").write_text(source)
    out = told(start(app, "t"))

    assert out.status == 1
    assert out.failure.type == kind
    assert message in out.failure.message
    assert out.end == (1, 0)


def test_a_file_that_is_not_there_says_so(app):
    assert "there is no nope.py beside heroku_task.py" in told(start(app, "nope")).failure.message


def test_sigterm_sends_the_rows_so_far(app):
    (app / "t.py").write_text(
        f"{HEAD}import time\n@task\ndef t():\n    yield {{'a': 1}}\n    print('up', flush=True)\n    time.sleep(30)\n"
    )
    process = start(app, "t")
    while b"up" not in process.stdout.readline():
        pass
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=10)

    assert process.returncode == 143
    assert b'"type":"Terminated"' in rest
    assert b'{"status":143,"rows":1,' in rest


SIGNATURE = """def t(
    i: int = 1, f: float = 1.0, b: bool = False, s: str = "", l: list[int] = [], d: dict[str, float] = {},
    o: Optional[int] = None, c: Literal["x", 2] = "x", u=None, a: "int | str" = 0,
):"""
TYPES = HEAD + "from __future__ import annotations\n" if False else "from __future__ import annotations\n" + HEAD
TYPES += "from typing import Literal, Optional\n"


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
def test_the_environment_is_read_by_the_declared_type(app, name, text, value):
    out = run(
        app, f"return {{'v': {name}, 'kind': type({name}).__name__}}", head=TYPES, signature=SIGNATURE, **{name: text}
    )

    assert out.rows == [{"v": value, "kind": type(value).__name__}], out.error


def test_all_that_is_wrong_with_the_environment_is_told_at_once(app):
    out = run(app, "pass", head=TYPES, signature="def t(n: int, m: int, c: Literal['x'] = 'x'):", n="many", c="y")

    assert out.failure.message == "n is 'many': expected a whole number; m is missing; c is 'y': expected one of 'x'"


def test_the_key_is_not_in_the_tasks_environment(app):
    out = run(app, "import os\nreturn {'names': sorted(os.environ)}")

    assert "RUN_KEY" not in out.rows[0]["names"]
    assert KEY.hex() not in "".join(out.lines)


def test_a_forked_child_sends_nothing_in_its_parents_name(app):
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

    assert out.rows == [{"i": 0}, {"i": 1}]
    assert out.end == (0, 2)
    assert "a child process cannot emit" in out.error


def test_threads_that_emit_at_once_leave_no_gap(app):
    body = """
        import threading
        threads = [threading.Thread(target=lambda: [emit({'i': i}) for i in range(500)]) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """
    out = run(app, body)

    assert len(out.rows) == 2000
    assert out.decoder.missing() == []


def test_text_without_its_newline_stays_before_the_record(app):
    out = run(app, "print('half', end='')\nemit({'a': 1})")

    assert out.rows == [{"a": 1}]
    assert "half" in out.log


def test_without_a_key_rows_are_plain_json_and_a_failure_is_a_traceback(app):
    out = run(app, "yield {'a': 1}\nraise ValueError('x')", keyed=False)

    assert [json.loads(line) for line in out.lines] == [{"a": 1}]
    assert out.status == 1
    assert out.error.endswith("ValueError: x\n")


def test_describe_reads_sources_without_running_them(app):
    (app / "t.py").write_text(
        f'{HEAD}open("ran", "w")\n@task\ndef t(n: int, k: str = "x"):\n    """Do it.  n: how many."""\n'
    )
    (app / "bad.py").write_text("def (:")
    lines = ["t: python -m heroku_task t", "bad: python -m heroku_task bad", "sh: bash x.sh", "web: x", "describe: x"]
    (app / "Procfile").write_text("\n".join(lines))
    out = told(start(app, "--describe"))
    rows = {row["task"]: row["parameters"] for row in out.rows}

    assert rows == {
        "t": {
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
    assert not (app / "ran").exists()
    assert out.end == (0, 3)


def test_describe_without_a_procfile_is_a_failure_and_no_traceback(app):
    out = told(start(app, "--describe"))

    assert "no Procfile" in out.failure.message


def test_usage(app):
    out = told(start(app))

    assert out.status == 0
    assert "python -m heroku_task NAME" in "\n".join(out.log)
    assert told(start(app, "--nonsense")).status == 2


def test_the_helper_runs_on_python_3_9(app):
    python = shutil.which("python3.9")
    if python is None or subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("there is no Python 3.9 here")
    out = run(app, "return {'n': n}", head=TYPES, signature="def t(n: int | None = 3):", python=python)

    assert out.rows == [{"n": 3}], out.error
