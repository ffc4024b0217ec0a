"""Send a DataFrame through the log as records, against JSON lines read by pandas: bytes and seconds."""

from __future__ import annotations

import io
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.testbed import Testbed

MIXED = """{
    "i": range(n), "x": rng.random(n), "b": rng.random(n) < 0.5,
    "w": rng.choice(["alpha", "beta", "gamma", "delta", "epsilon"], n), "k": rng.integers(0, 1000, n)
}"""
FLOATS = '{name: rng.random(n) for name in "abcde"}'
PROCFILE = """records: python -m heroku_task records
lines: python lines.py
"""
# A dyno of the emulator has a separate environment, without pandas.
TABLE = """import os, sys
sys.path.append({packages!r})
import numpy as np
import pandas as pd
rng, n = np.random.default_rng(1), {rows}
def table():
    return pd.DataFrame({columns})
"""
RECORDS = """from heroku_task import task
from table import table
@task
def records():
    return table()
"""
LINES = """import json
from table import table
names = list(table().columns)
for row in zip(*(table()[name].tolist() for name in names)):
    print(json.dumps(dict(zip(names, row))))
"""
KEY = f"hm-00000000:{'0' * 64}"


def races(*, quick: bool) -> list[Race]:
    """Send a table of mixed types, and one of random floats, which hardly compresses."""
    rows = 1000 if quick else 1_000_000
    mixed = _races("int, float, bool, word, int", MIXED, rows, bytes_=1 / 5, seconds=1 / 4, repeats=1 if quick else 3)
    return mixed + _races("5 random floats", FLOATS, rows, bytes_=1 / 2.5, seconds=1 / 3, repeats=1 if quick else 3)


def _races(name: str, columns: str, rows: int, *, bytes_: float, seconds: float, repeats: int) -> list[Race]:
    import pandas as pd

    head = TABLE.format(packages=str(Path(pd.__file__).parents[1]), rows=rows, columns=columns)
    files = {"Procfile": PROCFILE, "table.py": head, "records.py": RECORDS, "lines.py": LINES}
    title = f"table of {rows:,} rows: {name}"
    return [
        Race(title, "s", *_sides(as_records, as_lines, rows, seconds), repeats=repeats, warm_ups=0, files=files),
        Race(f"{title}, log", "bytes", *_sides(record_bytes, line_bytes, rows, bytes_), repeats=1, files=files),
    ]


def _sides(ours: Any, lines: Any, rows: int, aim: float) -> tuple[Side, list[Side]]:
    other = Side("JSON lines, pandas.read_json", partial(lines, rows=rows), Aim(ratio=aim))
    return Side("records", partial(ours, rows=rows)), [other]


def as_records(testbed: Testbed, *, rows: int) -> Iterator[Measurement]:
    """Measure from submit to DataFrame, with records."""
    heroku = testbed.local()
    yield
    while True:
        df = heroku.run("records")
        assert len(df) == rows
        yield


def as_lines(testbed: Testbed, *, rows: int) -> Iterator[Measurement]:
    """Measure from submit to DataFrame, with JSON lines."""
    import pandas as pd

    heroku = testbed.local()
    yield
    while True:
        began = time.perf_counter()
        run = heroku.submit("lines", rows=False)
        run.result()
        df = pd.read_json(io.StringIO(run.logs()), lines=True)
        took = time.perf_counter() - began
        assert len(df) == rows
        yield took


def record_bytes(testbed: Testbed, *, rows: int) -> Iterator[Measurement]:
    """Count the bytes of the records."""
    return count_bytes(testbed, rows, f"RUN_KEY={KEY} python -m heroku_task records")


def line_bytes(testbed: Testbed, *, rows: int) -> Iterator[Measurement]:
    """Count the bytes of the JSON lines."""
    return count_bytes(testbed, rows, "python lines.py")


def count_bytes(testbed: Testbed, rows: int, command: str) -> Iterator[Measurement]:
    """Count the bytes that a command prints."""
    import heroku_magic

    heroku = testbed.local()
    yield
    while True:
        heroku.run(command=f"{command} | wc -c", rows=False)
        size = float(heroku_magic.last.logs())
        assert size > rows
        yield size


if __name__ == "__main__":
    run_alone(__file__)
