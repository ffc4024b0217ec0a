"""The form of a task as a web page in Chromium: it runs the task on an embedded Heroku and shows what came back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import requests
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
        yield SimpleNamespace(origin=origin, folder=folder)


@pytest.fixture(scope="module")
def heroku(pages, worker, processes):
    """One embedded Heroku that accepts the pages, for all tests."""
    command = [sys.executable, "-m", "heroku_magic.emulator", "--app", f"demo={worker}", "--allow-origin", pages.origin]
    command += ["--allow-origin", "null"]
    with subprocess.Popen(
        [*command, "--until-stdin-closes", "--parent", str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        exports = dict(re.findall(r"export (\w+)=(\S+)", os.read(process.stdout.fileno(), 65_536).decode()))
        yield SimpleNamespace(url=exports["HEROKU_HOST"], token=exports["HEROKU_API_KEY"])
        process.stdin.close()


@pytest.fixture
def open_page(web_page, pages, heroku):
    """Return a function that opens a page for the embedded Heroku, with app and key filled in."""

    def begin(name="draw.html", *, is_file=False):
        page = web_page.page
        page.goto(f"{pages.folder.as_uri() if is_file else pages.origin}/{name}?api-url={heroku.url}")
        page.get_by_label("App").fill("demo")
        page.get_by_label("Key").fill(heroku.token)
        return page

    begin.heroku, begin.web_page = heroku, web_page
    yield begin
    put_faults(heroku, {})


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


def test_a_double_click_on_start_starts_one_run_and_does_not_stop_it(open_page):
    page = open_page()
    labelled(page, "every").fill("0.1")
    page.get_by_role("button", name="Start").dblclick()
    page.get_by_role("status").filter(has_text="exit").wait_for()
    assert status(page).startswith("✓ exit 0 · 3 rows verified · run.")


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


def test_a_page_from_a_file_has_rows_of_names_and_values_for_a_task_without_a_declaration(open_page):
    page = open_page("plain.html", is_file=True)
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


def alert(page):
    return page.locator("#error").inner_text()


def test_errors_are_sentences(open_page):
    page = open_page()
    labelled(page, "Key").fill("wrong-key")
    run(page)
    assert alert(page) == "Heroku does not accept this key. Check it, or make a new one with %heroku login."
    assert status(page).startswith("✗ did not start · ")
    labelled(page, "Key").fill(open_page.heroku.token)
    labelled(page, "App").fill("other app")
    run(page)
    assert alert(page) == 'The app "other app" was not found: Couldn\'t find that app.'
    labelled(page, "App").fill("")
    labelled(page, "n").fill("51")
    labelled(page, "weights").fill('["a"]')
    labelled(page, "token").fill("abc")
    page.get_by_role("button", name="Start").click()
    assert [text for text in page.locator(".fault").all_inner_texts() if text] == [
        "✗ n is 51: expected a whole number from 1 up to 50.",
        '✗ weights is ["a"]: expected a list (list[float]).',
        "✗ token needs at least 4 characters, or it cannot be masked in the output.",
        "✗ The app is missing: expected the name of a Heroku app.",
    ]
    assert page.evaluate("document.activeElement.id") == "value-0"


@pytest.mark.parametrize(
    "query",
    [
        "api-url=https://evil.example", "api-url=http://127.0.0.1:{port}@evil.example", "api-url=http://127.0.0.1",
        "api-url=http://127.0.0.1:{port}/apps", "api-url=", "api-url=http://127.0.0.1:70000",
        "api-url=http://127.0.0.1:{port}&api-url=http://evil.example:80", "api-url=javascript:alert(1)",
    ],
)  # fmt: skip
def test_a_page_with_another_address_says_so_and_starts_nothing(web_page, pages, query):
    web_page.page.goto(f"{pages.origin}/draw.html?{query.format(port=5001)}")
    assert "is not an address of an embedded Heroku" in alert(web_page.page)
    assert web_page.page.get_by_role("button", name="Start").is_disabled()


def test_a_browser_that_cannot_check_results_starts_nothing(web_page, pages):
    web_page.page.add_init_script("Object.defineProperty(crypto, 'subtle', {value: undefined})")
    web_page.page.goto(f"{pages.origin}/draw.html")
    assert alert(web_page.page).startswith("This browser cannot check results here, so nothing can be started")
    assert web_page.page.get_by_role("button", name="Start").is_disabled()


def test_without_an_address_the_page_names_heroku(web_page, pages):
    web_page.page.goto(f"{pages.origin}/draw.html")
    assert web_page.page.locator("#target").inner_text().startswith("Runs on https://api.heroku.com. The dyno ends")
    assert web_page.page.locator("#start").is_enabled()


def test_closing_the_page_stops_the_dyno_and_nothing_is_stored(open_page):
    page = open_page()
    bodies = []
    page.on(
        "request", lambda request: bodies.append(request.post_data_json) if request.url.endswith("/dynos") else None
    )
    labelled(page, "n").fill("50")
    labelled(page, "every").fill("1")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("point 1").wait_for()
    assert len(dynos(open_page.heroku)) == 1
    assert [body["time_to_live"] for body in bodies if body] == [600]
    assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])") == '[{},{},""]'
    page.close(run_before_unload=True)
    wait_until(lambda: dynos(open_page.heroku) == [])


def dynos(heroku):
    headers = {"Accept": "application/vnd.heroku+json; version=3", "Authorization": f"Bearer {heroku.token}"}
    return requests.get(f"{heroku.url}/apps/demo/dynos", headers=headers, timeout=20).json()


def wait_until(condition):
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "faults",
    ["reset-after-create", "json-500-after-create", "cut-stream", "double-lines", "drop-lines", "no-exit-line"],
)
def test_a_run_survives_faults_of_the_platform(open_page, faults):
    page = open_page()
    values = {faults: {"drop-lines": 0.2, "cut-stream": 0.5}.get(faults, 1)}
    put_faults(open_page.heroku, values)
    labelled(page, "n").fill("30")
    labelled(page, "every").fill("0.01")
    run(page)

    assert status(page).startswith("✓ exit 0 · 30 rows verified · run.")
    assert [line.split(",")[0] for line in csv(page).splitlines()[1:]] == [str(number) for number in range(30)]
    assert page.get_by_role("log").inner_text().count("point 7\n") == (2 if faults == "double-lines" else 1)


@pytest.fixture
def platform(web_page, pages):
    """Open a page whose requests a function answers with (status, answer); return its page and the requests."""
    requested = []

    def begin(answer, name="plain.html"):
        def handle(route):
            request = route.request
            path = urlsplit(request.url).path.removeprefix("/apps/demo")
            requested.append((request.method, path))
            status, body = answer(request.method, path)
            text = body if isinstance(body, str) else json.dumps(body)
            route.fulfill(status=status, body=text, headers={"Access-Control-Allow-Origin": "*"})

        page = web_page.page
        page.add_init_script(
            "{ const wait = setTimeout; globalThis.setTimeout = (call, time) => wait(call, time / 50); }"
        )
        page.route("http://127.0.0.1:9/**", handle)
        page.goto(f"{pages.origin}/{name}?api-url=http://127.0.0.1:9")
        page.get_by_label("App").fill("demo")
        page.get_by_label("Key").fill("a-key-of-the-account")
        run(page)
        return page

    begin.requested = requested
    return begin


DYNO = {"name": "run.7", "command": "plain"}
STOP = ("POST", "/dynos/run.7/actions/stop")


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (200, "The dyno run.7 was stopped."),
        (404, None),
        (403, "The dyno run.7 could not be stopped. It ends by itself after 10 min at the latest."),
    ],
)
def test_a_dyno_whose_log_cannot_be_read_is_stopped_or_named(platform, refusal, sentence):
    answers = {"/dynos": (201, DYNO), "/log-sessions": (403, {"message": "no logs for a-key-of-the-account"})}
    page = platform(lambda _, path: answers.get(path, (refusal, {})))
    assert alert(page).split("\n\n") == [
        "This key may not do this: no logs for ***", *([sentence] if sentence else []),
    ]  # fmt: skip
    assert platform.requested.count(STOP) == 1


@pytest.mark.parametrize(
    ("listed", "is_known"), [((200, []), True), ((403, {}), False), ((200, "{"), False), ((200, "[]\n<p>"), False)]
)
def test_a_dyno_that_may_have_started_is_mentioned(platform, listed, is_known):
    page = platform(lambda method, _: (201, "{") if method == "POST" else listed)
    assert status(page).startswith("✗ did not start · " if is_known else "✗ start unknown · ")
    unknown = "A dyno may have started all the same. It ends by itself after 10 min at the latest."
    assert alert(page).split("\n\n") == [
        "The answer about the new dyno cannot be read.", *([] if is_known else [unknown]),
    ]  # fmt: skip
    assert platform.requested.count(("POST", "/dynos")) == 1


def test_an_answer_of_null_is_no_dyno(platform):
    page = platform(lambda method, _: (201, "null") if method == "POST" else (200, [{**DYNO, "command": "other"}]))
    assert alert(page) == "The answer about the new dyno cannot be read."


@contextmanager
def redirecting(reached):
    """Serve on one origin redirects to another one, which notes what reaches it; return the first one."""

    class Open(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_redirected = self.command == "POST" and self.server is servers[0]
            if self.server is servers[1]:
                reached.append(self.command)
            self.send_response(307 if is_redirected else 200)
            for name in ("Origin", "Headers", "Methods"):
                value = "authorization, content-type" if name == "Headers" else "*"
                self.send_header(f"Access-Control-Allow-{name}", value)
            if is_redirected:
                self.send_header("Location", f"http://127.0.0.1:{servers[1].server_port}{self.path}")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        do_OPTIONS = do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_):
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Open) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{servers[0].server_port}"
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_redirect_is_not_followed_to_another_host(web_page, pages):
    reached, page = [], web_page.page
    with redirecting(reached) as url:
        page.goto(f"{pages.origin}/plain.html?api-url={url}")
        page.get_by_label("App").fill("demo")
        page.get_by_label("Key").fill("a-key-of-the-account")
        run(page)
    assert reached == []
    assert alert(page).startswith(f"{url} cannot be reached.")


def log_of(*messages):
    return "".join(f"2026-01-02T03:04:05.{number:06}+00:00 {one}\n" for number, one in enumerate(messages))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (["heroku[run.7]: Starting process with command `plain`", 'app[run.7]: {"i": 2}'], "Heroku ran the task twice"),
        (["heroku[logplex]: Error L10 (output buffer overflow): 5 messages dropped"], "lines of the log were lost"),
        (["app[run.7]: Error L10 is what the task prints"], None),
    ],
)
def test_printed_rows_that_may_be_wrong_are_not_trusted(platform, messages, reason):
    start, row, end = (
        "heroku[run.7]: Starting process with command `plain`",
        'app[run.7]: {"i": 1}',
        "heroku[run.7]: Process exited with status 0",
    )
    answers = {
        "/dynos": (201, DYNO), "/log-sessions": (201, {"logplex_url": "http://127.0.0.1:9/log"}),
        "/log": (200, log_of(start, row, *messages, end)),
    }  # fmt: skip
    page = platform(lambda _, path: answers.get(path, (404, {})))
    assert alert(page).startswith(f"The rows cannot be trusted: {reason}") if reason else alert(page) == ""
    assert status(page).startswith("✗ exit 0" if reason else "✓ exit 0 · 1 row, not verified")


def test_a_log_shows_no_key_and_no_hidden_marks(platform):
    answers = {
        "/dynos": (201, DYNO), "/log-sessions": (201, {"logplex_url": "http://127.0.0.1:9/log"}),
        "/log": (200, log_of(
            f"app[run.7]: RUN_KEY=hm-0123abcd:{'5' * 64}", "app[run.7]: a\u202eb a-key-of-the-account",
            "heroku[run.7]: Process exited with status 0",
        )),
    }  # fmt: skip
    page = platform(lambda _, path: answers.get(path, (404, {})))
    assert page.get_by_role("log").inner_text() == "RUN_KEY=hm-0123abcd:***\na\\u202eb ***"


def put_faults(heroku, values):
    headers = {"Accept": "application/vnd.heroku+json; version=3", "Authorization": f"Bearer {heroku.token}"}
    answer = requests.put(
        f"{heroku.url}/emulator/faults", headers=headers, json={"faults": values, "seed": 1}, timeout=20
    )
    assert answer.status_code == 200, answer.text


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
