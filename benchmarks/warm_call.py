"""Calls on warm dynos: one by one, a map of many, and over a network, against their alternatives on this machine."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.latency import percentile
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import (
    APP,
    MANY,
    Program,
    cli_environment,
    missing_cli,
    missing_package,
    official_cli,
)
from benchmarks.warm_run import lithops_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.testbed import Testbed

WORKERS = 2
NAP = 0.05  # seconds of a call that waits, as the dynos of the emulator share the processors of one machine
SHARES = ("p50", "p99")
TRIPS = (0.03, 0.1)  # seconds that the emulator adds to a round trip
CELL = "[{'n': 1}]"


def races(*, quick: bool) -> list[Race]:
    """Call what does next to nothing, so that only the way there and back counts."""
    calls, items = (5, 20) if quick else (100, 1_000)
    repeats = 1 if quick else 5
    fork = Side("fork pool, one process per call", partial(fork_map, items=items), Aim(ratio=1.5))
    many = [
        Side("loky", partial(loky_map, items=items), missing=missing_package("loky")),
        Side("ipyparallel, balanced", partial(engine_map, items=items), Aim(1), missing_package("ipyparallel")),
    ]
    slow = [Side("Lithops localhost", partial(lithops_map, items=items), missing=missing_package("lithops"))]
    mapped = Side(f"{WORKERS} warm dynos", partial(map_, items=items))
    mapped_kept = Side(f"{WORKERS} warm dynos, isolate=False", partial(map_, items=items, isolate=False))
    kept = Side("isolate=False", partial(cell, calls=calls, isolate=False))
    isolated = Side("isolated", partial(cell, calls=calls), Aim(alone=0.7))
    return [
        *(_cell_race(share, calls, repeats, quick=quick) for share in SHARES),
        Race("warm cell that keeps state, p50", "ms", kept, [isolated], repeats),
        *(_function_race(share, calls, repeats) for share in SHARES),
        Race(f"map of {items:,} calls", "s", mapped, [fork, *many], repeats),
        Race(f"map of {items:,} calls that keep state", "s", mapped_kept, many, repeats),
        Race(f"map of {items:,} calls, once", "s", mapped, [] if quick else slow, repeats=1, warm_ups=0),
        *(race for trip in TRIPS for race in _far_races(trip, calls // 5, items)),
    ]


def _cell_race(share: str, calls: int, repeats: int, *, quick: bool) -> Race:
    """Run a cell whose value is a DataFrame here."""
    no_engines = missing_package("ipyparallel")
    others = [
        Side("through the log", partial(cell, calls=calls // 5, share=share, warm=False), Aim(ratio=1 / 10)),
        Side("ipyparallel %%px", partial(px_cell, calls=calls, share=share), Aim(1 / 3), no_engines),
        Side("Lithops localhost", partial(lithops_call, calls=5, share=share), missing=missing_package("lithops")),
        Side("heroku run (official CLI)", cli_call, Aim(alone=2), missing_cli()),
    ]
    if share != "p50":
        others = [replace(one, aim=Aim()) for one in others]
    ours = Side("warm dyno", partial(cell, calls=calls, share=share))
    return Race(f"warm cell, {share}", "ms", ours, others[: 1 if quick else None], repeats, emulator=[MANY])


def _function_race(share: str, calls: int, repeats: int) -> Race:
    others = [
        Side("ProcessPoolExecutor", partial(process_call, calls=calls, share=share)),
        Side("loky", partial(loky_call, calls=calls, share=share), missing=missing_package("loky")),
        Side("ipyparallel", partial(engine_call, calls=calls, share=share), missing=missing_package("ipyparallel")),
    ]
    ours = Side("warm dyno", partial(one_call, calls=calls, share=share))
    return Race(f"warm call, {share}", "ms", ours, others, repeats)


def _far_races(trip: float, calls: int, items: int) -> list[Race]:
    """Call dynos that are a network round trip away, as those of Heroku are."""
    emulator, far = ["--time", f"round-trip={trip}"], f"round trip of {trip:g} s"
    one = Side("1 warm dyno", partial(far_map, items=items // 4, jobs=1), Aim(least=4))
    four = Side("4 warm dynos", partial(far_map, items=items, jobs=4))
    return [
        Race(f"warm call, {far}", "ms", Side("warm dyno", partial(far_call, calls=calls)), [], 1, emulator=emulator),
        Race(f"map of calls of {NAP:g} s, {far}", "calls/s", four, [one], 1, emulator=emulator),
    ]


def double(n: int) -> int:
    """Return twice a number."""
    return 2 * n


def nap(n: int) -> int:
    """Return twice a number, later."""
    time.sleep(NAP)
    return 2 * n


def cell(
    testbed: Testbed, *, calls: int, share: str = "p50", warm: bool = True, isolate: bool = True
) -> Iterator[Measurement]:
    """Run a cell on a dyno of the embedded Heroku."""
    heroku = testbed.local()
    return _share_of(lambda _: heroku.run(code=CELL, warm=warm, isolate=isolate), calls, share)


def px_cell(testbed: Testbed, *, calls: int, share: str) -> Iterator[Measurement]:
    """Run it with the magic, on a warm engine."""
    import ipyparallel
    from IPython.core.interactiveshell import InteractiveShell

    with ipyparallel.Cluster(n=1, profile_dir=str(testbed.folder.parent / "profile"), log_level=50) as client:
        shell = InteractiveShell.instance()
        client[:].activate()
        yield from _share_of(lambda _: shell.run_cell_magic("px", "--block", CELL), calls, share)


def lithops_call(testbed: Testbed, *, calls: int, share: str) -> Iterator[Measurement]:
    """Call a function with the localhost executor."""
    with lithops_executor(testbed) as executor:
        yield from _share_of(lambda n: executor.get_result(executor.call_async(double, n)), calls, share)


def cli_call(testbed: Testbed) -> Iterator[Measurement]:
    """Run Python on a dyno of its own."""
    command = [str(official_cli()), "run", "--app", APP, "--exit-code", "--no-tty", "--", "python", "-c", "1"]
    yield
    while True:
        yield 1000 * _timed(Program(command, env=cli_environment(testbed), cwd=testbed.folder.parent).wait)


def one_call(testbed: Testbed, *, calls: int, share: str) -> Iterator[Measurement]:
    """Call on a dyno of the embedded Heroku, in a process of its own."""
    return _share_of(testbed.local().function(double, warm=True, quiet=True).remote, calls, share)


def far_call(testbed: Testbed, *, calls: int) -> Iterator[Measurement]:
    """Call on a dyno that is a network round trip away."""
    return _share_of(testbed.remote().function(double, warm=True, quiet=True).remote, calls)


def process_call(testbed: Testbed, *, calls: int, share: str) -> Iterator[Measurement]:  # noqa: ARG001 - every lane gets it
    """Call in a process that stays."""
    with ProcessPoolExecutor(1) as executor:
        yield from _share_of(lambda n: executor.submit(double, n).result(), calls, share)


def loky_call(testbed: Testbed, *, calls: int, share: str) -> Iterator[Measurement]:  # noqa: ARG001
    """Call in a process of joblib's pool."""
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=1)
    yield from _share_of(lambda n: executor.submit(double, n).result(), calls, share)


def engine_call(testbed: Testbed, *, calls: int, share: str) -> Iterator[Measurement]:
    """Call on an engine of a cluster that is up."""
    import ipyparallel

    with ipyparallel.Cluster(n=1, profile_dir=str(testbed.folder.parent / "profile"), log_level=50) as client:
        view = client[0]
        yield from _share_of(lambda n: view.apply_sync(double, n), calls, share)


def map_(testbed: Testbed, *, items: int, isolate: bool = True) -> Iterator[Measurement]:
    """Map over warm dynos, each call in a process of its own or all of a dyno in one."""
    with testbed.local().pool(jobs=WORKERS, isolate=isolate) as pool:
        yield from _seconds_of(lambda: [*pool.map(double, range(items))], items)


def fork_map(testbed: Testbed, *, items: int) -> Iterator[Measurement]:  # noqa: ARG001
    """Map over processes that are forked for each call."""
    with multiprocessing.get_context("fork").Pool(WORKERS, maxtasksperchild=1) as pool:
        yield from _seconds_of(lambda: [*pool.imap(double, range(items), chunksize=1)], items)


def loky_map(testbed: Testbed, *, items: int) -> Iterator[Measurement]:  # noqa: ARG001
    """Map over the processes of joblib's pool."""
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=WORKERS)
    yield from _seconds_of(lambda: [*executor.map(double, range(items))], items)


def engine_map(testbed: Testbed, *, items: int) -> Iterator[Measurement]:
    """Map over the engines of a cluster that is up."""
    import ipyparallel

    with ipyparallel.Cluster(n=WORKERS, profile_dir=str(testbed.folder.parent / "profile"), log_level=50) as client:
        view = client.load_balanced_view()
        yield from _seconds_of(lambda: [*view.map_sync(double, range(items))], items)


def lithops_map(testbed: Testbed, *, items: int) -> Iterator[Measurement]:
    """Map with the localhost executor."""
    with lithops_executor(testbed) as executor:
        yield from _seconds_of(lambda: executor.get_result(executor.map(double, range(items))), items)


def far_map(testbed: Testbed, *, items: int, jobs: int) -> Iterator[Measurement]:
    """Map over warm dynos that are a network round trip away."""
    with testbed.remote().pool(jobs=jobs) as pool:
        for seconds in _seconds_of(lambda: [*pool.map(nap, range(items))], items):
            yield None if seconds is None else items / seconds


def _share_of(call: Callable[[int], Any], calls: int, share: str = "p50") -> Iterator[Measurement]:
    call(1)
    yield
    while True:
        yield 1000 * percentile(share, [_timed(partial(call, n)) for n in range(calls)])


def _seconds_of(work: Callable[[], list[int]], items: int) -> Iterator[Any]:
    assert work() == [2 * n for n in range(items)]
    yield
    while True:
        yield _timed(work)


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    run_alone(__file__)
