"""Inputs and results of any size travel to a warm dyno and back, exactly."""

from __future__ import annotations

import hashlib
import os
import sysconfig
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, TaskFailed, connect
from heroku_magic.app.emulator_process import embedded
from heroku_magic.protocol.records import Progress
from heroku_magic.text.secret import Secret

# A dyno of the embedded Heroku has an environment without pandas.
PACKAGES = sysconfig.get_paths()["purelib"]
TAKE = """
from hashlib import sha256
from pathlib import Path
from typing import Optional
import pandas as pd
from heroku_task import emit_file, task

@task
def take(
    df: pd.DataFrame = None,
    data: bytes = b"",
    file: Path = Path("none"),
    maybe: Optional[pd.DataFrame] = None,
    text: str = "",
    numbers: list[int] = (),
):
    is_file = isinstance(file, Path) and file.is_file()
    if is_file:
        emit_file(file)
    columns = [] if df is None else [str(one) for one in df.dtypes]
    yield {
        "df": None if df is None else [len(df), float(df.iloc[:, 0].sum()), str(df.index[1]), *columns],
        "data": [type(data).__name__, sha256(data).hexdigest()],
        "file": [file.name, file.stat().st_size] if is_file else [type(file).__name__, str(file)],
        "maybe": None if maybe is None else len(maybe),
        "text": len(text),
        "numbers": sum(numbers),
    }
"""
MEASURE = """
from hashlib import sha256
from pathlib import Path
import pandas as pd
from heroku_task import task

@task
def measure(df: pd.DataFrame, data: bytes = b"", file: Path = Path("none"), text: str = ""):
    content = Path(file).read_text() if Path(file).is_file() else file  # the path of a missing file is sent as text
    yield {"content": content, "digest": sha256(data).hexdigest(), "length": len(text), "rows": len(df)}
"""
SIZES = """
from pathlib import Path
from heroku_task import task

@task
def sizes(data: bytes = b"default", file: Path = Path("none"), n: int = 0):
    yield {"size": len(data), "called": Path(file).name, "i": n}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, processes):
    folder = make_worker(
        tmp_path_factory.mktemp("transfer") / "shop", {"other": "cat"}, take=TAKE, measure=MEASURE, sizes=SIZES
    )
    return embedded(folder)


@pytest.fixture
def messages():
    return []


@pytest.fixture
def heroku(server, use_as_heroku, messages):
    use_as_heroku(server)
    heroku = connect("shop", say=messages.append)
    if "PYTHONPATH" not in heroku.config():
        heroku.set_config("PYTHONPATH", Secret(PACKAGES))
        messages.clear()
    yield heroku
    heroku.warm(0)


def random_frame(megabytes):
    values = np.random.default_rng(megabytes).integers(0, 256, megabytes * 1_000_000, dtype="uint8")
    return pd.DataFrame(values.view("int64").reshape(-1, 5), columns=list("abcde"))


@pytest.mark.parametrize("warm", [True, False])
def test_a_task_gets_tables_bytes_and_files_as_it_declares_them(heroku, messages, tmp_path, warm):
    df = pd.DataFrame(
        {"x": np.arange(100_000) / 3, "t": ["a", "é"] * 50_000}, pd.date_range("2024", periods=100_000, freq="h")
    )
    data, content = os.urandom(2_000_000), os.urandom(3_000_000)
    (tmp_path / "my model.bin").write_bytes(content)
    values = {"df": df, "data": data, "file": tmp_path / "my model.bin", "maybe": df[:3], "text": "é" * 50_000}
    run = heroku.submit("take", {**values, "numbers": [*range(20_000)]}, warm=warm)
    (row,) = run.result(120).to_dict("records")

    assert row["df"][:3] == [100_000, float(df["x"].sum()), "2024-01-01 01:00:00"]
    assert row["data"] == ["bytes", hashlib.sha256(data).hexdigest()]
    assert row["file"] == ["my model.bin", 3_000_000]
    assert (row["maybe"], row["text"], row["numbers"]) == (3, 50_000, sum(range(20_000)))
    assert run.files == {"my model.bin": content}
    assert any(isinstance(event, Progress) and event.text == "bytes sent" for event in run)
    assert ("attached dyno, which ends with the run" in "".join(map(str, messages))) is not warm
    expected, deadline = [run.dyno] if warm else [], time.monotonic() + 10
    while (left := [one.name for one in heroku.dynos()]) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == expected


def test_text_for_a_path_stays_text_and_what_fits_the_environment_needs_no_connection(heroku, messages):
    row = heroku.run("take", {"file": "a.csv", "text": "short"}).to_dict("records")[0]
    assert row["file"] == ["str", "a.csv"]
    assert heroku.run("take", {"file": Path("/does/not/exist")}).to_dict("records")[0]["file"][1] == "/does/not/exist"
    assert "attached" not in "".join(map(str, messages))


@pytest.mark.parametrize(
    ("task", "values", "expected"),
    [
        ("take", {"df": "text"}, "df is the text 'text': expected a DataFrame"),
        ("take", {"text": pd.DataFrame({"a": [1]})}, "does not declare as pandas.DataFrame"),
        ("other", {"x": "y" * 40_000}, "hold at most 32 kB"),
    ],
)
def test_what_cannot_travel_is_refused_before_a_dyno_starts(heroku, task, values, expected):
    with pytest.raises(InvalidParameters, match=expected):
        heroku.submit(task, values)
    assert heroku.dynos() == []


def test_a_dry_run_says_that_the_dyno_is_attached(heroku, messages):
    heroku.estimate("take", parameters={"data": os.urandom(200_000)})
    (message,) = [text for text in map(str, messages) if "attached" in text]
    assert message == (
        "take runs on an attached dyno, which ends with the run: its input of 200 kB cannot travel in a dyno's "
        "environment, which holds at most 32 kB of text."
    )
    assert heroku.dynos() == []


def test_functions_and_cells_get_and_return_large_values_exactly(heroku):
    df = random_frame(4)

    @heroku.function(warm=True)
    def echo(value):
        return value

    pd.testing.assert_frame_equal(echo.remote(df), df)
    indexed = df[:100_000].set_index(pd.Index(np.random.default_rng(1).random(100_000), name="key"))
    pd.testing.assert_frame_equal(echo.remote(indexed), indexed)
    value = {
        "bytes": os.urandom(1_000_000),
        "text": "é\ud800" * 200_000,
        "list": [*range(50_000)],
        "zeros": b"\0" * 10**6,
    }
    assert echo.remote(value) == value

    code = "[{'rows': len(df), 'sum': int(df['a'].sum() % 1000), 'size': len(data)}]"
    (row,) = heroku.run(code=code, parameters={"df": df, "data": b"x" * 500_000}, warm=True).to_dict("records")
    assert row == {"rows": len(df), "sum": int(df["a"].sum() % 1000), "size": 500_000}


def test_a_call_that_is_cancelled_while_its_values_are_sent_leaves_the_dyno(heroku):
    heroku.warm(1)
    run = heroku.submit("take", {"data": os.urandom(30_000_000)}, warm=True)
    deadline = time.monotonic() + 30
    while run.progress is None and time.monotonic() < deadline:
        time.sleep(0.005)
    run.cancel()
    run.wait(60)
    assert run.cancelled()
    assert heroku.run("take", {"data": b"abc"}, warm=True)["data"][0][1] == hashlib.sha256(b"abc").hexdigest()
    assert [one.name for one in heroku.dynos()] == [run.dyno]


def test_a_file_beyond_the_limit_is_refused_with_the_way_to_raise_it(heroku, monkeypatch, tmp_path):
    monkeypatch.setenv("HEROKU_MAGIC_RESULT_MB", "1")
    (tmp_path / "large").write_bytes(bytes(1_500_000))
    with pytest.raises(TaskFailed, match=r"1,000,000 bytes in total.*HEROKU_MAGIC_RESULT_MB"):
        heroku.run("take", {"file": tmp_path / "large"}, warm=True)


@pytest.mark.alone
def test_100_mb_there_and_back_are_exact_and_take_at_most_three_times_their_size_on_each_side(heroku):
    df = random_frame(100)

    @heroku.function(warm=True)
    def echo(df):
        from pathlib import Path

        peak = next(line for line in Path("/proc/self/status").read_text().split("\n") if line.startswith("VmHWM"))
        df.attrs["peak"] = int(peak.split()[1]) / 1000
        return df

    echo.remote(df[:10])
    sizes, is_over = [_resident()], threading.Event()
    watch = threading.Thread(target=lambda: [sizes.append(_resident()) for _ in iter(lambda: is_over.wait(0.02), True)])
    watch.start()
    result = echo.remote(df)
    is_over.set()
    watch.join()

    peak = result.attrs.pop("peak")
    result.attrs.clear()
    pd.testing.assert_frame_equal(result, df)
    assert max(sizes) - sizes[0] <= 300
    assert peak <= 300 + 150  # Python with pandas takes about 100 MB


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("is_reversed", [True, False])
def test_each_run_of_a_sweep_gets_its_own_input_whatever_its_size(heroku, tmp_path, warm, is_reversed):
    (tmp_path / "a.csv").write_text("short")
    files = [tmp_path / "a.csv", tmp_path / "lost.csv", Path(__file__)]
    swept = {"file": files, "data": [b"", os.urandom(50_000), b"x"], "text": ["", "x" * 40_000, "y"]}
    swept = {name: values[::-1] if is_reversed else values for name, values in swept.items()}
    sweep = heroku.sweep("measure", swept, {"df": pd.DataFrame({"a": [1, 2]})}, zip=True, warm=warm, jobs=2)
    table = sweep.result(60)
    assert len(sweep.spans()) == (0 if warm else 3)  # a warm dyno is not the sweep's
    assert table["content"].tolist() == [one.read_text() if one.exists() else str(one) for one in swept["file"]]
    assert table["digest"].tolist() == [hashlib.sha256(one).hexdigest() for one in swept["data"]]
    assert table["length"].tolist() == [*map(len, swept["text"])]
    assert table["rows"].tolist() == [2, 2, 2]


def test_a_run_of_a_sweep_without_a_file_gets_that_of_no_other_one(heroku):
    sweep = heroku.sweep("measure", {"file": [Path(__file__), "text"]}, {"df": pd.DataFrame({"a": [1]})})
    assert sweep.result(60)["content"].tolist() == [Path(__file__).read_text(), "text"]


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("sizes", [[10, 60_000, 20], [60_000, 10, 70_000]])
def test_calls_of_a_function_get_their_own_arguments_whatever_their_sizes(heroku, warm, sizes):
    values = [os.urandom(size) for size in sizes]
    function = heroku.function(lambda data: hashlib.sha256(data).hexdigest(), warm=warm)
    expected = [hashlib.sha256(value).hexdigest() for value in values]
    assert [*function.map(values)] == expected
    with heroku.executor(warm=warm) as executor:
        assert [*executor.map(lambda data: hashlib.sha256(data).hexdigest(), values)] == expected


@pytest.mark.parametrize("options", [{"chunk": 2}, {"detach": True}])
def test_a_file_that_differs_allows_no_option_that_needs_the_environment(heroku, options):
    with pytest.raises(InvalidParameters, match=f"--each file: it travels .* Leave out --{min(options)}"):
        heroku.sweep("take", {"file": [Path("none"), Path(__file__)]}, **options)


@pytest.mark.parametrize("parameters", [{"data": b"x"}, {"text": "x" * 40_000}])
def test_a_sweep_whose_inputs_travel_over_a_connection_is_not_saved(heroku, tmp_path, parameters):
    with pytest.raises(
        InvalidParameters, match=f"cannot be saved: {min(parameters)} is a file, bytes.* Leave out --save"
    ):
        heroku.sweep("take", {"numbers": [[1], [2]]}, parameters, save=tmp_path / "s.jsonl")
    with pytest.raises(InvalidParameters, match="cannot be saved: file is a file, bytes"):
        heroku.sweep("take", {"file": [Path("none"), Path(__file__)]}, save=tmp_path / "s.jsonl")
    assert not (tmp_path / "s.jsonl").exists()


@pytest.mark.parametrize("warm", [True, False])
def test_only_inputs_that_fit_the_environment_are_sent_to_several_calls_of_one_dyno(heroku, warm):
    options = {"code": "[{'n': len(big) * x}]", "chunk": 2, "warm": warm}
    assert heroku.sweep(None, {"x": [1, 2]}, {"big": [0]}, **options).result(60)["n"].tolist() == [1, 2]
    with pytest.raises(InvalidOptions, match="Leave out --chunk"):
        heroku.sweep(None, {"x": [1, 2]}, {"big": [*range(100_000)]}, **options)


@pytest.mark.parametrize("warm", [True, False])
def test_an_empty_file_and_empty_bytes_arrive_although_no_byte_travels(heroku, tmp_path, warm):
    empty = tmp_path / "empty.bin"
    empty.touch()
    for given, expected in (({"data": b""}, (0, "none")), ({"file": empty}, (7, "empty.bin"))):
        table = heroku.run("sizes", given, warm=warm)
        assert [*table.itertuples(index=False, name=None)] == [(*expected, 0)]
        table = heroku.sweep("sizes", {"n": [1, 2]}, given, warm=warm, jobs=1).result(60)
        assert [*table[["size", "called"]].itertuples(index=False, name=None)] == [expected, expected]
