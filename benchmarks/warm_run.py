"""A warm run, from submit to DataFrame, against the bare script, Lithops, `heroku run` and `%%px`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side, Step
from benchmarks.testbed import (
    APP,
    MANY,
    Program,
    cli_environment,
    missing_cli,
    missing_package,
    official_cli,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.testbed import Testbed

N = 10  # rows of the shipped task


def races(*, quick: bool) -> list[Race]:
    """Run on an emulator of the kernel, and on one shared with the official CLI."""
    local = [
        Side("bare subprocess", bare, Aim(ratio=1.25)),
        Side("Lithops localhost", lithops, Aim(ratio=1 / 5), missing_package("lithops")),
        Side("ipyparallel %%px, cluster up", px, missing=missing_package("ipyparallel")),
    ]
    shared = [Side("heroku run (official CLI)", cli_run, Aim(ratio=1 / 10), missing_cli())]
    ours = "heroku.run()"
    return [
        Race("warm run", "s", Side(ours, local_emulator), local[:1] if quick else local, repeats=2 if quick else 21),
        Race("warm run, shared emulator", "s", Side(ours, shared_emulator), shared, 1 if quick else 7, emulator=[MANY]),
    ]


def local_emulator(testbed: Testbed) -> Iterator[Measurement]:
    """Run on an emulator of this process."""
    return ours(testbed.local())


def shared_emulator(testbed: Testbed) -> Iterator[Measurement]:
    """Run on the shared emulator."""
    return ours(testbed.remote())


def ours(heroku: Any) -> Iterator[Measurement]:
    """Run the task in each step."""
    yield
    while True:
        df = heroku.run("task", {"n": N})
        assert len(df) == N
        yield


def bare(testbed: Testbed) -> Iterator[Measurement]:
    """Run the script with the interpreter of the dynos."""
    yield
    while True:
        command = [testbed.python, "-m", "heroku_task", "task"]
        subprocess.run(command, check=True, capture_output=True, cwd=testbed.folder, env={"n": str(N)})
        yield


def lithops(testbed: Testbed) -> Iterator[Measurement]:
    """Call the same function with the localhost executor, which is warm after the first call."""
    task = lithops_task(testbed)
    with lithops_executor(testbed) as executor:
        yield
        while True:
            rows = executor.get_result(executor.call_async(task, {"n": N, "seed": 0}))
            assert len(rows) == N
            yield


def lithops_task(testbed: Testbed) -> Callable[[int, int], list[Any]]:
    """Return the shipped task as a function that returns a list of rows in any process."""
    folder = str(testbed.folder)

    def rows(n: int, seed: int) -> list[Any]:
        import sys

        sys.path.insert(0, folder)
        from task import pi

        return [*pi(n, seed)]

    return rows


def lithops_executor(testbed: Testbed) -> Any:
    """Return a localhost executor that writes only to the testbed and uses this `python`."""
    os.environ["HOME"] = str(testbed.folder.parent)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    import lithops as peer

    return peer.LocalhostExecutor(log_level=None)


def px(testbed: Testbed) -> Iterator[Measurement]:
    """Run the same function with the magic, on a warm engine."""
    import ipyparallel

    with ipyparallel.Cluster(n=1, profile_dir=str(testbed.folder.parent / "profile"), log_level=50) as client:
        cell = px_shell(client, testbed)
        yield
        while True:
            cell()
            yield


def px_shell(client: Any, testbed: Testbed) -> Callable[[], Any]:
    """Return a function that runs a %%px cell in a shell."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    client[:].activate()
    body = f"import sys; sys.path.insert(0, {str(testbed.folder)!r})\nfrom task import pi\nlen([*pi({N}, 0)])"
    return lambda: shell.run_cell_magic("px", "--block", body)


def cli_run(testbed: Testbed) -> Iterator[Measurement]:
    """Run the process type with `heroku run`, which attaches to the dyno."""
    command = [str(official_cli()), "run", "--app", APP, "--exit-code", "--no-tty", "--env", f"n={N}", "task"]
    yield
    while True:
        program = Program(command, env=cli_environment(testbed), cwd=testbed.folder.parent).wait()
        yield Step(cpu=program.cpu, memory=program.memory)


if __name__ == "__main__":
    run_alone(__file__)
