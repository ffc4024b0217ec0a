"""A sweep whose cells are coloured by results."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from fake_sweep import Still
from test_html import HOSTILE, attributes, read

from heroku_magic.display.html import sweep_html
from heroku_magic.display.sweep_view import SweepView, text
from heroku_magic.display.value_scale import ValueScale, sparkline
from heroku_magic.sweeps.measure import Measure


def measured(axes, *, failed=(), name="loss", value=float, dyno="run.4821"):
    """The final view of a sweep whose runs have their place as result."""
    count = 1
    for _, length in axes:
        count *= length
    sweep = Still(["failed" if place in failed else "done" for place in range(count)], axes, seconds=9.0)
    outcomes = {
        place: SimpleNamespace(
            parameters=sweep.parameters(place),
            state="failed" if place in failed else "done",
            seconds=2.0,
            dyno=dyno,
        )
        for place in range(count)
    }
    values = {place: value(place) for place in range(count) if place not in failed}
    return lambda *, final=True: SweepView(sweep, final=final, measure=Measure(name, name, values, outcomes))


def test_two_axes_are_a_labelled_heatmap_with_numbers():
    view = measured([("region", 2), ("n", 3)], failed=[4])()
    lines = text(view).splitlines()
    assert [line.split() for line in lines[1:4]] == [["0", "1", "2"], ["eu", "0", "1", "2"], ["us", "3", "✗", "5"]]
    assert "rows: region · columns: n" in lines
    assert "loss: 0 ▁▂▃▄▅▆▇█ 5" in lines
    cells = attributes(sweep_html(view), "b")
    assert "background:#415;color:#fff" in cells[1]["style"]
    assert cells[1]["title"] == "region=eu, n=0 · loss 0 · 2.0 s · run.4821"
    assert cells[5]["title"] == "region=us, n=1 · failed · 2.0 s · run.4821"


def test_results_that_are_all_equal_are_shown_once_without_a_scale():
    view = measured([("region", 2), ("n", 3)], value=lambda _: 1.5)()
    assert "loss: 1.5" in text(view).splitlines()
    assert read(sweep_html(view)).text.count("loss: 1.5") == 1
    assert "▁▁▂▂▃▃▄▅▅▆▇█" not in sweep_html(view)


def test_a_long_first_axis_goes_across():
    view = measured([("n", 50), ("k", 4)])()
    assert (len(view.cells.rows), view.cells.width) == (4, 50)
    assert view.caption == "rows: k · columns: n"
    assert [cell.text for cell in view.cells.rows[0].cells][:1] == ["▁"]
    assert sum(span for _, span in view.cells.header) == 50


def test_one_axis_is_a_picture_and_a_strip_of_cells():
    markup = sweep_html(measured([("seed", 12)], failed=[3])())
    picture, *_ = attributes(markup, "img")
    assert picture["alt"] == "loss by seed: 11 points from 0 to 11; 1 failed"
    assert picture["src"].startswith("data:image/svg+xml;base64,")


def test_more_axes_list_the_highest_and_the_lowest_results():
    view = measured([("region", 2), ("n", 2), ("k", 2)])()
    assert [(one.rank, one.value) for one in view.extremes] == [
        *(("highest", str(value)) for value in (7, 6, 5, 4)),
        *(("lowest", str(value)) for value in (0, 1, 2, 3)),
    ]
    assert "highest region=us, n=1, k=1: 7 (2.0 s · run.4821)" in text(view)
    assert len(attributes(sweep_html(view), "tr")) == 9


@pytest.mark.parametrize("axes", [[("seed", 1_000)], [("a", 25), ("b", 40)], [("a", 10), ("b", 10), ("c", 10)]])
def test_a_thousand_results_stay_within_the_limits(axes):
    view = measured(axes, value=lambda place: place * 1.1, dyno="&" * 200)
    assert len(sweep_html(view(final=False)).encode()) < 52_000
    assert len(sweep_html(view()).encode()) < 256_000


def test_hostile_names_stay_text():
    markup = sweep_html(measured([(HOSTILE, 2), ("n", 2)], name=HOSTILE, dyno=HOSTILE)())
    assert "script" not in {tag for tag, _ in read(markup).tags}
    assert not [one for one in attributes(markup, "img") if "onerror" in one]
    line = measured([(HOSTILE, 3)], name=HOSTILE)()
    assert "<script" not in line.chart.svg()


def test_equal_and_extreme_numbers_have_a_place_on_the_scale():
    assert ValueScale.of([2.0, 2.0]).sign(2.0) == "▅"
    assert ValueScale.of([-1.7e308, 1.7e308]).sign(1.7e308) == "█"
    assert ValueScale.of([1000.1, 1000.2]).text(1000.2) == "1000.2"
    assert sparkline([1.0, float("nan"), 2.0]) == "▁ █"
    assert sparkline([float("inf")]) == ""


def test_only_a_live_picture_of_a_sweep_shows_when_it_was_drawn():
    view = measured([("seed", 3)])
    assert re.search(r"as of \d\d:\d\d:\d\d", sweep_html(view(final=False)))
    assert "as of" not in sweep_html(view())
