"""The form of a task as a web page in Chromium: it runs the task on an embedded Heroku and shows what came back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from web_page import served

import heroku_magic
from heroku_magic.app.connect import connect

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from workers import make_worker  # noqa: E402 - the folder has to be on the path

DRAW = """
    import base64, os, time
    from typing import Annotated, Literal, Optional
    from heroku_task import Secret, emit, emit_file, metric, progress, task

    @task
    def draw(n: Annotated[int, {"minimum": 1, "maximum": 50}] = 3, method: Literal["naive", "fast"] = "fast",
             seed: Optional[int] = None, deep: bool = False, weights: list[float] = [0.5, 1.5], token: Secret = "",
             every: float = 0.0, fail: str = ""):
        '''Draw some points.

        n: points to draw
        every: seconds between two points
        '''
        print("token is", token)
        for i in progress(range(n), text="drawing"):
            print(f"point {i}")
            metric("loss", 1 / (i + 1))
            yield {"i": i, "big": 2**60 + i, "method": method, "x": i / 4, "text": 'a "b", <c>', "w": sum(weights),
                   "seed": seed, "deep": deep, "none": None}
            time.sleep(every)
        with open("dot.png", "wb") as file:
            file.write(base64.b64decode(
                "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="))
        emit_file("dot.png")
        if fail:
            raise ValueError(f"no point for {fail}")
    """


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    return make_worker(tmp_path_factory.mktemp("page") / "worker", {"plain": "echo hello $NAME of $CITY"}, draw=DRAW)


@pytest.fixture(scope="module")
def pages(tmp_path_factory, worker):
    """A folder with the pages of two tasks, which an HTTP server of this machine serves."""
    folder = tmp_path_factory.mktemp("pages")
    heroku = connect(worker=worker, say=lambda _: None)
    heroku_magic.export_form("draw", folder / "draw.html", heroku=heroku)
    heroku_magic.export_form("plain", folder / "plain.html", {"NAME": "Ada"}, heroku=heroku)
    with served(folder) as origin:
        yield origin


@pytest.fixture
def open_page(web_page, pages, embedded_heroku, worker):
    """Return a function that opens a page for an embedded Heroku, with app and key filled in."""
    heroku = embedded_heroku("--app", f"demo={worker}", "--allow-origin", pages)

    def begin(name="draw.html"):
        page = web_page.page
        page.goto(f"{pages}/{name}?api-url={heroku.url}")
        page.get_by_label("App").fill("demo")
        page.get_by_label("Key").fill(heroku.token)
        return page

    begin.heroku, begin.web_page = heroku, web_page
    return begin


def labelled(page, name):
    return page.get_by_label(name, exact=True)


def run(page):
    page.get_by_role("button", name="Start").click()
    ended(page)


def ended(page):
    page.get_by_role("button", name="Start").wait_for()


def status(page):
    return page.get_by_role("status").inner_text()


def csv(page):
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    return Path(download.value.path()).read_bytes().decode()


def test_a_run_shows_log_rows_picture_and_its_exit_status(open_page):
    page = open_page()
    labelled(page, "n").fill("4")
    labelled(page, "method").select_option("naive")
    labelled(page, "no seed").uncheck()
    labelled(page, "seed").fill("7")
    labelled(page, "deep").check()
    labelled(page, "weights").fill("[1, 2.5]")
    labelled(page, "token").fill("hunter2 is secret")
    run(page)

    assert status(page).startswith("✓ exit 0 · 4 rows verified · run.")
    assert page.get_by_role("log").inner_text().split("\n") == ["token is ***", *(f"point {i}" for i in range(4))]
    assert page.locator("th").all_inner_texts() == ["i", "big", "method", "x", "text", "w", "seed", "deep", "none"]
    assert page.locator("tbody tr").nth(3).locator("td").all_inner_texts() == [
        "3", "1152921504606846979", "naive", "0.75", 'a "b", <c>', "3.5", "7", "true", "",
    ]  # fmt: skip
    assert csv(page).splitlines()[:2] == [
        "i,big,method,x,text,w,seed,deep,none",
        '0,1152921504606846976,naive,0,"a ""b"", <c>",3.5,7,true,',
    ]
    picture = page.get_by_role("img", name="dot.png")
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 1
    assert page.locator("#counted").inner_text() == "loss 0.25"
    assert open_page.web_page.complaints == []


def test_a_failed_run_says_why_and_keeps_its_rows(open_page):
    page = open_page()
    labelled(page, "fail").fill("Ada")
    run(page)

    assert status(page).startswith("✗ exit 1 · 3 rows verified · run.")
    shown = page.locator("#error").inner_text()
    assert "ValueError: no point for Ada\n" in shown
    assert "draw.py:" in shown
    assert page.locator("tbody tr").count() == 3


def test_stop_ends_the_dyno_and_the_button_keeps_the_keyboard(open_page):
    page = open_page()
    labelled(page, "n").fill("50")
    labelled(page, "every").fill("0.1")
    labelled(page, "every").press("Enter")
    page.get_by_text("point 2").wait_for()
    labelled(page, "n").press("Enter")
    page.get_by_text("point 4").wait_for()
    page.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    ended(page)

    assert status(page).startswith("■ stopped exit 143 · ")
    assert page.evaluate("document.activeElement.textContent") == "Start"


def test_a_task_without_a_declaration_has_rows_of_names_and_values(open_page):
    page = open_page("plain.html")
    assert labelled(page, "Value 1").input_value() == "Ada"
    labelled(page, "Name 2").fill("CITY")
    labelled(page, "Value 2").fill("Rome")
    run(page)
    assert page.get_by_role("log").inner_text() == "hello Ada of Rome"
    assert status(page).startswith("✓ exit 0 · run.")
    page.get_by_role("button", name="Add parameter").click()
    labelled(page, "Name 3").fill("Http_proxy")
    labelled(page, "Value 3").fill("x")
    page.get_by_role("button", name="Start").click()
    assert "Http_proxy cannot name a parameter: it would send" in page.get_by_role("alert").inner_text()


def shot(page, folder, name):
    page.screenshot(path=str(Path(os.environ.get("LAB_SHOTS", folder)) / f"page-{name}.png"), full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_either_theme(open_page, tmp_path, theme):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page()
    page.emulate_media(color_scheme=theme)
    labelled(page, "fail").fill("Ada")
    for width, name in ((1000, "failed"), (400, "fault")):
        page.set_viewport_size({"width": width, "height": 900})
        if name == "fault":
            labelled(page, "weights").fill("[1,")
            page.get_by_role("button", name="Start").click()
        else:
            run(page)
        found = Axe().run(page, options={"resultTypes": ["violations", "passes"]})
        assert any(one["id"] == "color-contrast" for one in found.response["passes"])
        assert [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shot(page, tmp_path, f"{name}-{theme}")
