"""Two notebooks with ten background runs each on one app do not take each other's log lines."""

from __future__ import annotations

import subprocess
import sys

import pytest
from chaos import emulator
from workers import make_worker

pytestmark = pytest.mark.chaos


RUNS = 10
# All lines fit into the 1,500 that Heroku keeps, so a log that is opened late has lost none.
COUNT = """
    import time
    from heroku_task import task

    @task
    def count(seed: int, n: int = 25):
        for i in range(n):
            print(f"seed {seed} line {i}")
            yield {"i": i, "seed": seed}
            time.sleep(0.002)
    """
NOTEBOOK = f"""
import sys
from heroku_magic import connect

heroku = connect("shop", say=lambda text: None)
first = int(sys.argv[1])
runs = [heroku.submit("count", {{"seed": first + i}}) for i in range({RUNS})]
for i, run in enumerate(runs):
    df = run.result(60)
    assert df["i"].tolist() == list(range(25)) and set(df["seed"]) == {{first + i}}, run
    assert run.logs().splitlines() == [f"seed {{first + i}} line {{j}}" for j in range(25)], run
    assert df.attrs["heroku"]["verified"]
print("all right")
"""


@pytest.fixture
def shop(tmp_path, monkeypatch, processes):
    for name in ("HEROKU_HOST", "HEROKU_API_KEY"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    with emulator(make_worker(tmp_path / "app", count=COUNT), {}, 1, name="shop"):
        yield


def left():
    from heroku_magic import connect

    return connect("shop", say=lambda _: None).client.rate_limit().remaining


def test_two_notebooks_at_once_get_their_own_lines_with_two_requests_per_run(shop):
    before = left()
    notebooks = [
        subprocess.Popen([sys.executable, "-c", NOTEBOOK, str(first)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for first in (0, 100)
    ]
    outputs = [notebook.communicate(timeout=120) for notebook in notebooks]

    assert [out.strip() for out, _ in outputs] == [b"all right"] * 2, outputs
    # A dyno and a log session per run; once per notebook, requests for the release, the formation and the tasks.
    assert before - left() <= 2 * (2 * RUNS + 12)
