"""Record the README's animated pictures from a real JupyterLab, light and dark: `python docs/pictures.py`.

It needs the extras `browser` and `notebook` and a Chromium, as the browser tests do.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "browser")]

from lab import Lab  # noqa: E402 - the path is set above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
CELLS = [
    "%load_ext heroku_magic\n%heroku run -q --arg n=1",
    "%%heroku mandelbrot --each row,column --plot none --out tiles",
    """\
import numpy as np, matplotlib.pyplot as plt
lines = tiles.groupby('line')['brightness'].sum()
figure = plt.figure(figsize=(2.4, 2.4))
plt.imshow(np.log1p(np.array(lines.tolist())), cmap='twilight_shifted'); plt.axis('off');""",
]
BODY = "\nrow = range(8)\ncolumn = range(8)\npixels = 36"
WIDTH, HEIGHT = 760, 640
STEP = 0.15  # seconds between two frames
LAST = 4000  # milliseconds for which the last frame stays

Frame = tuple[float, bytes]


def main() -> None:
    """Record and write one picture per theme."""
    with (
        sync_playwright() as driver,
        tempfile.TemporaryDirectory() as folder,
        Lab(Path(folder), driver, path=ROOT) as lab,
    ):
        for name, theme in THEMES.items():
            lab.open(f"{name}.ipynb", CELLS)
            lab.theme(theme)
            path = ROOT / "docs" / "images" / f"sweep-{name}.webp"
            write(path, [*record(lab)])
            lab.end_kernels()
            print(path.relative_to(ROOT), f"{path.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - a command line


def record(lab: Lab) -> Iterator[Frame]:
    """Type and run the cells; yield pictures of the notebook, each with its time."""
    page = lab.page
    page.set_viewport_size({"width": 900, "height": 1000})
    page.evaluate("jupyterapp.shell.collapseLeft()")
    lab.run(0)
    page.locator(".jp-Notebook:visible .jp-Notebook-cell").nth(1).locator(".cm-content").first.click()
    page.keyboard.press("Control+End")
    for line in BODY.split("\n")[1:]:
        page.keyboard.press("Enter")
        page.keyboard.type(line)
        yield frame(lab)
    for cell in (1, 2):
        lab.run(cell, wait=False)
        yield from frames(lab, until=partial(_is_done, lab, cell), at_least=1)


def frames(lab: Lab, *, until: Callable[[], bool], at_least: float) -> Iterator[Frame]:
    """Yield pictures until a cell has ended, and at least for some seconds."""
    began = time.monotonic()
    while not until() or time.monotonic() - began < at_least:
        yield frame(lab)
        time.sleep(STEP)
    yield frame(lab)


def frame(lab: Lab) -> Frame:
    """Return a picture of the cells from the second one on."""
    box = lab.page.locator(".jp-Notebook:visible .jp-Notebook-cell").nth(1).bounding_box()
    clip = {"x": box["x"], "y": box["y"], "width": WIDTH, "height": HEIGHT}
    return time.monotonic(), lab.page.screenshot(clip=clip)


def _is_done(lab: Lab, cell: int) -> bool:
    return lab.page.evaluate(f"lab.count({cell}) > 0")


def write(path: Path, shot: list[Frame]) -> None:
    """Write an animation in which equal frames are one."""
    kept = [one for number, one in enumerate(shot) if not number or one[1] != shot[number - 1][1]]
    ends = [moment for moment, _ in kept[1:]]
    durations = [min(900, int(1000 * (end - begin))) for (begin, _), end in zip(kept, ends, strict=False)]
    first, *others = [Image.open(io.BytesIO(data)).convert("RGB") for _, data in kept]
    path.parent.mkdir(exist_ok=True)
    first.save(
        path, save_all=True, append_images=others, duration=[*durations, LAST], loop=0, quality=70, method=4, kmax=20
    )


if __name__ == "__main__":
    main()
