"""Calls on warm dynos: one by one, a map of many, and over a network, against pools of processes on this machine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import missing_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.testbed import Testbed

WORKERS = 2
ROUND_TRIP = 0.1  # seconds that the emulator adds


def races(*, quick: bool) -> list[Race]:
    """Call a function that does next to nothing, so that only the way there and back counts."""
    calls, items = (5, 20) if quick else (100, 1_000)
    repeats = 1 if quick else 5
    one = [
        Side("through the log", partial(one_call, calls=calls // 5, warm=False), Aim(ratio=1 / 10)),
        Side("ProcessPoolExecutor", partial(process_call, calls=calls)),
        Side("loky", partial(loky_call, calls=calls), missing=missing_package("loky")),
        Side("ipyparallel, cluster up", partial(engine_call, calls=calls), Aim(1 / 3), missing_package("ipyparallel")),
    ]
    many = [
        Side("fork pool, one process per call", partial(fork_map, items=items), Aim(ratio=1.5)),
        Side("loky", partial(loky_map, items=items), missing=missing_package("loky")),
        Side("ipyparallel, balanced", partial(engine_map, items=items), Aim(1), missing_package("ipyparallel")),
    ]
    far = [Side("1 warm dyno", partial(far_map, items=items // 4, jobs=1), Aim(least=4))]
    emulator = ["--time", f"round-trip={ROUND_TRIP}"]
    return [
        Race("warm call", "ms", Side("warm dyno", partial(one_call, calls=calls, warm=True)), one, repeats),
        Race("warm call that keeps state", "ms", Side("isolate=False", partial(kept_call, calls=calls)), [], repeats),
        Race(f"map of {items:,} calls", "s", Side(f"{WORKERS} warm dynos", partial(map_, items=items)), many, repeats),
        Race(
            f"map, round trip of {ROUND_TRIP} s",
            "calls/s",
            Side("4 warm dynos", partial(far_map, items=items, jobs=4)),
            far,
            repeats=1,
            emulator=emulator,
        ),
    ]


def double(n: int) -> int:
    """Return twice a number."""
    return 2 * n


def one_call(testbed: Testbed, *, calls: int, warm: bool) -> Iterator[Measurement]:
    """Call on a dyno of the embedded Heroku, in a process of its own."""
    yield from _median_of(testbed.local().function(double, warm=warm).remote, calls)


def kept_call(testbed: Testbed, *, calls: int) -> Iterator[Measurement]:
    """Call in the process of the calls before."""
    yield from _median_of(testbed.local().function(double, warm=True, isolate=False).remote, calls)


def process_call(testbed: Testbed, *, calls: int) -> Iterator[Measurement]:  # noqa: ARG001 - every lane gets the testbed
    """Call in a process that stays."""
    with ProcessPoolExecutor(1) as executor:
        yield from _median_of(lambda n: executor.submit(double, n).result(), calls)


def loky_call(testbed: Testbed, *, calls: int) -> Iterator[Measurement]:  # noqa: ARG001
    """Call in a process of joblib's pool."""
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=1)
    yield from _median_of(lambda n: executor.submit(double, n).result(), calls)


def engine_call(testbed: Testbed, *, calls: int) -> Iterator[Measurement]:
    """Call on an engine of a cluster that is up."""
    import ipyparallel

    with ipyparallel.Cluster(n=1, profile_dir=str(testbed.folder.parent / "profile"), log_level=50) as client:
        view = client[0]
        yield from _median_of(lambda n: view.apply_sync(double, n), calls)


def map_(testbed: Testbed, *, items: int) -> Iterator[Measurement]:
    """Map over warm dynos, each call in a process of its own."""
    with testbed.local().pool(jobs=WORKERS) as pool:
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


def far_map(testbed: Testbed, *, items: int, jobs: int) -> Iterator[Measurement]:
    """Map over warm dynos that are a network round trip away."""
    with testbed.remote().pool(jobs=jobs) as pool:
        for seconds in _seconds_of(lambda: [*pool.map(double, range(items))], items):
            yield None if seconds is None else items / seconds


def _median_of(call: Callable[[int], Any], calls: int) -> Iterator[Measurement]:
    assert call(1) == 2
    yield
    while True:
        yield 1000 * statistics.median(_timed(partial(call, n)) for n in range(calls))


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
