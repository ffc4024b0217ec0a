"""The benchmarks run with little data. Their speed is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.race import Aim, Race, Side, run  # noqa: E402
from benchmarks.report import table  # noqa: E402
from benchmarks.scale import Load, Platform, simulate  # noqa: E402

pytestmark = pytest.mark.usefixtures("processes")


def steady(testbed, *, value=2.0):
    yield
    while True:
        yield value


def broken(testbed):
    yield
    raise RuntimeError("no such luck")


def test_the_fast_races_run_and_write_both_sides_and_a_ratio(tmp_path):
    names = ["load_ext", "parse", "quota"]
    file = tmp_path / "races.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(file), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    races = json.loads(file.read_text())["races"]
    assert len(races) == 6
    for race in races:
        assert race["ours"]["median"] > 0
        for other in race["others"]:
            assert other["median"] > 0
            rounds = zip(race["ours"]["values"], other["values"], strict=True)
            assert other["ratio"] == pytest.approx(median(ours / theirs for ours, theirs in rounds))
            assert f"| {race['race']} | " in done.stdout


def test_a_side_that_is_missing_or_fails_is_listed_as_not_run():
    others = [Side("absent", steady, Aim(ratio=9), "not installed"), Side("broken", broken, Aim(ratio=9))]
    outcome = run(Race("a race", "s", Side("ours", steady), others, repeats=1, warm_ups=0))

    absent, failed = outcome.as_json()["others"]
    assert absent["not_run"] == "not installed"
    assert failed["not_run"] == "failed: RuntimeError: no such luck"
    assert "met" not in {*absent, *failed}
    assert table([outcome]).count("not run: ") == 2


@pytest.mark.parametrize(
    ("aim", "ours", "theirs", "is_met"),
    [
        (Aim(ratio=1.25), [1.2, 9, 1], [1, 1, 1], True),
        (Aim(ratio=1.25), [1.3, 1.3, 1], [1, 1, 1], False),
        (Aim(least=0.9), [9], [10], True),
        (Aim(least=0.9), [8], [10], False),
        (Aim(more=0.5), [1.4], [1], True),
        (Aim(more=0.5), [1.6], [1], False),
        (Aim(alone=2), [2], [1], True),
        (Aim(alone=2), [3], [9], False),
        (Aim(), [1], [1], None),
    ],
)
def test_an_aim_is_compared_with_the_median_of_the_rounds(aim, ours, theirs, is_met):
    assert aim.is_met(ours, theirs) is is_met


def test_a_simulated_sweep_is_limited_by_dynos_or_by_requests():
    dynos = Platform(dynos=10, boot=1, bucket=1e9, dollars=0.5)
    assert simulate(Load(100, 3), dynos).seconds == 40
    assert simulate(Load(100, 3), dynos).dollars == 100 * 4 * 0.5
    assert simulate(Load(100, 3, chunk=10), dynos).seconds == 31
    assert simulate(Load(95, 3, chunk=10), dynos).requests == 10

    requests = Platform(dynos=1000, boot=1, bucket=60, reserve=10, refill=2)
    assert simulate(Load(100, 3), requests).seconds == 50 / 2 + 4
