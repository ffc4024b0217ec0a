"""Sweeps coloured by their results in a real notebook: a heatmap, a line, and the highest and lowest runs."""

from __future__ import annotations

import json

import pytest
from test_sweep_view import shots
from workers import make_worker

pytestmark = pytest.mark.browser

TASK = """
    import math
    from heroku_task import task

    @task
    def wave(x: float, y: int = 1, z: int = 0, n: int = 1):
        if (x, y) == (3, 2):
            raise ValueError("no data")
        for i in range(n):
            yield {"i": i, "height": math.sin(x) * y + z + i}
"""
LOAD = "%load_ext heroku_magic\n%config HerokuMagics.worker = 'app'"
HEATMAP = "%%heroku wave --each y,x --no-raise --out df\ny = [1, 2, 3]\nx = range(8)\nn = 10"
LINE = "%%heroku wave --each x --out df\nx = [n / 4 for n in range(24)]"
MORE = "%%heroku wave --each x,y,z --out df\nx = range(3)\ny = [1, 2]\nz = [0, 5]"


def test_results_are_shown_by_colour_and_by_mouse_in_light_and_dark_themes(lab, tmp_path):
    make_worker(lab.folder / "app", wave=TASK)
    lab.open("results.ipynb", [LOAD, HEATMAP, LINE, MORE])
    lab.run(0)
    for cell, name in enumerate(("heatmap", "line", "more"), 1):
        lab.run(cell)
        lab.wait_for_text(cell, "timeline")
        shots(lab, tmp_path, name, cell)
    assert "mean of height over 10 rows" in lab.text(1)
    titles = "[...lab.area(1).querySelectorAll('pre b')].map(cell => cell.title)"
    assert len(list(filter(None, lab.page.evaluate(titles)))) == 24
    assert lab.page.evaluate("lab.area(2).querySelector('img').naturalWidth") > 0
    assert "highest" in lab.text(3)
    saved = json.loads(lab.save().read_text())
    (lab.folder / "strange.ipynb").write_text(json.dumps({**saved, "cells": [{**saved["cells"][1], "source": "1"}]}))
    lab.show("strange.ipynb")
    lab.wait_until("lab.cell(0).model.trusted === false")
    assert lab.page.evaluate("lab.area(0).querySelector('pre b').title").startswith("y=1, x=0 · height 4.5")
    assert (
        lab.page.evaluate("getComputedStyle(lab.area(0).querySelector('pre b')).backgroundColor") != "rgba(0, 0, 0, 0)"
    )
    lab.screenshot(tmp_path / "untrusted.png", cell=0)
