"""A form without anybody looking: its values, its one button, what it says."""

from __future__ import annotations

import sys
import threading
import types

import pytest
from fakes import SIMULATE, until

from heroku_magic.errors import InvalidParameters, SettingsError
from heroku_magic.tasks import Task
from heroku_magic.widgets.static import bundle, status, text

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
