"""A run that the ledger remembers is the run as it was at its end."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sqlite3
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from workers import make_worker

import heroku_magic
from heroku_magic import InvalidOptions, ResultIncomplete, Secret, TaskFailed, connect
from heroku_magic.app.rerun import rerun
from heroku_magic.display.run_view import RunView
from heroku_magic.errors import HerokuMagicError
from heroku_magic.ledger import location, records
from heroku_magic.ledger.database import Database
from heroku_magic.ledger.entry import Details, Entry, Payload, pack, unpack
from heroku_magic.ledger.history import find
from heroku_magic.ledger.recorder import recorder
from heroku_magic.ledger.records import MAX_TEXT
from heroku_magic.runs.request import RunRequest
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.notifier import notifications_to
from heroku_magic.text.redact import Mask

TASKS = {
    "table": """
        from heroku_task import emit_file, metric, progress, task

        @task
        def table(n: int = 3, name: str = "x", rows: str = "r"):
            for step in progress(range(n)):
                metric("loss", 1 / (step + 1), step)
                print("step", step, "by me@example.com")
                yield {"step": step, "name": name, "big": 2**70 if step else None}
            with open("plot.png", "wb") as file:
                file.write(bytes([0x89]) + b"PNG" + bytes([13, 10, 26, 10]))
            emit_file("plot.png")
        """,
    "broken": """
        from heroku_task import task

        @task
        def broken():
            yield {"i": 1}
            raise ValueError("bad luck")
        """,
    "named": """
        from heroku_task import task

        @task
        def named(combinations: int, n: int):
            return {"sum": combinations + n}
        """,
    "leaky": """
        from heroku_task import Secret, task

        @task
        def leaky(KEY: Secret):
            print("the key is", KEY.reveal() if hasattr(KEY, "reveal") else KEY)
            return {"key": str(getattr(KEY, "reveal", lambda: KEY)())}
        """,
}


@pytest.fixture(scope="module")
def heroku(tmp_path_factory, processes):
    return connect(worker=make_worker(tmp_path_factory.mktemp("app") / "worker", **TASKS), say=lambda _: None)


def _drawn(run):
    view = RunView()
    for event in run.past_events():
        view.feed(event)
    return view


def test_a_run_comes_back_with_its_rows_log_files_metrics_and_facts(heroku, ledger_folder):
    run = heroku.submit("table", {"n": 3, "name": "Ada"})
    expected = run.result()
    again = heroku_magic.get_run(run.id)

    pd.testing.assert_frame_equal(again.result(), expected)
    assert again.result().attrs == expected.attrs
    assert isinstance(again, heroku_magic.Run)
    assert (again.state, again.exit_status, again.seconds, again.dyno) == ("done", 0, run.seconds, run.dyno)
    assert again.files == run.files
    assert again.logs() == "\n".join(f"step {step} by ***@***" for step in range(3))
    pd.testing.assert_frame_equal(again.metrics, run.metrics)
    assert again.facts() == run.facts()


def test_a_run_looks_as_when_it_ran(heroku, ledger_folder):
    from heroku_magic.display.html import run_html
    from heroku_magic.display.words import text

    run = heroku.submit("table", {"n": 2})
    run.wait()
    then, now = _drawn(run), _drawn(heroku_magic.get_run(-1))
    assert text(now) == text(then)
    assert run_html(now, final=True) == run_html(then, final=True)
    assert "✓ exit 0" in text(now)


def test_the_value_of_a_function_comes_back_exactly(heroku, ledger_folder):
    def pair(x):
        return {"a": (x, {1, 2}), "b": b"bytes"}

    assert heroku.function(pair).remote(2 + 1j) == {"a": (2 + 1j, {1, 2}), "b": b"bytes"}
    assert heroku_magic.get_run(-1).parts[0].rows[0]["value"] == {"a": (2 + 1j, {1, 2}), "b": b"bytes"}


def test_a_failure_comes_back_as_the_same_error_with_its_rows(heroku, ledger_folder):
    with pytest.raises(TaskFailed) as caught:
        heroku.run("broken")
    again = heroku_magic.get_run(-1)
    with pytest.raises(TaskFailed) as caught_again:
        again.result()
    assert str(caught_again.value) == str(caught.value)
    assert caught_again.value.partial["i"].tolist() == [1]
    assert (again.state, again.exit_status) == ("failed", 1)


def test_a_sweep_is_one_entry_with_its_runs_below(heroku, ledger_folder):
    sweep = heroku.sweep("table", {"n": [1, 2], "name": ["a", "b"]}, jobs=2)
    expected = sweep.result()
    (row,) = heroku_magic.history().to_dict("records")
    assert (row["run"], row["rows"], row["error"] is None or row["error"] != row["error"]) == (sweep.id, 6, True)
    again = heroku_magic.get_run(sweep.id)
    pd.testing.assert_frame_equal(again.result(), expected)
    assert again.result().attrs == expected.attrs
    assert again.axes == sweep.axes
    assert again.facts() == sweep.facts()
    pd.testing.assert_frame_equal(again.runs(), sweep.runs())
    single = heroku_magic.get_run(sweep.runs()["run"][0])
    assert single.result()["name"].tolist() == ["a"]


def test_of_the_values_of_a_sweep_only_arrays_and_long_ones_become_text(heroku, ledger_folder):
    values = [" a ", 7, 0.5, np.array([1, 2]), "x" * 1000]
    sweep = heroku.sweep(None, {"value": values}, code=lambda value: len(repr(value)), jobs=2)
    assert sweep.wait(60)  # the app has no numpy for the array
    kept = [one["value"] for one in heroku_magic.get_run(sweep.id).plan.grid]
    assert kept[:4] == [" a ", 7, 0.5, "array([1, 2])"]
    assert kept[4].startswith("'xxx")
    assert len(kept[4]) < 500


def test_a_resumed_sweep_adds_to_its_cost(heroku, ledger_folder, monkeypatch):
    monkeypatch.setattr(Sweep, "dollars", 0.25)
    sweep = heroku.sweep("table", {"n": [1, 2]})
    for total in (0.25, 0.5, 0.75):
        assert sweep.exception() is None
        assert heroku_magic.history()["dollars"].tolist() == [total]
        sweep = heroku.resume(sweep)
    assert sweep.exception() is None


def test_a_sweep_whose_kernel_was_killed_costs_at_least_what_its_runs_did(heroku, ledger_folder, monkeypatch):
    monkeypatch.setattr(Sweep, "dollars", 0.25)
    sweep = heroku.sweep("table", {"n": [1, 2]})
    assert sweep.exception() is None
    recorder.flush()
    with sqlite3.connect(location.ledger_path()) as file:
        file.execute("UPDATE entries SET state = 'running' WHERE sweep = ''")
        file.execute("UPDATE entries SET dollars = 1.5 WHERE sweep != ''")
    assert heroku.resume(sweep).exception() is None
    assert heroku_magic.history()["dollars"].tolist() == [3.25]


def test_a_failed_sweep_keeps_its_failures(heroku, ledger_folder):
    sweep = heroku.sweep(None, {"n": [1, 0]}, code="[{'x': 1 / n}]", jobs=1)
    assert "ZeroDivisionError" in str(sweep.exception())
    again = heroku_magic.get_run(-1)
    assert again.counts() == {"done": 1, "failed": 1}
    assert str(again.exception()).splitlines()[0] == str(sweep.exception()).splitlines()[0]
    with pytest.raises(
        InvalidOptions, match=f"{sweep.id} comes from the history, which cannot continue it: %heroku rer"
    ):
        heroku.resume(again)


def test_a_sweep_keeps_the_attempts_of_its_runs(heroku, ledger_folder):
    sweep = heroku.sweep(None, {"n": [1, 0]}, code="[{'x': 1 / n}]", jobs=1, retries=1, retry_tasks=True)
    assert sweep.wait(60)
    assert heroku_magic.get_run(sweep.id).runs()["attempts"].tolist() == [1, 2]
    pd.testing.assert_frame_equal(heroku_magic.get_run(sweep.id).runs(), sweep.runs())


def test_a_sample_is_repeated_whatever_its_parameters_are_named(heroku, ledger_folder):
    each = {"combinations": [1, 2, 3], "n": [1, 2]}
    first = heroku.sweep("named", each, sample=2, seed=1)
    expected = first.result()
    pd.testing.assert_frame_equal(rerun(heroku, find(first.id), {}, {}).result(), expected)


def test_history_has_the_parameters_of_a_task_as_columns_and_renames_those_that_collide(heroku, ledger_folder):
    heroku.run("table", {"n": 1, "rows": "many"})
    heroku.run(code="1")
    table = heroku_magic.history("table")
    columns = ["run", "task", "app", "started", "seconds", "dollars", "exit_status", "rows", "cached", "error"]
    assert [*table.columns] == [*columns, "n", "param_rows"]
    assert table[["task", "exit_status", "rows", "n", "param_rows"]].to_numpy().tolist() == [["table", 0, 1, 1, "many"]]
    everything = heroku_magic.history()
    assert [*everything.columns] == [*columns, "parameters"]
    assert everything["task"].tolist() == ["cell", "table"]
    assert everything["parameters"].tolist() == [{}, {"n": 1, "rows": "many"}]


def test_a_run_whose_start_no_table_can_show_does_not_hide_the_others(ledger_folder):
    details = pack(Details(request=RunRequest(), facts={}))
    runs = [Entry(run=f"hm-{at:.0f}", started=at, details=details) for at in (10.5, 1e11 + 0.5)]
    location.ledger_path().parent.mkdir()
    Database(location.ledger_path()).write([(run, Payload()) for run in runs])
    assert heroku_magic.history()["started"].isna().tolist() == [True, False]


def test_an_input_is_known_by_its_hash_only(heroku, ledger_folder):
    heroku.run(code="[{'n': len(names)}]", parameters={"names": ["Grace Hopper"]}, inputs=["names"])
    (parameters,) = heroku_magic.history()["parameters"]
    assert parameters["names"].startswith("sha256:")
    (entry,) = Database(location.ledger_path()).select()
    from heroku_magic.ledger.history import details_of

    assert "Grace" not in str(details_of(entry))


def test_a_name_that_is_no_parameter_cannot_be_known_by_its_hash(heroku):
    for ask in (heroku.run, heroku.estimate):
        with pytest.raises(heroku_magic.InvalidOptions, match='inputs: "nmaes" is not among the parameters'):
            ask(code="1", parameters={"names": ["Grace Hopper"]}, inputs=["nmaes"])
    with pytest.raises(heroku_magic.InvalidOptions, match='inputs: "nmaes" is not among the parameters'):
        heroku.sweep(None, {"n": [1, 2]}, {"names": ["Grace Hopper"]}, code="1", inputs=["nmaes"])


def test_no_secret_and_no_token_is_in_the_bytes_of_the_file_compressed_or_not(heroku, ledger_folder):
    key, token = "correct-horse-battery", heroku.client.token.reveal()
    heroku.run("leaky", {"KEY": Secret(key)})
    heroku.run(code=f"open('f.txt', 'w').write({token!r})\nprint({token!r}); emit_file('f.txt')\n[{{'x': {token!r}}}]")
    with pytest.raises(TaskFailed):
        heroku.run(code=f"raise ValueError({token!r})")
    recorder.flush()

    stored = b"".join(path.read_bytes() for path in (ledger_folder / ".heroku").iterdir())
    database = Database(location.ledger_path())
    for entry in database.select():
        payload = database.payload(entry.identity)
        from heroku_magic.ledger.entry import unpack

        parts = (entry.details, payload.rows, payload.log, payload.files)
        stored += repr([unpack(part) for part in parts if part]).encode() + repr(entry).encode()
    assert len(database.select()) == 3
    for text in (key, token, key.upper(), key.encode().hex()):
        assert text.encode() not in stored
    assert heroku_magic.history()["parameters"].tolist()[-1] == {}


def test_no_secret_is_in_names_typed_values_errors_and_hashes(heroku, ledger_folder):
    key = "Zebra-\u00c4RGER-7391"
    half = len(key) // 2
    heroku.run("leaky", {"KEY": Secret(key)})  # from now on, it is hidden in all runs of this connection
    build = f"key = {key[:half]!r} + {key[half:]!r}\n"
    heroku.submit(
        code=f"{build}metric(key, 1.0)\nfor _ in progress(range(2), key): pass\n"
        "open(key, 'w').write('x'); emit_file(key)\nopen('f', 'w').write(key); emit_file('f')\n[{key: [key]}]"
    ).wait()
    heroku.submit(code=f"{build}raise ValueError('y' * 1000 + key)").wait()
    heroku.submit(code=f"{build}print('y' * {MAX_TEXT - half} + key)").wait()
    heroku.submit(code=f"print({key!r})").wait()
    heroku.submit(command=f"echo {key}").wait()
    heroku.submit("table", {"name": f"by {key}"}).wait()
    heroku.sweep("table", {"name": [key, "other"]}, {"n": 1}, jobs=2).wait()

    def values(first, second):
        key = first + second
        return [(key, 1), {key}, {"a": key.encode(), key: 1j}, {(key, 2): 3}]

    heroku.submit(code=values, parameters={"first": key[:half], "second": key[half:]}).wait()
    recorder.flush()
    database = Database(location.ledger_path())
    stored = []
    for entry in database.select():
        payload = database.payload(entry.identity) or Payload()
        parts = (entry.details, payload.rows, payload.log, payload.files)
        stored.append(repr(entry) + repr([unpack(part) for part in parts if part]))
    assert len(stored) == 11
    texts = {key, key[:-4], key.lower(), sha256(key.encode()).hexdigest(), *map(repr, (key.encode(), key))}
    assert [(text, one) for one in stored for text in texts if text in one] == []
    assert [entry.key for entry in database.select("parameters LIKE '%***%'") if entry.exit_status == 0] == [""] * 2
    with pytest.raises(InvalidOptions, match="its code contained a secret, which is not kept"):
        rerun(heroku, database.select("task LIKE 'echo%'")[0], {}, {})
    with pytest.raises(InvalidOptions, match='"name" contained a secret, which is not kept'):
        rerun(heroku, database.select("task = 'table' AND run LIKE 'hm-%' AND sweep = ''")[0], {}, {})


def test_a_function_that_holds_a_text_which_is_hidden_is_kept_without_its_program_and_hashes(heroku, ledger_folder):
    def functions(key):
        known, table = {"of": [key]}, pd.DataFrame({"of": [key]})
        return (lambda: len(known["of"][0])), (lambda text=key: len(text)), (lambda: len(table.columns))

    for key in ("Walrus-battery-7", "Str\u00f6m-\u00c4RGER-7392"):
        heroku.run("leaky", {"KEY": Secret(key)})
        for function in functions(key):
            run = heroku.submit(code=function)
            run.wait()
            request = heroku_magic.get_run(run.id).request
            assert (request.is_masked, request.bundle, request.code_hash, request.base) == (True, "", "", "")
            with pytest.raises(InvalidOptions, match="its code contained a secret, which is not kept"):
                rerun(heroku, find(run.id), {}, {})
    run = heroku.submit(code=lambda: 1)
    run.wait()
    assert heroku_magic.get_run(run.id).request.bundle


def test_the_value_of_a_function_keeps_its_types_where_a_secret_is_hidden(heroku, ledger_folder):
    token = heroku.client.token.reveal()

    def pair(first, second):
        return (first + second, {1, 2}, 1j)

    heroku.submit(code=pair, parameters={"first": token[:9], "second": token[9:]}).wait()
    assert heroku_magic.get_run(-1).parts[0].rows == [{"value": ("***", {1, 2}, 1j)}]


def test_what_is_left_out_is_not_written(heroku, ledger_folder):
    heroku.run(code="1", history=False)
    recorder.flush()
    assert not (ledger_folder / ".heroku").exists()
    assert len(heroku_magic.history()) == 0
    with pytest.raises(InvalidOptions, match="There is no run -1: the history has 0"):
        heroku_magic.get_run(-1)


@pytest.mark.parametrize(
    ("setting", "is_home", "expected"),
    [
        (None, False, "notebooks"),
        (None, True, None),
        (True, True, "notebooks"),
        (False, False, None),
        ("elsewhere", True, "elsewhere"),
    ],
)
def test_the_setting_decides_where_the_ledger_is(ledger_folder, monkeypatch, setting, is_home, expected):
    if is_home:
        monkeypatch.setenv("HOME", str(ledger_folder))
    elsewhere = ledger_folder.parent / "elsewhere"
    monkeypatch.setattr(location, "_setting", lambda: str(elsewhere) if setting == "elsewhere" else setting)
    path = location.ledger_path()
    assert path == (expected and ledger_folder.parent / expected / ".heroku" / "history.db")


def test_the_first_write_says_what_is_kept_and_where_and_how_to_switch_it_off(heroku, ledger_folder):
    said = []
    app = connect(worker=heroku.settings.worker, say=said.append)
    app.run(code="1")
    app.run(code="1")
    app.on_message = lambda _: None
    (message,) = said
    assert message == (
        f"Runs are kept in {ledger_folder / '.heroku' / 'history.db'} from now on: parameters, code, rows, log and files, "
        "but no secrets. `%heroku history` lists them; `%config HerokuMagics.history = False` (in Python: history=False) "
        "stops this."
    )


def test_the_notice_of_a_ledger_below_the_current_folder_has_a_relative_path(heroku, ledger_folder, monkeypatch):
    monkeypatch.chdir(ledger_folder)
    said = []
    connect(worker=heroku.settings.worker, say=said.append).run(code="1")
    recorder.flush()
    assert said[0].startswith("Runs are kept in .heroku/history.db from now on: ")


def test_a_full_disk_gives_one_line_and_the_result_is_still_there(heroku, ledger_folder, monkeypatch):
    said = []
    app = connect(worker=heroku.settings.worker, say=said.append)
    app.run(code="1")
    recorder.flush()
    said.clear()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Database, "write", full)
    assert app.run(code="[{'n': 1}]")["n"].tolist() == [1]
    assert app.run(code="[{'n': 2}]")["n"].tolist() == [2]
    recorder.flush()
    app.on_message = lambda _: None
    path = ledger_folder / ".heroku" / "history.db"
    assert said == [f"The history cannot be written to {path}: No space left on device. Runs are not affected."]


def test_a_run_that_cannot_be_written_does_not_take_others_with_it(ledger_folder):
    from heroku_magic.ledger.recorder import Followed, Item, Recorder

    said = []
    path = location.ledger_path()
    followed = Followed(path, Mask, said.append)
    written = []

    def fail(_):
        raise TypeError

    good = [
        Entry(run=f"hm-0000000{number}", details=pack(Details(request=RunRequest(), facts={}))) for number in (1, 2)
    ]
    records = [lambda _: (good[0], Payload()), fail, lambda _: (good[1], Payload())]
    own = Recorder()
    own._write([Item(followed, record, lambda: written.append(1)) for record in records])
    own.finish()
    assert [entry.run for entry in Database(path).select()] == ["hm-00000002", "hm-00000001"]
    assert said == [f"The history cannot be written to {path}: internal error, TypeError. Runs are not affected."]
    assert len(written) == 3


def test_a_file_that_is_too_large_leaves_room_for_the_others(monkeypatch):
    monkeypatch.setattr(records, "MAX_FILES", 10)
    lost = []
    sizes = {"too large": 11, "first": 6, "second": 6, "small": 4}

    kept = records._files({name: b"x" * size for name, size in sizes.items()}, Mask(), lost)

    assert [*unpack(kept)] == ["first", "small"]
    assert lost == ["too large", "second"]


def test_a_forked_child_writes_although_its_parent_was_amid_a_write(ledger_folder, processes):
    path = location.ledger_path()
    Database(path).create()
    entry = Entry(run="hm-00000001", details=pack(Details(request=RunRequest(), facts={})))
    with recorder._changed, recorder._starting:
        recorder._awaited += 1
        child = os.fork()
        if not child:
            signal.alarm(20)
            recorder.add(entry)
            recorder.flush()
            os._exit(0)
        recorder._awaited -= 1
    assert os.waitpid(child, 0)[1] == 0
    assert [one.run for one in Database(path).select()] == [entry.run]


def test_a_history_that_cannot_be_read_is_named_and_does_not_stop_a_run(heroku, ledger_folder):
    said = []
    heroku.run(code="1")
    recorder.flush()
    path = location.ledger_path()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    message = f"{path} was written by a newer version of heroku_magic: upgrade this one."
    with notifications_to(said.append):
        assert heroku.submit(code="[{'n': 1}]", cache=True).result()["n"].tolist() == [1]
    assert f"The cache is not used. {message}" in said
    with pytest.raises(HerokuMagicError, match="newer version"):
        heroku_magic.history()
    assert f"The history cannot be written to {path}: {message} Runs are not affected." in said
    path.unlink()
    path.mkdir()
    with pytest.raises(HerokuMagicError, match=re.escape(f"The history in {path} cannot be read: unable to open")):
        heroku_magic.history()
    path.rmdir()
    assert len(heroku_magic.history()) == 0


def test_rows_that_are_no_longer_kept_are_an_error_and_never_a_shorter_result(heroku, ledger_folder, monkeypatch):
    heroku.run(code="[{'n': 1}]")
    recorder.flush()
    monkeypatch.setattr("heroku_magic.ledger.database.KEPT_BYTES", 0)
    Database(location.ledger_path()).prune()
    run = heroku_magic.get_run(-1)
    with pytest.raises(ResultIncomplete, match="are not kept in the history"):
        run.result()
    assert "no longer kept" in " ".join(_drawn(run).notes)


def test_a_run_is_found_by_its_number_and_by_a_unique_beginning(heroku, ledger_folder):
    first = heroku.submit(code="1")
    first.wait()
    second = heroku.submit(code="2")
    second.wait()
    assert heroku_magic.get_run(-2).id == first.id
    assert heroku_magic.get_run().id == second.id
    at = next(at for at, (a, b) in enumerate(zip(first.id, second.id, strict=True)) if a != b)
    beginning = first.id[:at]
    assert heroku_magic.get_run(first.id[: len(beginning) + 1]).id == first.id
    with pytest.raises(InvalidOptions, match=f'"{beginning}" matches 2 runs: {second.id}, {first.id}'):
        heroku_magic.get_run(beginning)
    with pytest.raises(InvalidOptions, match="There is no run -3: the history has 2"):
        heroku_magic.get_run(-3)
    with pytest.raises(InvalidOptions, match='There is no run "nonsense" in '):
        heroku_magic.get_run("nonsense")


def test_parameters_that_json_lacks_are_shown_as_text(heroku, ledger_folder):
    heroku.run(code="1", parameters={"x": float("nan"), "y": (1, 2), "z": {"a": [None]}})
    (parameters,) = heroku_magic.history()["parameters"]
    assert json.dumps(parameters["z"]) == '{"a": [null]}'
    assert set(parameters) == {"x", "y", "z"}


def test_a_run_of_a_sweep_is_kept_and_answers_whatever_the_keys_of_a_dict(heroku, ledger_folder):
    def kind(value):
        return type(value).__name__

    values = [{1: "a"}, (1, 2)]
    sweep = heroku.sweep(None, {"value": values}, code=kind, jobs=1)
    assert sweep.result(60)["result"].tolist() == ["dict", "tuple"]
    assert heroku_magic.get_run(sweep.id).counts() == {"done": 2}
    again = heroku.sweep(None, {"value": values}, code=kind, jobs=1, cache=True)
    assert again.result(60)["result"].tolist() == ["dict", "tuple"]
    assert again.notes[0].startswith("cached 2 of 2 runs")
