"""An exported page sends what its fields show, and refuses what the notebook's form refuses."""

from __future__ import annotations

import json

import pytest
from web_page import served

from heroku_magic.protocol.environ import to_env
from heroku_magic.protocol.task import Task
from heroku_magic.widgets.form_inputs import FormInputs
from heroku_magic.widgets.web_page import web_page as page_of

API = "http://127.0.0.1:9"
INT, NUMBER, TEXT = ({"type": kind} for kind in ("integer", "number", "string"))


@pytest.fixture
def submit(web_page, tmp_path):
    """Return a function that fills in a task's page and starts it: the variables that it sends, and its faults."""
    sent = []

    def handle(route):
        sent.append(route.request.post_data_json)
        route.fulfill(status=422, body="{}", headers={"Access-Control-Allow-Origin": "*"})

    def begin(task, typed, values=None):
        sent.clear()
        inputs = FormInputs(task, values or {}, (), lambda _: "prompt")
        (tmp_path / "page.html").write_text(page_of(task, inputs, app="demo", api_url=API), newline="\n")
        page = web_page.page
        page.route(f"{API}/**", handle)
        page.goto(f"{origin}/page.html")
        for name, text in {"Key": "a-key-of-the-account", **typed}.items():
            page.get_by_label(name, exact=True).fill(text)
        page.get_by_role("button", name="Start").click()
        page.locator(".fault:not(:empty), #error:not(:empty)").first.wait_for()
        env = {name: text for name, text in sent[-1]["env"].items() if name != "RUN_KEY"} if sent else None
        return env, [text for text in page.locator(".fault").all_inner_texts() if text]

    with served(tmp_path) as origin:
        yield begin


def declared(required=(), **properties):
    return Task("t", "python -m heroku_task t", {"properties": properties, "required": [*required]})


def test_what_nobody_changed_arrives_as_it_is_declared(submit):
    defaults = {"ends": "\r\n", "old": "a\rb", "text": '\n"x" &#13; \n', "zero": -0.0, "large": 1e308, "long": 2**60}
    kinds = {str: TEXT, float: NUMBER, int: INT}
    task = declared(**{name: {**kinds[type(value)], "default": value} for name, value in defaults.items()})

    assert submit(task, {}) == (to_env(defaults, task.schema), [])


def test_a_value_of_several_lines_arrives_without_a_declaration(submit):
    values = {"A": "a\nb", "B": "a\r\nb\r", "C": "\n"}

    assert submit(Task("plain", "env", None), {}, values) == (values, [])


def test_a_changed_text_is_sent_as_it_is_shown(submit):
    assert submit(declared(ends={**TEXT, "default": "\r\n"}), {"ends": "\n;"}) == ({"ends": "\n;"}, [])


def test_a_default_that_is_no_choice_is_left_to_the_task(submit):
    choices = {"enum": ["a", "b"], "default": "c"}

    assert submit(declared(method=choices, deep={"type": "boolean", "default": "yes"}), {}) == ({}, [])
    assert submit(declared(["method"], method=choices), {}) == (None, ["✗ Choose a value for method."])


def test_a_number_without_a_default_is_checked(submit):
    task = declared(["n", "x"], n={**INT, "minimum": 1}, x=NUMBER)

    assert submit(task, {"n": "0", "x": "0x10"}) == (
        None,
        ["✗ n is 0: expected a whole number from 1.", "✗ x is 0x10: expected a number."],
    )
    assert submit(task, {"n": "1_000", "x": "1e5"}) == ({"n": "1000", "x": "1e5"}, [])


@pytest.mark.parametrize(
    ("items", "typed", "fault"),
    [
        ({"enum": [2**60, "a"]}, [2**60], None),
        ({"enum": [2**60, "a"]}, [2**60 + 1], "✗ w is [1152921504606846977]: expected a list"),
        ({**INT, "multipleOf": 2**60}, [2**61], None),
        ({**INT, "multipleOf": 2**60}, [7], "✗ w is [7]: expected a list"),
    ],
)
def test_whole_numbers_of_any_length_are_compared_exactly(submit, items, typed, fault):
    text = json.dumps(typed)
    env, faults = submit(declared(["w"], w={"type": "array", "items": items}), {"w": text})

    assert (env, [one.partition(" (")[0] for one in faults]) == ((None, [fault]) if fault else ({"w": text}, []))


@pytest.mark.parametrize("width", [400, 800, 1100])
def test_no_long_name_makes_the_page_wider_than_its_window(web_page, submit, width):
    long = {**TEXT, "description": "d" * 400, "default": "v" * 400}
    submit(Task("t" * 200, "t", {"description": "s" * 500, "properties": {"p" * 150: long}}), {})
    web_page.page.set_viewport_size({"width": width, "height": 900})

    assert web_page.page.evaluate("document.documentElement.scrollWidth") == width
