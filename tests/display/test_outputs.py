from __future__ import annotations

import io
import subprocess
import sys
import threading
from types import SimpleNamespace

import IPython
import IPython.display
import pytest

from heroku_magic.display import RunOutput, run_output
from heroku_magic.display.outputs import INTERVAL, NotebookOutput, TerminalOutput, in_notebook, print_lines
from heroku_magic.protocol.records import Failure, Progress
from heroku_magic.runs.events import StateChange


def show(run, *, background=False, **options):
    output = RunOutput(run, background=background, **options)
    if background:
        threading.Thread(target=output.follow, daemon=True).start()
    else:
        output.follow()


class Cell:
    """Replaces IPython's display; records what is drawn, and by which thread."""

    def __init__(self):
        self.drawn = []
        self.displays = 0
        self.changed = threading.Condition()

    def display(self, bundle, *, raw, display_id):
        assert raw
        assert display_id
        self.displays += 1
        self.update(bundle, raw=raw)
        return self

    def update(self, bundle, *, raw):
        assert set(bundle) == {"text/html", "text/plain"}
        with self.changed:
            self.drawn.append(bundle | {"thread": threading.current_thread()})
            self.changed.notify_all()

    def wait_for(self, text):
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.drawn[-1]["text/html"], timeout=10)

    @property
    def last(self):
        return self.drawn[-1]["text/html"]


@pytest.fixture
def cell(monkeypatch):
    cell = Cell()
    monkeypatch.setattr(IPython.display, "display", cell.display)
    monkeypatch.setattr(run_output.outputs, "in_notebook", lambda: True)
    return cell


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(run_output.outputs, "in_notebook", lambda: False)


def joined():
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and "display" in thread.name:
            thread.join(10)


def test_a_notebook_shows_the_run_in_one_output(cell, history, replay, capsys):
    show(replay(history("done")))
    assert cell.displays == 1
    assert "exit 0" in cell.last
    assert cell.drawn[-1]["text/plain"].startswith("simulate ✓ exit 0 · run.4821")
    assert capsys.readouterr() == ("", "")


def test_at_most_ten_updates_a_second(cell, fed, say, clock):
    view, output = fed(), NotebookOutput(clock=clock)
    for _ in range(10_000):
        clock.now += 0.001
        view.feed(say("x"))
        output.update(view)
        output.tick(view)
    output.finish(view)
    assert 90 <= len(cell.drawn) <= 102


def test_a_run_that_ends_at_once_is_drawn_once(cell, fed, say, clock):
    view, output = fed(), NotebookOutput(clock=clock)
    view.feed(say("x"))
    output.update(view)
    assert [one["text/html"] for one in cell.drawn] == [""]
    output.finish(view)
    assert len(cell.drawn) == 2


def test_the_latest_event_is_drawn_while_nothing_happens(cell, fed, say, clock):
    view, output = fed(), NotebookOutput(clock=clock)
    output.update(view)
    view.feed(say("the last word"))
    output.update(view)
    assert "the last word" not in cell.last
    clock.now += INTERVAL + 0.001
    output.tick(view)
    assert "the last word" in cell.last


def test_the_elapsed_time_moves_once_a_second_while_nothing_happens(cell, fed, clock):
    view, output = fed(StateChange("up", clock.now)), NotebookOutput(clock=clock)
    for _ in range(50):
        clock.now += 0.1001
        output.tick(view)
    assert 5 <= len(cell.drawn) <= 7
    assert "4 s" in cell.last


def test_events_are_awaited_with_a_timeout(cell, history, replay):
    run = replay([*history("done")[:5], 5.0, *history("done")[5:]])
    show(run)
    assert run.timeouts == [INTERVAL]


def test_after_an_interrupt_the_output_continues_in_place(cell, history, replay):
    events = history("cancelled")
    run = replay([*events[:6], KeyboardInterrupt(), *events[6:]])
    output = RunOutput(run)
    with pytest.raises(KeyboardInterrupt):
        output.follow()
    output.follow()
    assert cell.displays == 1
    assert cell.last.count("epoch 1 ") == 1
    assert "cancelled, exit 143" in cell.last


def test_leaving_a_run_draws_its_record(cell, history, replay):
    output = RunOutput(replay([*history("done")[:6], Progress(1, 2), KeyboardInterrupt()]))
    with pytest.raises(KeyboardInterrupt):
        output.follow()
    output.leave()
    assert "up" in cell.last
    assert "<progress" not in cell.last


def test_late_lines_join_the_record_without_blocking_the_cell(cell, history, say):
    let_go = threading.Event()

    class Late:
        def events(self, timeout=None):
            yield from history("done")
            assert let_go.wait(10)
            yield say("straggler")

    show(Late())
    assert "straggler" not in cell.last
    let_go.set()
    cell.wait_for("straggler")
    assert "log, 4 lines" in cell.last


def test_a_run_in_the_background_draws_from_a_thread_and_prints_nothing(cell, history, capsys):
    may_end = threading.Event()

    class Slow:
        def events(self, timeout=None):
            assert may_end.wait(10)
            yield from history("failed")

    show(Slow(), background=True)
    assert cell.displays == 1
    assert cell.drawn[0]["thread"] is threading.current_thread()
    may_end.set()
    cell.wait_for("failed, exit 1")
    assert cell.drawn[-1]["thread"] is not threading.current_thread()
    assert "ZeroDivisionError" in cell.last
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "drawings"), [("done", 1), ("failed", 2), ("unknown", 2)])
def test_a_quiet_notebook_shows_only_failures_and_notes(cell, history, replay, name, drawings):
    show(replay(history(name)), quiet=True)
    assert len(cell.drawn) == drawings
    assert (cell.last == "") is (name == "done")


def test_a_terminal_prints_start_lines_and_end(terminal, history, replay, capsys):
    show(replay(history("done")))
    out, err = capsys.readouterr()
    start, *lines, end = out.splitlines()
    assert start.startswith("simulate · run.4821 · v12 · Standard-1X · embedded · ")
    assert lines == ["epoch 1 loss 0.9712", "heroku: Error R14 (Memory quota exceeded)", "epoch 2 loss 0.8804"]
    assert end == "simulate ✓ exit 0 · 2.1 s · 200 rows verified"
    assert err == ""


def test_a_terminal_prints_each_line_once_across_an_interrupt(terminal, history, replay, capsys):
    events = history("cancelled")
    output = RunOutput(replay([*events[:6], KeyboardInterrupt(), *events[6:]]))
    with pytest.raises(KeyboardInterrupt):
        output.follow()
    output.follow()
    out = capsys.readouterr().out
    assert out.count("epoch 1 ") == 1
    assert out.count("simulate · run.4821") == 1
    assert out.endswith("simulate ■ cancelled, exit 143 · 1 min 12 s\n")


def test_a_terminal_prints_progress_every_two_seconds(terminal, fed, clock, capsys):
    view, output = fed(), TerminalOutput(clock=clock)
    for done in range(100):
        clock.now += 0.1001
        view.feed(Progress(done, 100))
        output.update(view)
    lines = capsys.readouterr().out.splitlines()
    assert 4 <= len(lines) <= 5
    assert lines[0].startswith("19/100 · ")


@pytest.mark.usefixtures("terminal")
def test_colours_go_to_a_terminal(replay, say, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    end = StateChange("done", 0.0, exit_status=0)
    show(replay([StateChange("up", 0.0, dyno="run.4821"), say("\x1b[31mred\x1b[0m \x1b[2J"), end]))
    assert capsys.readouterr().out.splitlines()[1] == "\x1b[31mred\x1b[0m \\x1b[2J"


def test_a_file_gets_the_last_state_of_a_line(terminal, replay, say, capsys):
    bar = [say("\r1/3"), say("\r2/3"), say("\r3/3")]
    end = StateChange("done", 0.0, exit_status=0)
    show(replay([StateChange("up", 0.0, dyno="run.4821"), say("\x1b[31mred\x1b[0m \x1b[2J"), say("0/3"), *bar, end]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "red \\x1b[2J"
    assert lines[2:-1] == ["0/3", "3/3"]


TRACEBACK = ["Traceback (most recent call last):", '  File "x.py", line 1, in <module>', "ValueError: bad"]


@pytest.mark.parametrize("is_told_early", [True, False])
def test_a_terminal_leaves_the_traceback_of_a_failure_to_the_error(terminal, replay, say, capsys, is_told_early):
    failure = Failure("ValueError", "bad", [], traceback="\n".join(TRACEBACK))
    lines = [say("before"), *map(say, TRACEBACK), say("beside")]
    events = [failure, *lines] if is_told_early else [*lines, failure]
    end = StateChange("failed", 0.0, exit_status=1, error="ValueError: bad")
    show(replay([StateChange("up", 0.0, dyno="run.4821"), *events, end]))
    assert capsys.readouterr().out.splitlines()[1:3] == ["before", "beside"]


def test_a_terminal_shows_the_traceback_after_which_a_task_goes_on(terminal, clock, fed, say, capsys):
    view, output = fed(), TerminalOutput(clock=clock)
    for line in [*TRACEBACK, "one"]:
        view.feed(say(line))
        output.update(view)
    assert TRACEBACK[0] not in capsys.readouterr().out
    clock.now += 2
    view.feed(say("two"))
    output.update(view)
    view.feed(say("three"))
    output.update(view)
    output.finish(view)
    assert capsys.readouterr().out.splitlines()[:6] == [*TRACEBACK, "one", "two", "three"]


def test_a_terminal_goes_on_if_the_dyno_does_after_the_failure_of_its_task(terminal, clock, fed, say, capsys):
    view, output = fed(Failure("ValueError", "bad", [], traceback="\n".join(TRACEBACK))), TerminalOutput(clock=clock)
    for seconds, line in enumerate([*TRACEBACK, "one"]):
        clock.now += seconds
        view.feed(say(line))
        output.update(view)
    assert capsys.readouterr().out == ""
    clock.now += 5
    view.feed(say("two"))
    output.update(view)
    assert capsys.readouterr().out.splitlines() == [*TRACEBACK, "one", "two"]


def test_a_terminal_moves_its_last_line(terminal, replay, say, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    end = StateChange("done", 0.0, exit_status=0)
    show(replay([StateChange("up", 0.0, dyno="run.4821"), say("0/2"), say("\r1/2"), say("\r2/2"), say("next"), end]))
    assert "0/2\n\x1b[1A\x1b[2K1/2\n\x1b[1A\x1b[2K2/2\nnext\n" in capsys.readouterr().out


def test_a_terminal_prints_nothing_hostile(terminal, replay, say, capsys):
    nasty = "\x1b]0;title\x07\x1b[2J\u202e\x9b1m"
    end = StateChange("failed", 0.0, dyno=nasty, note=nasty, error=nasty)
    show(replay([StateChange("up", 0.0, dyno="run.4821"), say(nasty), end]))
    assert set(capsys.readouterr().out).isdisjoint("\x1b\x07\u202e\x9b")


def test_notes_are_printed_as_they_arrive(terminal, replay, capsys):
    changes = [StateChange("up", 0.0, note="one"), StateChange("up", 0.0, note="two")]
    show(replay([*changes, StateChange("done", 0.0, exit_status=0, note="three")]))
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["one", "two"]
    assert out.count("one") == out.count("two") == out.count("three") == 1


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("with_error", [False, True])
@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_the_error_of_a_run_that_will_not_raise_it(history, replay, capsys, quiet, with_error):
    RunOutput(replay(history("failed")), quiet=quiet, with_error=with_error).follow()
    assert ("ZeroDivisionError: float division by zero" in capsys.readouterr().out) is with_error


def test_a_long_note_of_a_run_is_wrapped_in_a_terminal(terminal, replay, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show(replay([StateChange("done", 0.0, exit_status=0, note="one two three " * 10)]))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 78


def test_a_long_note_of_a_background_run_is_wrapped_in_a_terminal(terminal, replay, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show(replay([StateChange("done", 0.0, exit_status=0, note="one two three " * 10)]), background=True)
    joined()
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 78


def test_a_background_run_that_the_end_of_python_stops_is_left_to_its_report(
    terminal, history, replay, capsys, monkeypatch
):
    monkeypatch.setattr(run_output.outputs, "is_ending", lambda: True)
    show(replay(history("cancelled")), background=True)
    joined()
    assert capsys.readouterr() == ("", "")


def test_a_background_run_in_a_terminal_prints_only_its_end(terminal, history, replay, capsys):
    show(replay(history("failed")), background=True)
    joined()
    out = capsys.readouterr().out
    assert out.startswith("simulate ✗ failed, exit 1 · run.4821 · v12")
    assert "ZeroDivisionError: float division by zero" in out
    assert "epoch" not in out


@pytest.mark.parametrize("name", ["done", "failed", "unknown"])
def test_a_quiet_terminal_prints_only_failures_and_notes(terminal, history, replay, capsys, name):
    show(replay(history(name)), quiet=True)
    assert (capsys.readouterr().out == "") is (name == "done")


@pytest.mark.parametrize(
    ("shell", "is_one"), [(None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=1), True)]
)
def test_a_shell_with_a_kernel_is_a_notebook(monkeypatch, shell, is_one):
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    assert in_notebook() is is_one


def test_without_ipython_there_is_no_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


@pytest.mark.large
def test_a_hundred_thousand_lines_at_full_speed_are_shown_with_few_updates(cell, history, replay, say):
    start, *_, end = history("done")
    show(replay([start, *[say("x" * 100)] * 100_000, end]))
    assert "last 1,000 of 100,000 lines" in cell.last


@pytest.mark.usefixtures("processes")
def test_importing_the_display_imports_nothing_heavy():
    script = (
        "import sys, heroku_magic.display\n"
        "heavy = {'IPython', 'jinja2', 'tqdm', 'ipywidgets', 'pandas', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_terminal_whose_encoding_lacks_a_sign_gets_it_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))

    print_lines("✓ 1·2", "plain")

    assert written.getvalue() == b"\\u2713 1\\xb72\nplain\n"
