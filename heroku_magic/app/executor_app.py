"""The part of `Heroku` that gives `concurrent.futures` executors, whose calls run on dynos."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.app.function import binder, bound, returned, undecorated, value
from heroku_magic.app.recorded_app import RecordedApp
from heroku_magic.errors import InvalidOptions
from heroku_magic.ledger.recorder import recorder
from heroku_magic.protocol.helper import helper_task
from heroku_magic.runs.options import WARM_IDLE, RunOptions, check_count, pick
from heroku_magic.runs.request import RunRequest
from heroku_magic.runs.started_by_call import run_to_end
from heroku_magic.sweeps.executor import DynoExecutor
from heroku_magic.text.notifier import notifies_owner
from heroku_magic.text.sanitize import clean_line
from heroku_magic.warm.pool import WarmPool
from heroku_magic.warm.pool_functions import with_initializer
from heroku_magic.warm.pool_usage import PoolUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Executor

    from heroku_magic.app.planner import Planner
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.sweeps.executor import SpecFactory
    from heroku_magic.text.secret import Secret

POOL_JOBS = 4


@notifies_owner
class ExecutorApp(RecordedApp):
    """An app whose dynos are the workers of executors."""

    def pool(
        self,
        jobs: int = POOL_JOBS,
        size: str | None = None,
        idle: float = WARM_IDLE,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        isolate: bool = True,
        allow_pickle: bool = False,
        history: bool = True,
    ) -> WarmPool:
        """Return a `concurrent.futures.Executor` whose calls run on warm dynos.

        Each call has a process of its own, unless `isolate` is False. The pool takes idle dynos of `warm()` before
        it boots others, and stops the dynos that it has booted at the end of a `with`, in `shutdown()`, after `idle`
        seconds without a call, or with this process.

        Parameters
        ----------
        jobs
            Most dynos at the same time.
        size
            The dyno size; None is the connection's.
        idle
            Seconds without a call after which a dyno ends, at most 3,600.
        initializer, initargs
            A function, and its arguments, that is called before the first call of each process: before each call, or
            with `isolate=False` once per dyno and function, to load a model for example.
        isolate
            False runs all calls of a dyno in one process, which is faster and keeps what they leave in memory: globals
            of the functions, and modules.
        allow_pickle
            As for `submit`.
        history
            False keeps the pool out of the history, which has one entry for all of its calls.

        Raises
        ------
        InvalidOptions
            If a number is out of range, or more dynos are wanted than may run at once.

        Examples
        --------
        >>> import heroku_magic
        >>> heroku = heroku_magic.connect(local=True, say=lambda message: None)
        >>> with heroku.pool(jobs=2) as pool:
        ...     future = pool.submit(divmod, 17, 5)
        >>> future.result()
        (3, 2)
        """
        options = RunOptions(warm=True, size=size, isolate=isolate, allow_pickle=allow_pickle, history=history)
        return self._pool(options, jobs=jobs, idle=idle, initializer=initializer, initargs=initargs)

    def _pool(
        self,
        options: RunOptions,
        *,
        jobs: int,
        idle: float = WARM_IDLE,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> WarmPool:
        jobs = check_count("jobs", jobs, is_optional=False)
        self._check_warm(jobs, options.size or self.settings.size, idle)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")

        def prepare(fn: Callable[..., Any]) -> Callable[..., Any]:
            return fn if initializer is None else with_initializer(fn, initializer, initargs)

        planner = PoolPlanner(self._planner, options, prepare, self._hidden)
        request = RunRequest(app=self.app, folder=str(self.settings.worker or ""), kind="pool")
        usage = PoolUsage(request, self.app_name, self.client.base_url)
        if options.history:
            recorder.follow_pool(usage, lambda: {self.client.token, *self._hidden})
        return WarmPool(self.client, self._warm, planner, jobs=jobs, idle=idle, usage=usage)

    def executor(
        self,
        task: str | None = None,
        *,
        jobs: int | None = None,
        secrets: Iterable[str] = (),
        size: str | None = None,
        timeout: int | None = None,
        any_type: bool = False,
        override: Iterable[str] = (),
        rows: bool = True,
        warm: bool = False,
        allow_pickle: bool = False,
        history: bool = True,
    ) -> DynoExecutor | WarmPool:
        """Return a `concurrent.futures.Executor` whose calls run on dynos.

        Parameters
        ----------
        task
            None: the executor sends the functions passed to it. A task: its callable is `executor.task`; its arguments
            are the task's parameters, in the order of their declaration or by name; each call returns a DataFrame.
        jobs
            Most dynos at the same time.
        secrets, size, timeout, any_type, override, rows, allow_pickle, history
            As for `submit`.
        warm
            Return what `pool` returns.
        """
        options = pick(RunOptions, locals())
        jobs = check_count("jobs", jobs)
        if warm:
            pool = self._pool(options, jobs=jobs or POOL_JOBS)
            if task is not None:
                vars(pool)["task"] = pool.task(task)
            return pool

        def most_at_once(given: str | None) -> int:
            return jobs or self._planner.most_at_once(given or size)

        if task is None:
            return self._function_executor(options, most_at_once)
        return self._task_executor(self._planner.task(task, options), options, most_at_once)

    def _function_executor(self, options: RunOptions, most_at_once: Callable[[str | None], int]) -> DynoExecutor:
        """Return an executor that sends the functions passed to it."""

        def spec(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunSpec:
            function = undecorated(function)
            return self._planner.plan(None, bound(function, args, kwargs), replace(options, code=function, rows=True))

        return self._executor(spec, value, None, most_at_once)

    def _task_executor(
        self, task: Task, options: RunOptions, most_at_once: Callable[[str | None], int]
    ) -> DynoExecutor:
        """Return an executor of one task, whose callable runs at once."""

        def called(*args: Any, **kwargs: Any) -> Any:
            return run_to_end(lambda: self._start(spec(called, args, kwargs))).result()

        def spec(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunSpec:
            if function is not called:
                raise InvalidOptions(
                    f"This executor runs the task {task.name}: pass executor.task to submit() or map()."
                )
            return self._planner.plan(task.name, task.bind(args, kwargs), options)

        called.__name__ = called.__qualname__ = task.name
        return self._executor(spec, lambda run: run.partial, called, most_at_once)

    def _executor(
        self,
        spec: SpecFactory,
        value_of: Callable[[Run], Any],
        task: Callable[..., Any] | None,
        most_at_once: Callable[[str | None], int],
    ) -> DynoExecutor:
        def make_spec(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunSpec:
            made = spec(function, args, kwargs)
            self._hidden.update(made.secrets.values())
            return made

        return DynoExecutor(
            self.client,
            make_spec,
            value_of,
            task=task,
            most_at_once=most_at_once,
            on_start=self._record,
            attached_runner=self._attached_runner,
        )


class PoolPlanner:
    """Plans the calls of a pool: of functions, which travel by cloudpickle, and of tasks.

    prepare: wraps a function that needs an initializer. hidden: collects the calls' secrets.
    """

    def __init__(
        self,
        planner: Planner,
        options: RunOptions,
        prepare: Callable[[Callable[..., Any]], Callable[..., Any]],
        hidden: set[Secret],
    ) -> None:
        self._planner, self._options = planner, options
        self._prepare, self._hidden = prepare, hidden

    def encoder_for(self, fn: Callable[..., Any]) -> Callable[[tuple[Any, ...], Mapping[str, Any]], RunSpec]:
        """Return a function that turns the arguments of a call into its run."""
        task: Task | None = getattr(fn, "heroku_task", None)
        if task is not None:
            request = RunRequest(is_kept=task.keeps_history)
            return lambda args, kwargs: self._hide(
                replace(self._planner.plan_call(task.name, task.bind(args, kwargs), self._options), request=request)
            )
        fn = undecorated(fn)
        options = replace(self._options, code=fn, rows=True)
        bundle, bind = self._planner.bundle(self._prepare(fn), {}, (), options), binder(fn)
        return lambda args, kwargs: self._hide(self._planner.bundle_spec(bundle, bind(args, kwargs), options))

    def _hide(self, spec: RunSpec) -> RunSpec:
        self._hidden.update(spec.secrets.values())
        return spec

    def value_of(self, run: Run) -> Any:
        """Return the value of a call that has succeeded."""
        self._planner.bundler.learn(run)
        is_function = run.declaration is not None and run.declaration.typed
        return returned(run.parts, run.facts) if is_function else run.partial

    def task(self, pool: Executor, name: str | None) -> Callable[..., Any]:
        """Return a task as a function that a pool can run."""
        task = self._planner.task(name, self._options)
        if helper_task(task.command) is None:
            raise InvalidOptions(
                f"{task.name} runs `{clean_line(task.command[:80])}`. A pool runs only Python tasks whose command is "
                "`python -m heroku_task NAME`."
            )

        def called(*args: Any, **kwargs: Any) -> Any:
            return pool.submit(called, *args, **kwargs).result()

        called.__name__ = called.__qualname__ = task.name
        called.heroku_task = task  # type: ignore[attr-defined]
        return called
