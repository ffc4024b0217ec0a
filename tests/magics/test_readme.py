"""The cells of the README give the outputs that it shows, its task runs, and its pictures move."""

from __future__ import annotations

import re

import pytest
from PIL import Image
from workers import WORKER, make_worker

pytestmark = pytest.mark.usefixtures("processes")

ROOT = WORKER.parent
README = (ROOT / "README.md").read_text()
SHOWN = re.findall(r"```ipython\n(.*?)```\n```text\n(.*?)```", README, re.DOTALL)


def test_three_cells_give_the_outputs_that_are_shown(start_shell):
    shell = start_shell(WORKER)
    shell.user_ns["names"] = ["Ada", "Grace"]

    assert len(SHOWN) == README.count("```ipython") == 3
    for cell, output in SHOWN:
        result = shell.run_cell(cell)
        result.raise_error()
        assert str(result.result) == output.rstrip("\n")


def test_the_task_runs_with_the_line_of_the_procfile(start_shell, tmp_path):
    (source,) = re.findall(r"```text\n(from heroku_task .*?)```", README, re.DOTALL)
    folder = make_worker(tmp_path / "worker", simulate=source)

    df = start_shell(folder).run_line_magic("heroku", "run simulate --arg n=3 --arg power=3")

    assert "`simulate: python -m heroku_task simulate`" in README
    assert df["result"].tolist() == [0, 1, 8]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_is_an_animation_of_modest_size(theme):
    path = ROOT / "docs" / "images" / f"sweep-{theme}.webp"

    assert f'"docs/images/{path.name}"' in README
    with Image.open(path) as picture:
        assert picture.n_frames > 10
    assert path.stat().st_size < 1_500_000
