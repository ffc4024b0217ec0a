"""A call that ended well is answered from the ledger the next time, and no other call is."""

from __future__ import annotations

import shutil
import time

import msgspec
import pandas as pd
import pytest
from workers import make_worker

import heroku_magic
from heroku_magic import InvalidOptions, Secret, TaskFailed, connect
from heroku_magic.api.resources import Slug
from heroku_magic.app.emulator_process import embedded, running
from heroku_magic.app.heroku import Heroku
from heroku_magic.app.rerun import rerun
from heroku_magic.display.job_display import bundle
from heroku_magic.errors import Unreachable
from heroku_magic.ledger import location
from heroku_magic.ledger.database import Database
from heroku_magic.ledger.folder_hash import hash_folder
from heroku_magic.ledger.history import database, details_of, find, forget
from heroku_magic.ledger.recorder import recorder
from heroku_magic.protocol.values import RawText

TASKS = {
    "count": """
        import random
        from heroku_task import task

        @task
        def count(n: int = 3, word: str = "x"):
            return [{"i": i, "word": word, "drawn": random.random()} for i in range(n)]
        """,
    "declares": """
        import random
        from heroku_task import task

        @task(cache=True)
        def declares(n: int = 3):
            return {"n": n, "drawn": random.random()}
        """,
    "fails": """
        from heroku_task import task

        @task
        def fails(n: int):
            return {"half": 1 / n}
        """,
    "private": """
        from heroku_task import task

        @task(history=False)
        def private():
            return {"n": 1}
        """,
    "reads": """
        from pathlib import Path
        from heroku_task import task

        @task
        def reads(file: Path):
            return {"text": file.read_text()}
        """,
    "secretive": """
        from heroku_task import Secret, task

        @task
        def secretive(KEY: Secret):
            return {"n": 1}
        """,
}
CELL = "import random\nbase = sum(values)\n[{'base': base, 'n': n, 'drawn': random.random()}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_worker(tmp_path_factory.mktemp("app") / "worker", {"plain": "echo hello"}, **TASKS)


@pytest.fixture(scope="module")
def heroku(folder, processes):
    return connect(worker=folder, say=lambda _: None)


def _cached(run):
    assert run.exception() is None
    return run.facts().get("cached")


def test_the_second_call_is_answered_with_an_equal_table_and_says_so(heroku, ledger_folder):
    first = heroku.submit("count", {"n": 3}, cache=True)
    expected = first.result()
    again = heroku.submit("count", {"n": 3}, cache=True)
    table = again.result()

    pd.testing.assert_frame_equal(table, expected)
    facts = table.attrs["heroku"]
    assert facts.pop("cached") == first.id
    assert facts == expected.attrs["heroku"]
    assert again.id != first.id
    text = bundle(again)["text/plain"]
    assert text.startswith(f"cached from {first.id} ")
    assert f" ago · saved {first.seconds:.1f} s, $0 · count ✓ exit 0 · 3 rows verified" in text
    assert "cached" not in bundle(first)["text/plain"]
    assert heroku_magic.last is again
    history = heroku_magic.history()
    assert history["cached"].tolist() == [True, False]
    assert history["dollars"].tolist()[0] == 0
    assert bundle(heroku_magic.get_run(again.id))["text/plain"] == text


@pytest.mark.parametrize("how", ["cell", "function", "task"])
def test_only_the_same_call_is_answered(heroku, ledger_folder, how):
    def draw(values, n):
        import random

        return {"base": sum(values), "n": n, "drawn": random.random()}

    def call(parameters, code=CELL, **options):
        if how == "task":
            return heroku.submit(
                "count", {"n": parameters["n"], "word": str(parameters["values"])}, cache=True, **options
            )
        return heroku.submit(code=code if how == "cell" else draw, parameters=parameters, cache=True, **options)

    first = call({"values": [1, 2], "n": 1})
    assert _cached(first) is None
    assert _cached(call({"n": 1, "values": [1, 2]})) == first.id
    assert _cached(call({"values": [1, 2], "n": 2})) is None
    assert _cached(call({"values": (1, 2), "n": 1})) is None
    if how == "cell":
        assert _cached(call({"values": [1, 2], "n": 1.0})) is None
        assert _cached(call({"values": [1, 2], "n": 1}, code=f"{CELL}  # changed")) is None
        assert _cached(call({"values": [1, 2], "n": 1}, rows=False)) is None


def test_quotes_typed_on_the_line_are_part_of_a_text(heroku, ledger_folder):
    typed = heroku.submit("count", {"n": 1, "word": RawText('"5"')}, cache=True)
    assert typed.result()["word"].tolist() == ['"5"']
    plain = heroku.submit("count", {"n": 1, "word": "5"}, cache=True)
    assert plain.result()["word"].tolist() == ["5"]
    assert _cached(heroku.submit("count", {"n": RawText("1"), "word": "5"}, cache=True)) == plain.id


def test_a_changed_file_of_the_folder_is_another_environment(heroku, folder, ledger_folder):
    first = heroku.submit("count", {"n": 1}, cache=True)
    assert _cached(first) is None
    recorder.flush()
    helper = folder / "data.txt"
    helper.write_text("a")
    second = heroku.submit("count", {"n": 1}, cache=True)
    assert _cached(second) is None
    helper.write_text("b")  # the same size
    assert _cached(heroku.submit("count", {"n": 1}, cache=True)) is None
    helper.unlink()
    assert _cached(heroku.submit("count", {"n": 1}, cache=True)) == first.id


def test_config_vars_and_projects_beside_the_folder_are_part_of_the_environment(heroku, folder, ledger_folder):
    (folder / ".gitignore").write_text(".env\n")
    library = folder.parent / "library"
    library.mkdir(exist_ok=True)

    def change_dotenv(number):
        (folder / ".env").write_text(f"COLOUR=red{number}\n")

    def change_config(number):
        heroku.set_config("COLOUR", Secret(f"red-{number}")) if number < 2 else heroku.unset_config("COLOUR")

    def change_library(number):
        (library / "module.py").write_text(f"x = {number}")
        (folder / "requirements.txt").write_text("# one\n-e ../library\n")

    def change_constraints(number):
        (folder.parent / "limits.txt").write_text(f"wheel<{number + 90}\n")
        (folder / "requirements.txt").write_text("-c ../limits.txt\n")

    def change_linked(number):
        (library / "below").mkdir(exist_ok=True)
        (library / "below" / "data.txt").write_text(str(number))
        if not number:
            (folder.parent / "linked").mkdir()
            (folder.parent / "linked" / "again").symlink_to(library / "below")
            (folder / "linked").symlink_to(folder.parent / "linked")

    for change in (change_dotenv, change_config, change_library, change_constraints, change_linked):
        seen = set()
        for number in range(3):
            change(number)
            seen.add(hash_folder(folder))
            assert hash_folder(folder) in seen
        assert len(seen) == 3, change.__name__
    (folder / "linked").unlink()
    for name in ("requirements.txt", ".env", ".gitignore"):
        (folder / name).unlink()


def test_a_call_after_a_change_of_a_config_var_runs(heroku, folder, ledger_folder):
    code = "import os\n[{'colour': os.environ.get('COLOUR', '')}]"
    colours = []
    for colour in ("red1", "blue"):
        heroku.set_config("COLOUR", Secret(colour))
        for _ in range(2):
            run = heroku.submit(code=code, cache=True)
            colours.append((run.result()["colour"][0], "cached" in run.facts()))
    heroku.unset_config("COLOUR")
    assert colours == [("red1", False), ("red1", True), ("blue", False), ("blue", True)]


def test_a_call_that_finds_the_state_of_others_is_not_cached(heroku, ledger_folder):
    code = "calls = globals().get('calls', 0) + 1\n[{'calls': calls}]"
    assert heroku.submit(code=code, warm=True, isolate=False).result()["calls"].tolist() == [1]
    assert _cached(heroku.submit(code=code, cache=True)) is None
    for options in ({"cache": True}, {"refresh": True}, {"max_age": 60}):
        with pytest.raises(InvalidOptions, match="--no-isolate keeps state, so its calls cannot be cached"):
            heroku.submit(code=code, warm=True, isolate=False, **options)


def test_a_repeated_function_with_other_arguments_does_not_answer_the_first_call(heroku, ledger_folder):
    def add(a, b):
        return a + b

    first = heroku.submit(code=add, parameters={"a": 1, "b": 2})
    first.wait()
    changed = rerun(heroku, find(-1), {"b": RawText("10")}, {})
    assert changed.result() is not None
    again = heroku.submit(code=add, parameters={"a": 1, "b": 2}, cache=True)
    assert (again.parts[0].rows, _cached(again)) == ([{"value": 3}], first.id)
    assert _cached(heroku.submit(code=add, parameters={"a": 1, "b": 10}, cache=True)) == changed.id
    assert heroku_magic.history()["parameters"].tolist()[-2:] == [{"a": 1, "b": 10}, {"a": 1, "b": 2}]


def test_an_answer_is_left_out_of_the_history_on_request(heroku, ledger_folder):
    first = heroku.submit("count", cache=True)
    first.wait()
    assert _cached(heroku.submit("count", cache=True, history=False)) == first.id
    assert heroku_magic.history()["run"].tolist() == [first.id]


def test_an_answer_does_not_say_that_a_dyno_became_warm(heroku, ledger_folder):
    first = heroku.submit("count", warm=True)
    first.wait()
    answer = heroku.submit("count", cache=True)
    assert _cached(answer) == first.id
    notes = [
        [event.note for event in run if getattr(event, "note", None)]
        for run in (first, answer, heroku_magic.get_run(first.id))
    ]
    assert [["is warm after" in "".join(one)] for one in notes] == [[True], [False], [True]]


def test_refresh_replaces_no_cache_keeps_out_and_max_age_limits(heroku, ledger_folder):
    first = heroku.submit("count", cache=True)
    first.wait()
    outside = heroku.submit("count", cache=False)
    assert _cached(outside) is None
    assert _cached(heroku.submit("count", cache=True)) == first.id
    second = heroku.submit("count", refresh=True)
    assert _cached(second) is None
    assert _cached(heroku.submit("count", max_age=60)) == second.id
    time.sleep(0.02)
    assert _cached(heroku.submit("count", max_age=0.01)) is None
    for options in ({"cache": False, "refresh": True}, {"cache": False, "max_age": 5}, {"max_age": 0}):
        with pytest.raises(InvalidOptions):
            heroku.submit("count", **options)


def test_what_failed_or_took_a_secret_is_never_cached(heroku, ledger_folder):
    for _ in range(2):
        run = heroku.submit(code="1 / 0", cache=True)
        assert isinstance(run.exception(), TaskFailed)
        assert "cached" not in run.facts()
        assert _cached(heroku.submit("secretive", {"KEY": Secret("correct-horse")}, cache=True)) is None
        assert _cached(heroku.submit("secretive", {"KEY": "correct-horse"}, cache=True)) is None


def test_a_command_and_an_undeclared_task_are_refused(heroku, ledger_folder):
    with pytest.raises(InvalidOptions, match="can be cached, not commands"):
        heroku.submit(command="echo hello", cache=True)
    with pytest.raises(InvalidOptions, match="plain declares no parameters, so its runs cannot be cached"):
        heroku.submit("plain", cache=True)


def test_the_setting_applies_only_to_what_declares_it(heroku, ledger_folder, monkeypatch):
    for task in ("declares", "count"):
        heroku.submit(task).wait()
        assert _cached(heroku.submit(task)) is None
    monkeypatch.setattr(location, "_cache", lambda: True)
    assert _cached(heroku.submit("declares")) is not None
    assert _cached(heroku.submit("count")) is None
    assert _cached(heroku.submit("declares", cache=False)) is None


def test_a_task_can_keep_its_runs_out_of_the_history(heroku, ledger_folder):
    heroku.run("private")
    heroku.run("count")
    assert heroku_magic.history()["task"].tolist() == ["count"]


def test_a_call_that_names_no_task_is_the_same_as_one_of_the_default_task(tmp_path, ledger_folder, processes):
    heroku = connect(worker=make_worker(tmp_path / "default", {"task": "python -m heroku_task count"}, **TASKS))
    first, second = heroku.submit(None, {"n": 1}), heroku.submit("task", {"n": 2})
    assert first.exception() is second.exception() is None

    assert heroku.submit("task", {"n": 1}, cache=True).facts()["cached"] == first.id
    assert heroku.submit(None, {"n": 2}, cache=True).facts()["cached"] == second.id
    for task in (None, "task"):
        assert heroku.sweep(task, {"n": [1, 2]}, cache=True).facts()["dynos"] == 0


def test_the_only_task_answers_a_call_that_names_none(tmp_path, ledger_folder, processes):
    heroku = connect(worker=make_worker(tmp_path / "only", count=TASKS["count"]))
    first = heroku.submit(None, {"n": 1})
    assert first.exception() is None

    assert heroku.submit(None, {"n": 1}, cache=True).facts()["cached"] == first.id


def test_a_sweep_is_read_as_a_whole_whatever_answered_its_runs(heroku, ledger_folder, monkeypatch):
    first = heroku.sweep("count", {"n": range(1, 6)}, cache=True)
    expected = first.result()
    answered = heroku.sweep("count", {"n": range(1, 6)}, cache=True)
    answered.wait()
    recorder.flush()
    opened, really = [], Database._open
    monkeypatch.setattr(Database, "_open", lambda database: opened.append(1) or really(database))

    again = heroku_magic.get_run(answered.id)
    pd.testing.assert_frame_equal(again.result(), expected)
    assert {one.facts["cached"] for one in again.known()} == {one.facts["run"] for one in first.known()}
    assert len(opened) <= 3


def test_a_sweep_runs_only_what_is_missing(heroku, ledger_folder):
    small = heroku.sweep("count", {"n": [1, 2]}, {"word": "w"}, cache=True).result()
    grown = heroku.sweep("count", {"n": [1, 2, 3]}, {"word": "w"}, cache=True)
    table = grown.result()
    assert [text.partition(" · saved ")[0] for text in grown.notes] == ["cached 2 of 3 runs"]
    assert heroku_magic.get_run(grown.id).notes == grown.notes
    assert bundle(heroku_magic.get_run(grown.id))["text/plain"].endswith(grown.notes[0])
    pd.testing.assert_frame_equal(table[table["n"] < 3].reset_index(drop=True), small)
    assert [outcome.source is not None for outcome in sorted(grown.known(), key=lambda one: one.place)] == [
        True,
        True,
        False,
    ]
    assert grown.facts()["dynos"] == 1
    assert _cached(heroku.submit("count", {"n": 3, "word": "w"}, cache=True)) is not None
    alone = heroku.submit("count", {"n": 4, "word": "w"}, cache=True)
    alone.result()
    (answered,) = heroku.sweep("count", {"n": [4]}, {"word": "w"}, cache=True).known()
    assert answered.source is not None
    assert list(answered.log) == alone.logs().splitlines(), "what the task has printed, without Heroku's own lines"
    whole = heroku.sweep("count", {"n": [1, 2, 3]}, {"word": "w"}, cache=True)
    pd.testing.assert_frame_equal(whole.result(), table)
    assert whole.facts()["dynos"] == 0
    again = heroku_magic.get_run(whole.id)
    pd.testing.assert_frame_equal(again.result(), table)


def test_a_budget_is_for_the_runs_that_are_missing(folder, use_as_heroku, ledger_folder, processes):
    use_as_heroku(embedded(folder))
    heroku = connect("worker", size="basic", prices={"basic": 2_592_000}, say=lambda _: None)
    assert heroku.sweep("count", {"n": range(1, 11)}, cache=True).exception() is None
    budget = 5 * heroku.estimate("count", {"n": [0]}).measured
    sweep = heroku.sweep("count", {"n": range(11)}, cache=True, max_cost=budget)
    assert sweep.exception() is None
    assert sweep.facts()["dynos"] == 1


def test_runs_of_code_that_was_changed_back_during_a_sweep_answer_nothing(tmp_path, ledger_folder, processes):
    folder = make_worker(tmp_path / "worker", count=TASKS["count"])
    heroku, script = connect(worker=folder, say=lambda _: None), folder / "count.py"
    original = script.read_text()
    sweep = heroku.sweep("count", {"n": [1, 2, 3]}, {"word": "w"}, jobs=1, cache=True)
    next(sweep.as_completed())
    script.write_text(original.replace('"word": word', '"word": "other"'))
    sweep.wait(60)
    script.write_text(original)
    again = heroku.sweep("count", {"n": [1, 2, 3]}, {"word": "w"}, cache=True)
    assert again.result(60)["word"].tolist() == ["w"] * 6


def test_a_warm_dyno_never_runs_the_code_before_a_change(tmp_path, ledger_folder, processes):
    folder = make_worker(tmp_path / "worker", count=TASKS["count"])
    heroku, script = connect(worker=folder, say=lambda _: None), folder / "count.py"
    original = script.read_text()
    for word in ("w", "second", "third"):
        script.write_text(original.replace('"word": word', f'"word": "{word}"'))
        assert heroku.submit("count", {"n": 1}, warm=True).result(60)["word"].tolist() == [word]
        assert heroku.submit("count", {"n": 1}, warm=True, cache=True).result(60)["word"].tolist() == [word]
        sweep = heroku.sweep("count", {"n": [2]}, warm=True, cache=True)
        assert sweep.result(60)["word"].tolist() == [word] * 2
    heroku.warm(0)


def test_an_answer_of_a_resumed_sweep_is_as_old_as_its_run(heroku, ledger_folder):
    sweep = heroku.sweep("fails", {"n": [1, 0]}, cache=True)
    sweep.exception()
    newer = heroku.submit("fails", {"n": 1}, refresh=True)
    assert _cached(newer) is None
    heroku.resume(sweep).exception()

    assert _cached(heroku.submit("fails", {"n": 1}, cache=True)) == newer.id


def test_rows_of_other_code_in_a_resumed_sweep_answer_nothing(folder, ledger_folder, tmp_path, processes):
    shutil.copytree(folder, other := tmp_path / "other")
    script = other / "count.py"
    script.write_text(script.read_text().replace('"word": word', '"word": "other"'))
    here, there = (connect(worker=one, say=lambda _: None) for one in (folder, other))
    sweep = there.sweep("count", {"n": [1]}, {"word": "w"}, save=tmp_path / "s.jsonl", cache=True)
    assert sweep.exception() is None
    lines = (tmp_path / "s.jsonl").read_text().splitlines(keepends=True)
    first = here.sweep("count", {"n": [1]}, {"word": "w"}, save=tmp_path / "t.jsonl", cache=True)
    assert first.exception() is None
    header = (tmp_path / "t.jsonl").read_text().splitlines(keepends=True)[0]
    forget(["all"])
    (tmp_path / "mixed.jsonl").write_text("".join([header, *lines[1:]]))
    assert here.resume(tmp_path / "mixed.jsonl").result()["word"].tolist() == ["other"]

    assert here.submit("count", {"n": 1, "word": "w"}, cache=True).result()["word"].tolist() == ["w"]


def test_an_answer_of_a_resumed_sweep_stays_one(heroku, ledger_folder):
    sweep = heroku.sweep("fails", {"n": [2, 0]}, cache=True)
    sweep.exception()
    heroku.resume(sweep).exception()
    (done,) = (outcome for outcome in sweep.known() if outcome.state == "done")
    assert _cached(heroku.submit("fails", {"n": 2}, cache=True)) == done.facts["run"]


def test_an_answer_from_a_run_of_a_sweep_is_repeated_as_the_call_itself(heroku, ledger_folder):
    def scale(n, word="x"):
        return f"{word}{n}"

    calls = {
        "task": ("count", {}),
        "cell": (None, {"code": "[{'n': n, 'word': word}]"}),
        "function": (None, {"code": scale}),
    }
    for task, code in calls.values():
        assert heroku.sweep(task, {"n": [2, 1]}, {"word": "w"}, chunk=2, **code).exception() is None
        hit = heroku.submit(task, {"n": 1, "word": "w"}, cache=True, **code)
        assert _cached(hit) is not None
        again = rerun(heroku, find(hit.id), {"word": "v"}, {})
        assert _cached(again) is None
        table = again.result()
        assert [*table.get("word", table.get("value"))] == ["v" if "word" in table else "v1"]


def test_a_run_of_the_history_costs_what_it_did_and_an_answer_nothing(folder, ledger_folder, processes):
    first = connect(worker=folder, say=lambda _: None).submit("count", {"n": 3}, cache=True)
    first.result()
    assert heroku_magic.get_run(first.id).dollars == first.dollars == 0
    database()._call(lambda ledger: ledger.execute("UPDATE entries SET dollars = 5"))
    again = connect(worker=folder, say=lambda _: None).submit("count", {"n": 3}, cache=True)
    assert again.facts()["cached"] == first.id
    assert again.dollars == 0
    assert heroku_magic.get_run(first.id).dollars == 5
    assert heroku_magic.get_run(again.id).dollars == 0


def test_an_answered_sweep_with_a_budget_is_run_again_with_it(heroku, ledger_folder):
    call = (None, {"n": [1, 2]})
    options = {"code": "[{'n': n}]", "cache": True, "max_cost": 5}
    heroku.sweep(*call, **options).result()
    answered = heroku.sweep(*call, **options)
    assert answered.facts()["dynos"] == 0
    again = rerun(heroku, find(answered.id), {}, {})
    assert again.result()["n"].tolist() == [1, 2]
    assert (again.facts()["dynos"], again.options.max_cost) == (2, 5)


def test_an_answered_sweep_of_a_function_is_run_again_and_so_is_each_of_its_runs(heroku, ledger_folder):
    def double(n):
        return 2 * n

    heroku.sweep(None, {"n": [1, 2]}, code=double, cache=True).result()
    answered = heroku.sweep(None, {"n": [1, 2]}, code=double, cache=True)
    assert answered.facts()["dynos"] == 0
    assert rerun(heroku, find(answered.id), {}, {}).result()["value"].tolist() == [2, 4]
    run = answered.known()[1].facts["run"]
    again = rerun(heroku, find(run), {}, {})
    again.result()
    assert again.parts[0].rows == [{"value": 4}]


def test_a_decorated_function_and_a_hit_on_a_folder_need_no_embedded_heroku(
    heroku, folder, ledger_folder, monkeypatch, start_shell
):
    @heroku_magic.function(cache=True)
    def draw(n):
        import random

        return {"n": n, "drawn": random.random()}

    shell = start_shell(folder)
    first = draw.remote(3)
    shell.run_line_magic("heroku", "run count --arg n=2 --cache")
    monkeypatch.setattr("heroku_magic.app.connect.embedded", lambda _: pytest.fail("an embedded Heroku was requested"))
    assert draw.remote(3) == first
    table = shell.run_line_magic("heroku", "run count --arg n=2 --cache")
    assert table.attrs["heroku"]["cached"] in set(heroku_magic.history()["run"])
    assert len(running()) == 1


def test_a_sweep_of_known_runs_needs_no_embedded_heroku_no_process_and_no_request(
    folder, ledger_folder, monkeypatch, start_shell
):
    @heroku_magic.function(cache=True, quiet=True)
    def draw(n, factor=1):
        import random

        return {"n": n * factor, "drawn": random.random()}

    shell = start_shell(folder)
    code = "import random\n[{'k': k, 'drawn': random.random()}]"
    rows = pd.DataFrame({"n": [1, 2], "word": ["a", "b"]})
    shell.user_ns["rows"] = rows

    def sweep(more="", values=(1, 2)):
        line = f"-q --cache --chunk 9 {more}"
        lines = [f"run count {line} --arg word=w --each n={{{[*values]}}}", f"run count {line} --each runs={{rows}}"]
        tables = [shell.run_line_magic("heroku", text) for text in lines]
        tables.append(shell.run_cell_magic("dyno", f"{line} --each k={{{[*values]}}}", code))
        return [*tables, pd.DataFrame(draw.map(values, [5] * len(values), chunk=9))]

    first = sweep()

    def fail(*_, **__):
        pytest.fail("an embedded Heroku, a process or a connection was requested")

    monkeypatch.setattr("heroku_magic.app.connect.embedded", fail)
    monkeypatch.setattr("heroku_magic.app.emulator_process.subprocess.Popen", fail)
    monkeypatch.setattr("heroku_magic.api.transport.Transport.send", fail)
    for table, expected in zip(sweep(), first, strict=True):
        pd.testing.assert_frame_equal(table, expected)
    assert [*shell.run_line_magic("heroku", "history --cached")["run"].str[:3]] == ["hs-"] * 4
    assert heroku_magic.last.facts()["dynos"] == 0
    assert heroku_magic.get_run(-1).request.code.startswith("    @heroku_magic.function(cache=True")
    assert msgspec.to_builtins(heroku_magic.get_run(-4).request)["values"] == {"word": "w"}
    monkeypatch.setattr("heroku_magic.app.connect.embedded", _refuse_connection)
    monkeypatch.setattr("heroku_magic.app.emulator_process.subprocess.Popen", _refuse_connection)
    with pytest.raises(ConnectionError):  # a third value is missing
        sweep(values=(1, 2, 3))
    with pytest.raises(ConnectionError):
        shell.run_line_magic("heroku", "run count -q --refresh --arg word=w --each n={[1,2]}")


def _refuse_connection(*_, **__):
    raise ConnectionError


def test_without_an_answer_of_heroku_about_the_release_nothing_is_served_from_the_cache(
    embedded_heroku, use_as_heroku, ledger_folder, monkeypatch
):
    worker = make_worker(ledger_folder / "worker", **TASKS)
    use_as_heroku(embedded_heroku("--app", f"shop={worker}"))
    said, requests = [], []
    heroku = connect("shop", say=said.append)
    first = heroku.submit("count", {"n": 1}, cache=True)
    assert _cached(first) is None
    send = heroku.client._transport.send
    monkeypatch.setattr(
        heroku.client._transport, "send", lambda *words, **more: requests.append(words) or send(*words, **more)
    )
    heroku = Heroku(heroku.client, "shop", heroku.settings, said.append)  # as in a new kernel
    for _ in range(2):
        assert _cached(heroku.submit("count", {"n": 1}, cache=True)) == first.id
    assert len(requests) == 1  # for the current release, which stays known for five seconds
    sweep = Heroku(heroku.client, "shop", heroku.settings, said.append).sweep("count", {"n": [1]}, cache=True)
    assert (sweep.exception(), len(sweep.notes), len(requests)) == (None, 1, 2)

    def fail(*_, **__):
        raise Unreachable("The Platform API does not answer.")

    heroku._catalog.invalidate()
    monkeypatch.setattr(heroku.client._transport, "send", fail)
    with pytest.raises(Unreachable):
        heroku.submit("count", {"n": 1}, cache=True)
    assert said[-1] == (
        "The cache is not used, because Heroku does not confirm the current release: The Platform API does not answer."
    )


def test_the_checksum_of_an_apps_code_is_requested_once_and_kept_with_each_run(
    embedded_heroku, use_as_heroku, ledger_folder, monkeypatch
):
    worker = make_worker(ledger_folder / "worker", **TASKS)
    use_as_heroku(embedded_heroku("--app", f"shop={worker}"))
    heroku, checksum, requests = connect("shop", say=lambda _: None), f"SHA256:{'0a' * 32}", []

    def slug(app, name):
        requests.append((app, name))
        return Slug(name, checksum=checksum, process_types={"count": "python -m heroku_task count"})

    monkeypatch.setattr(heroku.client, "slug", slug)
    heroku.run(code="[{'n': 1}]", history=False)
    assert not requests
    first = heroku.submit(code="[{'n': 1}]")
    first.wait()
    for run in (first, heroku.submit("count"), heroku.submit(code="[{'n': 1}]", cache=True)):
        assert run.exception() is None
        details = details_of(find(run.id))
        assert (details.slug, details.release) == (checksum, heroku.client.current_release("shop").version)
    assert run.facts()["cached"] == first.id  # also a first cell knows the release on which it runs
    assert len(requests) == 1
    sweep = heroku.sweep(None, {"k": [1, 2]}, code="[{'n': 1}]", chunk=2)
    assert (sweep.exception(), details_of(find(sweep.id)).slug, len(requests)) == (None, checksum, 1)


def test_a_file_that_was_changed_is_another_input(heroku, ledger_folder, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("one")
    first = heroku.run("reads", {"file": file}, cache=True).attrs["heroku"]
    assert heroku.run("reads", {"file": file}, cache=True).attrs["heroku"]["cached"] == first["run"]
    file.write_text("two")
    assert heroku.run("reads", {"file": file}, cache=True)["text"].tolist() == ["two"]
    with pytest.raises(InvalidOptions, match='cannot be repeated: the file of "file" has changed since'):
        rerun(heroku, find(first["run"]), {}, {})
