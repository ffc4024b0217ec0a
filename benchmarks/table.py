"""Table: a DataFrame through the log as records, beside one printed line of JSON a row read by pandas.

python benchmarks/table.py --rows 1000000

Both tasks make the same numbers on the same emulator; measured from submit to the DataFrame, and the bytes of
what the task printed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import heroku_magic

PACKAGES = str(Path(pd.__file__).parents[1])  # a dyno of the emulator has its own environment, without pandas
PROCFILE = """records: python -m heroku_task records
lines: python lines.py
"""
MIXED = """
    {"i": range(n), "x": rng.random(n), "b": rng.random(n) < 0.5,
     "w": rng.choice(["alpha", "beta", "gamma", "delta", "epsilon"], n), "k": rng.integers(0, 1000, n)}
"""
FLOATS = '{name: rng.random(n) for name in "abcde"}'
HEAD = """import sys
sys.path.append({packages!r})
import numpy as np
import pandas as pd
rng, n = np.random.default_rng(1), {rows}
def table():
    return pd.DataFrame({columns})
"""
RECORDS = """from heroku_task import task
@task
def records():
    return table()
"""
LINES = """import json
names = list(table().columns)
for row in zip(*(table()[name].tolist() for name in names)):
    print(json.dumps(dict(zip(names, row))))
"""


def worker(folder: Path, rows: int, columns: str) -> Path:
    """Write an app with both tasks."""
    folder.mkdir()
    head = HEAD.format(packages=PACKAGES, rows=rows, columns=columns.strip())
    helper = Path(heroku_magic.__file__).parents[1] / "worker" / "heroku_task.py"
    (folder / "heroku_task.py").write_bytes(helper.read_bytes())
    (folder / "records.py").write_text(head + RECORDS)
    (folder / "lines.py").write_text(head + LINES)
    (folder / "Procfile").write_text(PROCFILE)
    (folder / "requirements.txt").write_text("")
    return folder


def as_records(heroku: heroku_magic.Heroku) -> tuple[pd.DataFrame, float, int]:
    """The DataFrame, seconds and bytes of the task that speaks the protocol."""
    began = time.perf_counter()
    run = heroku.submit("records")
    df = run.result()
    assert df is not None
    took = time.perf_counter() - began
    printed = heroku.run(
        command="RUN_KEY=hm-00000000:" + "0" * 64 + " python -m heroku_task records | wc -c", rows=False
    )
    assert printed is None
    return df, took, int(heroku_magic.last.logs())


def as_lines(heroku: heroku_magic.Heroku) -> tuple[pd.DataFrame, float, int]:
    """The same of the task that prints, read by pandas."""
    began = time.perf_counter()
    run = heroku.submit("lines", rows=False)
    run.result()
    text = run.logs()
    df = pd.read_json(io.StringIO(text), lines=True)
    return df, time.perf_counter() - began, len(text) + 1


def main() -> None:
    """Print both sides and their ratio, for both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    for name, columns in {"int, float, bool, word, int": MIXED, "5 random floats": FLOATS}.items():
        with tempfile.TemporaryDirectory() as place:
            folder = worker(Path(place) / "app", rows, columns)
            heroku = heroku_magic.connect(worker=folder, say=lambda _: None)
            heroku.run(command="true")  # its environment is built
            ours, our_seconds, our_bytes = as_records(heroku)
            theirs, their_seconds, their_bytes = as_lines(heroku)
            same = (len(ours), list(ours.columns)) == (len(theirs), list(theirs.columns))
            print(f"{name}, {rows:,} rows (the same: {same})")
            print(f"  records     {our_bytes / 1e6:8.1f} MB {our_seconds:8.2f} s")
            print(f"  JSON lines  {their_bytes / 1e6:8.1f} MB {their_seconds:8.2f} s")
            print(f"  ratio       {their_bytes / our_bytes:8.2f} x  {their_seconds / our_seconds:8.2f} x", flush=True)


if __name__ == "__main__":
    sys.exit(main())
