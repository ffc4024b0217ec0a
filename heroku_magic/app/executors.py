"""Plans the calls of executors: of functions, which travel by cloudpickle, and of tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.app.function import binder, returned, undecorated
from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.helper import helper_task
from heroku_magic.runs.request import RunRequest
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from heroku_magic.app.catalog import Catalog
    from heroku_magic.app.planner import Planner
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.options import RunOptions
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.text.secret import Secret


class PoolPlanner:
    """Plans the calls of a pool: of functions, which travel by cloudpickle, and of tasks.

    catalog: knows the tasks. prepare: wraps a function that needs an initializer. hidden: collects the calls' secrets.
    """

    def __init__(
        self,
        planner: Planner,
        catalog: Catalog,
        options: RunOptions,
        prepare: Callable[[Callable[..., Any]], Callable[..., Any]],
        hidden: set[Secret],
    ) -> None:
        self._planner, self._catalog, self._options = planner, catalog, options
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
        task = self._catalog.task(name, any_type=self._options.any_type)
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
