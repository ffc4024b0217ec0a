"""`%%dyno` in a real JupyterLab: its prints while it runs, its picture and table, Stop, a failing line, the Tab key."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.browser

COMPLETER = ".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item"
SETUP = "%load_ext heroku_magic\n%config HerokuMagics.worker = {folder!r}\nthreshold, names = 0.5, ['ada', 'grace']"
RUNS = """%%dyno -i threshold,names --arg n=1000
import matplotlib.pyplot as plt
import numpy as np
x = np.random.default_rng(0).normal(size=n)
print("hits of", *names)
fig, ax = plt.subplots(figsize=(5, 2))
ax.hist(x, bins=40)
display(fig)
[{"name": name, "hits": int((x > threshold).sum())} for name in names]"""
WAITS = "%%dyno\nimport time\nprint('waiting')\ntime.sleep(100)"
FAILS = "%%dyno\nx = 0\ny = [10 / x]"


@pytest.fixture
def folder(tmp_path):
    """An app without the worker helper, with the packages that its requirements.txt would install."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: python -m http.server $PORT\n")
    (app / ".env").write_text(f"PYTHONPATH={Path(pd.__file__).parents[1]}\n")
    return app


def test_a_code_cell_works_well_in_a_notebook(lab, folder, tmp_path):
    lab.open("dyno.ipynb", [SETUP.format(folder=str(folder)), RUNS, WAITS, FAILS, ""])
    lab.run(0)
    lab.run(1)
    assert "hits of ada grace" in lab.text(1)
    assert "2 rows verified" in lab.text(1)
    assert lab.page.locator(".jp-OutputArea-output img").count() == 1
    assert lab.page.locator(".jp-OutputArea-output table").count() == 1

    lab.run(2, wait=False)
    lab.wait_for_text(2, "waiting")
    lab.interrupt()
    lab.wait()
    assert "RunCancelled: cell was stopped" in lab.text(2)

    lab.run(3)
    assert "TaskFailed: ZeroDivisionError: division by zero" in lab.text(3)
    assert "→    3 | y = [10 / x]" in lab.text(3)

    shots = Path(os.environ.get("LAB_SHOTS", tmp_path))
    lab._cell(1).scroll_into_view_if_needed()
    lab.page.screenshot(path=str(shots / "dyno.png"))
    lab._cell(3).scroll_into_view_if_needed()
    lab.page.screenshot(path=str(shots / "dyno-fails.png"))

    lab._cell(4).locator(".cm-content").click()
    lab.page.keyboard.type("%%dyno -i thr")
    lab.page.keyboard.press("Tab")
    lab.page.wait_for_selector(COMPLETER)
    lab.page.keyboard.press("Enter")
    assert lab._cell(4).locator(".cm-content").inner_text().strip() == "%%dyno -i threshold"
