"""The product in a real JupyterLab: the quickstart's cells, streaming, an interrupt, what stays in the file."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from workers import make_worker  # noqa: E402 - the folder has to be on the path

pytestmark = pytest.mark.browser

TICKS = """
    import time
    from heroku_task import task, progress

    @task
    def ticks(n: int = 5, every: float = 0.5):
        for i in progress(range(n)):
            print(f"epoch {i + 1} loss {1 / (i + 2):.4f}")
            time.sleep(every)
            yield {"epoch": i + 1, "loss": 1 / (i + 2)}
    """


def code_cells(name):
    cells = json.loads((ROOT / "notebooks" / name).read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def stripped(html):
    """What is left when a site takes styles, classes and scripts away."""
    return re.sub(r'\s(style|class)="[^"]*"', "", re.sub(r"(?s)<(script|style).*?</\1>", "", html))


def test_the_quickstart_cells_run_and_show_the_expected_texts(lab, tmp_path):
    cells = code_cells("quickstart.ipynb")
    lab.open("quickstart.ipynb", cells)
    for number in range(len(cells)):
        lab.run(number)
    first = cells.index("%%heroku --arg n=10")
    assert "exit 0" in lab.text(first)
    assert "10 rows verified" in lab.text(first)
    assert "3.135200" in lab.text(first), "the DataFrame is the cell's value"
    failed = next(number for number, cell in enumerate(cells) if "meen" in cell)
    assert "Did you mean mean?" in " ".join(lab.text(failed).split())
    assert "Traceback" not in lab.text(failed)
    lab.screenshot(tmp_path / "first.png", cell=first)
    lab.screenshot(tmp_path / "failed.png", cell=failed)
    saved = json.loads(lab.save().read_text())
    shown = [o for o in saved["cells"][first]["outputs"] if o["output_type"] == "display_data"]
    markups = ("".join(one["data"]["text/html"]) for one in shown)
    plain = stripped(next(markup for markup in markups if 'role="note"' not in markup))
    assert re.search(r"<details>\s*<summary>log, 6 lines</summary>", plain)
    assert "task" in plain
    assert "exit 0" in plain
    assert lab.complaints == []


def test_lines_stream_into_the_cell_and_an_interrupt_stops_the_dyno(lab, tmp_path):
    make_worker(lab.folder / "stream" / "worker", ticks=TICKS)
    cells = [
        f"%load_ext heroku_magic\n%config HerokuMagics.worker = {str(lab.folder / 'stream' / 'worker')!r}",
        "%%heroku ticks\nn = 6",
        "%%heroku ticks --arg n=1000",
        "%heroku ps",
    ]
    lab.open("stream.ipynb", cells)
    lab.run(0)
    lab.look(1)
    lab.run(1)
    ends = [text for _, text in lab.seen()["texts"]]
    assert {n for n in range(1, 7) if any(f"epoch {n} " in text for text in ends)} == set(range(1, 7))

    lab.run(2, wait=False)
    lab.wait_for_text(2, "epoch 4 ")
    lab.screenshot(tmp_path / "running.png", cell=2)
    lab.interrupt()
    lab.wait(timeout=5)
    assert "cancelled" in lab.text(2)
    assert "RunCancelled" in lab.text(2)
    lab.screenshot(tmp_path / "stopped.png", cell=2)
    lab.run(3)
    assert "run." not in lab.text(3)


def test_the_readmes_picture_is_a_real_run(lab, tmp_path):
    """With UPDATE_PICTURES=1 the picture in the README is taken anew."""
    make_worker(lab.folder / "picture" / "worker", simulate=TICKS.replace("def ticks", "def simulate"))
    lab.open(
        "picture.ipynb",
        [
            f"%load_ext heroku_magic\n%config HerokuMagics.worker = {str(lab.folder / 'picture' / 'worker')!r}",
            "%%heroku simulate --arg every=0.02\nn = 6",
            "%%heroku simulate --arg every=0.25\nn = 60",
        ],
    )
    for number in (0, 1):
        lab.run(number)
    lab.run(2, wait=False)
    lab.wait_for_text(2, "epoch 12 ")
    lab.page.evaluate("document.activeElement.blur()")
    box = lab.page.locator(".jp-Notebook:visible .jp-Notebook-cell")
    first, last = box.nth(1).bounding_box(), box.nth(2).bounding_box()
    clip = {
        "x": first["x"],
        "y": first["y"],
        "width": min(first["width"], 860),
        "height": last["y"] + last["height"] - first["y"] + 8,
    }
    lab.page.screenshot(path=str(tmp_path / "run.png"), clip=clip, animations="disabled")
    lab.interrupt()
    lab.wait(timeout=10)

    assert (tmp_path / "run.png").stat().st_size > 10_000
    if os.environ.get("UPDATE_PICTURES") == "1":
        shutil.copy(tmp_path / "run.png", ROOT / "notebooks" / "images" / "run.png")
    assert (ROOT / "notebooks" / "images" / "run.png").is_file()
