"""A run with a very long log: the client's memory stays small, and the log is complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("processes")

LINES = 1_000_000
PROGRAM = f"""
import resource, sys
import heroku_magic

heroku = heroku_magic.connect(worker=sys.argv[1], say=lambda text: None)
heroku.run(command="true")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run = heroku.submit(command="seq 1 {LINES}")
run.result()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
text = run.logs()
print(len(text.splitlines()), text[:5].split(), text[-9:].split())
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="ru_maxrss is in kB on Linux alone")
def test_a_million_lines_are_read_within_15_mb_and_none_is_missing(tmp_path):
    (tmp_path / "Procfile").write_text("task: true\n")
    (tmp_path / "requirements.txt").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    grown, log = done.stdout.splitlines()
    assert int(grown) < 15_000
    assert log == f"{LINES} ['1', '2', '3'] ['9', '{LINES}']"
    print(f"grown by {grown} kB")
