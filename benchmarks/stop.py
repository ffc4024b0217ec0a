"""Stop 1 and 50 running dynos until they are gone, against `heroku ps:stop` and a script that uses the API."""

from __future__ import annotations

import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import run_alone
from benchmarks.race import Measurement, Race, Side
from benchmarks.testbed import APP, MANY, PlainApi, cli_environment, missing_cli, official_cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.testbed import Testbed

SLEEP = "exec sleep 600"
POLL_SECONDS = 0.01  # between two checks whether they are gone


def races(*, quick: bool) -> list[Race]:
    """Stop one dyno with the CLI; fifty would need fifty processes and measure the start of node."""
    many, repeats = (3, 1) if quick else (50, 5)
    cli = Side("heroku ps:stop (official CLI)", stop_with_cli, missing=missing_cli())
    return [_race(1, repeats, [cli]), _race(many, repeats, [])]


def _race(dynos: int, repeats: int, more: list[Side]) -> Race:
    ours = Side("run.cancel(), run.wait()", partial(cancel_runs, dynos=dynos))
    script = Side("script with requests", partial(stop_with_requests, dynos=dynos))
    return Race(f"stopping {dynos} dyno{'s' * (dynos > 1)}", "s", ours, [script, *more], repeats, emulator=[MANY])


def cancel_runs(testbed: Testbed, *, dynos: int) -> Iterator[Measurement]:
    """Cancel all runs, then wait for each."""
    heroku = testbed.remote()
    yield
    while True:
        runs = [heroku.submit(command=SLEEP, rows=False) for _ in range(dynos)]
        wait_until(lambda: all(run.state == "up" for run in runs))  # noqa: B023 - called immediately
        began = time.perf_counter()
        for run in runs:
            run.cancel()
        for run in runs:
            assert run.wait(60)
        yield time.perf_counter() - began


def stop_with_requests(testbed: Testbed, *, dynos: int) -> Iterator[Measurement]:
    """Request a stop of each dyno, and poll until they are gone."""
    api = PlainApi(testbed)

    def stop(names: list[str]) -> None:
        for name in names:
            api.request("POST", f"dynos/{name}/actions/stop")

    return stop_dynos(api, dynos, stop)


def stop_with_cli(testbed: Testbed) -> Iterator[Measurement]:
    """Stop the dyno with the CLI."""
    environment = cli_environment(testbed)

    def stop(names: list[str]) -> None:
        command = [str(official_cli()), "ps:stop", "--app", APP, "--dyno-name", *names]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=testbed.folder.parent)

    return stop_dynos(PlainApi(testbed), 1, stop)


def stop_dynos(api: PlainApi, dynos: int, stop: Callable[[list[str]], None]) -> Iterator[Measurement]:
    """Start dynos, stop them with `stop`, and poll until they are gone."""
    yield
    while True:
        names = [api.start(SLEEP) for _ in range(dynos)]
        wait_until(lambda: {dyno["state"] for dyno in _ours(api, names)} == {"up"})  # noqa: B023 - called immediately
        began = time.perf_counter()
        stop(names)
        wait_until(lambda: not _ours(api, names))  # noqa: B023 - called immediately
        yield time.perf_counter() - began


def _ours(api: PlainApi, names: list[str]) -> list[dict[str, str]]:
    return [dyno for dyno in api.request("GET", "dynos") if dyno["name"] in names]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    while not condition():
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    run_alone(__file__)
