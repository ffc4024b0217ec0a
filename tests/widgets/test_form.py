"""A form without a view: its values, its button and its messages."""

from __future__ import annotations

import sys
import threading
import types

import pytest
from fakes import SIMULATE, FakeSweep, until

from heroku_magic.errors import InvalidParameters, SettingsError
from heroku_magic.protocol.task import Task
from heroku_magic.widgets import form_view
from heroku_magic.widgets.form_view import bundle, text

pytestmark = pytest.mark.large  # most wait for a click's thread

PLAIN = Task("plain", "env", None)
SECRET = Task("plain", "env", {"properties": {"KEY": {"type": "string", "writeOnly": True}}, "required": ["KEY"]})


def test_the_value_follows_the_declaration_and_can_be_set_in_part(make):
    form = make({"n": 20})
    form.value = {"rate": 0.25, "seed": 7}

    assert form.value["n"] == 20
    assert form.value["rate"] == 0.25
    assert form.value["seed"] == 7
    assert form.value["day"] == "2024-02-29"
    assert list(form.value) == list(SIMULATE.schema["properties"])


def test_values_that_do_not_fit_are_reported_together_and_change_nothing(make):
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
    assert form.status == "■ cancelled, exit 143 · 2.1 s"
    assert len(runs.started) == 1


def test_the_record_shows_the_last_state_if_two_threads_change_it(make, monkeypatch):
    drawn, entered, is_overtaken = [], threading.Event(), threading.Event()

    def slow(form):
        message = form.message
        if message == "first":
            entered.set()
            is_overtaken.wait(0.2)
        return {"text/plain": message}

    monkeypatch.setattr("IPython.get_ipython", lambda: types.SimpleNamespace(kernel=None))
    monkeypatch.setattr(form_view, "bundle", slow)
    update = lambda now, raw: drawn.append(now["text/plain"]) or is_overtaken.set()  # noqa: E731
    monkeypatch.setattr(form_view, "new_output", lambda _: types.SimpleNamespace(update=update))
    form_view.show(form := make())
    thread = threading.Thread(target=form.notify, args=["first"])
    thread.start()
    entered.wait(10)
    form.notify("last")
    thread.join()

    assert drawn[-1] == "last"


def test_a_run_that_is_still_being_requested_is_stopped_as_soon_as_it_exists(make, runs):
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


def test_run_returns_the_run_at_once_and_rejects_a_second_one(make, runs):
    form = make()
    run = form.run()
    with pytest.raises(SettingsError, match="simulate is running in this form"):
        form.run()
    run.partial = "a table"
    run.end()
    until(lambda: form.state == "ready")

    assert form.result == "a table"
    assert form.run() is runs.started[1]


def test_submission_errors_appear_beside_the_button_and_the_form_is_ready(make, runs):
    form = make()
    for runs.error, message in (
        (InvalidParameters(["N is a config var of my-app"]), "N is a config var of my-app"),
        (ZeroDivisionError("a bug\x1b[2J"), "ZeroDivisionError: a bug"),
    ):
        form.press()
        until(lambda: form.state == "ready" and form.message)
        assert form.status == message
    with pytest.raises(ZeroDivisionError):
        form.run()
    assert form.state == "ready"


def test_faults_appear_at_their_fields_and_nothing_starts(make, runs):
    form = make()
    form.put("weights", "[1,")
    form.put("n", 500)
    form.press()
    until(lambda: form.state == "ready")

    assert runs.threads == []
    assert "line 1, column 4" in form.inputs.faults["weights"]
    assert "weights is not valid JSON" in form.status
    with pytest.raises(InvalidParameters):
        form.run()


@pytest.mark.parametrize("name", ["value", "each"])
def test_only_a_dict_can_be_set(make, name):
    with pytest.raises(InvalidParameters, match=f"{name} is 3: expected a dict of parameters"):
        setattr(make(), name, 3)


def test_rows_of_an_undeclared_task(make, runs):
    form = make({"NAME": "Daniela", "n": 3, "none": None}, task=PLAIN)
    assert form.value == {"n": 3, "NAME": "Daniela"}
    form.put_rows([("NAME", "Ada"), ("", ""), ("EMPTY", "")])
    assert form.value == {"n": 3, "NAME": "Ada", "EMPTY": ""}
    for rows, fault in (
        ([("PATH", "x")], "PATH cannot name a parameter"),
        ([("A", "1"), ("A", "2")], "A is given twice"),
        ([("n", "1")], "n is given twice"),
        ([("", "x")], "'' is not a valid environment variable name"),
    ):
        form.put_rows(rows)
        assert fault in form.inputs.faults[""]
        form.press()
        until(lambda: form.state == "ready")
    assert runs.threads == []


def test_a_secret_is_represented_by_its_source_only(make, runs):
    form = make(task=SECRET, find_source=lambda name: "environment")
    form.press()
    until(lambda: runs.started)

    assert (runs.started[0].values, runs.started[0].sources) == ({}, {"KEY": "environment"})
    assert form.cell == "%%heroku plain --secret KEY"
    with pytest.raises(InvalidParameters, match="takes no value") as caught:
        form.value = {"KEY": "hunter2"}
    assert "hunter2" not in str(caught.value)


def test_a_click_cannot_prompt_and_the_message_says_what_can(make, runs):
    form = make(task=SECRET)
    form.press()
    until(lambda: form.state == "ready")
    assert "only a running cell can prompt" in form.status
    assert runs.threads == []
    form.run()
    assert runs.started[0].sources == {"KEY": "prompt"}, "run() in a cell does ask"


def test_the_last_typed_value_is_used_even_if_it_arrives_after_the_click(make, runs):
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


def test_in_colab_a_click_keeps_the_kernel_busy_until_the_run_is_over(make, runs, monkeypatch):
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
    assert form.status == "✓ 6 of 6 runs done · 12 rows · 2.1 s"
    assert form.cell.startswith(
        "%%heroku simulate --each seed,method\nseed = range(0, 3)\nmethod = ['fast', 'naive']\nn = 5"
    )
    assert "seed = each of 0, 1, 2" in text(form)


def test_the_button_shows_the_number_of_runs_and_the_status_what_they_take(make, runs):
    asked = []
    form = make(price=lambda count, last: asked.append(last) or f"about {count} s, ${count / 100:.2f}")
    assert (form.offer, form.status) == ("Run", "about 1 s, $0.01"), "before the first run"
    form.each = {"n": range(1, 25)}
    assert (form.offer, form.status) == ("Run 24", "about 24 s, $0.24")
    sweep = form.run()
    assert form.offer == "Stop"
    sweep.end()
    until(lambda: form.state == "ready")
    assert form.offer == "Run 24"
    assert form.status == "✓ 24 of 24 runs done · 2.1 s · about 24 s, $0.24"
    assert asked == [None, None, sweep]
    form.put_swept("n", "7")
    assert form.offer == "Run 1"
    form.sweep("n", is_swept=False)

    assert (form.offer, form.status) == ("Run", "✓ 24 of 24 runs done · 2.1 s")
    assert make(each={"n": [1, 2]}).status == "", "where the price is not known it is not named"


def test_one_row_is_not_rows(make):
    form = make()
    run = form.run()
    run.partial = ["the row"]
    run.end()
    until(lambda: form.state == "ready")
    assert form.status == "✓ exit 0 · 1 row · 2.1 s"


def test_stop_cancels_the_sweep(make, runs):
    form = make(each={"n": [1, 2]})
    form.press()
    until(lambda: form.state == "running")
    form.press()
    until(lambda: form.state == "ready")

    assert runs.started[0].is_cancelled
    assert form.status == "■ 0 of 2 runs done, 2 cancelled · 2.1 s"


def test_failed_runs_of_a_sweep_are_counted(make, runs):
    form = make(each={"n": range(1, 51)})
    sweep = form.run()
    sweep.end()
    sweep.states = {"done": 48, "failed": 2}
    until(lambda: form.state == "ready")

    assert form.status == "✗ 48 of 50 runs done, 2 failed · 2.1 s"


def test_contradictory_rows_of_a_sweep_are_reported_and_the_form_is_ready(make):
    class Torn(FakeSweep):
        @property
        def partial(self):
            raise InvalidParameters(["row 0: the task says n is 2, and the run was made with 1."])

        @partial.setter
        def partial(self, _):
            pass

    sweep = Torn({}, {}, {"n": [1, 2]})
    form = make(submit=lambda *_: sweep, each={"n": [1, 2]})
    form.run()
    sweep.end()
    until(lambda: form.state == "ready")

    assert form.status == "✗ row 0: the task says n is 2, and the run was made with 1."


def test_a_field_keeps_its_value_and_its_list_when_sweeping_is_toggled(make):
    form = make({"n": 7})
    form.sweep("n", is_swept=True)
    assert form.each == {"n": [7]}
    form.put_swept("n", "1..3")
    form.sweep("n", is_swept=False)
    assert (form.value["n"], form.each) == (7, {})
    form.sweep("n", is_swept=True)
    assert form.each == {"n": range(1, 4)}
    form.value = {"n": 9}

    assert (form.value["n"], form.each) == (9, {}), "one value is one run"


def test_faults_of_a_sweep_appear_at_their_fields_and_nothing_starts(make, runs):
    form = make(each={"n": [1], "label": ["x"]})
    form.put_swept("n", "90..110")
    form.put_swept("label", " ")
    assert "n is 101: expected a whole number from 1 up to 100" in form.inputs.faults["n"]
    assert "label has no values" in form.inputs.faults["label"]
    assert form.offer == "Run"
    form.press()
    until(lambda: form.state == "ready")

    assert runs.threads == []
    assert "label has no values" in form.status


def test_too_many_combinations_are_reported_before_anything_starts(make, runs):
    form = make(each={"rate": range(200), "seed": range(51)})
    assert "10,200 combinations are more than 10,000 runs" in form.inputs.faults[""]
    form.press()
    until(lambda: form.state == "ready")
    assert runs.threads == []
    assert make(each={"rate": range(200), "seed": range(51)}, sample=20).offer == "Run 20"
    assert make(each={"rate": range(200), "seed": range(51)}, chunk=100).offer == "Run 10,200"


def test_in_step_counts_pairs_and_requires_lists_of_equal_length(make):
    form = make(each={"rate": [1, 2, 3], "seed": [1, 2, 3]}, zip=True)
    assert form.offer == "Run 3"
    form.put_swept("seed", "1, 2")

    assert "rate has 3, seed has 2" in form.inputs.faults[""]


def test_an_invalid_sweep_is_rejected_and_changes_nothing(make):
    form = make(each={"n": [1, 2]})
    for each, fault in (
        ({"n": [1, "x"]}, "n is the text 'x'"),
        ({"n": 5}, "its value is a single int"),
        ({"n": "abc"}, "one run for each character"),
        ({"n": []}, "there are no values"),
        ({"n": range(20_000)}, "n has 20,000 values"),
        ({"m": [1]}, "m has no field"),
        ({"pairs": [{"n": 1, "rate": 2.0}]}, "a form has no field for rows"),
    ):
        with pytest.raises(InvalidParameters, match=fault):
            form.each = each
        with pytest.raises(InvalidParameters):
            make(each=each)

    assert form.each == {"n": [1, 2]}


def test_a_secret_cannot_be_swept(make):
    with pytest.raises(InvalidParameters, match="KEY is a secret, which is the same in all runs of a sweep") as caught:
        make(task=SECRET, each={"KEY": ["hunter2"]})
    assert "hunter2" not in str(caught.value)


def test_an_undeclared_task_is_swept_over_the_given_values(make, runs):
    form = make({"NAME": "Ada"}, task=PLAIN, each={"CITY": ["Rome", "Oslo"], "N": range(4), "MIX": [1, "a"]})
    form.run()

    assert [one.content for one in form.inputs.swept.values()] == ["Rome\nOslo", "0..3", (0, 1)]
    assert runs.started[0].each == {"CITY": ["Rome", "Oslo"], "N": range(4), "MIX": [1, "a"]}
    assert runs.started[0].values == {"NAME": "Ada"}
    form.stop()


def test_rows_are_swept_with_one_value_per_line(make, runs):
    form = make({"NAME": "Ada"}, task=PLAIN)
    form.put_rows([("NAME", "Ada"), ("CITY", "Rome\n\nOslo", True), ("", "", True)])
    assert (form.value, form.each, form.offer) == ({"NAME": "Ada"}, {"CITY": ["Rome", "Oslo"]}, "Run 2")
    assert form.cell == "%%heroku plain --each CITY\nCITY = ['Rome', 'Oslo']\nNAME = 'Ada'"
    assert "CITY = each of Rome, Oslo" in text(form)
    form.put_rows([("CITY", " \n", True)])
    assert form.inputs.faults[""] == "CITY has no values to sweep over. Write one per line."
    form.put_rows([("CITY", "x\n" * 10_001, True)])
    assert "CITY has 10,001 values" in form.inputs.faults[""]
    form.put_rows([("PATH", "x", True)])
    assert "PATH cannot name a parameter" in form.inputs.faults[""]


def test_rows_can_be_swept_from_code(make):
    form = make({"NAME": "Ada", "CITY": "Rome"}, task=PLAIN)
    form.each = {"CITY": ["Rome", "Oslo"]}
    assert (form.value, form.each) == ({"NAME": "Ada"}, {"CITY": ["Rome", "Oslo"]})
    form.each = form.each
    assert form.each == {"CITY": ["Rome", "Oslo"]}
    with pytest.raises(InvalidParameters, match="CITY has no field that can be swept"):
        form.each = {"CITY": ["two\nlines"]}
    form.value = {"CITY": "Paris"}

    assert (form.value, form.each) == ({"NAME": "Ada", "CITY": "Paris"}, {})


def test_the_record_safely_shows_values_help_and_the_last_run(make, runs):
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
    assert "A form needs a notebook and its kernel" in stays["text/html"]
    assert text(form).startswith("A form needs a notebook and its kernel")


def test_the_record_does_not_claim_that_a_run_continues(make, runs):
    form = make()
    form.run()
    assert "last run: had not ended when this was written" in text(form)
    form.stop()


def test_the_record_of_five_hundred_parameters_is_bounded(make):
    schema = {"properties": {f"p{i}": {"type": "integer", "default": i} for i in range(500)}}
    form = make(task=Task("wide", "", schema))

    assert len(form.value) == 500
    assert len(bundle(form)["text/html"]) < 300_000
