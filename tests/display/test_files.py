"""Files of runs and sweeps on the page: pictures, and links that only download."""

from __future__ import annotations

from base64 import b64decode

import pytest
from fake_sweep import Still
from test_html import HOSTILE, attributes, read

from heroku_magic.display.attachments import AttachmentEncoder
from heroku_magic.display.html import run_html, sweep_html
from heroku_magic.display.sweep_view import SweepView
from heroku_magic.protocol.records import File
from heroku_magic.runs.events import StateChange
from heroku_magic.sweeps.outcomes import Outcome
from heroku_magic.text.plural import size_text

PNG = b"\x89PNG\r\n\x1a\n and more"
DONE = StateChange("done", 0.0, exit_status=0, seconds=1.0)


def content(url):
    kind, _, data = url.partition(";base64,")
    return kind, b64decode(data)


def test_each_file_of_a_run_has_a_link_that_downloads_it(fed):
    markup = run_html(fed(File("a.csv", b"a,b"), File("plot.png", PNG), DONE), final=True)
    assert [(one["download"], content(one["href"])) for one in attributes(markup, "a")] == [
        ("a.csv", ("data:application/octet-stream", b"a,b")),
        ("plot.png", ("data:application/octet-stream", PNG)),
    ]
    assert attributes(markup, "img") == []  # another output of the cell shows it


@pytest.mark.parametrize(
    ("name", "body"), [("x.html", b"<script>"), ("x.svg", b"<svg onload='x()'/>"), ("x.png", b"<svg/>")]
)
def test_a_page_and_a_vector_graphic_are_only_downloaded(fed, name, body):
    markup = run_html(fed(File(name, body), DONE), final=True, with_pictures=True)
    assert attributes(markup, "img") == []
    assert content(attributes(markup, "a")[0]["href"]) == ("data:application/octet-stream", body)


def test_where_no_other_output_shows_pictures_they_are_on_the_page(fed):
    markup = run_html(fed(File("plot.png", PNG), DONE), final=True, with_pictures=True)
    (picture,) = attributes(markup, "img")
    assert (picture["alt"], content(picture["src"])) == ("plot.png", ("data:image/png", PNG))


def test_a_running_run_only_names_its_files(fed):
    markup = run_html(fed(File("plot.png", PNG)), final=False, with_pictures=True)
    assert "plot.png (17 B)" in markup
    assert attributes(markup, "a") == attributes(markup, "img") == []


def test_a_file_beyond_the_limit_is_named_with_its_size(fed):
    markup = run_html(fed(File("model", bytes(900_000)), File("small", b"a"), DONE), final=True)
    assert len(markup.encode()) < 256_000
    assert [one["download"] for one in attributes(markup, "a")] == ["small"]
    assert "model (900 kB), small (1 B) · available in heroku_magic.last.files" in " ".join(read(markup).text.split())


def test_hostile_names_stay_text(fed):
    markup = run_html(fed(File(HOSTILE, b"a"), DONE), final=True)
    assert {tag for tag, _ in read(markup).tags}.isdisjoint({"script", "img"})
    assert attributes(markup, "a")[0].keys() == {"download", "href", "style"}


def test_all_files_share_one_limit():
    files = {str(number): bytes(1_000) for number in range(15)}
    links = [one.link for one in AttachmentEncoder(10_000).encode(files, with_pictures=False)]
    assert sum(map(len, links)) <= 10_000
    assert sum(map(bool, links)) == 7


@pytest.mark.parametrize(("size", "text"), [(12, "12 B"), (2_900, "3 kB"), (1_240_000, "1.2 MB")])
def test_sizes_are_shown_in_words(size, text):
    assert size_text(size) == text


def sweep(files, log=(), states=("done",)):
    ended = [
        Outcome(n, {"seed": n}, state, 1, {"dyno": f"run.{n}"}, files=files, log=log) for n, state in enumerate(states)
    ]
    still = Still(states, (("seed", len(states)),), seconds=1.0)
    still.known = lambda: ended[::-1]
    return still


def test_pictures_of_a_sweep_are_titled_by_their_parameters_in_the_order_of_the_grid():
    markup = sweep_html(SweepView(sweep({"plot.png": PNG, "a.csv": b"a"}, states=["done"] * 3), final=True))
    assert [one["alt"] for one in attributes(markup, "img")][:3] == [f"plot.png of seed={n}" for n in range(3)]
    text = " ".join(read(markup).text.split())
    assert "seed=0 · plot.png (17 B) seed=1 · plot.png" in text
    assert "files: seed=0: a.csv (1 B), seed=1: a.csv (1 B), seed=2: a.csv (1 B) · available in {one.place" in text
    assert len(attributes(markup, "a")) == 6


def test_a_running_sweep_shows_no_files_and_no_logs():
    markup = sweep_html(SweepView(sweep({"plot.png": PNG}, log=["hello"])))
    assert attributes(markup, "a") == attributes(markup, "img") == []
    assert "hello" not in markup


def test_the_log_of_each_run_is_one_click_away_failed_ones_first():
    markup = sweep_html(SweepView(sweep({}, log=["hello\r\x1b[31mlast"], states=["done", "failed"]), final=True))
    text = read(markup).text
    assert text.index("✗ seed=1 · run.1") < text.index("■ seed=0 · run.0")
    assert "hello" not in text
    assert text.count("last\n") + text.count("\nlast") >= 2


@pytest.mark.large
def test_the_logs_of_a_large_sweep_are_bounded():
    large = sweep({"f" * 300: bytes(90_000)}, log=["x" * 500] * 20, states=["done"] * 1_000)
    view = SweepView(large, final=True)
    assert len(sweep_html(view).encode()) < 1_000_000
    assert "logs of 6 runs" in read(sweep_html(view)).text
