"""Source and values travel only in the environment and behave the same on every Python version."""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
import re
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from dynos import OTHERS, Dyno, find_python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heroku_magic.app.function import returned
from heroku_magic.bundle.build import Bundle, CallBundle, CellBundle
from heroku_magic.bundle.program import read_cell
from heroku_magic.bundle.shipped import COMMAND, sources
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.values import MAX_ENV_BYTES, RawText
from heroku_magic.text.secret import Secret

pytestmark = pytest.mark.usefixtures("processes")

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.just("NaN"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def cell(body, values=None, names=()):
    hidden = {name: value for name, value in (values or {}).items() if isinstance(value, Secret)}
    shown = {name: value for name, value in (values or {}).items() if name not in hidden}
    return CellBundle(read_cell(body), shown, names, hidden)


def is_identical(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_identical, one, other))
    if isinstance(one, dict):
        return [*one] == [*other] and all(is_identical(one[key], other[key]) for key in one)
    return one == other


@given(values=st.dictionaries(st.sampled_from(["a", "b", "ü", "x1"]), VALUES, max_size=3), n=VALUES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_value_makes_the_round_trip_through_a_cell_unchanged(tmp_path, values, n):
    names = ", ".join(f"{name!r}: {name}" for name in values)
    dyno = Dyno(cell(f"emit({{'all': {{{names}}}, 'n': n}})", values, ["n"]).build_env({"n": n}), tmp_path)

    assert dyno.status == 0, dyno.errors
    (row,) = dyno.decoder.parts[-1].rows
    assert is_identical(row, {"all": values, "n": n})


def identity(value):
    return value


@given(value=VALUES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_value_makes_the_round_trip_through_a_function_unchanged(tmp_path, value):
    dyno = Dyno(CallBundle(identity).build_env({"value": value}), tmp_path)

    assert dyno.status == 0, dyno.errors
    assert is_identical(returned(dyno.decoder.parts, dict), value)


@pytest.mark.parametrize("version", ["this one", *OTHERS])
def test_a_cell_runs_and_fails_with_the_right_lines_on_each_python(tmp_path, version):
    python = sys.executable if version == "this one" else find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    body = "from __future__ import annotations\n# é 😀\nemit({'p': 'é😀', 'n': n})\n\ndef f(x):\n    return 'ü' + x / 0\n\nf(n)"
    dyno = Dyno(cell(body, {"n": 3}).build_env(), tmp_path, python)

    assert dyno.rows == [{"p": "é😀", "n": 3}]
    assert dyno.failure.type == "ZeroDivisionError"
    assert [(frame.file, frame.line) for frame in dyno.failure.frames] == [("<cell>", 9), ("<cell>", 7)]
    assert dyno.failure.frames[-1].source[-1] == (7, "    return 'ü' + x / 0")
    assert dyno.failure.frames[-1].columns in {(17, 22), None}
    assert "File \"<cell>\", line 7, in f\n    return 'ü' + x / 0\n" in dyno.errors
    assert "driver" not in dyno.errors
    assert "heroku_task" not in dyno.errors


@pytest.mark.parametrize("version", ["this one", "3.13", "3.14"])
def test_an_error_in_evaluated_text_shows_nothing_of_our_program(tmp_path, version):
    python = sys.executable if version == "this one" else find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    dyno = Dyno(cell("eval('missing + 1')").build_env(), tmp_path, python)

    assert dyno.failure.type == "NameError"
    assert "RUN_CODE" not in dyno.errors


def test_line_numbers_follow_pythons_line_endings(tmp_path):
    dyno = Dyno(cell("a = 'x\u2028y\x0cz'\r\nb = 0\r1 / b").build_env(), tmp_path)

    assert dyno.failure.frames[-1].source == [(2, "a = 'x\u2028y\x0cz'"), (3, "b = 0"), (4, "1 / b")]


def test_the_columns_of_an_error_are_those_of_the_traceback(tmp_path):
    if sys.version_info < (3, 11):
        pytest.skip("Python reports columns since 3.11")
    dyno = Dyno(cell("a = 0\nb = [1 + a, 2 / a, 3]").build_env(), tmp_path)

    (frame,) = dyno.failure.frames
    text = frame.source[-1][1]
    assert text[slice(*frame.columns)] == "2 / a"


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("{'a': 1, 'b': None}", [{"a": 1, "b": None}]),
        ("[{'a': 1}, {'a': 2}]", [{"a": 1}, {"a": 2}]),
        ("7", [{"value": 7}]),
        ("'text'", [{"value": "text"}]),
        ("[1, 2]", [{"value": 1}, {"value": 2}]),
        ("({'i': i} for i in range(2))", [{"i": 0}, {"i": 1}]),
        ("[]", []),
        ("import datetime\ndatetime.date(2026, 1, 31)", [{"value": "2026-01-31"}]),
        ("x = 1", None),
        ("7;", None),
        ("None", None),
        ("print(1)", None),
        ("object", None),
    ],
)
def test_the_value_of_the_last_expression_becomes_the_table(tmp_path, body, rows):
    assert Dyno(cell(body).build_env(), tmp_path).rows == rows


def test_emitted_rows_are_the_table_and_the_last_value_is_printed(tmp_path):
    dyno = Dyno(cell("emit({'a': 1})\n[1, 2]").build_env(), tmp_path)

    assert dyno.rows == [{"a": 1}]
    assert dyno.log == ["[1, 2]"]


def test_a_value_without_rows_is_printed(tmp_path):
    dyno = Dyno(
        cell("class A:\n    def __repr__(self): return 'an A'\ndisplay('text', 2)\n[A(), A()]").build_env(), tmp_path
    )

    assert dyno.rows is None
    assert dyno.log == ["text", "2", "[an A, an A]"]


def test_a_dict_with_an_unsupported_value_fails_and_names_the_column(tmp_path):
    dyno = Dyno(cell("{'a': 1, 'b': object()}").build_env(), tmp_path)

    assert "column 'b' holds object" in dyno.failure.message


def test_a_cell_sees_only_the_documented_names(tmp_path):
    body = "import os, sys\nemit({'names': sorted(n for n in globals() if not n.startswith('__')), 'env': sorted(os.environ)})"
    env = cell(body, {"n": 1, "KEY": Secret("hunter2-hunter2")}, ["k"]).build_env({"k": 2})
    (row,) = Dyno(env, tmp_path).rows

    expected = ["KEY", "display", "emit", "emit_file", "k", "metric", "n", "os", "progress", "sys"]
    assert row["names"] == expected
    assert not [name for name in row["env"] if name.startswith("RUN_")]
    assert "KEY" in row["env"]


def test_the_cell_is_the_main_module_and_can_import_the_apps_modules(tmp_path):
    (tmp_path / "mine.py").write_text("x = 5\n")
    body = "import sys, pickle, mine\nclass A: pass\nemit({'x': mine.x, 'same': type(pickle.loads(pickle.dumps(A()))) is A, 'n': __name__})"

    assert Dyno(cell(body).build_env(), tmp_path).rows == [{"x": 5, "same": True, "n": "__main__"}]


@pytest.mark.parametrize("name", ["token", "json", "base64", "zlib", "signal", "types", "heroku_task", "heroku_driver"])
def test_a_file_of_the_app_does_not_replace_a_module_that_the_driver_needs(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')\n")

    assert Dyno(cell("emit({'a': 1})").build_env(), tmp_path).rows == [{"a": 1}]


def test_the_apps_modules_can_be_imported_from_any_folder(tmp_path):
    (tmp_path / "mine.py").write_text("x = 5\n")

    assert Dyno(cell("import os\nos.chdir('/')\nimport mine\nmine.x").build_env(), tmp_path).rows == [{"value": 5}]


def test_a_cell_can_import_the_helper(tmp_path):
    assert Dyno(cell("from heroku_task import emit as e\ne({'a': 1})").build_env(), tmp_path).rows == [{"a": 1}]


def test_functions_that_are_registered_for_the_exit_run_and_see_that_the_run_has_ended(tmp_path):
    text = (
        "import atexit\natexit.register(lambda: print('left'))\natexit.register(lambda: emit({'n': 2}))\nemit({'n': 1})"
    )
    dyno = Dyno(cell(text).build_env(), tmp_path)
    assert dyno.rows == [{"n": 1}]
    assert dyno.status == 0
    assert dyno.log == ["left"]
    assert "nothing can be emitted after the task has ended" in dyno.errors


def test_a_failure_sets_the_exit_status(tmp_path):
    assert Dyno(cell("import sys\nsys.exit(3)").build_env(), tmp_path).status == 3
    assert Dyno(cell("raise KeyError('k')").build_env(), tmp_path).status == 1


def test_a_syntax_error_on_the_dyno_names_its_python_version(tmp_path):
    old = find_python("3.9") or pytest.skip("Python 3.9 is not installed")
    dyno = Dyno(cell("x = 1\nmatch x:\n    case 1:\n        pass").build_env(), tmp_path, old)

    assert dyno.failure.type == "SyntaxError"
    assert "(this dyno runs Python 3.9." in dyno.failure.message
    assert dyno.failure.frames[-1].line == 3


def test_a_missing_package_is_named(tmp_path):
    dyno = Dyno(cell("import os\nimport no_such_package").build_env(), tmp_path)

    assert dyno.failure.missing == "no_such_package"
    assert dyno.failure.frames[-1].line == 3


def test_a_file_and_a_figure_are_sent(tmp_path):
    body = """class Figure:
    def savefig(self, file, format, **options):
        file.write(b"picture")
open("note.txt", "w").write("text")
emit_file("note.txt")
display(Figure())
Figure()"""

    dyno = Dyno(cell(body).build_env(), tmp_path)
    assert dyno.decoder.files == {"note.txt": b"text", "figure-1.png": b"picture", "figure-2.png": b"picture"}
    assert dyno.rows is None


def test_each_call_has_figures_of_its_own(tmp_path):
    pytest.importorskip("matplotlib")
    body = "import matplotlib.pyplot as plt\nplt.plot([1, k])\nemit({'lines': len(plt.gca().lines)})"
    dyno = Dyno(cell(body, {}, ["k"]).build_batch_env([{"k": 1}, {"k": 2}]), tmp_path)

    assert dyno.rows == [{"lines": 1}, {"lines": 1}]
    assert [[*call.files] for call in dyno.decoder.calls] == [["figure-1.png"], ["figure-2.png"]]


def test_several_calls_run_in_sequence_in_fresh_namespaces(tmp_path):
    bundle = cell(
        "if k == 1:\n    left = 1\n    raise ValueError('no')\nemit({'k': k, 'left': 'left' in globals()})", {}, ["k"]
    )
    dyno = Dyno(bundle.build_batch_env([{"k": 0}, {"k": 1}, {"k": 2}]), tmp_path)

    assert dyno.status == 1
    rows = [row for part in dyno.decoder.parts if isinstance(part, Rows) for row in part.rows]
    assert rows == [{"k": 0, "left": False}, {"k": 2, "left": False}]


def test_a_change_to_a_shared_value_does_not_reach_the_next_call(tmp_path):
    bundle = cell("shared.append(k)\nemit({'n': len(shared)})", {"shared": [0]}, ["k"])
    dyno = Dyno(bundle.build_batch_env([{"k": 1}, {"k": 2}]), tmp_path)

    assert [row["n"] for part in dyno.decoder.parts if isinstance(part, Rows) for row in part.rows] == [2, 2]


def test_source_and_values_are_neither_readable_nor_in_the_command():
    values = {"plain": "a-plain-value", "KEY": Secret("hunter2-hunter2")}
    env = cell("secret_algorithm = 42", values).build_env()

    assert "secret_algorithm" not in COMMAND
    assert "secret_algorithm" not in str(env)
    assert "a-plain-value" not in str(env)
    assert "hunter2" not in str(env)
    assert env["KEY"].reveal() == "hunter2-hunter2"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [None, True, 2**63, -0.0, 1e-320, "", 'é\ud800\0"$"', "$"])
def test_a_plain_argument_travels_as_json_and_arrives_unchanged(value):
    sent = json.loads(CallBundle(identity).build_env({"value": value})["RUN_DATA"])

    assert is_identical(sent, {"value": value})


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 2**80, Text("x"), (1,), [1], {"$": 1}, "x" * 300])
def test_an_argument_that_json_might_change_or_enlarge_travels_by_pickle(value):
    data = CallBundle(identity).build_env({"value": value})["RUN_DATA"]

    assert zlib.decompress(base64.b85decode(data)).startswith(b"pickle\n")


@pytest.mark.parametrize("arguments", [{"value": "the token-123 itself"}, {"token-123": 1}])
def test_a_plain_argument_may_not_hold_a_secret_either(arguments):
    with pytest.raises(InvalidParameters, match="holds a secret"):
        CallBundle(lambda **values: values, hidden=["token-123"]).build_env(arguments)


def noise(size):
    rng = random.Random(1)
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(size))


def test_a_cell_of_200_kb_is_refused_with_its_size_and_a_remedy():
    text = noise(200_000)
    lines = "\n".join(f"x{at} = '{text[at : at + 80]}'" for at in range(0, len(text), 80))
    with pytest.raises(InvalidParameters) as caught:
        cell(lines).build_env()

    text = str(caught.value)
    assert re.search(r"bytes after compression; [\d,]+ of them are code\.", text)
    assert f"{MAX_ENV_BYTES:,}" in text
    assert "%heroku deploy" in text


@pytest.mark.parametrize("scope", ["shared", "run"])
def test_a_value_that_is_too_large_is_named_with_alternatives(scope):
    values = {"small": 1, "large": noise(60_000)}
    with pytest.raises(InvalidParameters) as caught:
        cell("1", values).build_env() if scope == "shared" else cell("1", {}, values).build_env(values)

    assert re.search(r"bytes after compression; [\d,]+ of them are \"large\"\.", str(caught.value))
    assert "presigned URL" in str(caught.value)


def test_a_cell_of_a_hundred_lines_takes_less_than_half_of_the_environment():
    lines = "\n".join(f"value_{i} = compute(value_{i - 1}, weight={i / 7:.4f})  # step {i}" for i in range(1, 101))
    env = cell(lines).build_env()

    assert len(env["RUN_CODE"]) < MAX_ENV_BYTES / 2


@pytest.mark.parametrize("name", ["emit", "display", "class", "a b", ""])
def test_reserved_and_invalid_names_are_refused(name):
    with pytest.raises(InvalidParameters):
        cell("1", {name: 1})


def test_a_name_that_is_given_twice_is_refused():
    with pytest.raises(InvalidParameters, match='"k" is given twice'):
        cell("1", {"k": 1}, ["k"])


@pytest.mark.parametrize("name", ["RUN_KEY", "RUN_CODE", "RUN_DATA", "PATH"])
def test_a_secret_with_a_reserved_variable_name_is_refused(name):
    with pytest.raises(InvalidParameters, match="Choose another name"):
        cell("1", {name: Secret("hunter2-hunter2")})


def test_all_values_that_cannot_be_encoded_are_reported_at_once():
    with pytest.raises(InvalidParameters) as caught:
        cell("1", {"f": print, "n": object(), "ok": 1, "d": {"deep": [1, {object}]}})

    assert [issue.partition(" ")[0] for issue in caught.value.issues] == ["f:", "n", "an"]
    assert "an item of d['deep'][1] is of type type" in caught.value.issues[2]


def test_typed_text_is_parsed_as_json_where_possible(tmp_path):
    typed = {
        "n": RawText("1000"),
        "mode": RawText("fast"),
        "flag": RawText("true"),
        "nan": RawText("NaN"),
        "text": "1000",
    }
    dyno = Dyno(cell("emit({'all': [n, mode, flag, nan, text]})", typed).build_env(), tmp_path)

    assert dyno.rows == [{"all": [1000, "fast", True, "NaN", "1000"]}]


def test_a_bundle_restored_from_its_environment_is_the_same(tmp_path):
    env = cell("emit({'a': a, 'k': k})", {"a": 1}, ["k"]).build_env({"k": 1})
    restored = Bundle("cell", env)

    assert restored.build_env({"k": 2})["RUN_CODE"] == env["RUN_CODE"]
    assert Dyno(restored.build_env({"k": 2}), tmp_path).rows == [{"a": 1, "k": 2}]


def test_only_calls_use_pickle_on_the_dyno():
    assert not [name for name, text in sources("RemoteCell").items() if "pickle" in text or "marshal" in text]


def test_a_plain_cell_does_not_import_slow_modules(tmp_path):
    dyno = Dyno(
        cell("import sys\nsorted(set(sys.modules) & {'asyncio', 'inspect', 'pandas', 'numpy', 'hashlib'})").build_env(),
        tmp_path,
    )

    assert dyno.rows == []


def test_the_environment_of_this_process_is_unchanged():
    before = dict(os.environ)
    cell("1", {"a": 1}).build_env()

    assert dict(os.environ) == before


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, np.nan], [np.inf, -0.0]]),
        np.arange(5, dtype=">i4"),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(["2026-01-31", "NaT"], dtype="datetime64[D]"),
        np.zeros((0, 3), dtype="float32"),
        np.array(7),
        np.arange(12).reshape(3, 4)[:, ::2],
    ],
    ids=range(8),
)
def test_an_array_arrives_unchanged_and_writable(array, tmp_path):
    body = "emit({'type': type(a).__name__, 'dtype': a.dtype.str, 'shape': list(a.shape), 'data': a.tobytes().hex(), 'writable': a.flags.writeable})"
    (row,) = Dyno(cell(body, {"n": 3, "a": array}).build_env(), tmp_path).rows
    assert row == {
        "type": "ndarray",
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "data": array.tobytes().hex(),
        "writable": True,
    }


@pytest.mark.parametrize(
    "value",
    [(1, (2, {3})), b"x", 1j, {1: "a", "$": 2}, float("inf"), "\ud800", 10**5000, (), {"a": ()}],
    ids=range(9),
)
def test_a_value_arrives_with_its_type(value, tmp_path):
    body = "import pickle\nemit({'pickle': pickle.dumps(v, 2).hex(), 'k': k})"
    (row,) = Dyno(cell(body, {"v": value}, ["k"]).build_env({"k": 1}), tmp_path).rows
    found = pickle.loads(bytes.fromhex(row["pickle"]))
    assert is_identical(found, value)


def test_a_pool_of_spawned_processes_finds_the_functions_of_a_cell(tmp_path):
    body = """import multiprocessing
K = 2
def times(x): return x * K
def unknown(x): return x * there
there = [1].pop()
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        emit({"v": pool.map(times, [1, 2])})
        pool.map(unknown, [1])"""
    dyno = Dyno(cell(body).build_env(), tmp_path)
    assert dyno.rows == [{"v": [2, 4]}]
    assert "name 'there' is not defined" in dyno.failure.message


def test_a_pool_of_threads_that_a_cell_leaves_open_ends(tmp_path):
    body = "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\n"
    dyno = Dyno(cell(f"{body}emit({{'n': pool.submit(abs, -3).result()}})").build_env(), tmp_path)
    assert dyno.rows == [{"n": 3}]
    assert dyno.status == 0


def test_a_thread_that_a_cell_leaves_behind_is_named(tmp_path):
    body = "import threading, time\nheroku_driver = __import__('heroku_driver')\nheroku_driver.LEFTOVER_SECONDS = 0.2\n"
    dyno = Dyno(
        cell(f"{body}threading.Thread(target=time.sleep, args=(1000,), name='slow').start()").build_env(), tmp_path
    )
    assert dyno.status == 1
    assert "slow did not end within 0.2 s of the cell: join() it in the cell" in dyno.failure.message


def test_arrays_and_tables_can_be_combined(tmp_path):
    values = {"a": np.array([1.0, 2.0]), "t": pd.DataFrame({"x": [1, 2]}), "b": np.array([3])}
    (row,) = Dyno(cell("{'a': a.sum(), 't': t['x'].sum(), 'b': b[0]}", values).build_env(), tmp_path).rows
    assert row == {"a": 3.0, "t": 3, "b": 3}
