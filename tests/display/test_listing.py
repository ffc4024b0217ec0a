from __future__ import annotations

import time

import pandas as pd
import pytest
from test_html import HOSTILE, attributes, read

from heroku_magic.display.listing import Listing, facts_bundle, shown_cell, shown_value, task_bundle, tasks_bundle
from heroku_magic.protocol.task import Task

TABLE = pd.DataFrame({"dyno": ["run.1", "web.1"], "since": ["2026-03-01T10:30:00Z"] * 2, "run": ["hm-1", None]})


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def listing(table=TABLE, **options):
    return Listing.of(table, title="dynos", cell=lambda row: f"%heroku stop {row.dyno}", **options)


def test_a_listing_is_a_table_with_a_cell_to_paste_per_row():
    assert repr(listing()).splitlines() == [
        "dyno   since             run",
        "run.1  2026-03-01 10:30  hm-1  %heroku stop run.1",
        "web.1  2026-03-01 10:30        %heroku stop web.1",
    ]
    markup = listing()._repr_html_()
    assert [one["style"] for one in attributes(markup, "code")] == ["user-select:all"] * 2
    assert "%heroku stop web.1" in read(markup).text


def test_names_and_times_are_not_broken_at_their_hyphens():
    markup = listing()._repr_html_()
    for word in ("2026-03-01", "10:30", "hm-1"):
        assert f'<span style="white-space:nowrap">{word}</span>' in markup


def test_a_listing_keeps_its_values_and_what_is_made_of_it_is_a_usual_table():
    assert listing()["since"].tolist() == TABLE["since"].tolist()
    assert type(listing()[["dyno"]]) is pd.DataFrame
    assert type(listing().copy()) is pd.DataFrame


def test_a_time_of_any_resolution_is_a_local_time_without_a_fraction(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    moment = pd.Timestamp("2026-03-01T10:30:59.123456789Z")
    assert shown_value(moment) == "2026-03-01 12:30"
    assert shown_value(moment.tz_convert("Asia/Tokyo")) == "2026-03-01 12:30"
    assert shown_value(pd.Timestamp("2026-03-01T10:30:59.5")) == "2026-03-01 10:30"
    assert shown_value(pd.NaT) == ""


def test_an_empty_listing_is_a_sentence():
    empty = listing(TABLE[:0], sentence="No dyno is running.")
    assert repr(empty) == "No dyno is running."
    assert read(empty._repr_html_()).text.strip() == "No dyno is running."
    assert empty.empty


def test_a_long_listing_is_bounded():
    markup = listing(pd.concat([TABLE] * 500))._repr_html_()
    assert markup.count("<tr>") == 201
    assert "and 800 more" in markup


def test_hostile_names_stay_text():
    markup = listing(pd.DataFrame({"dyno": [HOSTILE]}))._repr_html_()
    assert {tag for tag, _ in read(markup).tags}.isdisjoint({"script", "img"})


def test_facts_are_a_line_each():
    bundle = facts_bundle({"app": "shop", "release": "v3"}, "status")
    assert bundle["text/plain"] == "app      shop\nrelease  v3"
    assert (
        attributes(bundle["text/html"], "th") == [{"scope": "row", "style": "text-align:left;white-space:nowrap"}] * 2
    )


SCHEMA = {
    "description": "Count.\nMore of it.",
    "properties": {"n": {"type": "integer", "default": 1, "maximum": 9, "description": "how many"}},
}


def test_tasks_are_shown_with_what_they_take_and_a_cell_to_paste():
    bundle = tasks_bundle([Task("count", "python -m heroku_task count", SCHEMA), Task("hello", "echo hello", None)])
    assert bundle["text/plain"].splitlines()[:3] == ["count(n: int = 1)", "    Count.", "    %%heroku count --arg n=1"]
    assert "%%heroku hello" in read(bundle["text/html"]).text


def test_one_task_is_shown_with_all_its_parameters():
    text = read(task_bundle(Task("count", "python -m heroku_task count", SCHEMA))["text/html"]).text
    for part in ("More of it.", "n: int = 1", "up to 9; how many", "Runs python -m heroku_task count"):
        assert part in text


def test_an_app_without_tasks_is_described_in_a_sentence():
    assert tasks_bundle([])["text/html"] == "The app has no tasks. %heroku init creates a folder with one."


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [("dollars", 9.645e-07, "0.0000"), ("seconds", 0.125, "0.1"), ("dollars", None, ""), ("n", 9.645e-07, "9.645e-07")],
)
def test_dollars_and_seconds_have_the_same_digits_in_every_row(column, value, shown):
    assert shown_cell(column, value) == shown
    assert repr(Listing.of(pd.DataFrame({column: [value]}))).splitlines()[1:] == [shown][: len(shown)]
