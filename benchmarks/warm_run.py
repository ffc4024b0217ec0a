"""One run once all is warm, from submit to DataFrame, beside the bare script, Lithops, `heroku run` and `%%px`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.command import alone
from benchmarks.ground import (
    APP,
    MANY,
    Program,
    cli_environment,
    missing_cli,
    missing_package,
    official_cli,
)
from benchmarks.race import Aim, Race, Side, Step, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.ground import Ground

N = 10  # rows of the shipped task


def races(*, quick: bool) -> list[Race]:
    """On an emulator of the kernel's own; and on one that the official CLI shares."""
    local = [
        Side("bare subprocess", bare, Aim(ratio=1.25)),
        Side("Lithops localhost", lithops, Aim(ratio=1 / 5), missing_package("lithops")),
        Side("ipyparallel %%px, cluster up", px, missing=missing_package("ipyparallel")),
    ]
    shared = [Side("heroku run (official CLI)", official, Aim(ratio=1 / 10), missing_cli())]
    ours = "heroku.run()"
    return [
        Race("warm run", "s", Side(ours, on_its_own), local[:1] if quick else local, repeats=2 if quick else 21),
        Race("warm run, shared emulator", "s", Side(ours, on_shared), shared, 1 if quick else 7, emulator=[MANY]),
    ]


def on_its_own(ground: Ground) -> Iterator[Told]:
    """Run on an emulator of the process's own."""
    return ours(ground.local())


def on_shared(ground: Ground) -> Iterator[Told]:
    """Run on the emulator that all share."""
    return ours(ground.remote())


def ours(heroku: Any) -> Iterator[Told]:
    """Run the task again and again."""
    yield
    while True:
        df = heroku.run("task", {"n": N})
        assert len(df) == N
        yield


def bare(ground: Ground) -> Iterator[Told]:
    """Run the script by the interpreter that the dynos have."""
    yield
    while True:
        command = [ground.python, "-m", "heroku_task", "task"]
        subprocess.run(command, check=True, capture_output=True, cwd=ground.folder, env={"n": str(N)})
        yield


def lithops(ground: Ground) -> Iterator[Told]:
    """Call the same function by the localhost executor; it is warm when it has run once."""
    task = lithops_task(ground)
    with lithops_executor(ground) as executor:
        yield
        while True:
            rows = executor.get_result(executor.call_async(task, {"n": N, "seed": 0}))
            assert len(rows) == N
            yield


def lithops_task(ground: Ground) -> Callable[[int, int], list[Any]]:
    """Return the shipped task as a function that gives its rows as a list, wherever it is called."""
    folder = str(ground.folder)

    def rows(n: int, seed: int) -> list[Any]:
        import sys

        sys.path.insert(0, folder)
        from task import pi

        return [*pi(n, seed)]

    return rows


def lithops_executor(ground: Ground) -> Any:
    """Return a localhost executor that keeps its files to this race and finds the `python` that runs us."""
    os.environ["HOME"] = str(ground.folder.parent)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    import lithops as peer

    return peer.LocalhostExecutor(log_level=None)


def px(ground: Ground) -> Iterator[Told]:
    """Run the same function by the magic, on an engine that is up and warm."""
    import ipyparallel

    with ipyparallel.Cluster(n=1, profile_dir=str(ground.folder.parent / "profile"), log_level=50) as client:
        cell = px_shell(client, ground)
        yield
        while True:
            cell()
            yield


def px_shell(client: Any, ground: Ground) -> Callable[[], Any]:
    """Return what runs a %%px cell in a shell."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    client[:].activate()
    body = f"import sys; sys.path.insert(0, {str(ground.folder)!r})\nfrom task import pi\nlen([*pi({N}, 0)])"
    return lambda: shell.run_cell_magic("px", "--block", body)


def official(ground: Ground) -> Iterator[Told]:
    """Run the process type by `heroku run`, which attaches to the dyno."""
    command = [str(official_cli()), "run", "--app", APP, "--exit-code", "--no-tty", "--env", f"n={N}", "task"]
    yield
    while True:
        program = Program(command, env=cli_environment(ground), cwd=ground.folder.parent).wait()
        yield Step(cpu=program.cpu, memory=program.memory)


if __name__ == "__main__":
    alone(__file__)
