from __future__ import annotations

import xml.etree.ElementTree as ET
from base64 import b64decode

import pytest
from fake_sweep import span

from heroku_magic.display.charts import INK, MAX_BARS, Timeline
from heroku_magic.display.words import FILLS

BEGAN = 1_729_203_800.0


def timeline(*dynos, began=BEGAN, seconds=10.0):
    """Create a timeline of (requested, up, ended[, state]), in seconds since the sweep began."""
    at = [[moment if moment is None else BEGAN + moment for moment in dyno[:3]] + [*dyno[3:]] for dyno in dynos]
    return Timeline([span(*dyno) for dyno in at], began, BEGAN + seconds)


def drawn(line):
    return ET.fromstring(line.svg()).findall("{*}path")


def paths(line):
    """Return the bars of each kind as they are drawn."""
    bars = {path.get("fill"): path.get("d") for path in drawn(line) if not path.get("fill-opacity")}
    return {tone: bars[colour] for tone, colour in FILLS.items() if colour in bars}


def test_the_facts_are_dynos_concurrency_and_median_times():
    line = timeline((0, 2, 10), (1, 2, 4), (4, 8, 9, "failed"))
    assert line.facts == ["3 dynos", "at most 2 at once", "queued 1.0 s, boot 2.0 s, run 2.0 s (medians)"]
    assert line.alt == (
        "Timeline of 10.0 s: 3 dynos, at most 2 at once, queued 1.0 s, boot 2.0 s, run 2.0 s (medians). "
        "The longest ran 8.0 s. 1 failed."
    )


def test_a_dyno_that_ends_does_not_overlap_one_that_begins_then():
    assert timeline((0, 1, 5), (5, 6, 9)).peak == 1


def test_bars_are_in_request_order_and_show_the_phases():
    bars = paths(timeline((5, 6, 10), (0, 1, 5)))
    assert bars["boot"] == "M56.0 0.0h65v9.6h-65zM381.0 12.0h65v9.6h-65z"  # a second of ten is 65 pixels
    assert bars["queue"] == "M56.0 12.0h325v9.6h-325z"
    assert bars["done"] == "M121.0 0.0h260v9.6h-260zM446.0 12.0h260v9.6h-260z"


def test_nothing_is_invented_where_times_are_unknown():
    line = timeline((0, None, 5), (1, None, None, "running"), began=None)
    assert line.facts == ["2 dynos", "at most 2 at once"]
    assert "1 still running" in line.alt
    assert "The boot times of 2 are unknown." in line.alt
    assert paths(line).keys() == {"done", "running"}


@pytest.mark.parametrize("state", ["retried", "failed"])
def test_a_failed_attempt_is_red(state):
    assert "failed" in paths(timeline((0, 1, 5, state)))


def test_contradictory_clocks_draw_nothing_backwards():
    svg = timeline((5, 3, 4), (-2, -3, 20)).svg()
    assert "h-0" not in svg
    assert not [path for path in svg.split("M") if path.partition("h")[2].startswith("-")]


@pytest.mark.parametrize(("count", "each"), [(1, 1), (300, 1), (301, 2), (1_000, 4), (100_000, 334)])
@pytest.mark.large
def test_many_dynos_share_bars_and_the_size_is_bounded(count, each):
    line = timeline(*((n / 100, n / 100 + 1, n / 100 + 9) for n in range(count)), seconds=count / 100 + 9)
    assert line.dynos_per_bar == each
    assert ("Each bar stands for" in line.alt) is (each > 1)
    assert paths(line)["boot"].count("M") <= MAX_BARS
    assert len(line.source) < 64_000


def test_a_shared_bar_spans_its_dynos_and_shows_the_worst():
    dynos = [(n / 10, n / 10 + 1, n / 10 + 2) for n in range(599)]
    line = timeline(*dynos, (59.9, 60, 95, "failed"), seconds=100)
    assert paths(line)["failed"].count("M") == 1


def test_the_thinned_curve_keeps_its_peak_and_falls_again():
    line = timeline(*((n / 1_000, None, n / 1_000 + 0.5) for n in range(1_000)), (90, None, 100), seconds=100)
    (curve,) = [path.get("d") for path in drawn(line) if path.get("fill-opacity")]
    heights = [float(step.partition("H")[0].rstrip("z")) for step in curve.split("V")[1:]]
    assert heights.count(min(heights)) < 5
    assert heights[200] == max(heights)  # nobody was there at 55 s


def test_the_source_is_an_image_without_scripts():
    kind, _, data = timeline((0, 1, 2)).source.partition(",")
    assert kind == "data:image/svg+xml;base64"
    names = {element.tag.partition("}")[2] for element in ET.fromstring(b64decode(data)).iter()}
    assert names <= {"svg", "path", "text"}


def test_without_dynos_there_is_no_timeline():
    assert not timeline()
    assert timeline().svg()


def light(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("colour", [INK, *(tone for name, tone in FILLS.items() if name != "queue")])
def test_colours_contrast_with_a_light_and_with_a_dark_page(colour):
    assert 1.05 / (light(colour) + 0.05) >= 3
    assert (light(colour) + 0.05) / (light("#111111") + 0.05) >= 3
