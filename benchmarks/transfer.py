"""A DataFrame of 100 MB to a worker and back: a warm dyno, loky and ipyparallel, both ways together in MB/s."""

from __future__ import annotations

import sysconfig
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side
from benchmarks.testbed import missing_package
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.testbed import Testbed

MB = 1_000_000
ROUND_TRIP = 0.1  # seconds that the emulator adds


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
    ]


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
    heroku = testbed.remote() if is_far else testbed.local()
    heroku.set_config("PYTHONPATH", Secret(sysconfig.get_paths()["purelib"]))  # a dyno has no pandas otherwise
    on_dyno = heroku.function(echo, warm=True)
    on_dyno.remote(frame(1))
    return _measure(on_dyno.remote, size)


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


if __name__ == "__main__":
    run_alone(__file__)
