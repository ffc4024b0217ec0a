from __future__ import annotations

from datetime import datetime
from html.parser import HTMLParser

import pytest

from heroku_magic.display.html import run_html
from heroku_magic.protocol.records import Failure, File, Progress, Rows
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
    # JupyterLab defines the classes of colours inside this one.
    assert {attributes.pop("class", "jp-RenderedText") for attributes in others} == {"jp-RenderedText"}
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
    end = StateChange("done", 0.0, exit_status=0, rows=1)
    view = fed(*(say(f"line {number}.") for number in range(5_000)), end)
    text = read(run_html(view, final=True)).text
    assert "log, last 1,000 of 5,000 lines; full log: heroku_magic.last.logs()" in text
    assert text.count("line ") == 1_000


DONE = StateChange("done", 0.0, exit_status=0, seconds=1.0)


def test_a_log_that_is_the_result_shows_twenty_lines_and_folds_the_others(fed, say):
    markup = run_html(fed(*(say(f"line {number}.") for number in range(1, 33)), DONE), final=True)
    opening, _, folded = markup.partition("<details>")
    assert [f"line {number}." in opening for number in (1, 20, 21)] == [True, True, False]
    assert "12 more lines</summary>" in folded
    assert [f"line {number}." in folded for number in (20, 21, 32)] == [False, True, True]


def test_a_short_log_that_is_the_result_has_no_fold(fed, say):
    markup = run_html(fed(say("total 0"), DONE), final=True)
    assert "total 0" in markup
    assert "<details" not in markup


@pytest.mark.parametrize("event", [Rows([{"a": 1}]), Rows([]), File("plot.png", b"\x89PNG\r\n\x1a\n")])
def test_beside_rows_or_a_picture_the_log_stays_folded(fed, say, event):
    assert "hello" not in run_html(fed(say("hello"), event, DONE), final=True).partition("<details>")[0]


def test_beside_a_file_that_is_not_a_picture_the_log_is_the_result(fed, say):
    assert "<details" not in run_html(fed(say("hello"), File("a.csv", b"a"), DONE), final=True)


def test_a_long_log_that_is_the_result_shows_its_beginning_and_its_end(fed, say):
    text = read(run_html(fed(*(say(f"line {number}.") for number in range(5_000)), DONE), final=True)).text
    assert "log, last 1,000 of 5,000 lines" in text
    assert [f"line {number}.\n" in text for number in (0, 19, 20, 3_999, 4_000, 4_999)] == [1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\x1b[31mred\x1b[0m plain", '<span class="ansi-red-fg">red</span> plain'),
        ("\x1b[1;92mok", '<span class="ansi-bold ansi-green-intense-fg">ok</span>'),
        ("\x1b[4;44mlink\x1b[24;49m.", '<span class="ansi-underline ansi-blue-bg">link</span>.'),
        ("\x1b[7mx", '<span class="ansi-inverse">x</span>'),
        ("\x1b[7;33mx", '<span class="ansi-yellow-bg">x</span>'),
        ("\x1b[30ma\x1b[37mb\x1b[97mc", "<span>a</span><span>b</span><span>c</span>"),
        ("\x1b[90mx", '<span style="color:color-mix(in srgb,currentColor 74%,transparent)">x</span>'),
        ("\x1b[90;41mx", '<span class="ansi-black-intense-fg ansi-red-bg">x</span>'),
        ("\x1b[38;5;208mx", '<span style="color:rgb(255,135,0)">x</span>'),
        ("\x1b[48;2;1;2;999mx", '<span style="background-color:rgb(1,2,255)">x</span>'),
        ("\x1b[38;5mx\x1b[38my\x1b[38;5;999mz\x1b[99999999999999999999mw", None),
        ("\x1b[31m<img src=x>", '<span class="ansi-red-fg">&lt;img src=x&gt;</span>'),
        ("\x1b[2Ja\x1b[1Ab\x1b]0;t\x07", r"\x1b[2Ja\x1b[1Ab\x1b]0;t\x07"),
        ('\x1b[31"onmouseover=x m', "\\x1b[31&#34;onmouseover=x m"),
    ],
)
def test_colours_of_a_log_are_classes_of_the_page_and_nothing_else_is_interpreted(fed, say, text, wanted):
    markup = run_html(fed(say(text), DONE), final=True)
    assert wanted is None or wanted in markup
    assert "\x1b" not in markup


def test_the_last_state_of_an_overwritten_line_is_saved(fed, say):
    view = fed(say("\x1b[32m 10 %\r 50 %\r100 %\x1b[0m\r"), say("\r1/3"), say("\r2/3"), say("\r3/3"), say("end"), DONE)
    assert view.lines() == ["3/3", "end"]
    assert "2/3" not in run_html(view, final=True)
    assert '<span class="ansi-green-fg">100 %</span>' in run_html(
        fed(say("\x1b[32m 10 %\r 50 %\r100 %\x1b[0m\r"), DONE), final=True
    )


def test_the_lines_of_the_tracebacks_are_not_shown_beside_the_error(fed, say):
    traceback = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    1 / 0\nZeroDivisionError: no\n'
    )
    first, *others = map(say, traceback.splitlines())
    end = StateChange("failed", 0.0, exit_status=1, error="ZeroDivisionError: no")
    failure = Failure("ZeroDivisionError", "no", traceback=traceback)
    view = fed(say("before"), first, say("of another stream"), *others, failure, end)
    assert view.lines() == ["before", "of another stream"]
    assert run_html(view, final=True, with_error=True).count("ZeroDivisionError: no") == 1
    late = fed(failure, end, say("before"), first, *others)
    assert late.lines() == ["before"]


def test_a_live_picture_shows_when_it_was_drawn(fed, clock):
    drawn = datetime.fromtimestamp(clock.now).astimezone().strftime("as of %H:%M:%S")
    assert drawn in run_html(fed(), final=False)
    started = fed(StateChange("starting", 0.0, dyno="run.1", app="shop"))
    assert f'·</span> <span style="white-space:nowrap">{drawn}</span>' in run_html(started, final=False)
    assert drawn in run_html(fed(), final=True)  # nobody watches it any more
    assert "as of" not in run_html(fed(DONE), final=True)


def test_a_run_without_a_log_has_no_empty_box(history, fed):
    assert "<details" not in run_html(fed(*history("refused")), final=True)


def test_the_error_is_drawn_only_where_no_exception_shows_it(history, fed):
    view = fed(*history("failed"))
    assert "ZeroDivisionError" not in run_html(view, final=True)
    assert "ZeroDivisionError: float division by zero\n" in read(run_html(view, final=True, with_error=True)).text


def test_a_command_in_a_note_is_code(fed):
    note = "run.1 is warm; `%heroku warm 0 <now>` stops it."
    markup = run_html(fed(StateChange("up", 0.0, task="hello", note=note)), final=True)
    assert "run.1 is warm; <code>%heroku warm 0 &lt;now&gt;</code> stops it." in markup


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
    assert "full log: heroku_magic.last.logs()" in markup


def test_a_truncated_line_is_marked(fed, say):
    assert "… truncated, 1,000,000 characters in total" in run_html(fed(say("x" * 1_000_000)), final=False)


def test_the_scrolling_box_is_focusable_and_labelled(fed, say):
    markup = run_html(fed(StateChange("up", 0.0, task="simulate"), say("hello"), Progress(1, 2)), final=False)
    (box,) = [attributes for tag, attributes in read(markup).tags if "tabindex" in attributes]
    assert (box["tabindex"], box["role"], box["aria-label"]) == ("0", "group", "simulate, log, 1 line")
    assert attributes(markup, "progress")[0]["aria-label"] == "simulate, progress"
