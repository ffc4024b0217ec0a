"""A scripted run in a real notebook: what the user sees, and what is saved."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.browser

# Runs in the kernel: a run with scripted events, at a given number of lines per second.
SCRIPTED = """
import threading
import time
from heroku_magic.display import RunOutput
from heroku_magic.runs.events import StateChange
from heroku_magic.api.log_lines import LogLine
from heroku_magic.protocol.records import Progress, Rows


def show(run, *, background=False):
    output = RunOutput(run, background=background)
    if background:
        threading.Thread(target=output.follow, daemon=True).start()
    else:
        output.follow()


class Scripted:
    def __init__(self, lines=4, *, pace=None, total=None, state="done", hold=0.0, text="epoch {} loss 0.0{}", **facts):
        self.cancelled = False
        self.told = []
        self.script = self.write(lines, pace, total, hold, text, facts | {"state": state})

    def write(self, lines, pace, total, hold, text, facts):
        began = time.time()
        yield StateChange("requested", began, task="simulate", app="embedded")
        yield StateChange("starting", began, dyno="run.4821", size="Standard-1X", release=12, ends_at=began + 3600)
        yield StateChange("up", began)
        for number in range(1, lines + 1):
            while pace and time.time() < began + number / pace and not self.cancelled:
                time.sleep(0.01)
                yield None
            if self.cancelled:
                break
            yield LogLine("2024-10-17T22:23:22.209776+00:00", "app", "run.4821", text.format(number, number * 7919 % 997))
            if total:
                yield Progress(number, total)
        held = time.time()
        while time.time() < held + hold and not self.cancelled:
            time.sleep(0.05)
            yield None
        if self.cancelled:
            facts = {"state": "cancelled", "exit_status": 143, "rows": 17}
        yield StateChange(at=time.time(), **{"exit_status": 0, "rows": 200, "verified": True, "release": 12} | facts)

    def events(self, timeout=None):
        yield from list(self.told)
        for event in self.script:
            if event is not None:
                self.told.append(event)
            yield event
"""
IMPORTS = "from scripted import RunOutput, Scripted, show"


@pytest.fixture
def notebook(lab):
    """Open a notebook whose first cell, already run, imports what the others use."""
    (lab.folder / "scripted.py").write_text(SCRIPTED)

    def opened(*cells):
        lab.open("display.ipynb", [IMPORTS, *cells])
        lab.run(0)
        return lab

    return opened


def outputs(file, cell):
    return json.loads(file.read_text())["cells"][cell]["outputs"]


@pytest.mark.parametrize(
    ("lines", "pace"),
    [(10_000, 2_000), (100_000, 20_000), (100_000, None)],
    ids=["10k", "100k", "100k-flat-out"],
)
@pytest.mark.alone
def test_many_lines_stream_without_a_stall_and_end_complete(notebook, tmp_path, lines, pace):
    lab = notebook(f"show(Scripted({lines}, pace={pace}, text='line {{}} ' + 'x' * 90))")
    lab.look(1)
    lab.run(1)
    lab.wait_for_text(1, f"log, last 1,000 of {lines:,} lines")
    seen = lab.seen()
    size = lab.save().stat().st_size
    lab.screenshot(tmp_path / f"{lines}-{pace}.png")
    print(lines, pace, {"size": size, "arrivals": len(seen["texts"])}, {**seen, "texts": None})
    assert f"line {lines} " in lab.text(1)
    assert len(seen["texts"]) > 20 or pace is None
    assert seen["worst"] < 1_000
    assert size < 1_000_000


def test_the_live_box_stays_scrolled_to_its_end(notebook, tmp_path):
    lab = notebook("show(Scripted(124, pace=100, total=200, hold=60))")
    lab.run(1, wait=False)
    lab.wait_for_text(1, "epoch 124 ")
    lab.wait_for_text(1, "124/200 · ")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        lab.screenshot(tmp_path / f"live-{theme.lower()}.png", cell=1)
        assert min(lab.page.evaluate(CONTRASTS)) >= 4.5
    box = "lab.area(1).querySelector('[role=group]')"
    line = "lab.area(1).querySelector('[role=group] pre')"
    gap = lab.page.evaluate(f"{box}.getBoundingClientRect().bottom - {line}.getBoundingClientRect().bottom")
    assert 0 <= gap < 10
    assert lab.page.evaluate(f"{box}.scrollHeight > {box}.clientHeight")


def test_an_interrupt_gets_through_and_the_output_continues_in_place(notebook):
    lab = notebook(
        "run = Scripted(5, hold=60)\n"
        "output = RunOutput(run)\n"
        "try:\n"
        "    output.follow()\n"
        "except KeyboardInterrupt:\n"
        "    run.cancelled = True\n"
        "    run.script = Scripted(0, state='cancelled', exit_status=143).script\n"
        "    output.follow()"
    )
    lab.run(1, wait=False)
    lab.wait_for_text(1, "epoch 5 ")
    lab.interrupt()
    lab.wait()
    assert "cancelled, exit 143" in lab.text(1)
    assert lab.text(1).count("epoch 5 ") == 1
    assert [output["output_type"] for output in outputs(lab.save(), 1)] == ["display_data"]


def test_a_run_in_the_background_stays_in_its_own_cell_and_prints_nothing(notebook):
    lab = notebook("show(Scripted(50, pace=50), background=True)", "print('next')")
    lab.run(1)
    lab.run(2)
    lab.wait_for_text(1, "200 rows verified")
    assert lab.text(2).strip() == "next"
    assert [output["output_type"] for output in outputs(lab.save(), 1)] == ["display_data"]


ENDINGS = {
    "done": "Scripted(206, total=206)",
    "failed": "Scripted(17, total=200, state='failed', exit_status=1, rows=17, "
    "error='ZeroDivisionError: float division by zero\\n  simulate.py:14  in simulate\\n    13 |     for i in progress(range(n)):\\n"
    "  → 14 |         x = total / (i - 17)\\nRows so far: run.partial · Whole log: run.logs()')",
    "cancelled": "Scripted(12, state='cancelled', exit_status=143, rows=12)",
    "unknown": "Scripted(3, exit_status=None, note='The exit line never came.')",
}


def test_every_ending_is_readable_in_light_and_dark_themes(notebook, tmp_path):
    lab = notebook(*(f"show({run}, background={name == 'failed'})" for name, run in ENDINGS.items()))
    for number in range(1, len(ENDINGS) + 1):
        lab.run(number)
    lab.wait_for_text(2, "failed, exit 1")
    lab.page.set_viewport_size({"width": 1100, "height": 1500})
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        lab.page.evaluate("document.activeElement.blur(); lab.cell(0).node.scrollIntoView()")
        lab.screenshot(tmp_path / f"endings-{theme.lower()}.png")
        assert min(lab.page.evaluate(CONTRASTS)) >= 4.5


# The contrast of each text of an output with what is painted below it, computed as WCAG 2 does; a
# canvas turns whatever colour is written into red, green, blue, alpha.
CONTRASTS = """() => {
  const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
  const over = (below, colour) => { pen.clearRect(0, 0, 1, 1); for (const c of [below, colour]) { pen.fillStyle = c; pen.fillRect(0, 0, 1, 1) }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3) };
  const css = c => `rgb(${c.join(',')})`;
  const light = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((a, v, i) => a + v * [.2126, .7152, .0722][i], 0);
  const ground = node => { const way = []; for (let n = node; n; n = n.parentElement) way.unshift(getComputedStyle(n).backgroundColor);
    return way.reduce((below, colour) => css(over(below, colour)), 'rgb(255,255,255)') };
  const areas = [...document.querySelectorAll('.jp-RenderedHTML')];
  return areas.flatMap(a => [...a.querySelectorAll('b, span, pre, summary, div')]).filter(n => [...n.childNodes].some(c => c.nodeType === 3 && c.data.trim())).map(n => {
    const below = ground(n); const a = light(over(below, getComputedStyle(n).color)), b = light(over(below, below));
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) }) }"""
