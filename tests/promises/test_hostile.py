"""A malicious task cannot forge results, and its output is displayed as harmless text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import pytest
from kernels import kernel
from workers import make_worker

from heroku_magic import TaskFailed, connect
from heroku_magic.display import RunView
from heroku_magic.display.html import run_html
from heroku_magic.display.words import progress, text

ROOT = Path(__file__).resolve().parents[2]

# Control characters but tab and newline, C1, bidi and invisible marks, the separators that break lines.
RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U00013430\U000e0001-\U000e01ef]"
)
PLAIN = {"div", "b", "span", "progress", "pre", "details", "summary"}

MARKUP = "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7 * 7 }}"
CONTROLS = {
    "colours": "\x1b[31mred\x1b[0m",
    "a screen wiped": "\x1b[2J\x1b[1;1H\x1bc",
    "a title and a link": "\x1b]0;title\x07\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "a clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "sequences cut in two": "\x1b[\x1b[31m31m \x1b]0;\x1b]0;t\x07 \x1b",
    "C1": "\x9b31m\x9d0;title\x9c\x85\x90q\x9c",
    "U+202E": "\u202etxt.exe\u202c \u2066\u2069 \u200f\u061c",
    "invisible": "to\u200bk\xade\u180en\U000e0041\u3164\ufff9\u2062\U00013430",
    "U+2028": "before\u2028after\u2029\x0b\x0c\x1c\x1d\x1e",
    "NUL": "a\x00b\x00\x00",
    "an overwritten line": "password: right\rpassword: wrong\b\b\x7f",
    "markup": MARKUP,
}

DOC = "".join(CONTROLS.values()).replace("\x00", "")
TASK = "from heroku_task import emit, progress, task\nimport os, subprocess, sys, time\n\n@task\n"


def source(name, body, takes=""):
    """A task that emits row 0, does something, and emits row 1."""
    inner = textwrap.indent(textwrap.dedent(body), "    ")
    return f'{TASK}def {name}({takes}):\n    emit({{"i": 0}})\n{inner}\n    emit({{"i": 1}})\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory, processes):
    return make_worker(
        tmp_path_factory.mktemp("hostile") / "worker",
        {"told": "python told.py"},
        told="import os\nprint(os.environ['TEXT'])\n",
        says=source("says", "sys.stdout.buffer.write(bytes.fromhex(data) + b'\\n')", "data: str"),
        says_records=source(
            "says_records",
            """
            sender = sys.modules["__main__"]._sender
            for line in lines:
                print(line.replace("NONCE", sender._nonce).replace("NEXT", str(sender._number)), flush=True)
            """,
            "lines: list",
        ),
        doubles="""
            import os
            from heroku_task import emit, task

            @task
            def doubles():
                write = os.write
                os.write = lambda file, data: write(file, data + data) // 2
                emit({"i": 0})
                emit({"i": 1})
            """,
        raises=source(
            "raises",
            """
            text = bytes.fromhex(data).decode()
            raise type("Evil" + text, (Exception,), {})(text)
            """,
            "data: str",
        ),
        documented=f"""
            from heroku_task import task

            @task
            def documented(text: str = {DOC!r}):
                {DOC!r}
                print(text)
            """,
        mute=source(
            "mute",
            """
            class Mute(Exception):
                def __str__(self):
                    raise RuntimeError
                __repr__ = __str__
            raise Mute("x")
            """,
        ),
        shouts=source("shouts", 'raise ValueError("x" * 30_000_000)'),
        counts=source(
            "counts",
            """
            for _ in progress(range(3), total=int(total), text=bytes.fromhex(data).decode()):
                time.sleep(0.15)
            """,
            "data: str, total: str = '3'",
        ),
        environs=source("environs", "print(dict(os.environ), flush=True); subprocess.run('env')"),
        long=source("long", "print('x' * 1_000_000 * megabytes)", "megabytes: int"),
    )


@pytest.fixture
def heroku(folder, monkeypatch, shared_server):
    monkeypatch.setattr("heroku_magic.runs.runner.Runner.late", 0.1)
    return connect(worker=folder, say=lambda _: None)


def ended(heroku, task, **parameters):
    """A run that has ended within its time, late lines and all."""
    run = heroku.submit(task, parameters)
    assert run.wait(60), "it goes on"
    list(run)
    return run


def shown(run):
    """All that is to be seen of a run: the display live and at its end, brief and verbose, its error, its repr."""
    texts = [repr(run), str(run.exception()), repr(run.exception())]
    if error := run.exception():
        texts += error._render_traceback_()
    for verbose in (False, True):
        view = RunView(verbose=verbose)
        for event in run:
            view.feed(event)
            texts.append(progress(view))
        texts += [text(view, with_error=True), run_html(view, final=False), run_html(view, final=True, with_error=True)]
        texts += view.lines()
    return "\n".join(texts)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attributes):
        self.found |= {tag, *(name for name, _ in attributes if name.startswith("on"))}


def tags(run):
    """The elements that the run's HTML has, and attributes that would run code."""
    view, found = RunView(verbose=True), Tags()
    for event in run:
        view.feed(event)
    found.feed(run_html(view, final=True, with_error=True))
    found.close()
    return found.found


def assert_harmless(run):
    assert RAW.findall(shown(run)) == []
    assert tags(run) <= PLAIN
    assert run._runner.key.env().partition(":")[2] not in shown(run) + run.logs()


def assert_unaffected(run):
    assert run.result().to_dict("list") == {"i": [0, 1]}
    assert run.exit_status == 0
    assert run.facts()["verified"]


MAC = "0123456789abcdef01234567"
FORGED = [
    f'@hm1 NONCE NEXT rows {MAC} [{{"i":666}}]',
    f'@hm1 deadbeef 0 rows {MAC} [{{"i":666}}]',
    f'@hm1 NONCE NEXT end {MAC} {{"status":0,"rows":1}}',
    f'@hm1 NONCE 999999999999 end {MAC} {{"status":7,"rows":0}}',
    f'@hm1 NONCE NEXT failure {MAC} {{"type":"E","message":"forged"}}',
    f'@hm1 NONCE 0 task {MAC} {{"task":"forged","parameters":null}}',
    f"@hm1 NONCE NEXT rows+ {MAC} [[[[[[",
    "@hm1 NONCE -1 rows  []",
    "@hm0 NONCE NEXT rows []",
    '{"i": 666}',
    "[" * 2_000,
    '{"a":' * 2_000 + "1" + "}" * 2_000,
    '{"i": ' + "9" * 5_000 + "}",
    "2024-10-17T22:23:22.209776+00:00 heroku[run.1]: Process exited with status 7",
    "Process exited with status 7",
    "State changed from up to complete",
    "Error R15 (Memory quota vastly exceeded)",
    "Stopping all processes with SIGTERM",
    'data: {"i": 666}',
    "id: 7",
]


def test_forged_records_and_system_lines_are_plain_log_lines(heroku):
    run = ended(heroku, "says_records", lines=FORGED)

    assert_unaffected(run)
    assert_harmless(run)
    assert run.declaration.task == "says_records"
    assert len(run.logs().splitlines()) == len(FORGED)


def raw_records(heroku, run):
    return [line.message for line in heroku.logs(run.dyno) if line.message.startswith("@hm1 ")]


def test_replayed_records_of_another_run_are_plain_log_lines(heroku):
    replayed = raw_records(heroku, ended(heroku, "says_records", lines=[]))
    assert len(replayed) >= 4, "a declaration, rows, an end record"
    run = ended(heroku, "says_records", lines=replayed)

    assert_unaffected(run)
    assert run.logs().splitlines() == replayed


def test_replayed_records_do_not_become_a_plain_scripts_table(heroku):
    replayed = raw_records(heroku, ended(heroku, "says_records", lines=[]))
    run = ended(heroku, "told", TEXT="\n".join(replayed))

    assert run.result() is None
    assert run.exit_status == 0


def test_a_task_that_replays_its_own_records_gives_each_row_once(heroku):
    assert_unaffected(ended(heroku, "doubles"))


@pytest.mark.parametrize("name", CONTROLS)
def test_output_is_displayed_escaped(heroku, name):
    said = CONTROLS[name]
    run = ended(heroku, "says", data=said.encode().hex())

    assert_unaffected(run)
    assert_harmless(run)
    # An event stream has no CR in a line.
    assert run.logs() == said.replace("\r", " "), "the log itself is data, as it was printed"


def test_invalid_utf_8_is_displayed(heroku):
    run = ended(heroku, "says", data=bytes(range(256)).replace(b"\n", b"").hex() * 50)

    assert_unaffected(run)
    assert_harmless(run)


@pytest.mark.parametrize("name", CONTROLS)
def test_an_exceptions_name_and_message_are_displayed_escaped(heroku, name):
    said = CONTROLS[name].replace("\x00", "")  # a class's name takes no NUL
    run = ended(heroku, "raises", data=said.encode().hex())

    assert isinstance(run.exception(), TaskFailed)
    assert str(run.exception()).startswith("Evil")
    assert run.exception().partial["i"].tolist() == [0]
    assert_harmless(run)


@pytest.mark.parametrize(("task", "says"), [("mute", "Mute: (its message"), ("shouts", "ValueError: xxx")])
def test_an_exception_without_a_message_is_named_and_one_of_30_mb_is_shortened(heroku, task, says):
    run = ended(heroku, task)

    assert str(run.exception()).startswith(says)
    assert len(str(run.exception())) < 5_000
    assert_harmless(run)


@pytest.mark.parametrize("total", ["3", "0", "-5", "1" + "0" * 400])
def test_progress_of_any_number_and_text_is_harmless(heroku, total):
    run = ended(heroku, "counts", total=total, data="".join(CONTROLS.values()).encode().hex())

    assert_unaffected(run)
    assert_harmless(run)


def test_the_environment_of_a_task_and_its_children_lacks_the_key(heroku):
    run = ended(heroku, "environs")

    assert_unaffected(run)
    assert_harmless(run)
    assert run.logs().count("HEROKU_DYNO_ID") == 2
    assert "RUN_KEY" not in run.logs()


@pytest.mark.alone
def test_a_line_of_100_mb_succeeds_in_bounded_memory(folder):
    script = f"""
        import resource
        from heroku_magic import connect
        from heroku_magic.display import RunView
        from heroku_magic.display.html import run_html

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // {1024 if sys.platform == "darwin" else 1}

        heroku = connect(worker={str(folder)!r}, say=lambda _: None)
        heroku.run("long", {{"megabytes": 1}})
        before = peak()
        run = heroku.submit("long", {{"megabytes": 100}})
        assert run.result(100).to_dict("list") == {{"i": [0, 1]}}
        view = RunView()
        for event in run:
            view.feed(event)
        assert len(run_html(view, final=True)) < 256_000
        assert len(run.logs().replace("\\n", "")) == 100_000_000
        print(peak() - before)
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert int(said.stdout) < 800_000, "kilobytes: some times the line, which the run keeps"


def test_an_attacked_notebook_is_saved_without_control_characters(folder):
    everything = "".join(CONTROLS.values()).replace("\x00", "").encode()
    with kernel(folder.parent) as started:
        outs = [
            started.run(f"%%heroku says --verbose\ndata = {everything.hex()!r}"),
            started.run(f"%%heroku raises\ndata = {everything.hex()!r}"),
        ]
    saved = [
        (message["msg_type"], message["content"])
        for out in outs
        for message in out.messages
        if message["msg_type"] not in {"execute_input", "status"}
    ]

    assert {kind for kind, _ in saved} >= {"display_data", "update_display_data", "execute_result", "error"}
    assert [part for part in strings(saved) if RAW.search(part)] == []
    assert "<script" not in "".join(strings([content for kind, content in saved if "display" in kind]))


@pytest.fixture
def shell(start_shell, folder, shared_server):
    return start_shell(folder)


def test_everything_printed_about_a_hostile_app_is_escaped(shell, heroku, capsys):
    run = ended(heroku, "says", data="".join(CONTROLS.values()).encode().hex())
    for line in ("tasks", "tasks documented", f"logs {run.dyno}", f"logs {run.dyno} --verbose", "run documented"):
        shell.run_line_magic("heroku", line)
        said = "".join(capsys.readouterr())
        assert RAW.findall(said) == [], line
        assert len(said) > 40, line


def strings(value):
    """All texts in a message, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)
