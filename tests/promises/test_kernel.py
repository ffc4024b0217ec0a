"""A real kernel: streaming, interrupts, a killed kernel, background runs, no leaks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
from kernels import kernel
from workers import make_worker

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("notebooks")
    make_worker(
        home / "worker",
        {"stubborn": "bash stubborn.sh", "hostile": "python hostile.py", "secrets": "env"},
        ticks="""
            import time
            from heroku_task import task

            @task
            def ticks(n: int = 5, every: float = 1.0):
                for i in range(n):
                    print(f"tick {i}")
                    yield {"i": i}
                    time.sleep(every)
            """,
        lines="""
            from heroku_task import task

            @task
            def lines(n: int = 10_000):
                for i in range(n):
                    print(f"line {i} " + "x" * 90)
                return {"n": n}
            """,
        plots="""
            from base64 import b64decode
            from heroku_task import emit_file, metric, task

            PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

            @task
            def plots():
                with open("dot.png", "wb") as file:
                    file.write(b64decode(PNG))
                emit_file("dot.png", "../dot.png")
                emit_file("Procfile")
                metric("loss", 0.5, 1)
                metric("loss", 0.25, 2)
            """,
        fails="""
            from heroku_task import task

            @task
            def fails():
                yield {"i": 0}
                raise ValueError("no luck")
            """,
    )
    (home / "worker" / "stubborn.sh").write_text("trap '' TERM\necho ignoring\nwhile true; do sleep 1; done\n")
    (home / "worker" / "hostile.py").write_text(
        'print("<script>alert(1)</script>", "\\x1b[2J", "\\u202eevil", "\\x9b31m", "</pre><b>bold")\n'
    )
    return home


@pytest.fixture(scope="module")
def shared(folder, kernels):
    with kernel(folder) as started:
        yield started


def dynos_alive(pattern):
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False).stdout.split()


def gone(pattern, seconds=5):
    deadline = time.monotonic() + seconds
    while dynos_alive(pattern):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_one_line_cell_has_a_dataframe_as_its_value(shared):
    out = shared.run("%%heroku ticks --arg n=2 --arg every=0")

    assert out.error is None
    assert out.value.split() == ["i", "0", "0", "1", "1"]
    assert "exit 0" in out.shown
    assert "2 rows verified" in re.sub(r"<[^>]+>", "", out.shown)


def test_lines_arrive_while_the_task_runs(shared):
    sent = shared.start("%%heroku ticks --arg every=0.4")
    arrivals = {}
    for seconds, message in shared.messages(sent):
        html = message["content"].get("data", {}).get("text/html", "")
        for tick in re.findall(r"tick (\d)", html):
            arrivals.setdefault(tick, seconds)

    assert list(arrivals) == ["0", "1", "2", "3", "4"]
    moments = list(arrivals.values())
    assert all(later - earlier > 0.2 for earlier, later in pairwise(moments)), moments


def test_a_failed_task_is_an_error_output_with_its_own_message(shared):
    out = shared.run("%%heroku fails")

    name, text = out.error
    assert name == "TaskFailed"
    assert text.startswith("ValueError: no luck\n  fails.py:7  in fails")


def test_an_interrupt_stops_the_dyno_within_two_seconds(shared):
    sent = shared.start("%%heroku ticks --arg n=1000")
    time.sleep(1.2)
    began = time.monotonic()
    shared.manager.interrupt_kernel()
    messages = [message for _, message in shared.messages(sent)]

    assert time.monotonic() - began < 2
    errors = [message["content"] for message in messages if message["msg_type"] == "error"]
    assert errors[0]["ename"] == "RunCancelled"
    assert "was stopped" in errors[0]["evalue"]
    assert shared.run("%heroku ps").value == "No dyno is running."


def test_a_second_interrupt_stops_waiting_and_reports_what_still_runs(shared):
    sent = shared.start("%%heroku stubborn")
    time.sleep(1.0)
    shared.manager.interrupt_kernel()
    time.sleep(0.7)
    shared.manager.interrupt_kernel()
    errors = [m["content"] for _, m in shared.messages(sent, timeout=5) if m["msg_type"] == "error"]

    assert errors[0]["ename"] == "RunCancelled"
    assert re.search(
        r"run\.\d+ of embedded may still be running\. It ends by itself at \d\d:\d\d:\d\d", errors[0]["evalue"]
    )


def test_a_background_run_keeps_updating_its_own_cell(shared):
    sent = shared.start("run = %heroku run ticks --arg every=0.2 --bg --out later")
    first = [message for _, message in shared.messages(sent)]
    display = next(m["content"]["transient"]["display_id"] for m in first if m["msg_type"] == "display_data")
    assert shared.run("6 * 7").value == "42", "another cell runs meanwhile"

    out = shared.run("frame = run.result(); import time; time.sleep(0.3); (len(frame), len(later))")
    assert out.value == "(5, 5)"
    shown = [m for m in out.of("update_display_data") if m["transient"]["display_id"] == display]
    assert "exit 0" in shown[-1]["data"]["text/html"]
    assert out.text == ""


def test_ten_thousand_lines_are_bounded_in_the_display_and_complete_in_the_log(shared):
    out = shared.run("%%heroku lines\nn = 10_000")

    updates = out.of("update_display_data")
    assert max(len(m["data"]["text/html"].encode()) for m in updates) <= 256_000
    assert "last 1,000 of 10,000 lines" in out.shown or "of 10,000 lines" in out.shown
    assert shared.run("import heroku_magic; len(heroku_magic.last.logs().splitlines())").value == "10000"


def test_hostile_output_is_harmless(shared):
    out = shared.run("%%heroku hostile")

    assert "<script>" not in out.shown
    assert "&lt;script&gt;" in out.shown
    assert "\x1b" not in out.shown
    assert "\u202e" not in out.shown
    assert "\x9b" not in out.shown


@pytest.mark.usefixtures("kernels")
def test_the_token_and_the_log_url_appear_nowhere(folder):
    code = """
        import logging
        logging.basicConfig(level=logging.DEBUG)
        %xmode Verbose
        %heroku run ticks --arg n=1 --arg every=0
        %heroku run fails --verbose --no-raise
        run = %heroku last
        import heroku_magic
        heroku = heroku_magic.connect(local=True)
        print(vars(heroku), vars(heroku.client), vars(run), repr(list(run)))
        %heroku status
    """
    with kernel(folder) as started:
        outs = [started.run(line.strip()) for line in code.strip().splitlines()]
        outs.append(started.run("%heroku run fails --verbose"))
        outs.append(started.run("heroku.client.token = 1 / 0"))
        token = started.run("print(heroku.client._transport.token.reveal())").text.strip()
        seen = "".join(str(m["content"]) for out in outs for m in out.messages)

    assert len(token) >= 32
    assert token not in seen
    assert "stream?token=" not in seen
    assert "urllib3" in seen, "the debug log was really on"


@pytest.mark.usefixtures("kernels")
def test_a_headless_run_never_imports_ipywidgets(folder):
    with kernel(folder) as started:
        started.run("%%heroku ticks --arg n=1 --arg every=0")
        out = started.run("import sys; [m for m in ('ipywidgets', 'tornado.web') if m in sys.modules]")

    assert "ipywidgets" not in out.value


@pytest.mark.usefixtures("kernels")
def test_a_killed_kernel_takes_the_emulator_and_its_dynos_with_it(folder):
    with kernel(folder) as started:
        started.run("%heroku run ticks --arg n=100 --bg")
        started.run("%heroku run stubborn --bg")
        emulator = started.run(
            "from heroku_magic.app.emulator_process import _running; [e.process.pid for e in _running.values()]"
        ).value
        time.sleep(0.5)
        pid = int(emulator.strip("[]"))
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
        assert len(children) >= 2
        os.kill(started.manager.provisioner.process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        alive = {pid, *map(int, children)}
        while alive and time.monotonic() < deadline:
            alive = {one for one in alive if Path(f"/proc/{one}").exists() and not is_zombie(one)}
            time.sleep(0.05)

    assert not alive


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_pictures_files_and_metrics_are_returned(shared):
    output = shared.run("%%heroku plots\n")

    (picture,) = [content["data"] for content in output.of("display_data") if "image/png" in content["data"]]
    assert picture["image/png"].startswith("iVBORw0KGgo")
    summary = next(drawn["data"]["text/html"] for drawn in reversed(output.of("update_display_data")))
    assert re.search("loss [▁-█]+ 0.25", summary)
    link = r'<a download="{0}" href="data:application/octet-stream;base64,[\w+/=]+" style="[^"]+">{0}</a> \(\d+ B\)'
    assert re.search(f"files: {link.format('dot.png')}, {link.format('Procfile')}", summary)
    run = "__import__('heroku_magic').last"
    assert shared.run(f"{run}.files['dot.png'][:4], {run}.metrics['value'].tolist()").value == (
        "(b'\\x89PNG', [0.5, 0.25])"
    )
