from __future__ import annotations

import pytest

from heroku_magic.display.html import run_html
from heroku_magic.display.run_view import MAX_LINE_LENGTH, MAX_LINES, RunView
from heroku_magic.display.words import details, facts
from heroku_magic.protocol.records import File, Metric, Progress, Rows
from heroku_magic.protocol.tables import Table
from heroku_magic.runs.events import StateChange


def test_lines_of_the_dyno_and_notable_lines_of_heroku_are_visible(history, fed):
    view = fed(*history("done"))
    assert view.lines() == [
        "epoch 1 loss 0.9712",
        "heroku: Error R14 (Memory quota exceeded)",
        "epoch 2 loss 0.8804",
    ]
    assert view.line_count == 3


def test_verbose_shows_every_line_with_its_time_and_source(history, fed):
    lines = fed(*history("done"), verbose=True).lines()
    assert len(lines) == 7
    assert lines[0].startswith("2024-10-17T22:23:22.000001+00:00 app[api]: Starting process with command")
    assert lines[0].endswith("by user me@example.com")


@pytest.mark.parametrize(
    ("message", "is_seen"),
    [
        ("Error R14 (Memory quota exceeded)", True),
        ("Error L10 (output buffer overflow): 5 messages dropped", True),
        ('at=error code=H10 desc="App crashed"', True),
        ("Stopping process with SIGKILL", True),
        ("Process running mem=528M(103.3%)", False),
        ("State changed from up to complete", False),
        ("Process exited with status 0", False),
    ],
)
def test_heroku_lines_are_visible_if_they_are_notable(fed, say, message, is_seen):
    assert fed(say(message, "heroku")).lines() == [f"heroku: {message}"] * is_seen


def test_a_line_of_another_dyno_is_not_visible(fed, say):
    view = fed(StateChange("up", 0.0, dyno="run.4821"), say("ours"), say("theirs", dyno="web.1"))
    assert view.lines() == ["ours"]


def test_the_last_thousand_lines_are_kept_and_all_are_counted(fed, say):
    view = fed(*(say(f"line {number}") for number in range(1_500)))
    assert view.line_count == 1_500
    assert len(view.lines()) == MAX_LINES
    assert view.lines()[0] == "line 500"
    assert view.lines(2) == ["line 1498", "line 1499"]


def test_a_line_of_a_megabyte_is_truncated_and_marked(fed, say):
    (line,) = fed(say("x" * 1_000_000)).lines()
    assert line == "x" * MAX_LINE_LENGTH + " … truncated, 1,000,000 characters in total"


@pytest.mark.parametrize("place", range(MAX_LINE_LENGTH - 20, MAX_LINE_LENGTH + 2))
def test_no_email_address_is_cut_in_two_and_shown(fed, say, place):
    (line,) = fed(say("x " * (place // 2) + "someone@example.com" + " y" * MAX_LINE_LENGTH)).lines()
    assert "example" not in line
    (line,) = fed(say("x " * (place // 2) + " y" * (MAX_LINE_LENGTH // 2) + "someone@example.com" + "z" * 999)).lines()
    assert "example" not in line


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x9bb\x07", "a\\x9bb\\x07"),
        ("a\u202eb\u2028c", "a\\u202eb\\u2028c"),
        ("two\nlines", "two⏎lines"),
        ("by me@example.com", "by ***@***"),
        ("windows\r", "windows"),
    ],
)
def test_hostile_text_is_made_visible(fed, say, text, safe):
    change = StateChange("up", 0.0, task=text, size=text, app=text, note=text)
    view = fed(change, say(text), Progress(1, 2, text))
    assert view.lines() == [safe]
    assert view.notes == [safe]
    assert [view.fact(name) for name in ("task", "size", "app", "progress")] == [safe] * 4


def test_the_error_keeps_its_lines_and_nothing_hostile(fed):
    view = fed(StateChange("failed", 0.0, error="ValueError: \x1b[1mno\n  by me@example.com\u202e"))
    assert view.error == "ValueError: no\n  by ***@***\\u202e"


@pytest.mark.large
def test_the_texts_of_a_state_change_are_bounded(fed):
    long = "x" * 100_000
    view = fed(*(StateChange("up", 0.0, task=long, note=f"{n}{long}", error=long) for n in range(50)))
    assert len(view.fact("task")) < 200
    assert sum(map(len, view.notes)) < 5_000
    assert len(view.error) < 10_000


def test_time_runs_until_the_run_reports_its_duration(fed, clock):
    view = fed(StateChange("requested", clock.now))
    clock.now += 12
    assert view.seconds == 12
    view.feed(StateChange("done", clock.now, exit_status=0, seconds=11.5))
    clock.now += 99
    assert view.seconds == 11.5


def test_a_change_of_the_computers_time_leaves_the_time_of_a_run_alone(fed, clock):
    seconds = iter([100.0, 107.0])
    view = fed(StateChange("requested", clock.now - 2), timer=lambda: next(seconds))
    clock.now -= 3600
    assert view.seconds == 9  # two before the view was there, and seven since


def test_time_stops_at_the_end_even_without_a_reported_duration(fed, clock):
    view = fed(StateChange("requested", clock.now))
    clock.now += 3
    view.feed(StateChange("failed", clock.now))
    clock.now += 99
    assert view.seconds == 3


def test_facts_stay_until_they_are_reported_again(history, fed):
    view = fed(*history("done"))
    assert (view.state, view.exit_status, view.rows, view.verified, view.release) == ("done", 0, 200, True, 12)
    assert view.fact("dyno") == "run.4821"
    assert view.fact("app") == "embedded"


def test_rows_are_counted_as_they_arrive(fed):
    assert fed().rows is None
    assert fed(Rows([])).rows == 0
    assert fed(Rows([{"a": 1}]), Rows([{"a": 2}, {"a": 3}])).rows == 3


def test_a_note_is_kept_once(fed):
    assert fed(*[StateChange("up", 0.0, note="slow")] * 3).notes == ["slow"]


@pytest.mark.parametrize(
    ("name", "needs_attention"),
    [("done", False), ("failed", True), ("cancelled", True), ("unknown", True), ("refused", True)],
)
def test_failures_and_notes_need_the_attention_of_a_quiet_user(history, fed, name, needs_attention):
    assert fed(*history(name)).needs_attention is needs_attention


def test_the_newest_metrics_and_the_files_are_visible():
    view = RunView()
    for event in [
        Metric("loss", 0.5),
        Metric("loss", 0.25, 2),
        Metric("acc\x1b[31m", 1 / 3),
        File("plot.png", b"\x89PNG" + bytes(40_000)),
        File("<b>.txt", b""),
    ]:
        view.feed(event)

    assert view.metrics == ["loss █▁ 0.25", "acc 0.333333"]
    assert view.file_names == ["plot.png (40 kB)", "<b>.txt (0 B)"]
    assert details(view)[1] == "files: plot.png (40 kB), <b>.txt (0 B) · available in heroku_magic.last.files"
    assert "<b>.txt" not in run_html(view, final=True)


def test_a_long_table_shows_how_many_rows_have_arrived():
    view = RunView()
    view.feed(Table(300_000, {}, left=700_000))
    assert "300,000 of 1,000,000 rows" in facts(view)

    view.feed(Table(700_000, {}))
    assert "1,000,000 rows" in facts(view)
