"""A fake sweep in a real notebook: while it runs, at the end, and without trust or styles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_display import CONTRASTS

pytestmark = pytest.mark.browser

FAKE = Path(__file__).resolve().parents[1] / "display" / "fake_sweep.py"
IMPORTS = "from heroku_magic.display.sweep_output import SweepOutput\nfrom fake_sweep import Playing"
HUNDRED = 'Playing([("region", 2), ("seed", 50)], {})'
THOUSAND = "Playing([('seed', 1000)], jobs=50, boot=0.1, run=0.9, bad=0.01)"
# Signs on cells are part of a picture, whose words are elsewhere.
CONTRASTS_OF_WORDS = CONTRASTS.replace(
    "n => [...n.childNodes]", "n => !n.closest('[role=img], [aria-hidden]') && [...n.childNodes]"
)
STRIPPED = "document.querySelectorAll('.jp-RenderedHTML [style]').forEach(node => node.removeAttribute('style'))"


@pytest.fixture
def notebook(lab):
    """Open a notebook whose first cell, already run, imports what the others use."""
    shutil.copy(FAKE, lab.folder / "fake_sweep.py")

    def opened(*cells):
        lab.open("sweeps.ipynb", [IMPORTS, *cells])
        lab.run(0)
        return lab

    return opened


def violations(lab):
    """The findings of axe-core in the sweep's own output, on a page that does not clip the notebook."""
    from axe_playwright_python.sync_playwright import Axe

    lab.page.add_style_tag(content="html, body { min-height: 100vh; overflow: visible !important }")
    found = Axe().run(lab.page, context={"include": [[".jp-RenderedHTML:has(pre[role=img])"]]})
    assert any(one["id"] == "color-contrast" for one in found.response["passes"]), "contrast was checked"
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found.response["violations"]]


def shots(lab, tmp_path, name, cell=1):
    """Take screenshots of a cell in a light and in a dark theme, and check the contrast of all its words."""
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        lab.screenshot(tmp_path / f"{name}-{theme.lower()}.png", cell=cell)
        assert min(lab.page.evaluate(CONTRASTS_OF_WORDS)) >= 4.5
        assert violations(lab) == []


@pytest.mark.alone
def test_a_thousand_changing_cells_do_not_stall_the_page(notebook, tmp_path):
    lab = notebook(f"SweepOutput({THOUSAND}).follow()")
    lab.look(1)
    lab.run(1)
    lab.wait_for_text(1, "timeline")
    seen = lab.seen()
    size = lab.save().stat().st_size
    lab.screenshot(tmp_path / "thousand.png", cell=1)
    print({"size": size, "arrivals": len(seen["texts"])}, {**seen, "texts": None})
    assert len(seen["texts"]) > 20
    assert seen["worst"] < 1_000
    assert size < 1_000_000


def test_a_running_sweep_is_readable_in_light_and_dark_themes(notebook, tmp_path):
    lab = notebook(f"SweepOutput({HUNDRED.format('boot=0.2, run=0.4, bad=0.05, until=2.2')}).follow()")
    lab.run(1, wait=False)
    lab.wait_for_text(1, " left")
    lab.wait_for_text(1, "✗ ")
    shots(lab, tmp_path, "live")
    assert lab.page.evaluate("lab.area(1).querySelector('mjx-container')") is None
    assert "of about $0.012" in lab.text(1)
    assert lab.page.evaluate("lab.area(1).querySelectorAll('pre[role=img] b').length") == 100
    lab.interrupt()


def test_the_final_view_shows_the_times_in_a_picture_and_in_words(notebook, tmp_path):
    lab = notebook(f"SweepOutput({HUNDRED.format('boot=0.2, run=0.4')}).follow()")
    lab.run(1)
    lab.wait_for_text(1, "timeline")
    lab.page.evaluate("lab.area(1).querySelector('details').open = true")
    shots(lab, tmp_path, "final")
    assert lab.page.evaluate("lab.area(1).querySelector('img').naturalWidth") > 0
    assert "Timeline of" in lab.page.evaluate("lab.area(1).querySelector('img').alt")
    lab.page.set_viewport_size({"width": 600, "height": 900})
    lab.screenshot(tmp_path / "narrow.png", cell=1)
    lab.page.set_viewport_size({"width": 1100, "height": 900})
    lab.page.evaluate(STRIPPED)
    lab.screenshot(tmp_path / "stripped.png", cell=1)
    rows = lab.page.evaluate("lab.area(1).querySelector('pre').innerText").split("\n")
    assert [row[:4] for row in rows[:2]] == ["eu ■", "us ■"]


@pytest.mark.parametrize("axes", [[("region", 2), ("seed", 50)], [("seed", 100)]], ids=["rows", "wrapped"])
def test_a_notebook_that_is_not_trusted_keeps_cells_colours_and_picture(notebook, lab, tmp_path, axes):
    notebook(f"SweepOutput(Playing({axes}, boot=0.05, run=0.1)).follow()")
    lab.run(1)
    lab.wait_for_text(1, "timeline")
    saved = json.loads(lab.save().read_text())
    shown = saved["cells"][1] | {"source": "1"}  # what was never run here is not trusted
    (lab.folder / "strange.ipynb").write_text(json.dumps(saved | {"cells": [shown]}))
    lab.show("strange.ipynb")
    lab.wait_until("lab.cell(0).model.trusted === false")
    lab.page.evaluate("lab.area(0).querySelector('details').open = true")
    lab.wait_until("lab.area(0).querySelector('img').naturalWidth > 0")
    lab.screenshot(tmp_path / "untrusted.png", cell=0)
    look = "getComputedStyle(lab.area(0).querySelector('pre b'))"
    assert lab.page.evaluate(f"[{look}.backgroundColor, {look}.width]") == ["rgb(34, 153, 85)", "11px"]
    rows = "new Set([...lab.area(0).querySelectorAll('pre b')].map(cell => cell.offsetTop)).size"
    assert lab.page.evaluate(rows) == 2
    assert lab.page.evaluate("lab.area(0).querySelector('mjx-container')") is None
