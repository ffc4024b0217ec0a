"""Measure the time from an edited line of code to its result, with %%dyno and with a deploy, and the bytes sent.

python benchmarks/edit.py --tries 5

Both change one line in each try and compute the same result on the same app of the embedded Heroku. `%%dyno`
sends the cell. The alternative writes the file of the task, deploys the folder and runs the task. The emulator
builds a folder in far less than a minute, so the difference is larger on Heroku.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import heroku_magic
from heroku_magic.bundle.build import Bundle
from heroku_magic.bundle.program import read_cell
from heroku_magic.protocol.values import MAX_ENV_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

CODE = "n = {n}\n[{{'n': n, 'sum': sum(range(n))}}]\n"
TASK = "from heroku_task import task\n\n@task\ndef job():\n    n = {n}\n    return [{{'n': n, 'sum': sum(range(n))}}]\n"
PROCFILE = "job: python -m heroku_task job\ndescribe: python -m heroku_task --describe\n"
LINE = "value_{i} = compute(value_{before}, weight={weight:.4f})  # step {i} of the pipeline\n"


def worker(folder: Path) -> Path:
    """Write an app with the helper and one task."""
    folder.mkdir()
    helper = Path(heroku_magic.__file__).parents[1] / "worker" / "heroku_task.py"
    (folder / "heroku_task.py").write_bytes(helper.read_bytes())
    (folder / "job.py").write_text(TASK.format(n=0))
    (folder / "Procfile").write_text(PROCFILE)
    (folder / "requirements.txt").write_text("")
    return folder


def measure(work: Callable[[int], heroku_magic.Run], tries: int) -> list[float]:
    """Time each try with a different number in the code, and check the result."""
    durations = []
    for n in range(1, tries + 1):
        began = time.perf_counter()
        df = work(n).result()
        durations.append(time.perf_counter() - began)
        assert df is not None
        assert df.to_dict("records") == [{"n": n, "sum": sum(range(n))}]
    return durations


def race(tries: int) -> tuple[list[float], list[float]]:
    """Return the seconds of %%dyno and of the deploy, on one app of the embedded Heroku."""
    with tempfile.TemporaryDirectory() as parent:
        folder = worker(Path(parent) / "app")
        heroku = heroku_magic.account(say=lambda _: None).create(None)
        connection = heroku_magic.connect(heroku.name, say=lambda _: None)
        connection.deploy(folder)
        connection.run(command="echo '{\"warm\": 1}'")  # installs the app's environment, and imports pandas here

        def run_cell(n: int) -> heroku_magic.Run:
            return connection.submit(code=CODE.format(n=n))

        def deploy(n: int) -> heroku_magic.Run:
            (folder / "job.py").write_text(TASK.format(n=n))
            connection.deploy(folder)
            return connection.submit("job")

        return measure(run_cell, tries), measure(deploy, tries)


def sizes() -> str:
    """Describe the size of the environment for cells of different lengths."""
    rows = []
    for lines in (1, 100, 300):
        text = "".join(LINE.format(i=i, before=i - 1, weight=i / 7) for i in range(1, lines + 1))
        env = Bundle(read_cell(text), {}).build_env()
        size = sum(len(name) + len(str(value)) for name, value in env.items())
        source = f"{lines:>4} lines, {len(text):>6,} bytes of source"
        rows.append(f"  {source}: {size:>6,} bytes sent ({size / MAX_ENV_BYTES:.0%} of the limit)")
    return "\n".join(rows)


def main() -> None:
    """Print both sides, their ratio, and the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=5)
    dyno, deploys = race(parser.parse_args().tries)
    print("edit to result, median of", len(dyno), "tries")
    print(f"  %%dyno              {statistics.median(dyno):7.3f} s  (from {min(dyno):.3f} to {max(dyno):.3f})")
    print(f"  edit + deploy + run {statistics.median(deploys):7.3f} s  (from {min(deploys):.3f} to {max(deploys):.3f})")
    print(f"  ratio               {statistics.median(deploys) / statistics.median(dyno):7.1f} x")
    print(sizes())


if __name__ == "__main__":
    sys.exit(main())
