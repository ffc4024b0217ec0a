"""A form without anybody looking: its values, its one button, what it says."""

from __future__ import annotations

import sys
import threading
import types

import pytest
from fakes import SIMULATE, FakeSweep, until

from heroku_magic.errors import InvalidParameters, SettingsError
from heroku_magic.protocol.task import Task
from heroku_magic.widgets import Form
from heroku_magic.widgets.form_record import bundle, status, text

PLAIN = Task("plain", "env", None)
SECRET = Task("plain", "env", {"properties": {"KEY": {"type": "string", "writeOnly": True}}, "required": ["KEY"]})


def test_the_value_is_what_is_declared_and_can_be_set_in_part(make):
    form = make({"n": 20})
    form.value = {"rate": 0.25, "seed": 7}

    assert form.value["n"] == 20
    assert form.value["rate"] == 0.25
    assert form.value["seed"] == 7
    assert form.value["day"] == "2024-02-29"
    assert list(form.value) == list(SIMULATE.schema["properties"])


def test_values_that_do_not_fit_are_refused_together_and_change_nothing(make):
    form = make()
    with pytest.raises(InvalidParameters) as caught:
        form.value = {"n": "x", "method": "fats", "label": "two", "q": 1}

    assert len(caught.value.issues) == 3
    assert form.value["label"] == "one"


def test_the_button_runs_then_stops_and_is_ready_again(make, runs):
    form = make()
    form.press()
    until(lambda: form.state == "running")
    assert runs.started[0].values == form.value
    assert runs.threads[0] is not threading.current_thread(), "submitting may take seconds"
    form.press()
    until(lambda: form.state == "ready")

    assert runs.started[0].is_cancelled
    assert status(form) == "■ cancelled, exit 143 · 2.1 s"
    assert len(runs.started) == 1


def test_a_run_that_is_stopped_while_it_is_requested_is_stopped_as_soon_as_it_is_there(make, runs):
    runs.delay.clear()
    form = make()
    form.press()
    assert form.state == "starting"
    form.press()
    assert form.state == "stopping"
    form.press()
    runs.delay.set()
    until(lambda: form.state == "ready")

    assert [run.is_cancelled for run in runs.started] == [True]


def test_run_in_code_gives_the_run_at_once_and_refuses_a_second(make, runs):
    form = make()
    run = form.run()
    with pytest.raises(SettingsError, match="simulate is running in this form"):
        form.run()
    run.partial = "a table"
    run.end()
    until(lambda: form.state == "ready")

    assert form.result == "a table"
    assert form.run() is runs.started[1]


def test_what_submitting_raises_is_said_beside_the_button_and_the_form_is_ready(make, runs):
    form = make()
    for runs.error, said in (
        (InvalidParameters(["N is a config var of my-app"]), "N is a config var of my-app"),
        (ZeroDivisionError("a bug\x1b[2J"), "ZeroDivisionError: a bug"),
    ):
        form.press()
        until(lambda: form.state == "ready" and form.message)
        assert status(form) == said
    with pytest.raises(ZeroDivisionError):
        form.run()
    assert form.state == "ready"


def test_faults_start_nothing_and_stand_at_their_fields(make, runs):
    form = make()
    form.put("weights", "[1,")
    form.put("n", 500)
    form.press()
    until(lambda: form.state == "ready")

    assert runs.threads == []
    assert "line 1, column 4" in form.answers.faults["weights"]
    assert "weights is no JSON" in status(form)
    with pytest.raises(InvalidParameters):
        form.run()


def test_rows_of_a_task_that_declares_nothing(make, runs):
    form = make({"NAME": "Daniela", "n": 3, "none": None}, task=PLAIN)
    assert form.value == {"n": 3, "NAME": "Daniela"}
    form.put_rows([("NAME", "Ada"), ("", ""), ("EMPTY", "")])
    assert form.value == {"n": 3, "NAME": "Ada", "EMPTY": ""}
    for rows, fault in (
        ([("PATH", "x")], "PATH would break"),
        ([("A", "1"), ("A", "2")], "A stands there twice"),
        ([("n", "1")], "n stands there twice"),
        ([("", "x")], "no name"),
    ):
        form.put_rows(rows)
        assert fault in form.answers.faults[""]
        form.press()
        until(lambda: form.state == "ready")
    assert runs.threads == []


def test_a_secret_is_told_by_its_source_and_is_in_no_value(make, runs):
    form = make(task=SECRET, find_source=lambda name: "environment")
    form.press()
    until(lambda: runs.started)

    assert (runs.started[0].values, runs.started[0].sources) == ({}, {"KEY": "environment"})
    assert form.cell == "%%heroku plain --secret KEY"
    with pytest.raises(InvalidParameters, match="takes no value") as caught:
        form.value = {"KEY": "hunter2"}
    assert "hunter2" not in str(caught.value)


def test_a_click_cannot_ask_and_says_who_can(make, runs):
    form = make(task=SECRET)
    form.press()
    until(lambda: form.state == "ready")
    assert "only a running cell can ask" in status(form)
    assert runs.threads == []
    form.run()
    assert runs.started[0].sources == {"KEY": "prompt"}, "run() in a cell does ask"


def test_what_was_typed_last_is_run_though_its_message_comes_after_the_click(make, runs):
    form = make()
    form.put("weights", "[1,")
    form.press()
    form.put("weights", "[1, 2]")
    until(lambda: runs.started)

    assert runs.started[0].values["weights"] == [1, 2]
    form.stop()


def test_two_forms_run_at_once(make, runs):
    first, second = make(), make()
    first.press()
    second.press()
    until(lambda: first.state == second.state == "running")
    first.press()
    until(lambda: first.state == "ready")

    assert second.state == "running"
    second.stop()


def test_in_colab_the_click_keeps_the_kernel_until_the_run_is_over(make, runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    form = make()
    threading.Timer(0.6, lambda: [run.end() for run in runs.started]).start()
    form.press()

    assert runs.threads == [threading.current_thread()]
    assert form.state == "ready"


def test_swept_fields_make_a_sweep_of_all_combinations(make, runs):
    form = make({"n": 5})
    form.each = {"seed": range(3), "method": ["fast", "naive"]}
    sweep = form.run()
    assert sweep.each == form.each == {"seed": range(3), "method": ["fast", "naive"]}
    assert sweep.values == form.value
    assert sweep.values["n"] == 5
    assert "seed" not in form.value
    sweep.partial = "sixty rows.."
    sweep.end()
    until(lambda: form.state == "ready")

    assert form.last is sweep
    assert form.result == "sixty rows.."
    assert status(form) == "✓ 6 of 6 runs done · 12 rows · 2.1 s"
    assert form.cell.startswith(
        "%%heroku simulate --each seed,method\nseed = range(0, 3)\nmethod = ['fast', 'naive']\nn = 5"
    )
    assert "seed = each of 0, 1, 2" in text(form)


def test_the_button_names_the_runs_and_their_price(make, runs):
    asked = []
    form = make(price=lambda count, last: asked.append(last) or f"about ${count / 100:.2f}")
    assert form.offer == "Run"
    form.each = {"n": range(1, 25)}
    assert form.offer == "Run 24 runs · about $0.24"
    sweep = form.run()
    assert form.offer == "Stop"
    sweep.end()
    until(lambda: form.state == "ready")
    assert form.offer == "Run 24 runs · about $0.24"
    assert asked == [None, sweep]
    form.put_series("n", "7")
    assert form.offer == "Run 1 run · about $0.01"
    form.sweep("n", is_swept=False)

    assert form.offer == "Run"
    assert make(each={"n": [1, 2]}).offer == "Run 2 runs", "where the price is not known it is not named"


def test_stop_cancels_the_sweep(make, runs):
    form = make(each={"n": [1, 2]})
    form.press()
    until(lambda: form.state == "running")
    form.press()
    until(lambda: form.state == "ready")

    assert runs.started[0].is_cancelled
    assert status(form) == "■ 0 of 2 runs done, 2 cancelled · 2.1 s"


def test_failed_runs_of_a_sweep_are_counted(make, runs):
    form = make(each={"n": range(1, 51)})
    sweep = form.run()
    sweep.end()
    sweep.states = {"done": 48, "failed": 2}
    until(lambda: form.state == "ready")

    assert status(form) == "✗ 48 of 50 runs done, 2 failed · 2.1 s"


def test_rows_of_a_sweep_that_do_not_go_together_are_said_and_the_form_is_ready(make, runs):
    class Torn(FakeSweep):
        @property
        def partial(self):
            raise InvalidParameters(["row 0: the task says n is 2, and the run was made with 1."])

        @partial.setter
        def partial(self, _):
            pass

    sweep = Torn({}, {}, {"n": [1, 2]})
    form = Form(SIMULATE, {}, lambda *_: sweep, lambda: None, each={"n": [1, 2]})
    form.run()
    sweep.end()
    until(lambda: form.state == "ready")

    assert status(form) == "✗ row 0: the task says n is 2, and the run was made with 1."


def test_what_is_swept_no_more_has_the_value_from_before_and_the_list_when_it_is_again(make):
    form = make({"n": 7})
    form.sweep("n", is_swept=True)
    assert form.each == {"n": [7]}
    form.put_series("n", "1..3")
    form.sweep("n", is_swept=False)
    assert (form.value["n"], form.each) == (7, {})
    form.sweep("n", is_swept=True)
    assert form.each == {"n": range(1, 4)}
    form.value = {"n": 9}

    assert (form.value["n"], form.each) == (9, {}), "one value is one run"


def test_faults_of_a_sweep_stand_at_their_fields_and_start_nothing(make, runs):
    form = make(each={"n": [1], "label": ["x"]})
    form.put_series("n", "90..110")
    form.put_series("label", " ")
    assert "n is 101: expected a whole number from 1 up to 100" in form.answers.faults["n"]
    assert "label has no values" in form.answers.faults["label"]
    assert form.offer == "Run"
    form.press()
    until(lambda: form.state == "ready")

    assert runs.threads == []
    assert "label has no values" in status(form)


def test_too_many_combinations_are_said_before_anything_starts(make, runs):
    form = make(each={"rate": range(200), "seed": range(51)})
    assert "10,200 combinations are more than 10,000 runs" in form.answers.faults[""]
    form.press()
    until(lambda: form.state == "ready")
    assert runs.threads == []
    assert make(each={"rate": range(200), "seed": range(51)}, sample=20).offer == "Run 20 runs"
    assert make(each={"rate": range(200), "seed": range(51)}, chunk=100).offer == "Run 10,200 runs"


def test_in_step_counts_the_pairs_and_wants_lists_of_one_length(make):
    form = make(each={"rate": [1, 2, 3], "seed": [1, 2, 3]}, in_step=True)
    assert form.offer == "Run 3 runs"
    form.put_series("seed", "1, 2")

    assert "rate has 3, seed has 2" in form.answers.faults[""]


def test_a_sweep_that_does_not_fit_is_refused_and_changes_nothing(make):
    form = make(each={"n": [1, 2]})
    for each, fault in (
        ({"n": [1, "x"]}, "n is the text 'x'"),
        ({"n": 5}, "its value is one int"),
        ({"n": "abc"}, "one run for each character"),
        ({"n": []}, "there are no values"),
        ({"n": range(20_000)}, "n has 20,000 values"),
        ({"m": [1]}, "m has no field"),
        ({"pairs": [{"n": 1, "rate": 2.0}]}, "rows have no field in a form"),
    ):
        with pytest.raises(InvalidParameters, match=fault):
            form.each = each
        with pytest.raises(InvalidParameters):
            make(each=each)

    assert form.each == {"n": [1, 2]}


def test_a_secret_cannot_be_swept(make):
    with pytest.raises(InvalidParameters, match="KEY is a secret: all runs of a sweep have the same") as caught:
        make(task=SECRET, each={"KEY": ["hunter2"]})
    assert "hunter2" not in str(caught.value)


def test_a_task_that_declares_nothing_is_swept_over_what_is_given(make, runs):
    form = make({"NAME": "Ada"}, task=PLAIN, each={"CITY": ["Rome", "Oslo"], "N": range(4), "MIX": [1, "a"]})
    form.run()

    assert [one.content for one in form.answers.swept.values()] == ["Rome\nOslo", "0..3", (0, 1)]
    assert runs.started[0].each == {"CITY": ["Rome", "Oslo"], "N": range(4), "MIX": [1, "a"]}
    assert runs.started[0].values == {"NAME": "Ada"}
    form.stop()


def test_rows_are_swept_a_value_a_line(make, runs):
    form = make({"NAME": "Ada"}, task=PLAIN)
    form.put_rows([("NAME", "Ada"), ("CITY", "Rome\n\nOslo", True), ("", "", True)])
    assert (form.value, form.each, form.offer) == ({"NAME": "Ada"}, {"CITY": ["Rome", "Oslo"]}, "Run 2 runs")
    assert form.cell == "%%heroku plain --each CITY\nCITY = ['Rome', 'Oslo']\nNAME = 'Ada'"
    assert "CITY = each of Rome, Oslo" in text(form)
    form.put_rows([("CITY", " \n", True)])
    assert form.answers.faults[""] == "CITY has no values to sweep over: write one a line."
    form.put_rows([("CITY", "x\n" * 10_001, True)])
    assert "CITY has 10,001 values" in form.answers.faults[""]
    form.put_rows([("PATH", "x", True)])
    assert "PATH would break" in form.answers.faults[""]


def test_code_sweeps_rows_too(make):
    form = make({"NAME": "Ada", "CITY": "Rome"}, task=PLAIN)
    form.each = {"CITY": ["Rome", "Oslo"]}
    assert (form.value, form.each) == ({"NAME": "Ada"}, {"CITY": ["Rome", "Oslo"]})
    form.each = form.each
    assert form.each == {"CITY": ["Rome", "Oslo"]}
    with pytest.raises(InvalidParameters, match="CITY has no field that can be swept"):
        form.each = {"CITY": ["two\nlines"]}
    form.value = {"CITY": "Paris"}

    assert (form.value, form.each) == ({"NAME": "Ada", "CITY": "Paris"}, {})


def test_what_stays_says_values_help_and_the_last_run_safely(make, runs):
    form = make({"label": "<i>\u202eevil"})
    form.run().end()
    until(lambda: form.state == "ready")
    stays = bundle(form)

    assert "points &lt;b&gt;to&lt;/b&gt; draw" in stays["text/html"]
    assert "<i>" not in stays["text/html"]
    assert "\u202e" not in stays["text/html"] + stays["text/plain"]
    assert "✓ exit 0" in stays["text/html"]
    assert "last run: ✓ exit 0" in stays["text/plain"]
    assert "<script" not in stays["text/html"]
    assert "live notebook" not in stays["text/plain"]
    assert text(form, headless=True).startswith("A form needs a live notebook, and here is none")


def test_what_stays_does_not_claim_that_a_run_goes_on(make, runs):
    form = make()
    form.run()
    assert "last run: had not ended when this was written" in text(form)
    form.stop()


def test_a_form_of_five_hundred_parameters_is_bounded(make):
    schema = {"properties": {f"p{i}": {"type": "integer", "default": i} for i in range(500)}}
    form = make(task=Task("wide", "", schema))

    assert len(form.value) == 500
    assert len(bundle(form)["text/html"]) < 300_000
