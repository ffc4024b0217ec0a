"""What a task returns besides rows, in a real JupyterLab: a picture, files, metrics."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from workers import make_worker  # noqa: E402 - the folder has to be on the path

pytestmark = pytest.mark.browser

PLOT = """
    import struct, zlib
    from heroku_task import emit_file, metric, progress, task

    def png(width, height, pixel):
        rows = b"".join(b"\\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    @task
    def plot(n: int = 20):
        for i in progress(range(n)):
            metric("loss", 1 / (i + 1), i)
            yield {"i": i, "loss": 1 / (i + 1)}
        with open("plot.png", "wb") as file:
            file.write(png(320, 120, lambda x, y: (40, 90, 200) if y > 110 - 9000 / (x + 90) else (240, 240, 245)))
        emit_file("plot.png")
    """


def test_a_picture_appears_below_the_run_that_sent_it(lab, tmp_path):
    make_worker(tmp_path / "app", plot=PLOT)
    lab.open("result.ipynb", ["%load_ext heroku_magic", f"%%heroku plot --worker {tmp_path / 'app'}"])
    lab.run(0)
    lab.run(1)

    assert re.search("loss [▁-█]+ 0.05", lab.text(1))
    assert "files: plot.png" in lab.text(1)
    assert lab.page.locator(".jp-OutputArea-output img").count() == 1
    if shots := os.environ.get("LAB_SHOTS"):
        lab.page.screenshot(path=f"{shots}/result.png")
