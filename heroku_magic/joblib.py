"""joblib's parallel backend on warm dynos: scikit-learn and other libraries that use joblib run there unchanged.

Results are unpickled on this computer. So whoever may deploy to the app, and every package in it, can run code here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import joblib
from joblib import register_parallel_backend
from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase

from heroku_magic.api.dyno_sizes import money
from heroku_magic.app.connect import connect
from heroku_magic.errors import InvalidOptions
from heroku_magic.runs.options import check_max_cost
from heroku_magic.warm.pool_functions import run_batch, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from heroku_magic.app.heroku import Heroku
    from heroku_magic.warm.pool import WarmPool

_COMPARED = ("joblib", "cloudpickle", "numpy", "scikit-learn")  # whose pickles another version may not read
_POOLS: dict[tuple[Heroku, str | None, int], WarmPool] = {}  # which all `Parallel` of the process share
_ON_DYNOS = ("builtins", "joblib", "numpy", "sklearn")  # modules whose warnings dynos know


def register_heroku() -> None:
    """Make `joblib.parallel_config(backend="heroku", n_jobs=8)` run on warm dynos.

    Further options of the backend: `app` or `worker` (where; otherwise where the last `connect()`, `%heroku use` or
    cell ran), `size`, and `max_cost` (dollars at list price, above which no further work is sent). `n_jobs=-1` is the
    number of dynos that `%heroku warm` keeps.

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

    def __init__(
        self,
        app: str | None = None,
        worker: str | None = None,
        size: str | None = None,
        max_cost: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._connect = partial(connect, app, worker=worker)
        check_max_cost(max_cost)
        self._size, self._max_cost = size, max_cost
        self._heroku: Heroku | None = None
        self._pool: WarmPool  # from `configure` on, which joblib calls first
        self._run = run_batch()
        self.parallel: Any = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return the number of dynos; -1 is that of the warm ones, -2 one less, as joblib counts CPUs."""
        if n_jobs is not None and n_jobs > 0:
            return n_jobs
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        warm = len(self._app().warm())
        if not warm:
            raise InvalidOptions("No dyno is warm that n_jobs could count. Give a number, such as n_jobs=4.")
        return max(warm + 1 + (n_jobs or -1), 1)

    def configure(self, n_jobs: int | None = 1, parallel: Any = None, **_: Any) -> int:
        """Prepare for the calls of one `Parallel`. Raises InvalidOptions if a dyno has other versions of a package."""
        self.parallel = parallel
        jobs = self.effective_n_jobs(n_jobs)
        key = self._app(), self._size, jobs
        if key not in _POOLS:
            pool = self._app().pool(jobs, self._size, allow_pickle=True)
            _compare(pool.submit(versions_of(_COMPARED)).result())
            pool.usage.discard()
            _POOLS[key] = pool
        self._pool = _POOLS[key]
        return jobs

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], None] | None = None) -> Future[Any]:
        """Send a batch."""
        self._check_cost()
        for function, _, _ in getattr(func, "items", ()):
            if filters := getattr(function, "warning_filters", None):  # of scikit-learn's `delayed`
                function.warning_filters = [one for one in filters if one[2].__module__.partition(".")[0] in _ON_DYNOS]
        future: Future[Any] = self._pool.submit(self._run, func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        """Return the results of a batch that has ended."""
        return future.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002 - joblib's signature
        """Cancel all batches, also those that run."""
        self._pool.cancel()

    def terminate(self) -> None:
        """Write the batches to the history, and keep the dynos for the next `Parallel`; they end by themselves."""
        self._pool.usage.report("joblib")
        self.reset_batch_stats()

    def _app(self) -> Heroku:
        self._heroku = self._heroku or self._connect()
        return self._heroku

    def _check_cost(self) -> None:
        spent = sum(dyno.dollars or 0.0 for dyno in self._app().warm() if dyno.owner is self._pool)
        if self._max_cost is not None and spent >= self._max_cost:
            raise InvalidOptions(f"The dynos have cost {money(spent)}, and max_cost is ${self._max_cost:g}.")


def _compare(theirs: dict[str, str]) -> None:
    """Raise InvalidOptions if the dyno lacks joblib, or has another version of a package."""
    if "joblib" not in theirs:
        raise InvalidOptions(
            f"The app has no joblib. Add a line joblib=={joblib.__version__} to its requirements.txt, and deploy it."
        )
    ours = versions_of(_COMPARED)()
    issues = [
        f"{name} is {ours[name]} here and {version} on the dyno."
        for name, version in theirs.items()
        if ours.get(name, version) != version
    ]
    if issues:
        raise InvalidOptions(f"{' '.join(issues)} Pickles need the same versions: pin them in requirements.txt.")
