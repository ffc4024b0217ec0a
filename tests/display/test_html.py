from __future__ import annotations

from html.parser import HTMLParser

import pytest

from heroku_magic.display.html import run_html
from heroku_magic.protocol.records import Progress, Rows
from heroku_magic.runs.events import StateChange

HOSTILE = "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)> \" ' & {{ 7 * 7 }}"


class Reader(HTMLParser):
    """What is left when a site strips all styles, classes and scripts."""

    def __init__(self):
        super().__init__()
        self.tags = []
        self.text = ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


def attributes(markup, wanted):
    return [attributes for tag, attributes in read(markup).tags if tag == wanted]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("done", ["simulate", "exit 0", "run.4821", "v12", "Standard-1X", "embedded", "2.1 s", "200 rows verified"]),
        ("failed", ["simulate", "failed, exit 1", "17 rows kept in .partial", "at 17/200"]),
        ("cancelled", ["cancelled, exit 143", "1 min 12 s", "heroku: Stopping all processes with SIGTERM"]),
        ("unknown", ["done, exit status unknown", "1 row, not verified", "The exit status is unknown"]),
        ("refused", ["simulate", "failed", "my-app"]),
    ],
)
def test_the_text_alone_carries_the_meaning(history, fed, name, words):
    text = " ".join(read(run_html(fed(*history(name)), final=True)).text.split())
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("final", [False, True])
def test_only_plain_elements_are_used_and_no_script_and_no_class_but_those_that_keep_mathjax_out(history, fed, final):
    tags = read(run_html(fed(*history("failed")), final=final, with_error=True)).tags
    assert {tag for tag, _ in tags} <= {"div", "b", "span", "progress", "pre", "details", "summary"}
    first, *others = [attributes for _, attributes in tags]
    assert first.pop("class") == "tex2jax_ignore mathjax_ignore"
    assert {name for attributes in [first, *others] for name in attributes} <= {
        "style", "role", "tabindex", "aria-label", "value", "max", "open",
    }  # fmt: skip


def test_a_running_run_shows_progress_and_the_last_200_lines(fed, say):
    view = fed(Progress(124, 200), *(say(f"line {number}.") for number in range(500)))
    markup = run_html(view, final=False)
    assert attributes(markup, "progress")[0]["value"] == "124"
    assert "line 499." in markup
    assert "line 300." in markup
    assert "line 299." not in markup
    assert "<details" not in markup


def test_progress_of_unknown_length_has_no_value(fed):
    assert "value" not in attributes(run_html(fed(Progress(5)), final=False), "progress")[0]


@pytest.mark.parametrize(("name", "is_open"), [("done", False), ("failed", True), ("cancelled", True)])
def test_the_log_is_folded_after_success_and_open_after_failure(history, fed, name, is_open):
    (details,) = attributes(run_html(fed(*history(name)), final=True), "details")
    assert ("open" in details) is is_open


def test_a_truncated_log_says_how_long_it_is_and_where_to_find_it(fed, say):
    end = StateChange("done", 0.0, exit_status=0)
    view = fed(*(say(f"line {number}.") for number in range(5_000)), end)
    text = read(run_html(view, final=True)).text
    assert "log, last 1,000 of 5,000 lines; full log: run.logs()" in text
    assert text.count("line ") == 1_000


def test_a_run_without_a_log_has_no_empty_box(history, fed):
    assert "<details" not in run_html(fed(*history("refused")), final=True)


def test_the_error_is_drawn_only_where_no_exception_shows_it(history, fed):
    view = fed(*history("failed"))
    assert "ZeroDivisionError" not in run_html(view, final=True)
    assert "ZeroDivisionError: float division by zero\n" in read(run_html(view, final=True, with_error=True)).text


@pytest.mark.parametrize("final", [False, True])
def test_hostile_text_stays_text(fed, say, final):
    state = "failed" if final else "up"
    change = StateChange(state, 0.0, task=HOSTILE, app=HOSTILE, size=HOSTILE, note=HOSTILE, error=HOSTILE)
    view = fed(change, Progress(1, 2, HOSTILE), say(HOSTILE), say("\x1b[31m\u202e\u2028\x9b"))
    markup = run_html(view, final=final, with_error=True)
    assert {tag for tag, _ in read(markup).tags}.isdisjoint({"script", "img"})
    assert HOSTILE in read(markup).text
    assert set(markup).isdisjoint("\x1b\u202e\u2028\x9b")


@pytest.mark.large
@pytest.mark.parametrize("character", ["x", "&", "\U0001f600", "\x01", "\u202e"])
@pytest.mark.parametrize(("final", "size"), [(False, 64_000), (True, 256_000)])
def test_the_size_is_bounded_for_any_content(fed, say, character, final, size):
    long = character * 100_000
    changes = [
        StateChange("up", 0.0, task=long, dyno="run.4821", app=long, size=long, note=f"{n}{long}") for n in range(9)
    ]
    end = StateChange("failed" if final else "up", 0.0, error=long)
    view = fed(*changes, *[say(long)] * 1_200, Rows([{}] * 99), Progress(10**18, 10**18 + 1, long), end)
    markup = run_html(view, final=final, with_error=final)
    assert len(markup.encode()) < size
    assert "full log: run.logs()" in markup


def test_a_truncated_line_is_marked(fed, say):
    assert "… truncated, 1,000,000 characters in total" in run_html(fed(say("x" * 1_000_000)), final=False)


def test_the_scrolling_box_is_focusable_and_labelled(fed, say):
    markup = run_html(fed(StateChange("up", 0.0, task="simulate"), say("hello"), Progress(1, 2)), final=False)
    (box,) = [attributes for tag, attributes in read(markup).tags if "tabindex" in attributes]
    assert (box["tabindex"], box["role"], box["aria-label"]) == ("0", "region", "simulate, log, 1 line")
    assert attributes(markup, "progress")[0]["aria-label"] == "simulate, progress"
