"""The first run of a fresh kernel, including the start of the emulator, against the bare script."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import missing_package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.testbed import Testbed


def races(*, quick: bool) -> list[Race]:
    """Load the extension and run a cell in an idle kernel."""
    lacking = missing_package("ipykernel", "jupyter_client")
    ours = Side("%load_ext and the first %%heroku", first_cell, missing=lacking)
    others = [
        Side("bare subprocess", bare, Aim(more=1.5)),
        Side("ipyparallel, cluster start and %%px", cluster, missing=missing_package("ipyparallel")),
    ]
    return [Race("first run of a fresh kernel", "s", ours, others, repeats=1 if quick else 5, warm_ups=0)]


def first_cell(testbed: Testbed) -> Iterator[Measurement]:
    """Start a kernel, and time its first two cells."""
    from jupyter_client.manager import start_new_kernel

    yield
    while True:
        manager, client = start_new_kernel(cwd=str(testbed.folder.parent))
        began = time.perf_counter()
        run(client, "%load_ext heroku_magic")
        run(client, f"%heroku run task --worker {testbed.folder} --arg n=10")
        took = time.perf_counter() - began
        client.stop_channels()
        manager.shutdown_kernel()
        yield took


def run(client: Any, code: str) -> None:
    """Run a cell and raise an error if it fails."""
    reply = client.execute_interactive(code, output_hook=lambda _: None, timeout=60)["content"]
    if reply["status"] != "ok":
        raise RuntimeError(f"{reply['ename']}: {reply['evalue']}")


def bare(testbed: Testbed) -> Iterator[Measurement]:
    """Run the script as in a shell."""
    yield
    while True:
        command = [sys.executable, "-m", "heroku_task", "task"]
        subprocess.run(command, check=True, capture_output=True, cwd=testbed.folder, env={"n": "10"})
        yield


def cluster(testbed: Testbed) -> Iterator[Measurement]:
    """Start a cluster of one engine and run the same function on it."""
    import ipyparallel

    from benchmarks.warm_run import px_shell

    yield
    while True:
        began = time.perf_counter()
        with ipyparallel.Cluster(n=1, profile_dir=str(testbed.folder.parent / "profile"), log_level=50) as client:
            px_shell(client, testbed)()
            took = time.perf_counter() - began
        yield took


if __name__ == "__main__":
    run_alone(__file__)
