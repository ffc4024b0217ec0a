"""The widgets of a form, with ipywidgets 7 and 8: what a user changes in them, and what they show."""

from __future__ import annotations

import json
from datetime import date, datetime
from types import SimpleNamespace

import ipywidgets
import pytest
from fakes import until

from heroku_magic.protocol.task import Task
from heroku_magic.widgets.controls import NO_MATH
from heroku_magic.widgets.form_inputs import FormInputs
from heroku_magic.widgets.panel import Panel

PLAIN = Task("plain", "env", None)


def every(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every(child)


class Page:
    """Finds widgets in a panel by label, as a user does."""

    def __init__(self, form):
        self.panel = Panel(form)

    def labelled(self, label, kind=None):
        found = [one for one in every(self.panel.box) if getattr(one, "description", "") == label]
        return next(one for one in found if kind is None or isinstance(one, kind))

    def of(self, kind):
        return [one for one in every(self.panel.box) if isinstance(one, kind)]

    @property
    def text(self):
        return "\n".join(one.value for one in self.of(ipywidgets.HTML))


@pytest.mark.parametrize(
    ("name", "set_to", "value"),
    [
        ("n", 42, 42),
        ("rate", 0.25, 0.25),
        ("method", 0, "naive"),
        ("deep", True, True),
        ("label", "two", "two"),
        ("day", date(2025, 1, 2), "2025-01-02"),
        ("at", datetime(2025, 1, 2, 3, 4), "2025-01-02T03:04:00"),  # noqa: DTZ001
        ("weights", "[1, 2]", [1, 2]),
    ],
)
def test_each_control_changes_its_value(make, name, set_to, value):
    form = make()
    page = Page(form)
    control = page.labelled(name)
    control.value = set_to if not isinstance(control, ipywidgets.Text) or name == "label" else value

    assert form.value[name] == value
    assert form.inputs.faults == {}


def test_values_that_code_sets_are_shown(make):
    form = make()
    page = Page(form)
    form.value = {"n": 5, "method": "naive", "day": "2025-01-02", "weights": [3], "seed": 7}

    assert page.labelled("n").value == 5
    assert page.labelled("method").value == 0
    assert page.labelled("day").value == date(2025, 1, 2)
    assert page.labelled("weights").value == "[3]"
    assert (page.labelled("seed").value, page.labelled("no seed").value) == (7, False)


def test_a_slider_follows_its_entry_and_a_value_out_of_range_remains_visible(make):
    form = make()
    page = Page(form)
    (slider,) = page.of(ipywidgets.IntSlider)
    entry = page.labelled("n")
    slider.value = 60
    assert (entry.value, form.value["n"]) == (60, 60)
    entry.value = 30
    assert (slider.value, form.value["n"]) == (30, 30)
    entry.value = 500

    assert (entry.value, slider.value, form.value["n"]) == (500, 100, 500)


def test_a_tick_removes_the_value_and_disables_the_control(make):
    form = make()
    page = Page(form)
    seed, tick = page.labelled("seed"), page.labelled("no seed")
    assert (tick.value, seed.disabled, form.value["seed"]) == (True, True, None)
    tick.value = False
    assert (seed.disabled, form.value["seed"]) == (False, 0)
    seed.value = 9
    tick.value = True

    assert (seed.disabled, form.value["seed"]) == (True, None)


def test_a_fault_replaces_the_help_until_it_is_corrected(make):
    page = Page(make())
    weights = page.labelled("weights")
    weights.value = "[1,"
    assert 'role="alert"' in page.text
    assert "weights is not valid JSON" in page.text
    weights.value = "[1]"

    assert 'role="alert"' not in page.text
    assert "points &lt;b&gt;to&lt;/b&gt; draw · a whole number from 1 up to 100" in page.text


@pytest.mark.large
def test_the_button_is_run_then_stop_and_never_disabled(make, runs):
    form = make()
    page = Page(form)
    button = page.labelled("Run")
    button.click()
    until(lambda: form.state == "running")
    assert (button.description, button.disabled, "heroku-stop" in button._dom_classes) == ("Stop", False, True)
    until(lambda: "● running" in page.text)
    runs.started[0].end()
    until(lambda: form.state == "ready")

    assert (button.description, button.disabled, "heroku-stop" in button._dom_classes) == ("Run", False, False)
    assert "✓ exit 0" in page.text


def test_a_double_click_on_run_starts_one_run_and_does_not_stop_it(make, runs, monkeypatch):
    monkeypatch.setattr("heroku_magic.widgets.panel._DOUBLE_CLICK", 60)
    form = make()
    button = Page(form).labelled("Run")
    button.click()
    button.click()
    until(lambda: form.state == "running")
    assert [run.is_cancelled for run in runs.started] == [False]
    monkeypatch.setattr("heroku_magic.widgets.panel._DOUBLE_CLICK", 0)
    button.click()
    until(lambda: form.state == "ready")
    assert [run.is_cancelled for run in runs.started] == [True]


def test_copy_as_cell_shows_the_cell_and_follows_the_values(make):
    page = Page(make({"n": 3}))
    page.labelled("Copy as cell").click()
    cell = page.labelled("Cell")
    assert cell.layout.display is None
    assert cell.value.startswith("%%heroku simulate\nn = 3\n")
    page.labelled("n").value = 4
    assert "\nn = 4\n" in cell.value
    page.labelled("Hide cell").click()
    assert cell.layout.display == "none"


def test_rows_are_added_and_removed(make):
    form = make({"NAME": "Daniela"}, task=PLAIN)
    page = Page(form)
    page.labelled("Add parameter").click()
    page.labelled("Name 2").value = "CITY"
    page.labelled("Value 2").value = "Rome"
    assert form.value == {"NAME": "Daniela", "CITY": "Rome"}
    page.labelled("Remove 1").click()
    assert form.value == {"CITY": "Rome"}
    form.value = {"CITY": "Paris"}
    assert [one.value for one in page.of(ipywidgets.Text)] == ["CITY", "Paris"]


def test_a_row_is_swept_by_its_tick(make):
    form = make({"NAME": "Ada"}, task=PLAIN)
    page = Page(form)
    page.labelled("sweep 1").value = True
    assert (page.labelled("Each 1").value, form.each, form.value) == ("Ada", {"NAME": ["Ada"]}, {})
    assert page.labelled("Value 1").layout.display == "none"
    page.labelled("Each 1").value = "Ada\nDaniela"
    assert page.labelled("Run 2")
    page.labelled("sweep 1").value = False
    assert (form.value, form.each, page.labelled("Each 1").layout.display) == ({"NAME": "Ada"}, {}, "none")
    page.labelled("sweep 1").value = True
    assert form.each == {"NAME": ["Ada", "Daniela"]}, "the list was kept"
    form.each = {"NAME": ["x", "y", "z"]}
    assert page.labelled("Each 1").value == "x\ny\nz"


def test_remaining_rows_are_renumbered(make):
    page = Page(make({"A": "1", "B": "2"}, task=PLAIN))
    page.labelled("Remove 1").click()
    page.labelled("Add parameter").click()

    names = [one.description for one in page.of(ipywidgets.Button) if one.description.startswith("Remove")]
    assert names == ["Remove 1", "Remove 2"]


def test_a_secret_has_no_text_box(make):
    secret = Task("plain", "env", {"properties": {"KEY": {"type": "string", "writeOnly": True}}, "required": ["KEY"]})
    form = make(task=secret)
    page = Page(form)
    (choice,) = page.of(ipywidgets.Dropdown)
    assert [label for label, _ in choice.options] == ["environment variable KEY", "keyring", "copy as cell, which asks"]
    choice.value = 1
    assert form.inputs.sources == {"KEY": "keyring"}
    assert page.of(ipywidgets.Text) == []
    assert not any(isinstance(one, ipywidgets.Password) for one in every(page.panel.box))


def test_a_tick_sweeps_a_field_and_the_note_counts_its_values(make):
    form = make()
    page = Page(form)
    page.labelled("sweep n").value = True
    assert (page.labelled("each n").value, form.each) == ("10", {"n": [10]})
    assert page.labelled("n").layout.display == "none"
    page.labelled("each n").value = "1..10 by 3"

    assert form.each == {"n": range(1, 13, 3)}
    assert "4 values: 1, 4, 7, 10" in page.text
    assert page.labelled("Run 4")
    page.labelled("sweep n").value = False
    assert (page.labelled("n").layout.display, form.each) == (None, {})
    assert page.labelled("each n").value == "1..10 by 3"


@pytest.mark.parametrize(
    ("name", "kind", "set_to", "values"),
    [
        ("rate", ipywidgets.Text, "0..1 by 0.5", [0.0, 0.5, 1.0]),
        ("method", ipywidgets.SelectMultiple, (0,), ["naive"]),
        ("deep", ipywidgets.SelectMultiple, (0, 1), [False, True]),
        ("label", ipywidgets.Textarea, "a\nb", ["a", "b"]),
        ("day", ipywidgets.Text, "2024-02-28..2024-02-29", ["2024-02-28", "2024-02-29"]),
        ("at", ipywidgets.Text, "2024-02-28T10:00:00", ["2024-02-28T10:00:00"]),
        ("weights", ipywidgets.Textarea, "[1]\n[2]", [[1], [2]]),
        ("seed", ipywidgets.Text, "1, 2", [1, 2]),
    ],
)
def test_each_kind_of_field_has_a_matching_control_for_sweeping(make, name, kind, set_to, values):
    form = make()
    page = Page(form)
    page.labelled(f"sweep {name}").value = True
    page.labelled(f"each {name}", kind).value = set_to

    assert form.each == {name: values}
    assert form.inputs.faults == {}


def test_values_that_code_sweeps_are_shown(make):
    form = make()
    page = Page(form)
    form.each = {"method": ["fast"], "n": range(1, 5)}
    assert [page.labelled(f"sweep {name}").value for name in ("method", "n", "label")] == [True, True, False]
    assert (page.labelled("each method").value, page.labelled("each n").value) == ((1,), "1..4")
    form.each = {"n": [7, 9], "label": ["a\nb", ""]}

    assert (page.labelled("each n").value, page.labelled("sweep method").value) == ("7, 9", False)
    assert page.labelled("each label", ipywidgets.SelectMultiple).value == (0, 1)
    page.labelled("each label").value = (0,)
    assert form.each == {"n": [7, 9], "label": ["a\nb"]}


def test_a_fault_of_swept_values_appears_at_its_field(make):
    form = make(each={"n": [1]})
    page = Page(form)
    page.labelled("each n").value = "1, x"
    assert "n: &#x27;x&#x27; is not a number" in page.text
    assert page.labelled("Run")
    page.labelled("each n").value = "1, 2"
    assert 'role="alert"' not in page.text


def test_a_secret_has_no_tick_to_sweep(make):
    secret = Task("plain", "env", {"properties": {"KEY": {"type": "string", "writeOnly": True}}, "required": ["KEY"]})
    page = Page(make(task=secret))

    assert page.of(ipywidgets.Checkbox) == []


def test_every_control_has_an_accessible_name(make):
    form = make()
    page = Page(form)
    for field in form.inputs.fields.values():
        form.sweep(field.name, is_swept=True)
    controls = [
        one for one in every(page.panel.box) if hasattr(one, "disabled") and not isinstance(one, ipywidgets.IntSlider)
    ]

    assert len(controls) > 30
    assert all(one.description for one in controls)


def test_run_copies_the_cell_where_only_a_cell_can_ask_for_a_secret(make, runs):
    secret = Task("plain", "env", {"properties": {"KEY": {"type": "string", "writeOnly": True}}, "required": ["KEY"]})
    page = Page(make(task=secret))
    page.labelled("Run").click()

    assert page.labelled("Cell").value == "%%heroku plain --secret KEY"
    assert page.labelled("Cell").layout.display is None
    assert "Run the copied cell: it asks for KEY." in page.text
    assert runs.threads == []


def test_copy_as_cell_copies_once_and_leaves_no_script_in_the_notebook(make, monkeypatch):
    monkeypatch.setattr("heroku_magic.widgets.panel._CLEAR_AFTER", 0.05)
    page = Page(make({"label": "a'b"}))
    clipboard = next(one for one in page.of(ipywidgets.Output) if "heroku-clipboard" in one._dom_classes)
    page.labelled("Copy as cell").click()
    script = clipboard.outputs[0]["data"]["application/javascript"]

    assert json.dumps(page.labelled("Cell").value) in script
    until(lambda: "application/javascript" not in clipboard.outputs[0]["data"])
    page.labelled("Hide cell").click()
    assert "application/javascript" not in clipboard.outputs[0]["data"]


def test_what_a_run_shows_goes_into_the_panel_where_a_page_has_no_cells(make):
    panel = Panel(make())
    log, table = panel.outputs
    log.update({"text/plain": "line 1"}, raw=True)
    log.update({"text/plain": "line 2"}, raw=True)

    assert [output["data"] for output in log.box.outputs] == [{"text/plain": "line 2"}]
    assert table.box.outputs == ()
    assert {log.box, table.box} <= {*every(panel.box)}


def test_where_no_cell_can_ask_a_secret_comes_from_the_environment_or_the_keyring():
    schema = {
        "properties": {"KEY": {"type": "string", "writeOnly": True}, "n": {"type": "integer"}},
        "required": ["KEY"],
    }
    task = Task("plain", "env", schema)
    inputs = FormInputs(task, {}, (), lambda _: "prompt", can_ask=False)
    assert inputs.fields["KEY"].labels == ["environment variable KEY", "keyring"]
    assert inputs.sources == {"KEY": "environment"}
    assert FormInputs(task, {}, (), lambda _: "prompt").sources == {"KEY": "prompt"}


def test_one_heading_stands_above_the_boxes_for_sweeps(make):
    assert Page(make()).text.count(">sweep</div>") == 1
    assert ">sweep</div>" not in Page(make({"NAME": "Ada"}, task=PLAIN)).text


def test_the_status_of_a_run_that_is_shown_below_is_only_heard(make, runs):
    form = make()
    form.slot = SimpleNamespace(show=lambda run: None)
    page = Page(form)
    form.run()
    until(lambda: form.state == "running")
    assert '<span class="heroku-heard">● running </span>' in page.text
    form.notify("Heroku is slow.")
    assert '<span class="heroku-heard">● running </span> Heroku is slow.' in page.text
    runs.started[0].end()
    until(lambda: not form.is_busy)
    assert '<span class="heroku-heard">✓ exit 0' in page.text


def test_the_panel_shows_what_the_next_run_takes(make):
    form = make(price=lambda count, last: "about 1 s, $0.01")
    page = Page(form)
    assert f'<span role="status" class="{NO_MATH}">about 1 s, $0.01</span>' in page.text


def test_invisible_characters_of_a_declaration_are_visible_in_its_form(make):
    hidden = "to\u200bk\xade\u180en\U000e0041\u3164\u202e"
    about = {"description": hidden}
    properties = {
        f"x{hidden}": {"type": "integer", **about},
        "t": {"type": "string", "default": hidden, **about},
        "c": {"enum": [f"a{hidden}", "b"], "default": "b", **about},
        "many": {"enum": [f"{hidden}{number}" for number in range(60)]},
        "day": {"type": "string", "format": "date", **about},
        "bad": {"type": "integer", "default": hidden},
    }
    task = Task("draw", "draw", {"description": f"{hidden}.\n\n{hidden}", "properties": properties})
    shown = []
    for widget in every(Page(make(task=task)).panel.box):
        shown += [getattr(widget, name, "") for name in ("description", "tooltip", "_options_labels")]
        shown += [widget.value] if isinstance(widget, ipywidgets.HTML) else []

    text = "".join(str(one) for one in shown)
    assert hidden.encode("ascii", "backslashreplace").decode() in text.replace("\\\\", "\\")
    assert not set(hidden) - set("token") & set(text)
