"""Stopping 1 and 50 running dynos, until they are gone, beside `heroku ps:stop` and a script that asks the API."""

from __future__ import annotations

import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.command import alone
from benchmarks.ground import APP, MANY, PlainApi, cli_environment, missing_cli, official_cli
from benchmarks.race import Race, Side, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.ground import Ground

SLEEP = "exec sleep 600"
LOOK = 0.01  # seconds between two looks whether they are gone


def races(*, quick: bool) -> list[Race]:
    """The CLI stops one; a process for each of fifty would measure node."""
    many, repeats = (3, 1) if quick else (50, 5)
    cli = Side("heroku ps:stop (official CLI)", official, missing=missing_cli())
    return [_race(1, repeats, [cli]), _race(many, repeats, [])]


def _race(dynos: int, repeats: int, more: list[Side]) -> Race:
    ours = Side("run.cancel(), run.wait()", partial(cancelled, dynos=dynos))
    script = Side("script with requests", partial(asked, dynos=dynos))
    return Race(f"stopping {dynos} dyno{'s' * (dynos > 1)}", "s", ours, [script, *more], repeats, emulator=[MANY])


def cancelled(ground: Ground, *, dynos: int) -> Iterator[Told]:
    """Cancel all runs, then wait for each."""
    heroku = ground.remote()
    yield
    while True:
        runs = [heroku.submit(command=SLEEP, rows=False) for _ in range(dynos)]
        until(lambda: all(run.state == "up" for run in runs))  # noqa: B023 - called at once
        began = time.perf_counter()
        for run in runs:
            run.cancel()
        for run in runs:
            assert run.wait(60)
        yield time.perf_counter() - began


def asked(ground: Ground, *, dynos: int) -> Iterator[Told]:
    """Ask for a stop of each, and look until they are gone."""
    api = PlainApi(ground)

    def stop(names: list[str]) -> None:
        for name in names:
            api.ask("POST", f"dynos/{name}/actions/stop")

    return stopped(api, dynos, stop)


def official(ground: Ground) -> Iterator[Told]:
    """Let the CLI ask for the stop."""
    environment = cli_environment(ground)

    def stop(names: list[str]) -> None:
        command = [str(official_cli()), "ps:stop", "--app", APP, "--dyno-name", *names]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ground.folder.parent)

    return stopped(PlainApi(ground), 1, stop)


def stopped(api: PlainApi, dynos: int, stop: Callable[[list[str]], None]) -> Iterator[Told]:
    """Start dynos, stop them in some way, and look until they are gone."""
    yield
    while True:
        names = [api.start(SLEEP) for _ in range(dynos)]
        until(lambda: {dyno["state"] for dyno in _ours(api, names)} == {"up"})  # noqa: B023 - called at once
        began = time.perf_counter()
        stop(names)
        until(lambda: not _ours(api, names))  # noqa: B023 - called at once
        yield time.perf_counter() - began


def _ours(api: PlainApi, names: list[str]) -> list[dict[str, str]]:
    return [dyno for dyno in api.ask("GET", "dynos") if dyno["name"] in names]


def until(happens: Callable[[], bool]) -> None:
    """Wait, and look often."""
    while not happens():
        time.sleep(LOOK)


if __name__ == "__main__":
    alone(__file__)
