"""Sweeps of real runs in a real notebook: a thousand in one cell, an interrupt, and resuming after it."""

from __future__ import annotations

import json

import pytest
from workers import make_worker

pytestmark = pytest.mark.browser

TASK = """
    import time
    from heroku_task import task

    @task
    def square(seed: int, region: str = "eu", pause: float = 0.0):
        time.sleep(pause)
        yield {"square": seed**2}
"""
LOAD = "%load_ext heroku_magic\n%config HerokuMagics.worker = 'app'"
THOUSAND = "%%heroku square --each seed --out df\nseed = range(1000)"
EXACT = "df['square'].tolist() == [n**2 for n in range(1000)] and df.attrs['heroku']['verified']"
LONG = "%%heroku square --each region,seed --jobs 4\nregion = ['eu', 'us']\nseed = range(20)\npause = 0.3"


@pytest.fixture
def notebook(lab):
    make_worker(lab.folder / "app", square=TASK)

    def opened(*cells):
        lab.open("sweep.ipynb", [LOAD, *cells])
        lab.run(0)
        return lab

    return opened


@pytest.mark.alone
def test_a_thousand_runs_in_one_cell_are_exact_and_the_page_does_not_stall(notebook, tmp_path):
    lab = notebook(THOUSAND, EXACT)
    lab.look(1)
    lab.run(1, timeout=110)
    lab.run(2)
    assert lab.text(2).endswith("True")
    seen = lab.seen()
    size = lab.save().stat().st_size
    lab.screenshot(tmp_path / "thousand-runs.png", cell=1)
    print({"size": size, "arrivals": len(seen["texts"])}, {**seen, "texts": None})
    assert "1,000 done" in lab.text(1)
    assert seen["worst"] < 10_000, "the page hangs"
    assert size < 1_000_000


def test_a_stopped_sweep_says_what_is_kept_and_the_next_cell_resumes_it(notebook, tmp_path):
    lab = notebook(LONG, "df = %heroku resume", "len(df)")
    lab.run(1, wait=False)
    lab.wait_for_text(1, " done")
    lab.interrupt()
    lab.wait_for_text(1, "SweepFailed")
    lab.screenshot(tmp_path / "stopped.png", cell=1)
    assert "It was stopped" in lab.text(1)
    assert "%heroku resume runs what is missing" in lab.text(1)
    lab.run(2, timeout=60)
    lab.screenshot(tmp_path / "resumed.png", cell=2)
    lab.run(3)
    assert lab.text(3).endswith("40")
    saved = json.loads(lab.save().read_text())
    assert "hm1 " not in json.dumps(saved)
