"""A DataFrame of 100 MB to a worker and back, both ways together in MB/s, and calls that have much data in common."""

from __future__ import annotations

import sysconfig
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import missing_package
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from benchmarks.testbed import Testbed
    from heroku_magic import Heroku

    Map = Callable[[Executor, int, int], Iterator[Measurement]]

MB = 1_000_000
ROUND_TRIP = 0.1  # seconds that the emulator adds
WORKERS = 2


def races(*, quick: bool) -> list[Race]:
    """Send random bytes, which do not compress, there and back."""
    size = 2 if quick else 100
    others = [
        Side("loky", partial(loky, size=size), Aim(), missing_package("loky")),
        Side("ipyparallel, cluster up", partial(engine, size=size), Aim(), missing_package("ipyparallel")),
    ]
    name, far = f"DataFrame of {size} MB there and back", ["--time", f"round-trip={ROUND_TRIP}"]
    distant = Side("warm dyno", partial(ours, size=size, is_far=True))
    return [
        Race(name, "MB/s", Side("warm dyno", partial(ours, size=size)), others, repeats=1 if quick else 5),
        Race(f"{name}, round trip of {ROUND_TRIP:g} s", "MB/s", distant, [], 1 if quick else 3, emulator=far),
        *_shared_races(quick=quick),
    ]


def _shared_races(*, quick: bool) -> list[Race]:
    calls, size, entries = (4, 2, 1_000) if quick else (100, 20, 200_000)
    array, table = ({"calls": calls, "size": count} for count in (size, entries))
    pickles = partial(processes_map, work=array_map, **array)
    return [
        Race(
            f"map of {calls} calls with the same array of {size} MB",
            "s",
            Side(f"{WORKERS} warm dynos", partial(dynos_map, work=array_map, **array)),
            [Side("ProcessPoolExecutor", pickles, Aim(1)), _loky_side(array_map, **array)],
            repeats=1 if quick else 3,
        ),
        Race(
            f"map of {calls} calls of a function that uses a dict of {entries:,} entries",
            "s",
            Side(f"{WORKERS} warm dynos", partial(dynos_map, work=table_map, **table)),
            [_loky_side(table_map, **table)],
            repeats=1 if quick else 3,
        ),
    ]


def _loky_side(work: Map, *, calls: int, size: int) -> Side:
    return Side("loky", partial(loky_map, work=work, calls=calls, size=size), Aim(1), missing_package("loky"))


def frame(size: int) -> Any:
    """Return a DataFrame of so many megabytes of random bytes."""
    import numpy as np
    import pandas as pd

    data = np.random.default_rng(1).integers(0, 256, size * MB, dtype="uint8")
    return pd.DataFrame(data.view("int64").reshape(-1, 10))


def echo(df: Any) -> Any:
    """Return the table."""
    return df


def ours(testbed: Testbed, *, size: int, is_far: bool = False) -> Iterator[Measurement]:
    """Call a function on a warm dyno of the embedded Heroku."""
    heroku = _with_packages(testbed.remote() if is_far else testbed.local())
    on_dyno = heroku.function(echo, warm=True)
    on_dyno.remote(frame(1))
    return _measure(on_dyno.remote, size)


def _with_packages(heroku: Heroku) -> Heroku:
    """Let dynos import the packages of this process: they have no pandas otherwise."""
    heroku.set_config("PYTHONPATH", Secret(sysconfig.get_paths()["purelib"]))
    return heroku


def loky(testbed: Testbed, *, size: int) -> Iterator[Measurement]:  # noqa: ARG001 - every lane gets the testbed
    """Call it in a process of joblib's pool."""
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=1)
    executor.submit(echo, frame(1)).result()
    yield from _measure(lambda df: executor.submit(echo, df).result(), size)


def engine(testbed: Testbed, *, size: int) -> Iterator[Measurement]:
    """Call it on an engine of a cluster that is up."""
    import ipyparallel

    with ipyparallel.Cluster(n=1, profile_dir=str(testbed.folder.parent / "profile"), log_level=50) as client:
        view = client[0]
        view.apply_sync(echo, frame(1))
        yield from _measure(lambda df: view.apply_sync(echo, df), size)


def _measure(call: Callable[[Any], Any], size: int) -> Iterator[Measurement]:
    df = frame(size)
    yield
    while True:
        began = time.perf_counter()
        assert call(df).equals(df)
        yield 2 * size / (time.perf_counter() - began)


def dynos_map(testbed: Testbed, *, work: Map, calls: int, size: int) -> Iterator[Measurement]:
    """Map over warm dynos of the embedded Heroku."""
    with _with_packages(testbed.local()).pool(jobs=WORKERS) as pool:
        yield from work(pool, calls, size)


def processes_map(testbed: Testbed, *, work: Map, calls: int, size: int) -> Iterator[Measurement]:  # noqa: ARG001
    """Map over processes that stay."""
    with ProcessPoolExecutor(WORKERS) as pool:
        yield from work(pool, calls, size)


def loky_map(testbed: Testbed, *, work: Map, calls: int, size: int) -> Iterator[Measurement]:  # noqa: ARG001
    """Map over the processes of joblib's pool."""
    from loky import get_reusable_executor

    yield from work(get_reusable_executor(max_workers=WORKERS), calls, size)


def array_map(pool: Executor, calls: int, size: int) -> Iterator[Measurement]:
    """Sum rows of an array of so many megabytes that is an argument of each call."""
    import numpy as np

    array = np.random.default_rng(1).random((size * MB // 8_000, 1_000))
    expected = [row_sum(array, at) for at in range(calls)]
    return _seconds_of(lambda: [*pool.map(row_sum, [array] * calls, range(calls))], expected)


def row_sum(array: Any, at: int) -> float:
    """Return the sum of a row."""
    return float(array[at].sum())


def table_map(pool: Executor, calls: int, size: int) -> Iterator[Measurement]:
    """Look up entries of a dict that the function uses."""
    table = {number: str(number) for number in range(size)}

    def look_up(number: int) -> str:
        return table[number]

    return _seconds_of(lambda: [*pool.map(look_up, range(calls))], [*map(str, range(calls))])


def _seconds_of(work: Callable[[], Any], expected: Any) -> Iterator[Measurement]:
    assert work() == expected
    yield
    while True:
        began = time.perf_counter()
        assert work() == expected
        yield time.perf_counter() - began


if __name__ == "__main__":
    run_alone(__file__)
