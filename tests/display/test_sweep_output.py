from __future__ import annotations

import re
import subprocess
import sys
import time

import IPython.display
import numpy as np
import pytest
from fake_sweep import CODE, Playing, Still, outcome, span
from test_html import HOSTILE, attributes, read
from test_outputs import Cell

from heroku_magic.display import sweep_output
from heroku_magic.display.html import sweep_html
from heroku_magic.display.sweep_output import SweepOutput
from heroku_magic.display.sweep_view import RateMeter, SweepView, text
from heroku_magic.sweeps.measure import Measure
from heroku_magic.sweeps.outcomes import STATES

BEGAN = 1_729_203_800.0
MIXED = ["done"] * 61 + ["failed"] * 2 + ["running"] * 20 + ["queued"] * 17
AXES = (("region", 2), ("seed", 50))


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: BEGAN + 72)


@pytest.fixture
def cell(monkeypatch):
    cell = Cell()
    monkeypatch.setattr(IPython.display, "display", cell.display)
    monkeypatch.setattr(sweep_output.outputs, "in_notebook", lambda: True)
    return cell


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(sweep_output.outputs, "in_notebook", lambda: False)


def running(states=MIXED, axes=AXES, **facts):
    told = {"size": "standard-1x", "app": "my-app", "started_at": BEGAN, "dollars": 0.007, "expected_dollars": 0.012}
    return Still(states, axes, **told | facts)


def over(states=("done",) * 100, **facts):
    return running(states, **{"seconds": 112.0, "dollars": 0.0123} | facts)


def text_of(markup):
    return " ".join(read(markup).text.split())


# -- words -------------------------------------------------------------------------------------------


def test_one_line_summarises_the_sweep():
    line, *_ = text(SweepView(running())).splitlines()
    assert line == (
        "simulate × 100 ● 61 done · 20 running · 17 queued · 2 failed · standard-1x · my-app · 1 min 12 s · "
        "$0.007 of about $0.012"
    )


def test_the_markup_contains_the_same_words():
    told = text_of(sweep_html(SweepView(running())))
    assert told.startswith("simulate × 100 ● 61 done · 20 running · 17 queued · 2 failed · standard-1x · my-app")
    assert "$0.007 of about $0.012" in told


def test_the_text_shows_cells_as_signs_with_a_row_per_value():
    lines = text(SweepView(running())).splitlines()
    assert lines[2] == "eu " + "■" * 50
    assert lines[3] == "us " + "■" * 11 + "✗" * 2 + "●" * 20 + "·" * 17
    assert lines[4:6] == ["■ done ● running · queued ✗ failed", "rows: region · columns: seed"]


def test_the_markup_without_styles_has_the_same_rows():
    assert f"\neu {'■' * 50}\nus {'■' * 11}✗✗{'●' * 20}" in "\n" + read(sweep_html(SweepView(running()))).text


def test_labels_are_padded_to_the_longest_one():
    sweep = running(["done"] * 4, (("region", 2), ("seed", 2)))
    sweep.parameters = lambda place: {"region": ["a", "long"][place // 2]}
    assert SweepView(sweep).labels == ["a    ", "long "]


def test_an_axis_of_rows_is_labelled_with_all_its_values():
    sweep = running(["done"] * 4, (("region, plan", 2), ("seed", 2)))
    sweep.parameters = lambda place: {"region": "eu", "plan": place // 2}
    assert SweepView(sweep).labels == ["eu, 0 ", "eu, 1 "]


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([], "63/100"),
        ([(0, 0)], "63/100"),
        ([(0, 0), (70, 63)], "63/100 · 0.9/s · 41 s left"),
        ([(0, 63), (70, 63)], "63/100"),
        ([(0, 0), (6_300, 63)], "63/100 · 0.6/min · 1 h 01 min left"),
        ([(0, 62), (36_000, 63)], "63/100 · 0.1/h · 370 h 00 min left"),
    ],
)
def test_rate_and_time_left_appear_once_runs_end(looks, told):
    meter = RateMeter()
    for at, ended in looks:
        meter.update(at, ended)
    assert SweepView(running(), meter).progress == told


def test_runs_that_ended_before_the_first_update_do_not_count_for_the_rate():
    meter = RateMeter()
    for at in range(10):
        meter.update(at, 50 + at)
    assert meter.rate == 1


def test_a_slow_start_is_forgotten():
    meter = RateMeter()
    for at in range(60):
        meter.update(at, 0)
    for ended in range(200):
        meter.update(60 + ended / 10, ended)
    assert meter.rate == pytest.approx(10)


@pytest.mark.parametrize(
    ("dollars", "expected", "told"),
    [
        (None, None, ""),
        (None, 1.5, "about $1.50 in total"),
        (0.0, 0.012, "$0.00 of about $0.012"),
        (0.00001, None, "less than $0.0001 at list price"),
        (0.00071, None, "$0.00071 at list price"),
        (1234.5, 2000, "$1,234.50 of about $2,000.00"),
    ],
)
def test_the_price_is_shown_as_far_as_it_is_known(dollars, expected, told):
    facts = SweepView(running(dollars=dollars, expected_dollars=expected)).facts
    assert facts[3:] == [told] * bool(told)


def test_nothing_is_invented_where_numbers_are_unknown():
    view = SweepView(Still(["queued"] * 3), RateMeter())
    assert text(view).splitlines() == ["simulate × 3 ● 3 queued · embedded", "0/3", "···", "· queued", "over seed"]
    assert "$" not in sweep_html(view)


def test_failed_runs_are_shown_with_their_parameters_and_the_end_of_their_log():
    failed = outcome({"region": "us", "seed": 13}, log=["one", "two", "three", "ValueError: no data"], attempts=3)
    view = SweepView(running(failed=[failed]))
    told = ["✗ region=us, seed=13: ValueError: no data (run.4821, 3 attempts)", "    two", "    three"]
    assert text(view).splitlines()[6:9] == told
    assert "✗ region=us, seed=13 ValueError: no data (run.4821, 3 attempts)" in text_of(sweep_html(view))
    assert "and 1 more failed; heroku_magic.last.failures() lists all" in text_of(sweep_html(view))


def test_an_indented_log_is_dedented():
    log = ["Traceback:", '  File "point.py", line 10, in point', "    raise ValueError", "ValueError: no data"]
    (failure,) = SweepView(running(failed=[outcome(log=log)])).failures
    assert failure.log == ['File "point.py", line 10, in point', "  raise ValueError"]


@pytest.mark.parametrize("error", [ValueError("no data\nTraceback"), "no data\nTraceback"])
def test_the_first_line_of_any_error_is_shown(error):
    view = SweepView(running(failed=[outcome(error=error)]))
    assert view.failures[0].error == "no data"


def test_the_slowest_run_is_shown():
    assert SweepView(running(slow=outcome({"region": "eu", "seed": 7}))).slowest == "region=eu, seed=7 (14.2 s)"
    assert SweepView(running(slow=outcome(seconds=None))).slowest == ""


def test_a_number_of_numpy_is_shown_without_its_type():
    shown = SweepView(running(slow=outcome({"region": np.float64(0.5), "seed": np.int64(7)}))).slowest
    assert shown == "region=0.5, seed=7 (14.2 s)"


@pytest.mark.parametrize(
    ("states", "mark"),
    [(["done"] * 100, "✓"), (["done"] * 99 + ["failed"], "✗"), (["done"] * 99 + ["cancelled"], "■")],
)
def test_the_final_view_has_a_mark_the_exact_time_and_the_price(states, mark):
    line = SweepView(over(states), final=True)
    assert line.mark == mark
    assert line.facts[2:] == ["1 min 52 s", "$0.012 at list price"]


def test_the_final_view_has_a_folded_timeline_in_words_and_as_a_picture():
    sweep = over(dynos=[span(BEGAN + n, BEGAN + n + 2, BEGAN + n + 12) for n in range(100)])
    markup = sweep_html(SweepView(sweep, final=True))
    (image,) = attributes(markup, "img")
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert image["alt"].startswith("Timeline of 1 min 52 s: 100 dynos, at most 12 at once, queued 49.5 s, boot 2.0 s")
    assert attributes(markup, "details") == [{}]
    assert "timeline · 100 dynos · at most 12 at once" in text_of(markup)
    assert "<progress" not in markup


def test_a_running_sweep_has_a_progress_bar_and_no_timeline():
    markup = sweep_html(SweepView(running(dynos=[span(BEGAN, None, None)])))
    (bar,) = attributes(markup, "progress")
    assert (bar["value"], bar["max"], bar["aria-label"]) == ("63", "100", "simulate, finished runs")
    assert "<img" not in markup


def test_the_cells_are_one_image_with_a_label():
    (picture,) = attributes(sweep_html(SweepView(running())), "pre")
    assert picture["role"] == "img"
    assert picture["aria-label"] == "61 done, 20 running, 17 queued, 2 failed; rows: region · columns: seed"


# -- bounds and hostility ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 100, 1_000, 100_000])
@pytest.mark.parametrize("character", ["x", "&", "\U0001f600", "\x01", "\u202e"])
@pytest.mark.large
def test_the_size_is_bounded_for_any_content(count, character):
    long = character * 100_000
    axes = ((long, 25), ("seed", count // 25)) if count > 1 else ((long, 1),)
    bad = outcome({long: long}, long, log=[long] * 50, dyno=long)
    facts = {"task": long, "app": long, "size": long, "notes": [long] * 9, "failed": [bad] * 9, "slow": bad}
    dynos = [span(BEGAN + n / 10, BEGAN + n / 10 + 1, BEGAN + n / 10 + 9) for n in range(count)]
    sweep = running(["failed"] * count, axes, **facts, dynos=dynos)
    sweep.parameters = lambda place: {long: long}
    assert len(sweep_html(SweepView(sweep)).encode()) < 64_000
    sweep.seconds = count / 10 + 9
    assert len(sweep_html(SweepView(sweep, final=True)).encode()) < 256_000


@pytest.mark.large
@pytest.mark.parametrize("state", STATES)
def test_a_thousand_cells_of_any_state_fit(state):
    assert len(sweep_html(SweepView(running([state] * 1_000, (("seed", 1_000),)))).encode()) < 52_000


def test_hostile_text_stays_text():
    bad = outcome({HOSTILE: HOSTILE}, HOSTILE, log=[HOSTILE, "\x1b[31m\u202e\u2028\x9b"], dyno=HOSTILE)
    facts = {"task": HOSTILE, "app": HOSTILE, "size": HOSTILE, "notes": [HOSTILE], "failed": [bad], "slow": bad}
    sweep = over(
        ["failed"] * 4, axes=((HOSTILE, 2), ("seed", 2)), **facts, dynos=[span(BEGAN, None, BEGAN + 1, HOSTILE)]
    )
    sweep.parameters = lambda place: {HOSTILE: HOSTILE}
    for final in (False, True):
        markup = sweep_html(SweepView(sweep, final=final))
        assert "script" not in {tag for tag, _ in read(markup).tags}
        assert not [image for image in attributes(markup, "img") if "onerror" in image]
        assert len(attributes(markup, "img")) == final
        assert HOSTILE[:50] in read(markup).text
        assert set(markup + text(SweepView(sweep))).isdisjoint("\x1b\u202e\u2028\x9b")


def test_a_command_in_a_note_is_code():
    markup = sweep_html(SweepView(running(notes=["Dynos are warm; `%heroku warm 0 <now>` stops them."])))
    assert "Dynos are warm; <code>%heroku warm 0 &lt;now&gt;</code> stops them." in markup


def test_email_addresses_are_masked():
    bad = outcome({"seed": "me@example.com"}, "by me@example.com", log=["to me@example.com"])
    sweep = running(failed=[bad], slow=bad, notes=["x" * 150 + " me@example.com"])
    assert "example" not in sweep_html(SweepView(sweep)) + text(SweepView(sweep))


def test_only_plain_elements_are_used():
    markup = sweep_html(
        SweepView(over(["failed"] * 100, failed=[outcome(log=["x"])], dynos=[span(BEGAN, None, None)]), final=True)
    )
    tags = {tag for tag, _ in read(markup).tags}
    assert tags <= {"div", "b", "span", "pre", "details", "summary", "img"}


# -- outputs -------------------------------------------------------------------------------------------


class Watched(Still):
    """A sweep that changes each time it is waited for."""

    def __init__(self, changes, clock, **facts):
        super().__init__(["queued"] * 100, AXES, **{"started_at": BEGAN} | facts)
        self.changes, self.clock = iter(changes), clock

    def wait(self, timeout):
        self.clock.now += timeout * 1.01
        change = next(self.changes, None)
        if isinstance(change, BaseException):
            raise change
        if change is None:
            self.seconds = 112.0
        else:
            self.states[:change] = bytes([CODE["done"]]) * change
        return change is None


def test_a_notebook_shows_the_sweep_in_one_output_that_changes(cell, clock, capsys):
    SweepOutput(Watched([1, 2, 3], clock), clock=clock, cpu_clock=clock).follow()
    assert cell.displays == 1
    assert len(cell.drawn) == 1 + 1 + 3 + 1
    assert "3 done" in cell.last
    assert capsys.readouterr().out == ""


def test_at_most_ten_updates_a_second(cell, clock):
    output = SweepOutput(Still(["queued"] * 100), clock=clock, cpu_clock=clock)
    for number in range(1_000):
        clock.now += 0.01
        output._sweep.states[number % 100] ^= 1
        output._refresh()
    assert 90 <= len(cell.drawn) <= 102


def test_without_changes_the_elapsed_time_moves_once_per_second(cell, clock):
    SweepOutput(Watched([0] * 50, clock), clock=clock, cpu_clock=clock).follow()
    assert 5 <= len(cell.drawn) <= 9


def test_drawing_takes_at_most_a_tenth_of_the_time(cell, clock, monkeypatch):
    output = SweepOutput(Watched([*range(1, 100)] * 10, clock), clock=clock, cpu_clock=clock)
    draw = output._draw
    monkeypatch.setattr(output, "_draw", lambda view: (draw(view), setattr(clock, "now", clock.now + 0.3)))
    began = clock.now
    output.follow()
    assert 0.3 * len(cell.drawn) < (clock.now - began) / 9


def test_loading_the_templates_delays_no_drawing(cell, clock, monkeypatch):
    output = SweepOutput(Watched([1, 2, 3], clock), clock=clock, cpu_clock=clock)
    monkeypatch.setattr(output, "_draw", draw_after(clock, output._draw, costs=[0.4]))
    output.follow()
    assert ["1 done" in drawn["text/plain"] for drawn in cell.drawn].count(True) == 1


def test_waiting_for_a_busy_processor_delays_no_drawing(cell, clock, monkeypatch):
    output = SweepOutput(Watched([1, 2, 3, 4], clock), clock=clock, cpu_clock=lambda: 0.0)
    monkeypatch.setattr(output, "_draw", draw_after(clock, output._draw, costs=[1.0] * 9))
    output.follow()
    assert len(cell.drawn) == 1 + 1 + 4 + 1


def draw_after(clock, draw, costs):
    """Drawing that takes the seconds of `costs`, one after the other, and then none."""
    left = iter(costs)

    def slow_draw(view):
        draw(view)
        clock.now += next(left, 0)

    return slow_draw


def test_an_existing_handle_is_drawn_on(cell, clock):
    SweepOutput(Watched([], clock), handle=cell, clock=clock).follow()
    assert cell.displays == 0
    assert "simulate" in cell.last


def test_after_an_interrupt_the_output_continues_in_place(cell, clock):
    output = SweepOutput(Watched([1, KeyboardInterrupt(), 2], clock), clock=clock)
    with pytest.raises(KeyboardInterrupt):
        output.follow()
    output.follow()
    assert cell.displays == 1
    assert "2 done" in cell.last


@pytest.mark.parametrize(("done", "notes", "shows"), [(100, [], False), (99, [], True), (100, ["slow today"], True)])
def test_a_quiet_notebook_shows_a_sweep_only_with_failures_or_notes(cell, clock, done, notes, shows):
    SweepOutput(Watched([50, done], clock, notes=notes), quiet=True, clock=clock).follow()
    assert len(cell.drawn) == 1 + shows


def test_a_terminal_prints_changes_every_two_seconds_and_the_summary(terminal, clock, capsys):
    changes = [*range(1, 61), *[60] * 200]
    failed = [outcome({"region": "us", "seed": 13}, log=["last words"])]
    SweepOutput(Watched(changes, clock, failed=failed), clock=clock, cpu_clock=clock).follow()
    live, end = (part.splitlines() for part in capsys.readouterr().out.split("simulate × 100 ■"))
    told = [int(line.split("/")[0].rpartition(" ")[2]) for line in live]
    assert told[0] == 0
    assert told[-1] == 60
    assert len(told) == 4
    assert live[2].endswith("/s · 6 s left")
    assert end[1:3] == ["✗ region=us, seed=13: ValueError: no data (run.4821)", "    last words"]


@pytest.fixture
def live_terminal(terminal, monkeypatch):
    """Make standard output a terminal of 80 columns, with these variables of the environment."""

    def make(**env):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        for name, value in {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "", **env}.items():
            monkeypatch.setenv(name, value)

    return make


def unpainted(text):
    return re.sub(r"\x1b\[\d+m", "", text)


def test_a_live_terminal_redraws_one_line_of_eighty_columns(live_terminal, clock, capsys):
    live_terminal()
    facts = {"task": "a-task-with-quite-a-long-name", "app": "an-app-with-a-long-name", "size": "standard-1x"}
    SweepOutput(Watched([*range(1, 101)], clock, **facts), clock=clock, cpu_clock=clock).follow()
    *drawn, end = capsys.readouterr().out.split("\r\x1b[2K")
    assert len(drawn) > 20
    assert [line for line in drawn if "\n" in line or len(unpainted(line)) > 79] == []
    assert unpainted(drawn[50]) == "a-task-with-quite-a-long-… ● 50/100 · 9.9/s · 5 s left · 1 min 12 s"
    assert end.startswith("a-task-with-quite-a-long-name × 100 \x1b[32m✓\x1b[0m \x1b[32m100 done\x1b[0m")


def test_a_note_is_printed_above_the_line_of_a_live_terminal(live_terminal, clock, capsys):
    live_terminal()
    SweepOutput(Watched([*range(1, 20)], clock, notes=["hold on"]), clock=clock).follow()
    assert capsys.readouterr().out.count("hold on\n") == 1


def test_an_interrupt_leaves_an_empty_line_of_a_live_terminal(live_terminal, clock, capsys):
    live_terminal()
    output = SweepOutput(Watched([1, KeyboardInterrupt(), 2], clock), clock=clock)
    with pytest.raises(KeyboardInterrupt):
        output.follow()
    assert capsys.readouterr().out.endswith("\r\x1b[2K")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_left_out_where_they_are_not_wanted(live_terminal, clock, capsys, name, value):
    live_terminal(**{name: value})
    SweepOutput(Watched([50, 100], clock), clock=clock).follow()
    assert "\x1b[3" not in capsys.readouterr().out


def test_a_terminal_prints_each_note_once(terminal, clock, capsys):
    SweepOutput(Watched([*range(1, 50)], clock, notes=["hold on"]), clock=clock).follow()
    assert capsys.readouterr().out.count("hold on") == 1


def test_a_terminal_says_at_the_end_why_there_is_nothing_to_plot(terminal, clock, capsys):
    class Plotted:
        def measure(self):
            return Measure("lost", "", {}, {}, problem='There is no number "lost" to plot.')

    SweepOutput(Watched([50, 100], clock, notes=["hold on"]), clock=clock, measurer=Plotted()).follow()
    shown = capsys.readouterr().out
    assert (shown.count("hold on"), shown.count("There is no number")) == (1, 1)


def test_a_terminal_gets_a_long_note_of_a_sweep_in_several_lines(live_terminal, clock, capsys):
    live_terminal()
    SweepOutput(Watched([*range(1, 20)], clock, notes=["one two three " * 10]), clock=clock).follow()
    assert sum("two" in line for line in capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(("done", "is_silent"), [(100, True), (99, False)])
def test_a_quiet_terminal_prints_only_failures(terminal, clock, capsys, done, is_silent):
    SweepOutput(Watched([50, done], clock), quiet=True, clock=clock).follow()
    assert (capsys.readouterr().out == "") is is_silent


def test_in_the_background_a_terminal_prints_only_the_end(terminal, clock, capsys):
    SweepOutput(Watched([*range(1, 100)], clock), background=True, clock=clock).follow()
    assert capsys.readouterr().out.count("simulate × 100") == 1


def test_a_terminal_prints_nothing_hostile(terminal, clock, capsys):
    nasty = "\x1b]0;title\x07\x1b[2J\u202e\x9b1m"
    bad = outcome({"seed": nasty}, nasty, log=[nasty], dyno=nasty)
    facts = {"task": nasty, "app": nasty, "failed": [bad], "slow": bad, "notes": [nasty]}
    SweepOutput(Watched([1], clock, **facts), clock=clock).follow()
    assert set(capsys.readouterr().out).isdisjoint("\x1b\x07\u202e\x9b")


def test_a_simulated_sweep_ends_complete(cell, monkeypatch):
    monkeypatch.undo()
    cell = Cell()
    SweepOutput(Playing(AXES, boot=0.01, run=0.02, bad=0.1), handle=cell).follow()
    assert "timeline · 100 dynos · at most 20 at once" in text_of(cell.last)
    assert "failed" in text_of(cell.last)


@pytest.mark.usefixtures("processes")
def test_importing_the_sweep_output_imports_nothing_heavy():
    script = (
        "import sys, heroku_magic.display.sweep_output\n"
        "heavy = {'IPython', 'jinja2', 'tqdm', 'ipywidgets', 'pandas', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
