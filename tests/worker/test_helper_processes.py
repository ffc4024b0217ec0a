"""heroku_task in real processes: rows, progress, parameters and failures, as records and as plain lines."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from worker_app import Result, python_of

pytestmark = pytest.mark.usefixtures("processes")

RETURNS = """
from heroku_task import task
@task
def job():
    {}
"""


def body(*lines, head=""):
    return f"import time\nfrom heroku_task import emit, progress, task\n{head}\n@task\ndef job():\n" + "".join(
        f"    {line}\n" for line in lines
    )


# -- rows ------------------------------------------------------------------------------------------


def test_the_first_record_is_the_declaration_and_the_last_is_the_end(app):
    result = app.task(body("yield {'i': 0}", "yield {'i': 1}")).run()

    assert result.records[0] == (
        "task",
        {
            "task": "job",
            "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        },
    )
    assert result.rows == [{"i": 0}, {"i": 1}]
    assert result.end == {"status": 0, "rows": 2}
    assert result.status == 0


def test_the_golden_records_are_written_byte_for_byte(helper, golden, capfdbinary):
    sender = helper._Sender(golden.run_key, nonce=golden.nonce)
    story = json.loads((golden.folder / "failed.json").read_text())
    sender.start(story[0][1]["task"], story[0][1]["parameters"])
    for kind, data in story[1:-1]:
        sender.send(kind, data)
    sender.row_count = story[-1][1]["rows"]
    sender.end(story[-1][1]["status"])

    written = capfdbinary.readouterr().out
    assert written == (golden.folder / "failed.log").read_bytes()
    assert json.dumps([list(one) for one in golden.read_records(written.decode())]) == json.dumps(story)


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["return {'a': 1}"], [{"a": 1}]),
        (["return [{'a': 1}, {'a': 2}]"], [{"a": 1}, {"a": 2}]),
        (["return []"], []),
        (["return", "yield"], []),
        (["emit([])"], []),
        (["return None"], None),
        (["print('only a log')"], None),
        (
            ["emit({'a': 1})", "emit([{'a': 2}])", "emit({'a': i} for i in range(3, 5))"],
            [{"a": i} for i in range(1, 5)],
        ),
        (["yield [{'a': 1}, {'a': 2}]", "yield {'a': 3}", "emit({'a': 4})"], [{"a": i} for i in range(1, 5)]),
        (["return map(lambda i: {'a': i}, range(2))"], [{"a": 0}, {"a": 1}]),
    ],
)
def test_yielded_returned_and_emitted_rows_form_the_table(app, lines, rows):
    result = app.task(body(*lines)).run()

    assert result.rows == rows
    assert result.end == {"status": 0, "rows": len(rows or ())}


def test_a_return_annotation_declares_a_table_even_if_nothing_is_returned(app):
    app.task("from heroku_task import task\n@task\ndef job() -> list[dict]:\n    pass\n")
    app.task("from heroku_task import task\n@task\ndef none() -> None:\n    pass\n", "none")

    assert app.run().rows == []
    assert app.run("none").rows is None


def test_rows_may_be_dataclasses_namedtuples_and_sqlite_rows(app):
    head = """
import sqlite3
from collections import namedtuple
from dataclasses import dataclass
@dataclass
class Point:
    x: int
    y: float
Pair = namedtuple("Pair", "x y")
"""
    lines = [
        "yield Point(1, 2.0)",
        "yield Pair(3, 4.0)",
        "db = sqlite3.connect(':memory:')",
        "db.row_factory = sqlite3.Row",
        "yield list(db.execute('select 5 as x, 6.0 as y'))",
        "db.close()",
    ]
    assert app.task(body(*lines, head=head)).run().rows == [{"x": 1, "y": 2.0}, {"x": 3, "y": 4.0}, {"x": 5, "y": 6.0}]


def test_values_of_the_standard_library_become_json(helper):
    import datetime as dt
    import enum
    import uuid
    from decimal import Decimal
    from pathlib import PurePosixPath

    class Colour(enum.Enum):
        RED = "red"

    class Size(enum.IntEnum):
        BIG = 3

    row = {
        1: True,
        "date": dt.date(2026, 1, 2),
        "time": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
        "money": Decimal("1.10"),
        "enum": [Colour.RED, Size.BIG],
        "path": PurePosixPath("/a"),
        "uuid": uuid.UUID(int=1),
        "tuple": (1, {"k": (2,)}),
        None: None,
    }
    assert list(helper._as_rows(row)) == [
        {
            "1": True,
            "date": "2026-01-02",
            "time": "2026-01-02T03:04:05+00:00",
            "money": "1.10",
            "enum": ["red", 3],
            "path": "/a",
            "uuid": "00000000-0000-0000-0000-000000000001",
            "tuple": [1, {"k": [2]}],
            "None": None,
        }
    ]


def test_values_of_numpy_and_pandas_become_json(helper):
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"i": [1, 2], "x": [0.5, None], "t": [pd.Timestamp("2026-01-02"), pd.NaT]})
    first, second = helper._as_rows(frame)
    assert first == {"i": 1, "x": 0.5, "t": "2026-01-02T00:00:00"}
    assert math.isnan(second["x"])
    assert second["t"] is None
    assert type(first["i"]) is int

    row = {
        "int": np.int64(1),
        "float": np.float32(0.5),
        "bool": np.bool_(True),
        "text": np.str_("a"),
        "array": np.arange(4).reshape(2, 2),
        "nanoseconds": np.datetime64("2026-01-02T00:00:00.000000001"),
        "never": np.datetime64("NaT"),
        "missing": pd.NA,
        "series": pd.Series([1, 2]),
    }
    (plain,) = helper._as_rows(row)
    assert plain == {
        "int": 1,
        "float": 0.5,
        "bool": True,
        "text": "a",
        "array": [[0, 1], [2, 3]],
        "nanoseconds": "2026-01-02T00:00:00.000000001",
        "never": None,
        "missing": None,
        "series": [1, 2],
    }
    assert plain["bool"] is True
    assert list(helper._as_rows(frame.iloc[0])) == [first], "a Series is a row"


def test_a_missing_time_in_an_array_or_a_column_is_null(helper):
    import numpy as np
    import pandas as pd

    days = np.array([["2026-01-02", "NaT"]], dtype="datetime64[D]")
    row = {"array": days, "masked": np.ma.array(days[0], mask=[True, False]), "series": pd.Series(days[0])}
    assert [*helper._as_rows({**row, "index": pd.DatetimeIndex(days[0])})] == [
        {
            "array": [["2026-01-02", None]],
            "masked": [None, None],
            "series": ["2026-01-02T00:00:00", None],
            "index": ["2026-01-02T00:00:00", None],
        }
    ]


def test_records_of_numpy_are_refused_because_a_list_would_lose_their_fields(helper):
    import numpy as np

    records = np.array([(1, "2026-01-02")], dtype=[("n", "i4"), ("when", "datetime64[ns]")])
    for value, kind in ((records, "ndarray"), (records[["when"]], "ndarray"), (records[0], "void")):
        with pytest.raises(TypeError, match=f"column 'v' holds {kind}"):
            list(helper._as_rows({"v": value}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {1, 2}}, "column 'a' holds set"),
        ({"a": b"x"}, "column 'a' holds bytes"),
        ({"deep": [{"b": object}]}, "column 'deep' holds type"),
        ({"a": 1j}, "column 'a' holds complex"),
        ({1: "a", "1": "b"}, "two keys of a row are the same"),
        (5, "not int"),
        ("text", "not str"),
        ([[1, 2]], "not list"),
        (dict, "not type"),
    ],
)
def test_a_value_that_is_not_a_row_or_not_json_is_named_in_the_error(helper, value, message):
    with pytest.raises(TypeError, match=message):
        list(helper._as_rows(value))


def test_a_table_with_duplicate_column_names_is_rejected(helper):
    import pandas as pd

    with pytest.raises(TypeError, match="two columns of the table have the same name"):
        helper._as_rows(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_rows_before_a_bad_one_are_sent(app):
    result = app.task(body("yield {'i': 1}", "yield {'i': {1}}")).run()

    assert result.rows == [{"i": 1}]
    assert result.failure["type"] == "TypeError"
    assert "heroku_task.py" not in result.failure["traceback"]
    assert result.end == {"status": 1, "rows": 1}


def test_many_small_rows_share_records(app):
    result = app.task(body("for i in range(2000):", "    yield {'i': i}")).run()

    assert result.rows == [{"i": i} for i in range(2000)]
    assert len(result.of("rows")) < 40


def test_a_long_row_is_sent_in_parts(app):
    result = app.task(body("return {'long': [*range(9000)]}")).run()

    assert result.rows == [{"long": [*range(9000)]}]
    assert result.stdout.count(" rows+ ") >= 2


@pytest.mark.parametrize("size", range(3890, 3906))
def test_a_payload_at_the_edge_of_a_line_is_cut_right(helper, golden, capfd, size):
    sender = helper._Sender(golden.run_key)
    sender.start("t", None)
    sender.send("rows", ["x" * size])
    # Random bytes do not compress, so their packed payload is about as long.
    sender._send_packed("file", {"size": size}, random.Random(size).randbytes(size * 3 // 4 - 30))

    assert golden.read_records(capfd.readouterr().out)[1:] == [
        ("rows", ["x" * size]),
        ("file", ({"size": size}, random.Random(size).randbytes(size * 3 // 4 - 30))),
    ]


def test_rows_of_a_slow_generator_do_not_wait_for_the_next_one(app):
    app.task(body("yield {'i': 0}", "yield {'i': 1}", "yield {'i': 2}", "time.sleep(60)"))
    process = app.start()
    read = []
    # The task sleeps, so only the helper's timer can send the last rows.
    while sum(line.count('{"i":') for line in read) < 3:
        read.append(process.stdout.readline())
        assert read[-1], process.stderr.read()
    process.kill()
    process.communicate()


def test_printed_lines_precede_the_records_that_follow_them(app):
    result = app.task(body("print('before', end='')", "print()", "yield {'i': 1}", "print('after')")).run()

    lines = [line.split(" ")[3] if line.startswith("@hm1") else line for line in result.stdout.splitlines()]
    assert lines.index("before") < lines.index("rows") < lines.index("end")
    assert lines.index("after") < lines.index("end")


def test_rows_of_many_threads_are_complete_and_counted(app):
    source = body(
        "threads = [threading.Thread(target=send, args=(k,)) for k in range(8)]",
        "for thread in threads: thread.start()",
        head="import threading\ndef send(k):\n    for i in range(200): emit({'k': k, 'i': i})\n",
    )
    result = app.task(source).run()

    assert sorted((row["k"], row["i"]) for row in result.rows) == [(k, i) for k in range(8) for i in range(200)]
    assert result.end == {"status": 0, "rows": 1600}, "threads that the task did not wait for are waited for"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_cannot_emit_and_the_parent_can(app, method):
    head = """
import multiprocessing
def square(i):
    for _ in progress([1]): pass
    return i * i
def send(i):
    try:
        emit({"i": i})
    except RuntimeError as error:
        return str(error)
"""
    lines = [
        "yield {'i': 0}",
        "yield {'i': 1}",
        f"with multiprocessing.get_context('{method}').Pool(1) as pool:",
        "    messages = pool.map(send, [1])",
        "    yield [{'square': s} for s in pool.map(square, range(3))]",
        "yield {'message': messages[0]}",
    ]
    result = app.task(body(*lines, head=head)).run()

    assert result.rows[2:5] == [{"square": 0}, {"square": 1}, {"square": 4}]
    assert "a child process cannot emit" in result.rows[5]["message"]
    assert result.end == {"status": 0, "rows": 6}
    assert result.stderr == ""


@pytest.mark.parametrize("way", ["return", "raise ValueError('in the child')", "sys.exit(5)"])
def test_a_forked_child_that_leaves_the_task_sends_no_end_record(app, way):
    lines = ["emit({'i': 1})", "if os.fork() == 0:", f"    {way}", "os.wait()"]
    result = app.task(body(*lines, head="import os, sys")).run()

    assert [kind for kind, _ in result.records] == ["task", "rows", "end"]
    assert result.status == 0


# -- without a key ---------------------------------------------------------------------------------


def test_without_a_key_rows_are_plain_json_lines(app):
    result = app.task(body("for i in progress(range(2)):", "    yield {'i': i, 'x': float('nan')}")).run(keyed=False)

    assert result.stdout == '{"i":0,"x":NaN}\n{"i":1,"x":NaN}\n'
    assert result.stderr == ""


def test_without_a_key_a_failure_is_a_traceback_and_a_status(app):
    result = app.task(body("raise ValueError('bad')")).run(keyed=False)

    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("ValueError: bad\n")


@pytest.mark.parametrize("key", ["", "abc", "hm-0123abcd:zz", "hm-0123abcd:00"])
def test_an_invalid_key_counts_as_no_key(app, key):
    assert app.task(body("return {'i': 1}")).run(keyed=False, RUN_KEY=key).stdout == '{"i":1}\n'


def test_a_plain_script_that_emits_prints_json_lines(app):
    app.write("plain.py", "from heroku_task import emit\nemit({'i': 1})\n")
    done = subprocess.run(
        [sys.executable, "plain.py"], cwd=app.folder, env=app.env(), capture_output=True, text=True, check=True
    )

    assert done.stdout == '{"i":1}\n'


def test_the_key_is_not_in_the_environment_of_the_task_or_its_children(app):
    lines = [
        "print(dict(os.environ))",
        "subprocess.run(['env'], check=True)",
        "raise ValueError(repr(sys.modules['heroku_task']._sender))",
    ]
    result = app.task(body(*lines, head="import os, subprocess, sys")).run()

    assert "00010203" not in result.stdout + result.stderr
    assert "RUN_KEY" not in result.stdout + result.stderr


# -- progress --------------------------------------------------------------------------------------


def test_progress_reports_the_first_and_the_last_state_and_few_between(app):
    result = app.task(body("for _ in progress(range(100000), text='counting'): pass")).run()

    states = result.of("progress")
    assert states[0] == {"done": 0, "total": 100000, "text": "counting"}
    assert states[-1] == {"done": 100000, "total": 100000, "text": "counting"}
    assert len(states) < 30


def test_progress_of_unknown_length_and_of_no_items(app):
    result = app.task(
        body("list(progress(iter('ab')))", "list(progress(iter('ab'), total=2))", "list(progress([]))")
    ).run()

    assert [(one["done"], one["total"]) for one in result.of("progress")] == [
        (0, None),
        (2, None),
        (0, 2),
        (2, 2),
        (0, 0),
    ]


# -- failures --------------------------------------------------------------------------------------


def test_a_failure_has_the_source_lines_of_the_task(app):
    app.write("deeper.py", "import json\n\n\ndef dive(text):\n    # parse\n    return json.loads(text)\n")
    result = app.task(body("yield {'i': 1}", "deeper.dive('{')", head="import deeper")).run()

    failure = result.failure
    assert failure["type"] == "JSONDecodeError"
    assert [(one["file"], one["function"]) for one in failure["frames"]] == [("job.py", "job"), ("deeper.py", "dive")]
    assert failure["frames"][1]["line"] == 6
    assert failure["frames"][1]["source"] == [
        [4, "def dive(text):"],
        [5, "    # parse"],
        [6, "    return json.loads(text)"],
    ]
    assert failure["missing"] is None
    assert failure["traceback"] == result.stderr
    assert "heroku_task.py" not in result.stderr
    assert result.rows == [{"i": 1}]
    assert result.end == {"status": 1, "rows": 1}
    assert result.status == 1


def test_a_chained_exception_is_complete_and_without_frames_of_the_helper(app):
    lines = ["try:", "    emit({'a': {1}})", "except TypeError as error:", "    raise ValueError('outer') from error"]
    result = app.task(body(*lines)).run()

    assert "TypeError: column 'a'" in result.stderr
    assert "direct cause" in result.stderr
    assert "heroku_task.py" not in result.stderr


def test_source_lines_are_found_after_the_task_changed_the_folder(app):
    result = app.task(body("os.chdir('/')", "1 / 0", head="import os")).run()

    assert result.failure["frames"][0]["file"] == "job.py"
    assert result.failure["frames"][0]["source"][-1][1].strip() == "1 / 0"


def test_only_the_last_five_frames_and_a_bounded_traceback_are_sent(app):
    head = "def dive(n):\n    if n: dive(n - 1)\n    else: raise ValueError('x' * 50000)\n"
    result = app.task(body("dive(20)", head=head)).run()

    assert len(result.failure["frames"]) == 5
    assert len(result.failure["message"]) <= 4000
    assert len(result.failure["traceback"]) <= 20000
    assert result.failure["traceback"].startswith("Traceback")
    assert result.failure["traceback"].endswith("x\n")


@pytest.mark.parametrize(
    ("source", "kind", "message", "missing"),
    [
        ("from heroku_task import task\nimport nowhere_at_all.part\n@task\ndef job(): pass\n", "ModuleNotFoundError", "nowhere", "nowhere_at_all"),
        ("from heroku_task import task\nimport json.nothing\n@task\ndef job(): pass\n", "ModuleNotFoundError", "json.nothing", None),
        ("from heroku_task import task\n@task\ndef job(:\n", "SyntaxError", "invalid syntax", None),
        ("from heroku_task import task\ndef job(): pass\n", "TaskError", "exactly one function marked with @task; found: none", None),
        ("from heroku_task import task\n@task\ndef a(): pass\n@task\ndef b(): pass\n", "TaskError", "a, b", None),
        ("from heroku_task import task\n@task\nasync def job(): pass\n", "TaskError", "asyncio.run", None),
        ("from heroku_task import task\n@task\ndef job(n, /): pass\n", "TaskError", "before a `/`", None),
        ("def task(f): return f\n@task\ndef job(): pass\n", "TaskError", "heroku_task's @task", None),
        ("1 / 0\nfrom heroku_task import task\n@task\ndef job(): pass\n", "ZeroDivisionError", "division", None),
    ],
)  # fmt: skip
def test_a_task_that_cannot_start_fails_with_a_record(app, source, kind, message, missing):
    result = app.task(source).run()

    assert result.records[0][0] == "task"
    assert result.failure["type"] == kind
    assert message in result.failure["message"]
    assert result.failure["missing"] == missing
    assert result.rows is None
    assert (result.end["status"], result.status) == (1, 1)
    assert message in result.stderr


def test_a_syntax_error_shows_its_line(app):
    result = app.task("from heroku_task import task\n\n@task\ndef job():\n    x = = 1\n").run()

    assert result.failure["frames"][-1]["line"] == 5
    assert result.failure["frames"][-1]["source"][-1] == [5, "    x = = 1"]


def test_an_error_without_a_line_number_fails_with_a_record(app):
    result = app.task("# coding: nonsense\nfrom heroku_task import task\n\n@task\ndef job(): pass\n").run()

    assert "unknown encoding: nonsense" in result.failure["message"]
    assert result.failure["frames"][-1]["line"] == 1
    assert (result.end["status"], result.status) == (1, 1)


def test_a_missing_file_and_a_shadowed_module_are_named(app):
    assert "there is no job.py" in app.run().failure["message"]

    app.task(body("return {'i': 1}"), "abc")
    assert "abc.py has the name of another module" in app.run("abc").failure["message"]


def test_a_file_name_with_a_dash_and_another_encoding_is_a_task(app):
    (app.folder / "my-job.py").write_bytes(
        "# coding: latin-1\nfrom heroku_task import task\n@task\ndef f(): return {'word': 'caf\xe9'}\n".encode(
            "latin-1"
        )
    )

    assert app.run("my-job").rows == [{"word": "café"}]


@pytest.mark.parametrize(
    ("statement", "status", "failure"),
    [
        ("sys.exit()", 0, None),
        ("sys.exit(0)", 0, None),
        ("sys.exit(256)", 0, None),
        ("sys.exit(3)", 3, ("SystemExit", "exit status 3")),
        ("sys.exit(-1)", 255, ("SystemExit", "exit status -1")),
        ("sys.exit('no luck')", 1, ("SystemExit", "no luck")),
        ("raise KeyboardInterrupt", 130, ("KeyboardInterrupt", "")),
        ("raise type('Odd', (BaseException,), {})('odd')", 1, ("Odd", "odd")),
        (
            "raise type('Mute', (Exception,), {'__str__': lambda s: 1 / 0})()",
            1,
            ("Mute", "(its message cannot be shown)"),
        ),
    ],
)
def test_the_end_record_has_the_exit_status_of_the_process(app, statement, status, failure):
    result = app.task(body("yield {'i': 1}", statement, head="import sys")).run()

    assert (result.end, result.status) == ({"status": status, "rows": 1}, status)
    assert [(one["type"], one["message"]) for one in result.of("failure")] == ([failure] if failure else [])


@pytest.mark.parametrize("lines", [["sys.stdout.close()"], ["sys.stderr.close()"], ["sys.stdout = sys.stderr = None"]])
def test_a_task_that_closes_its_streams_still_ends(app, lines):
    result = app.task(body("yield {'i': 1}", *lines, "yield {'i': 2}", "1 / 0", head="import sys")).run()

    assert result.rows == [{"i": 1}, {"i": 2}]
    assert result.failure["type"] == "ZeroDivisionError"
    assert result.end == {"status": 1, "rows": 2}


def test_rows_after_the_end_are_refused(app):
    head = "import atexit\natexit.register(lambda: emit({'late': 1}))\n"
    result = app.task(body("yield {'i': 1}", head=head)).run()

    assert result.rows == [{"i": 1}]
    assert result.end == {"status": 0, "rows": 1}
    assert "after the task has ended" in result.stderr


# -- signals ---------------------------------------------------------------------------------------


def rest_of(process, read):
    """Return the result of a process whose first lines were read; communicate() would lose what is buffered."""
    with process:
        stdout = "".join(read) + process.stdout.read()
        stderr = process.stderr.read()
    return Result(process.returncode, stdout, stderr)


def test_sigterm_sends_the_pending_rows_and_a_failure_and_exits_with_143(app):
    process = app.task(
        body("for i in range(3): yield {'i': i}", "print('ready', flush=True)", "time.sleep(60)")
    ).start()
    read = []
    while "ready\n" not in read:
        read.append(process.stdout.readline())
    process.terminate()

    result = rest_of(process, read)
    assert result.rows == [{"i": 0}, {"i": 1}, {"i": 2}]
    assert result.failure["type"] == "Terminated"
    assert result.failure["frames"][-1]["function"] == "job"
    assert result.end == {"status": 143, "rows": 3}
    assert result.status == 143


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_many_rows_breaks_no_record(app, number, status):
    process = app.task(body("i = 0", "while True:", "    emit({'i': i, 'x': 'y' * 5000})", "    i += 1")).start()
    read = [process.stdout.readline() for _ in range(50)]
    process.send_signal(number)

    result = rest_of(process, read)
    assert [row["i"] for row in result.rows] == list(range(len(result.rows)))
    assert result.end["status"] == result.status == status
    assert result.end["rows"] == len(result.rows)


def test_a_child_process_is_killed_by_sigterm(app):
    lines = [
        "reader, writer = os.pipe()",
        "pid = os.fork()",
        "if pid == 0:",
        "    os.write(writer, b'x')",
        "    time.sleep(60)",
        "os.read(reader, 1)",
        "os.kill(pid, signal.SIGTERM)",
        "return {'status': os.waitpid(pid, 0)[1]}",
    ]
    assert app.task(body(*lines, head="import os, signal")).run().rows == [{"status": signal.SIGTERM}]


def test_a_signal_that_comes_while_the_task_forks_interrupts_it(app):
    lines = [
        "change = signal.pthread_sigmask",
        "def change_after_a_signal(how, signals):",
        "    if how == signal.SIG_SETMASK:",
        "        os.kill(os.getpid(), signal.SIGTERM)",
        "    return change(how, signals)",
        "signal.pthread_sigmask = change_after_a_signal",
        "pid = os.fork()",
        "if not pid:",
        "    os._exit(0)",
        "signal.pthread_sigmask = change",
        "try:",
        "    time.sleep(20)",
        "finally:",
        "    yield {'child': os.waitpid(pid, 0)[1], 'blocked': [*map(int, change(signal.SIG_BLOCK, []))]}",
    ]
    result = app.task(body(*lines, head="import os, signal")).run()
    assert result.rows == [{"child": signal.SIGTERM, "blocked": []}]
    assert result.status == 143


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_child_is_ended_by_a_signal_however_soon_it_comes(app, number):
    # Python has a handler for SIGINT, and what arrives right before exec is lost with it: so it is sent again.
    again = "os.kill(pid, signal.SIGINT)" if number == "SIGINT" else "pass"
    lines = [
        "statuses = set()",
        "for _ in range(200):",
        "    pid = os.fork()",
        "    if pid == 0:",
        "        os.execlp('sleep', 'sleep', '60')",
        f"    os.kill(pid, signal.{number})",
        "    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:",
        "        time.sleep(0.005)",
        f"        {again}",
        "    statuses.add(ended[1])",
        "yield {'statuses': sorted(statuses)}",
    ]
    assert app.task(body(*lines, head="import os, signal, time")).run().rows == [
        {"statuses": [getattr(signal, number)]}
    ]


def test_a_child_that_is_started_during_the_clean_up_is_killed_by_sigterm(app):
    lines = [
        "try:",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "    time.sleep(60)",
        "finally:",
        "    child = subprocess.Popen(['sleep', '60'])",
        "    child.terminate()",
        "    yield {'status': child.wait()}",
    ]
    assert app.task(body(*lines, head="import os, signal, subprocess")).run().rows == [{"status": -signal.SIGTERM}]


@pytest.mark.parametrize(
    "wait",
    [
        "with multiprocessing.get_context('fork').Pool(4) as pool: pool.map(time.sleep, [60, 60])",
        "with multiprocessing.get_context('spawn').Pool(2) as pool: pool.map(time.sleep, [60, 60])",
        "with multiprocessing.get_context('forkserver').Pool(2) as pool: pool.map(time.sleep, [60, 60])",
        "with futures.ProcessPoolExecutor(2) as pool: list(pool.map(time.sleep, [60, 60]))",
        "with futures.ThreadPoolExecutor(2) as pool: list(pool.map(time.sleep, [60, 60, 60]))",
        "asyncio.run(asyncio.wait_for(asyncio.to_thread(time.sleep, 60), 50))",
        "threading.Thread(target=time.sleep, args=[60]).start(); time.sleep(60)",
    ],
)
def test_sigterm_ends_a_task_that_waits_for_its_workers(app, wait):
    head = "import asyncio, multiprocessing, threading\nfrom concurrent import futures"
    process = app.task(body("print('ready', flush=True)", wait, head=head)).start()
    read = []
    while "ready\n" not in read:
        read.append(process.stdout.readline())
    time.sleep(1)  # the workers start
    os.killpg(process.pid, signal.SIGTERM)

    assert process.wait(timeout=20) == 143
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert rest_of(process, read).end == {"status": 143, "rows": 0}


@pytest.mark.parametrize("kind", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_a_pool_that_a_task_leaves_open_ends_after_its_calls(app, kind):
    lines = ["pool.submit(time.sleep, 0.2)", "pool.submit(print, 'last', flush=True)", "yield {'i': 1}"]
    result = app.task(body(*lines, head=f"from concurrent import futures\npool = futures.{kind}(1)")).run()
    assert (result.rows, result.end) == ([{"i": 1}], {"status": 0, "rows": 1})
    assert result.stdout.index("last") < result.stdout.index(" end ")


def test_a_clean_up_that_takes_longer_than_a_pool_may_is_not_interrupted(app):
    lines = ["try:", "    os.kill(os.getpid(), signal.SIGTERM)", "    time.sleep(60)", "finally:"]
    result = app.task(body(*lines, "    time.sleep(5)", "    yield {'is_clean': True}", head="import os, signal")).run()
    assert result.rows == [{"is_clean": True}]
    assert result.end == {"status": 143, "rows": 1}


def test_a_task_whose_stdout_is_closed_exits_quietly(app):
    for keyed, line in ((True, "yield {'i': 1}"), (False, "yield {'i': 1}"), (True, "print('x' * 10000)")):
        process = app.task(body("while True:", f"    {line}", "    time.sleep(0)")).start(keyed=keyed)
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=10) == 141
        assert process.stderr.read() == ""
        process.stderr.close()


def test_a_broken_pipe_inside_the_task_is_a_failure(app):
    result = app.task(body("raise BrokenPipeError('of a socket')")).run()

    assert result.failure["message"] == "of a socket"
    assert result.status == 1


def test_a_non_blocking_pipe_loses_nothing(app):
    lines = ["os.set_blocking(1, False)", "for i in range(500):", "    yield {'i': i, 'x': 'y' * 3000}"]
    process = app.task(body(*lines, head="import os")).start()
    time.sleep(0.2)  # the pipe fills up
    stdout, stderr = process.communicate(timeout=20)

    assert [row["i"] for row in Result(process.returncode, stdout, stderr).rows] == list(range(500))


# -- parameters ------------------------------------------------------------------------------------

SIGNATURE = """
from __future__ import annotations
import typing as t
from typing import Literal, Optional
from heroku_task import task

@task
def job(
    i: int = 0, x: float = 0.0, b: bool = False, s: str = "", m: Literal["a", "2", 3, None] = "a",
    o: Optional[int] = 5, os_: str | None = "d", l: list[float] = [], d: dict[str, int] = {}, u=None,
    q: "t.List[int]" = [], odd: Exception = None, ol: Optional[Literal["1", "x"]] = None,
    *, k: int | str = 0,
):
    return {k: repr(v) for k, v in locals().items()}
"""


def decode(helper, schema, **env):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        return helper._read_arguments(schema, {})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("i", "7", 7),
        ("i", "-7", -7),
        ("x", "7", 7.0),
        ("x", "1e3", 1000.0),
        *[("b", text, True) for text in ("true", "True", "1", "yes", "ON")],
        *[("b", text, False) for text in ("false", "FALSE", "0", "no", "off")],
        ("s", "5", "5"),
        ("s", '"5"', '"5"'),
        ("s", "", ""),
        ("s", "null", "null"),
        ("m", "a", "a"),
        ("m", "2", "2"),
        ("m", "3", 3),
        ("m", "null", None),
        ("o", "null", None),
        ("o", "6", 6),
        ("os_", "null", None),
        ("os_", '"null"', "null"),
        ("os_", "5", "5"),
        ("os_", '"5"', "5"),
        ("os_", "plain text", "plain text"),
        ("l", "[1, 2.5]", [1.0, 2.5]),
        ("d", '{"a": 1}', {"a": 1}),
        ("u", "5", 5),
        ("u", '"5"', "5"),
        ("u", "five", "five"),
        ("u", "{broken", "{broken"),
        ("q", "[1]", [1]),
        ("odd", "[1]", [1]),
        ("k", "5", 5),
        ("k", '"5"', "5"),
        ("k", "five", "five"),
        ("ol", "1", "1"),
        ("ol", "x", "x"),
        ("ol", "null", None),
    ],
)
def test_text_is_converted_to_the_declared_type(helper, tmp_path, name, text, value):
    path = tmp_path / "job.py"
    path.write_text(SIGNATURE)
    schema = helper._Source(str(path)).schema()

    decoded = decode(helper, schema, **{name: text})[name]
    assert (decoded, type(decoded)) == (value, type(value))
    if isinstance(value, list):
        assert [type(one) for one in decoded] == [type(one) for one in value]


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        ("int", "1.5", "a whole number"),
        ("int", "true", "a whole number"),
        ("float", "many", "a number"),
        ("bool", "maybe", "true or false"),
        ("Literal['a', 'b']", "c", "one of 'a', 'b'"),
        ("Literal[1]", "true", "one of 1"),
        ("list[int]", "[1.5]", "a list (each a whole number)"),
        ("list[int]", "[true]", "a list (each a whole number)"),
        ("list", "5", "a list"),
        ("dict[str, float]", '{"a": "b"}', "a dict (each a number)"),
        ("Optional[int]", "x", "a whole number or null"),
        ("list[list[int]]", "[" * 5000, "a list"),
    ],
)
def test_text_that_does_not_fit_is_reported_with_the_expected_type(helper, declared, annotation, text, expected):
    with pytest.raises(helper.TaskError) as caught:
        decode(helper, declared(f"p: {annotation}"), p=text)

    assert str(caught.value).startswith("p is '")
    assert f"expected {expected}" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_parameters_come_from_the_environment_and_defaults_from_the_task(app):
    assert app.task(SIGNATURE).run(i="7", os_="null").rows == [
        {
            "i": "7", "x": "0.0", "b": "False", "s": "''", "m": "'a'", "o": "5", "os_": "None", "l": "[]", "d": "{}",
            "u": "None", "q": "[]", "odd": "None", "ol": "None", "k": "0",
        }
    ]  # fmt: skip


def test_all_faults_of_the_parameters_are_reported_together_and_nothing_runs(app):
    source = "from heroku_task import task\n@task\ndef job(n: int, m: float, k: bool = True):\n    print('ran')\n"
    result = app.task(source).run(m="much", k="perhaps")

    assert result.failure["message"] == (
        "n is missing; m is 'much': expected a number; k is 'perhaps': expected true or false"
    )
    assert result.log == []
    assert result.end["status"] == 1


# -- the command line ------------------------------------------------------------------------------------


def test_importing_the_helper_runs_nothing_and_imports_nothing_heavy(app):
    code = "import heroku_task, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=app.folder, env=app.env(), capture_output=True, text=True, check=True
    )

    heavy = {
        "inspect",
        "typing",
        "threading",
        "hashlib",
        "_hashlib",
        "hmac",
        "ast",
        "traceback",
        "pathlib",
        "importlib.metadata",
    }
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, json; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert heavy & (set(done.stdout.split()) - set(bare.stdout.split())) == set()
    assert "@hm1" not in done.stdout


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_help_is_printed_to_stdout(app, words):
    done = subprocess.run(
        app.command(*words), cwd=app.folder, env=app.env(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m heroku_task NAME")


@pytest.mark.parametrize("words", [("a", "b"), ("--nothing",)])
def test_a_wrong_command_line_prints_the_usage_to_stderr(app, words):
    result = app.run(*words)

    assert result.status == 2
    assert "usage:" in result.stderr
    assert result.stdout == ""


def test_the_helper_works_on_the_oldest_supported_python(app):
    python = python_of("3.9")
    result = app.task(SIGNATURE).run(python=python, l="[1]")
    failed = app.task(body("1 / 0"), "fails").run("fails", python=python)

    assert result.rows[0]["l"] == "[1.0]"
    assert result.end == {"status": 0, "rows": 1}
    assert failed.failure["type"] == "ZeroDivisionError"


def test_a_task_that_closes_all_other_files_shows_no_traceback_of_the_helper(app):
    result = app.task(body("import os", "os.closerange(3, 256)", "time.sleep(0.2)", "return {'i': 1}")).run()
    assert result.decoded_rows == [{"i": 1}]
    assert "Traceback" not in result.stdout + result.stderr
