"""Executors whose calls run on dynos: of any function, or of one task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.app.function import bound, value
from heroku_magic.errors import InvalidOptions
from heroku_magic.sweeps.executor import DynoExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.app.planner import Planner
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.options import RunOptions
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.text.secret import Secret


def function_executor(
    client: HerokuClient, planner: Planner, options: RunOptions, most_at_once: Callable[[str | None], int]
) -> DynoExecutor:
    """Return an executor that ships the functions that it gets."""

    def spec(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunSpec:
        return planner.plan(None, bound(function, args, kwargs), replace(options, code=function, rows=True))

    return DynoExecutor(client, spec, value, task=None, most_at_once=most_at_once)


def task_executor(
    client: HerokuClient,
    planner: Planner,
    task: Task,
    options: RunOptions,
    *,
    most_at_once: Callable[[str | None], int],
    call: Callable[[RunSpec], Any],
    hidden: set[Secret],
) -> DynoExecutor:
    """Return an executor of one task. call: runs its callable at once; hidden: collects the secrets of its runs."""

    def called(*args: Any, **kwargs: Any) -> Any:
        return call(spec(called, args, kwargs))

    def spec(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunSpec:
        if function is not called:
            raise InvalidOptions(f"This executor runs the task {task.name}: give executor.task to submit() or map().")
        made = planner.plan(task.name, task.bind(args, kwargs), options)
        hidden.update(made.secrets.values())
        return made

    called.__name__ = called.__qualname__ = task.name
    return DynoExecutor(client, spec, lambda run: run.partial, task=called, most_at_once=most_at_once)
