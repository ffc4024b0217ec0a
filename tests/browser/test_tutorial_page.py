"""The static page of a tutorial starts a task of the tutorial's app on the embedded Heroku, without any library."""

from __future__ import annotations

from pathlib import Path

import pytest
from web_page import served

PAGES = Path(__file__).parent / "pages"
WATCH_LOADER = """() => {
  window.seen = [];
  window.observer?.disconnect();
  window.observer = new MutationObserver(all => all.forEach(one => seen.push(one.oldValue === null ? "hidden" : "shown")));
  observer.observe(document.querySelector("#loader"), {attributeFilter: ["hidden"], attributeOldValue: true});
}"""


@pytest.fixture
def tutorial_app(tmp_path):
    """The app's folder as the tutorial has it: a Procfile and one script."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Procfile").write_text("serverless: python serverless-task.py\n")
    (folder / "serverless-task.py").write_text('import os\n\nprint("Hello " + os.environ.get("NAME", "World"))\n')
    return folder


def open_page(web_page, origin, heroku, *, command="serverless", key=None):
    page = web_page.page
    page.goto(f"{origin}/tutorial.html?api={heroku.url}")
    page.get_by_label("App").fill("tutorial")
    page.get_by_label("Command").fill(command)
    page.get_by_label("Key").fill(key or heroku.token)
    page.get_by_label("Name 1").fill("NAME")
    page.get_by_label("Value 1").fill("Ada")
    return page


def start(page):
    """Press Start, and wait until the loader has come and gone."""
    page.evaluate(WATCH_LOADER)
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("String(seen) == 'shown,hidden'")


def test_the_tutorials_page_runs_the_tutorials_app(web_page, embedded_heroku, tutorial_app):
    with served(PAGES) as origin:
        heroku = embedded_heroku("--app", f"tutorial={tutorial_app}", "--allow-origin", origin)
        page = open_page(web_page, origin, heroku)
        start(page)
        log = page.locator("#log").inner_text()

        assert "app[run." in log
        assert "]: Hello Ada\n" in log
        assert "State changed from up to complete" in log
        assert page.locator("#error").is_hidden()

        page.get_by_role("button", name="Add").click()
        page.get_by_label("Command").fill("echo $GREETING, $NAME")
        page.get_by_label("Name 2").fill("GREETING")
        page.get_by_label("Value 2").fill("Good evening")
        start(page)

        assert "]: Good evening, Ada\n" in page.locator("#log").inner_text()
        page.get_by_label("Key").fill("wrong")
        start(page)
        assert page.get_by_role("alert").inner_text() == "Invalid credentials provided."
        assert web_page.complaints == [
            "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
        ]


def test_a_page_whose_origin_was_not_named_gets_nothing(web_page, embedded_heroku, tutorial_app):
    with served(PAGES) as origin:
        heroku = embedded_heroku("--app", f"tutorial={tutorial_app}", "--allow-origin", "http://127.0.0.1:1")
        page = open_page(web_page, origin, heroku)
        page.get_by_role("button", name="Start").click()
        page.get_by_role("alert").wait_for()

        assert page.get_by_role("alert").inner_text() == "Failed to fetch"
        assert page.locator("#log").inner_text() == ""
