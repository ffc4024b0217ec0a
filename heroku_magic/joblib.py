"""joblib's parallel backend on warm dynos: scikit-learn and other libraries that use joblib run there unchanged.

Results are unpickled on this computer. So whoever may deploy to the app, and every package in it, can run code here.
"""

from __future__ import annotations

import platform
import time
from concurrent.futures import Future
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import joblib
from joblib import register_parallel_backend
from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase

from heroku_magic.app.connect import connect
from heroku_magic.app.open_connections import open_connections
from heroku_magic.errors import InvalidOptions
from heroku_magic.platform_facts.dyno_sizes import money
from heroku_magic.runs.options import check_max_cost
from heroku_magic.warm.pool_functions import run_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.app.heroku import Heroku
    from heroku_magic.warm.pool import WarmPool
    from heroku_magic.warm.warm_dyno import WarmDyno

_POOLS: dict[tuple[Heroku, str | None, int], WarmPool] = {}  # which all `Parallel` of the process share
_USED: WeakKeyDictionary[WarmDyno, WarmPool] = WeakKeyDictionary()  # the pool that has used a dyno last
_OF_JOBLIB = {"prefer", "require", "max_nbytes", "mmap_mode", "temp_folder", "verbose", "context"}  # options for others
_ON_DYNOS = ("builtins", "joblib", "numpy", "sklearn")  # modules whose warnings dynos know


def register_heroku() -> None:
    """Make `joblib.parallel_config(backend="heroku", n_jobs=8)` run on warm dynos.

    Further options of the backend: `app` or `worker` (by default where the last `connect()`, `%heroku use` or
    cell ran), `size`, and `max_cost` (dollars at list price from then on, above which no further work is sent).
    `n_jobs=-1`, the default, is the number of dynos that `%heroku warm` keeps.

    As with joblib's other backends, `n_jobs=1` runs on this computer.

    Results are unpickled on this computer: whoever may deploy to the app, and every package in it, can then run code
    here. Tables and plain values come as data; exceptions come as text.

    Examples
    --------
    With joblib in the app's requirements.txt::

        register_heroku()
        with joblib.parallel_config(backend="heroku", n_jobs=2):
            joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(4))
    """
    register_parallel_backend("heroku", HerokuBackend)


class HerokuBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """Runs the batches of `joblib.Parallel` as calls of a pool of warm dynos."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = False
    uses_threads = False
    supports_sharedmem = False
    default_n_jobs = -1
    MIN_IDEAL_BATCH_DURATION = 0.5  # seconds: larger than joblib's, as batches also wait for the network

    def __init__(
        self,
        app: str | None = None,
        worker: str | None = None,
        size: str | None = None,
        max_cost: float | None = None,
        *,
        nesting_level: int | None = None,
    ) -> None:
        super().__init__(nesting_level=nesting_level)
        self._connect = partial(connect, app, worker=worker) if app or worker else _last_connection
        check_max_cost(max_cost)
        self._size, self._max_cost = size, max_cost
        self._heroku: Heroku | None = None
        self._warm_pool: WarmPool  # from `configure` on, which joblib calls first
        self._began, self._costs = time.monotonic(), {}  # type: float, dict[str, float]
        self._sent: dict[Future[Any], None] = {}  # batches that have not ended
        self._run = run_batch()
        self.parallel: Any = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return the number of dynos; -1 is that of `%heroku warm`, -2 one less, as joblib counts CPUs."""
        if n_jobs is not None and n_jobs > 0:
            return n_jobs
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        app = self._app()
        kind = self._size or app.settings.size, False, ()  # as the pool wants them
        warm = sum(dyno.owner is None and dyno.spec.kind == kind for dyno in app.warm())
        if not warm:
            raise InvalidOptions(
                "n_jobs=-1 stands for all warm dynos, and there are none. Give a number, such as n_jobs=4."
            )
        return max(warm + 1 + (n_jobs or -1), 1)

    def configure(self, n_jobs: int | None = -1, parallel: Any = None, **options: Any) -> int:
        """Prepare for the calls of one `Parallel`."""
        if unknown := options.keys() - _OF_JOBLIB:
            raise InvalidOptions(
                f'"{min(unknown)}" is not an option of Parallel on dynos. Give parallel_config the backend\'s options.'
            )
        self.parallel = parallel
        jobs = self.effective_n_jobs(n_jobs)
        key = self._app(), self._size, jobs
        if key not in _POOLS:
            _POOLS[key] = self._app().pool(jobs, self._size, allow_pickle=True)
            _POOLS[key].dispatcher.check_dyno = partial(_greet, _POOLS[key])
        self._warm_pool = _POOLS[key]
        return jobs

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], None] | None = None) -> Future[Any]:
        """Send a batch. What prevents that is its error, because joblib may call this in a thread that loses errors."""
        try:
            future = self._send(func)
        except Exception as error:  # noqa: BLE001 - whatever it is, the batch has no result
            future = Future()
            future.set_exception(error)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def _send(self, func: Callable[[], Any]) -> Future[Any]:
        self._check_cost(self._warm_pool)
        for function, _, _ in getattr(func, "items", ()):
            if filters := getattr(function, "warning_filters", None):  # of scikit-learn's `delayed`
                function.warning_filters = [one for one in filters if one[2].__module__.partition(".")[0] in _ON_DYNOS]
        future: Future[Any] = self._warm_pool.submit(self._run, func)
        self._sent[future] = None
        future.add_done_callback(lambda ended: self._sent.pop(ended, None))
        return future

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        """Return the results of a batch that has ended."""
        return future.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002 - joblib's signature
        """Cancel the batches of this backend, running ones too; others may use the same dynos."""
        for future in [*self._sent]:
            future.cancel()

    def terminate(self) -> None:
        """Write the batches to the history, and keep the dynos for the next `Parallel`; they end by themselves."""
        self._warm_pool.usage.report("joblib")
        self.reset_batch_stats()

    def _app(self) -> Heroku:
        self._heroku = self._heroku or self._connect()
        return self._heroku

    def _check_cost(self, pool: WarmPool) -> None:
        """Raise InvalidOptions if the dynos that the pool has used have cost too much since this backend began."""
        for dyno in self._app().warm() if self._max_cost is not None else ():
            if _USED.get(dyno) is pool or dyno.id in self._costs:
                seconds = time.monotonic() - max(self._began, dyno.started_at)
                self._costs[dyno.id] = dyno.spec.price(dyno.info.size, seconds) or 0.0
        spent = sum(self._costs.values())
        if self._max_cost is not None and spent >= self._max_cost:
            raise InvalidOptions(f"The dynos have cost {money(spent)}, and max_cost is ${self._max_cost:g}.")


def _greet(pool: WarmPool, dyno: WarmDyno) -> None:
    """Take note of a dyno that a pool is about to use, unless it has other versions."""
    _compare(dyno.downlink.versions)
    _USED[dyno] = pool


def _last_connection() -> Heroku:
    """Return the connection of the last `connect()`, `%heroku use` or cell, or what `connect()` chooses."""
    return next(reversed(open_connections.values()), None) or connect()


def _compare(theirs: Mapping[str, str]) -> None:
    """Raise InvalidOptions if a dyno lacks joblib, or has another version of a package or another minor one of Python.

    theirs: the versions on the dyno, by name.
    """
    if "joblib" not in theirs:
        raise InvalidOptions(
            f"The app has no joblib. Add a line joblib=={joblib.__version__} to its requirements.txt, and deploy it."
        )
    ours = {name: _version(name) for name in theirs}
    issues = [
        f"{name} is {ours[name]} here and {version} on the dyno."
        for name, version in theirs.items()
        if ours[name] and _significant(name, ours[name]) != _significant(name, version)
    ]
    if issues:
        raise InvalidOptions(
            f"{' '.join(issues)} Pickles need the same versions: pin packages in the app's requirements.txt, and "
            "Python in its .python-version."
        )


def _version(name: str) -> str:
    """Return the version of Python or of a package on this computer; empty if it is not installed."""
    if name == "Python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _significant(name: str, version: str) -> str:
    """Return what must be equal: pickles and bytecode of Python 3.12.1 and 3.12.4 are the same."""
    return version.rpartition(".")[0] if name == "Python" else version
