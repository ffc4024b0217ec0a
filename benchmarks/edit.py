"""Edit: from a changed line of code to its result, by %%dyno and by edit, deploy and run; and the bytes that travel.

python benchmarks/edit.py --tries 5

Both change one line each time and compute the same on the same embedded Heroku, on an app of the same folder:
`%%dyno` ships the cell; the other way writes the task's file, deploys the folder and runs the task. The emulator
builds a folder in far less than a minute, so on Heroku the second way loses by more.
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
from heroku_magic.protocol.values import ROOM

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


def seconds(work: Callable[[int], heroku_magic.Run], tries: int) -> list[float]:
    """Time each try with another number in the code, and look at what came back."""
    took = []
    for n in range(1, tries + 1):
        began = time.perf_counter()
        df = work(n).result()
        took.append(time.perf_counter() - began)
        assert df is not None
        assert df.to_dict("records") == [{"n": n, "sum": sum(range(n))}]
    return took


def race(tries: int) -> tuple[list[float], list[float]]:
    """Both ways on one app of the embedded Heroku."""
    with tempfile.TemporaryDirectory() as place:
        folder = worker(Path(place) / "app")
        heroku = heroku_magic.account(say=lambda _: None).create(None)
        connection = heroku_magic.connect(heroku.name, say=lambda _: None)
        connection.deploy(folder)
        connection.run(command="echo '{\"warm\": 1}'")  # its environment is there, and pandas here

        def ship(n: int) -> heroku_magic.Run:
            return connection.submit(code=CODE.format(n=n))

        def deploy(n: int) -> heroku_magic.Run:
            (folder / "job.py").write_text(TASK.format(n=n))
            connection.deploy(folder)
            return connection.submit("job")

        return seconds(ship, tries), seconds(deploy, tries)


def sizes() -> str:
    """The bytes of the environment for cells of some lengths."""
    told = []
    for lines in (1, 100, 300):
        text = "".join(LINE.format(i=i, before=i - 1, weight=i / 7) for i in range(1, lines + 1))
        env = Bundle(read_cell(text), {}).env()
        size = sum(len(name) + len(str(value)) for name, value in env.items())
        source = f"{lines:>4} lines, {len(text):>6,} bytes of source"
        told.append(f"  {source}: {size:>6,} bytes travel ({size / ROOM:.0%} of the room)")
    return "\n".join(told)


def main() -> None:
    """Print both sides, their ratio, and the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=5)
    shipped, deployed = race(parser.parse_args().tries)
    print("edit to result, median of", len(shipped), "tries")
    print(f"  %%dyno              {statistics.median(shipped):7.3f} s  (from {min(shipped):.3f} to {max(shipped):.3f})")
    print(
        f"  edit + deploy + run {statistics.median(deployed):7.3f} s  (from {min(deployed):.3f} to {max(deployed):.3f})"
    )
    print(f"  ratio               {statistics.median(deployed) / statistics.median(shipped):7.1f} x")
    print(sizes())


if __name__ == "__main__":
    sys.exit(main())
